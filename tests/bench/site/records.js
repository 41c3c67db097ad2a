// The peers of the rows on records: the same 10,000 rows of the same server, 1,000 a page, in a store of their own.
//
//   sync()          pulls what is new; resolves when all of it is stored
//   get(id)         one record by its id
//   query(town)     the first 20 of a town, by an index
//   put(record)     resolves when it is stored
//   watch(id, heard) calls `heard` with the record whenever it changed; returns what stops that

import { createRxDatabase } from "rxdb/plugins/core";
import { replicateRxCollection } from "rxdb/plugins/replication";
import { getRxStorageDexie } from "rxdb/plugins/storage-dexie";

const URL = "/api/records/notes";
const PAGE = 1_000;

async function pageAfter(checkpoint, limit) {
  const query = new URLSearchParams({ limit: `${limit}` });
  if (checkpoint) {
    query.set("updatedSince", checkpoint.updatedAt);
    query.set("after", checkpoint.id);
  }
  const response = await fetch(`${URL}?${query}`, { cache: "no-store" });
  const body = await response.json();
  const rows = body.items ?? body;
  const last = rows.at(-1);
  return { rows, checkpoint: last ? { updatedAt: last.updatedAt, id: last.id } : checkpoint };
}

async function shearwater() {
  const { connect } = await import("/shearwater/page.js");
  const client = await connect({ worker: "/shearwater.js?collections" });
  const notes = client.collection("notes");
  return {
    async sync() {
      const { error } = await notes.sync();
      if (error) throw new Error(error);
    },
    count: () => notes.count(),
    get: (id) => notes.get(id),
    query: (town) => notes.query({ index: "byTown", range: { only: town }, limit: 20 }),
    put: (record) => notes.put(record),
    watch: (id, heard) => notes.subscribe({ index: "byTown", range: { only: id } }, (list) => heard(list[0])),
  };
}

async function rxdb() {
  const db = await createRxDatabase({ name: "rxdb", storage: getRxStorageDexie() });
  const string = (maxLength) => ({ type: "string", maxLength });
  const schema = {
    version: 0,
    primaryKey: "id",
    type: "object",
    properties: {
      ...{ id: string(64), town: string(64), title: string(200), text: string(1_000) },
      ...{ updatedAt: string(64), version: { type: "number" } },
    },
    required: ["id", "town"],
    indexes: ["town"],
  };
  const { notes } = await db.addCollections({ notes: { schema } });
  let replication;
  return {
    async sync() {
      if (replication) {
        replication.reSync();
        await replication.awaitInSync();
        return;
      }
      replication = replicateRxCollection({
        collection: notes,
        replicationIdentifier: "bench",
        live: true,
        waitForLeadership: false,
        pull: {
          batchSize: PAGE,
          async handler(checkpoint, limit) {
            const { rows, checkpoint: next } = await pageAfter(checkpoint, limit);
            const documents = rows.map(({ deletedAt, ...row }) => ({ ...row, _deleted: deletedAt !== null }));
            return { documents, checkpoint: next };
          },
        },
      });
      await replication.awaitInitialReplication();
    },
    count: () => notes.count().exec(),
    get: async (id) => (await notes.findOne(id).exec())?.toMutableJSON(),
    query: async (town) =>
      (await notes.find({ selector: { town }, sort: [{ town: "asc" }], limit: 20 }).exec()).map((doc) => doc.toMutableJSON()),
    put: (record) => notes.upsert(record),
    watch(id, heard) {
      const watching = notes.find({ selector: { town: id } }).$.subscribe((docs) => heard(docs[0]?.toMutableJSON()));
      return () => watching.unsubscribe();
    },
  };
}

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** No library: a store, an index, a transaction a page. */
async function plain() {
  const opening = indexedDB.open("plain", 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("notes", { keyPath: "id" }).createIndex("town", "town");
    opening.result.createObjectStore("state");
  };
  const db = await settled(opening);
  const store = (mode = "readonly") => db.transaction("notes", mode).objectStore("notes");
  return {
    async sync() {
      let checkpoint = await settled(db.transaction("state").objectStore("state").get("cursor"));
      for (;;) {
        const { rows, checkpoint: next } = await pageAfter(checkpoint, PAGE);
        const tx = db.transaction(["notes", "state"], "readwrite", { durability: "relaxed" });
        for (const row of rows) tx.objectStore("notes").put(row);
        if (next) tx.objectStore("state").put(next, "cursor");
        await new Promise((resolve, reject) => {
          tx.oncomplete = resolve;
          tx.onabort = () => reject(tx.error);
        });
        checkpoint = next;
        if (rows.length < PAGE) return;
      }
    },
    count: () => settled(store().count()),
    get: (id) => settled(store().get(id)),
    query: (town) => settled(store().index("town").getAll(IDBKeyRange.only(town), 20)),
    put: (record) => settled(store("readwrite").put(record)),
  };
}

let peer;
export const begin = async (name) => {
  peer = await { shearwater, rxdb, plain }[name]();
};

const timed = async (act) => {
  const began = performance.now();
  await act();
  return performance.now() - began;
};

/** Milliseconds of a pull that leaves `count` records here, `changed` of which have this title. */
export async function pulled(count, title, changed) {
  const took = await timed(() => peer.sync());
  const found = await peer.count();
  if (found !== count) throw new Error(`${found} records in place of ${count}`);
  if (changed && (await peer.get(changed))?.title !== title) throw new Error("a change was not pulled");
  return took;
}

/** The mean of reading these, one after the other. */
export async function gets(ids) {
  const took = await timed(async () => {
    for (const id of ids) if ((await peer.get(id))?.id !== id) throw new Error(`${id} is not found`);
  });
  return took / ids.length;
}

export async function queries(towns) {
  const took = await timed(async () => {
    for (const town of towns) if ((await peer.query(town)).length !== 20) throw new Error(`${town} has no 20`);
  });
  return took / towns.length;
}

/** The median from a call of `put` until a subscriber has the record. */
export async function heard(times, record) {
  const took = [];
  let resolve = () => {};
  let wanted;
  const stop = peer.watch(record.town, (found) => found?.title === wanted && resolve());
  for (let at = 0; at < times; at += 1) {
    wanted = `title ${at}`;
    const told = new Promise((done) => (resolve = done));
    const began = performance.now();
    await Promise.all([peer.put({ ...record, title: wanted }), told]);
    took.push(performance.now() - began);
    await new Promise((done) => setTimeout(done, 30));
  }
  stop();
  return took.sort((a, b) => a - b)[times >> 1];
}

/** Nothing of any peer is left in this origin. */
export async function wipe() {
  for (const registration of await navigator.serviceWorker.getRegistrations()) await registration.unregister();
  for (const { name } of await indexedDB.databases()) indexedDB.deleteDatabase(name);
}

// shearwater/tanstack-db: a collection of the page as a TanStack DB collection.
//
// TanStack DB keeps two layers: what sync wrote, and over it what the app wrote and is not confirmed. Here sync is what the
// page's collection holds, so an optimistic row holds until its write is stored on this device and has come back from there.
// TanStack DB shows what sync brings while a handler runs together with the drop of the optimistic row: nothing flickers. The
// push to the server is the queue's, long after that; its response comes as one more change by sync.
//
// What was read is written to TanStack DB in the order of the reads: IndexedDB lets no read that began before a write end
// after it, and nothing is awaited in between.

import { ShearwaterError } from "../error.js";

const INTERNAL = Symbol.for("shearwater.internal");
/** Records that wait for one another are followed so far. */
const LONGEST_CHAIN = 20;

/**
 * @typedef {import("../types/index.js").Client} Client
 * @typedef {Record<string, any>} Document
 * @typedef {string | number} Key
 * @typedef {import("@tanstack/db").PendingMutation<any>} Mutation
 * @typedef {Parameters<import("@tanstack/db").SyncConfig<any, Key>["sync"]>[0]} Sync
 *
 * @typedef {object} Opened
 * @property {Client} client
 * @property {import("../types/index.js").Collection<any, any>} records
 * @property {() => string} owner  who is signed in, as far as this page knows
 */

/**
 * Whether it is `{}` or its like.
 *
 * @param {unknown} value
 * @returns {value is Document}
 */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Applies to a record what an edit has changed, member by member, and leaves what it has not.
 *
 * @param {Document} record
 * @param {Document} from  what the edit began with
 * @param {Document} to  what it ended with
 */
function apply(record, from, to) {
  const result = { ...record };
  for (const member of Object.keys({ ...from, ...to })) {
    const [before, after, now] = [from[member], to[member], record[member]];
    if (JSON.stringify(before) === JSON.stringify(after)) continue;
    if (after === undefined) delete result[member];
    else result[member] = isObject(before) && isObject(after) && isObject(now) ? apply(now, before, after) : after;
  }
  return result;
}

/**
 * One run of a TanStack DB collection's sync: what it has written is what was read last.
 *
 * @param {Sync} sync
 * @param {Opened["records"]} records
 * @param {(record: Document) => Key} getKey
 */
function createMirror({ begin, write, commit, markReady }, records, getKey) {
  /** What sync has written, as JSON. @type {Map<Key, string>} */
  const rows = new Map();
  /** @type {(() => void) | undefined} */
  let unsubscribe;

  /**
   * Writes what is not there yet, in one commit. Null: there is no such record.
   *
   * @param {Array<[Key, Document | null]>} found
   */
  function update(found) {
    const changes = found.filter(([key, record]) => rows.get(key) !== (record ? JSON.stringify(record) : undefined));
    if (changes.length === 0) return false;
    begin();
    for (const [key, value] of changes) {
      write(value ? { type: rows.has(key) ? "update" : "insert", value } : { type: "delete", key });
      if (value) rows.set(key, JSON.stringify(value));
      else rows.delete(key);
    }
    commit();
    return true;
  }

  /** @param {Document[]} all */
  function replace(all) {
    const next = new Map(all.map((record) => [getKey(record), record]));
    const gone = [...rows.keys()].filter((key) => !next.has(key));
    return update([...gone.map((key) => /** @type {[Key, null]} */ ([key, null])), ...next]);
  }

  function subscribe() {
    const before = unsubscribe;
    unsubscribe = records.subscribe(undefined, (all) => {
      replace(all);
      markReady();
    });
    before?.();
  }

  return {
    subscribe,
    stop() {
      unsubscribe?.();
      unsubscribe = undefined;
    },
    /**
     * Reads what mutations have led to, a single one by its record's id. Mostly the subscription has told it already. If not, a
     * new one has to, for the old one does not tell of what is again as it was when it told last.
     *
     * @param {Mutation[]} mutations
     * @param {string} id
     */
    async echo([{ key }, ...more], id) {
      let isNew = false;
      if (more.length > 0) isNew = replace(await records.all());
      else {
        const record = await records.get(id);
        // Under another key, if the server has given the record another id.
        const now = record ? getKey(record) : key;
        isNew = update(
          now === key
            ? [[key, record]]
            : [
                [key, null],
                [now, record],
              ],
        );
      }
      if (isNew && unsubscribe) subscribe();
    },
  };
}

/**
 * See tanstack-db.d.ts.
 *
 * @param {import("../types/tanstack-db.js").ShearwaterCollectionConfig<any, any, any>} options
 * @returns {any}
 */
export function shearwaterCollectionOptions({
  client: given,
  collection: name,
  key: member = "id",
  getKey = (/** @type {Document} */ record) => record[member],
  ...rest
}) {
  /** @type {Opened | undefined} */
  let opened;
  /** @type {Promise<Opened> | undefined} */
  let opening;
  /** Of the syncs that run. @type {Set<ReturnType<typeof createMirror>>} */
  const mirrors = new Set();
  /** The last write of each record that is not stored yet, by the record's id. @type {Map<string, Promise<unknown>>} */
  const writing = new Map();

  /** @param {Client} client */
  function use(client) {
    const { owner } = /** @type {any} */ (client)[INTERNAL];
    opened = { client, records: client.collection(name, { key: member }), owner };
    return opened;
  }

  /** Asks for the client where it is not here yet, and again where that failed. */
  function open() {
    if (opened) return Promise.resolve(opened);
    opening ??= (async () => use(await (typeof given === "function" ? given() : given)))().catch((error) => {
      opening = undefined;
      throw error;
    });
    return opening;
  }

  // What is wrong with the name or the key is said at once.
  if (typeof given !== "function" && !("then" in given)) use(given);

  /** The id of the record. @param {Mutation} mutation */
  const idOf = ({ type, original, modified }) => String((type === "insert" ? modified : original)[member]);

  /**
   * Stores one mutation. The first of a record is posted to the worker within the call, as whoever is signed in; the others
   * wait for it, in their order.
   *
   * @param {Opened} opened
   * @param {Mutation} mutation
   */
  function store({ records, owner }, mutation) {
    const { type, original, modified } = mutation;
    const id = idOf(mutation);
    const writer = owner();
    const act = async () => {
      if (owner() !== writer) throw invalid(`another user has signed in since "${id}" was written`);
      if (type === "insert") await records.put(modified);
      // Gone is gone.
      else if (type === "delete") await records.delete(id);
      else if (!(await records.update(id, (/** @type {Document} */ now) => apply(now, original, modified))))
        throw invalid(`there is no record "${id}" in "${name}" any more`);
    };
    const before = writing.get(id);
    const stored = before ? before.then(act, act) : act();
    writing.set(id, stored);
    const end = () => void (writing.get(id) === stored && writing.delete(id));
    stored.then(end, end);
    return stored;
  }

  /**
   * Stores mutations; resolves when sync has what became of them.
   *
   * @param {Mutation[]} mutations
   */
  async function accept(mutations) {
    if (mutations.length === 0) return;
    const at = opened ?? (await open());
    const writer = at.owner();
    const outcomes = await Promise.allSettled(mutations.map((mutation) => store(at, mutation)));
    // Of another user's sign-in the subscription tells. What is stored is so although it cannot be read.
    if (at.owner() === writer) {
      await Promise.allSettled([...mirrors].map((mirror) => mirror.echo(mutations, idOf(mutations[0]))));
    }
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  /** @param {{transaction: {mutations: Mutation[]}}} context */
  const onMutation = ({ transaction }) => accept(transaction.mutations);

  /**
   * Whether a change waits for a person.
   *
   * @param {Opened} opened
   * @param {import("../types/index.js").PendingChange<any>[]} changes
   */
  async function areStuck({ client, records }, changes) {
    const conflicts = new Set((await records.conflicts()).map(({ id }) => id));
    for (const change of changes) {
      if (conflicts.has(change.id)) continue;
      let { job, waitsFor } = change;
      // One that waits is as stuck as the one that it waits for.
      for (let at = 0; !job && waitsFor && at < LONGEST_CHAIN; at += 1) {
        const { collection, id } = waitsFor;
        const theirs = await client.collection(collection).pendingChanges();
        ({ job, waitsFor } = theirs.find((other) => other.id === id) ?? { job: undefined, waitsFor: undefined });
      }
      const state = job && (await client.get(job))?.state;
      if (state !== "failed" && state !== "conflict") return false;
    }
    return true;
  }

  const utils = {
    sync: async () => (await open()).records.sync(),
    pendingChanges: async () => (await open()).records.pendingChanges(),
    conflicts: async () => (await open()).records.conflicts(),
    resolve: async (/** @type {Key} */ id, /** @type {any} */ choice) => (await open()).records.resolve(String(id), choice),
    acceptMutations: (/** @type {{mutations: Mutation[]}} */ { mutations }) =>
      accept(mutations.filter(({ collection }) => collection.utils === utils)),
    async awaitSynced(/** @type {Key | undefined} */ id) {
      const at = opened ?? (await open());
      const { client, records, owner } = at;
      const reader = owner();
      /** @type {() => void} */
      let wake = () => {};
      const onChange = () => wake();
      const ending = [client.subscribe(onChange), client.on("job", onChange), records.subscribe(undefined, onChange)];
      try {
        for (;;) {
          /** @type {Promise<void>} */
          const changed = new Promise((resolve) => (wake = resolve));
          await Promise.allSettled(id === undefined ? writing.values() : [writing.get(String(id))]);
          const now = id === undefined ? undefined : (await records.get(String(id)))?.[member];
          const changes = (await records.pendingChanges()).filter(
            (change) => id === undefined || change.id === String(id) || change.id === String(now),
          );
          if (owner() !== reader) return false;
          if (changes.length === 0) return true;
          if (await areStuck(at, changes)) return false;
          await changed;
        }
      } finally {
        for (const end of ending) end();
      }
    },
  };

  return {
    id: `shearwater:${name}`,
    ...rest,
    getKey,
    onInsert: onMutation,
    onUpdate: onMutation,
    onDelete: onMutation,
    sync: {
      // What a record has no more is gone.
      rowUpdateMode: "full",
      /** @param {Sync} sync */
      sync(sync) {
        let isOver = false;
        let stop = () => {};
        const fail = (/** @type {unknown} */ error) => {
          if (!isOver && sync.collection.status === "loading") sync.markError(error);
        };
        const start = (/** @type {Opened} */ { client, records }) => {
          if (isOver) return;
          const mirror = createMirror(sync, records, getKey);
          mirrors.add(mirror);
          mirror.subscribe();
          // A job that is discarded takes its write back, of which subscriptions are not told.
          const stopHearing = client.on("removed", mirror.subscribe);
          stop = () => {
            stopHearing();
            mirrors.delete(mirror);
            mirror.stop();
          };
          // A subscription tells nobody but the console that it cannot read.
          records.count().catch(fail);
        };
        if (opened) start(opened);
        else open().then(start, fail);
        return () => {
          isOver = true;
          stop();
        };
      },
    },
    utils,
  };
}

/** @param {string} message */
const invalid = (message) => new ShearwaterError("invalid-request", message);

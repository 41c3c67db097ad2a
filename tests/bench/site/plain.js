// The floors: IndexedDB with nothing around it, and `fetch` with nothing before it, behind the same message.
//
//   records  writes what Shearwater writes: a row with its index entries, bodies apart (of one call: in packs), a ledger
importScripts("/tools.js");
const records = query.has("records");

const opened = new Promise((resolve, reject) => {
  const request = indexedDB.open("plain", 1);
  request.onupgradeneeded = () => {
    if (!records) return void request.result.createObjectStore("jobs", { autoIncrement: true });
    const jobs = request.result.createObjectStore("jobs", { keyPath: "id" });
    for (const index of ["xReady", "xDue", "xLine", "xState", "xExpiry"]) jobs.createIndex(index, index);
    for (const name of ["bodies", "meta"]) request.result.createObjectStore(name);
  };
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

let seq = 0;
/** A row as Shearwater has it. */
function row({ url, method, body }) {
  const [now, id] = [Date.now(), crypto.randomUUID()];
  const [rank, expiresAt] = [now + 18_000_000, now + 604_800_000];
  seq += 1;
  return {
    v: 2,
    id,
    seq,
    queue: "default",
    owner: "",
    origin: self.location.origin,
    priority: 5,
    rank,
    request: { url, method, headers: [["content-type", "text/plain;charset=UTF-8"]] },
    size: body.length,
    packed: { pack: id, at: 0 },
    idempotencyKey: id,
    state: "pending",
    place: "ready",
    line: false,
    queuedAt: now,
    expiresAt,
    attempts: 0,
    unreachable: 0,
    interruptions: 0,
    nextAttemptAt: now,
    holdUntil: 0,
    lastDelay: 0,
    xReady: ["", "default", self.location.origin, rank, seq],
    xState: ["", "default", "pending", seq],
    xExpiry: ["", "default", expiresAt, seq],
  };
}

/** As many bodies as fit share a record. */
const PACK = 32_768;

async function storeRecords(requests) {
  const transaction = (await opened).transaction(["jobs", "bodies", "meta"], "readwrite", { durability: "relaxed" });
  const [jobs, bodies, meta] = ["jobs", "bodies", "meta"].map((name) => transaction.objectStore(name));
  let pack = "";
  for (const [at, request] of requests.entries()) {
    pack += request.body;
    if (pack.length > PACK - 4_096 || at === requests.length - 1) {
      bodies.put(new TextEncoder().encode(pack).buffer, crypto.randomUUID());
      pack = "";
    }
    jobs.add(row(request));
  }
  meta.put({ v: 1, version: seq, queues: [{ queue: "default", owner: "", counts: { pending: seq } }] }, "ledger");
  transaction.commit();
  await new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}

async function store(requests) {
  if (records) return storeRecords(requests);
  const transaction = (await opened).transaction("jobs", "readwrite", { durability: "relaxed" });
  const jobs = transaction.objectStore("jobs");
  for (const request of requests) jobs.put(request);
  await new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}

async function send(requests, parallel) {
  let next = 0;
  const lane = async () => {
    while (next < requests.length) {
      const { url, ...init } = requests[next++];
      await (await fetch(url, init)).arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: parallel }, lane));
}

async function sendStored() {
  const read = (await opened).transaction("jobs").objectStore("jobs").getAll();
  await new Promise((resolve) => (read.onsuccess = resolve));
  await send(read.result, 6);
}

self.addEventListener("message", (event) => {
  const { one, many, sends, parallel } = event.data;
  event.waitUntil(
    (one ? store([one]) : many ? store(many) : send(sends, parallel)).then(
      () => event.ports[0].postMessage(null),
      (error) => event.ports[0].postMessage(String(error)),
    ),
  );
});
self.addEventListener("sync", (event) => event.waitUntil(sendStored()));

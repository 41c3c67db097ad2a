// Stands in for the network, and reaches into databases, for the tests of crates/worker/src/tests.

const realFetch = self.fetch.bind(self);

let requests = [];
let heard = () => {};

/** Has `reply(request)` take the place of the network from now on; a request that is aborted is rejected. */
self.fakeFetch = (reply) => {
  requests = [];
  self.fetch = async (input, init) => {
    const request = new Request(input, init);
    // The wasm that a test's app loads.
    if (request.url.endsWith(".wasm")) return realFetch(request);
    requests.push(request);
    heard();
    const aborted = new Promise((_, reject) => {
      const { signal } = request;
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener("abort", () => reject(signal.reason));
    });
    return Promise.race([reply(request, requests.length), aborted]);
  };
};

/** What was fetched, in order. */
self.fetches = () => requests;

/** Resolves with the `count`th request, once it is made. */
self.fetched = (count) =>
  new Promise((resolve) => {
    heard = () => {
      if (requests.length >= count) resolve(requests[count - 1]);
    };
    heard();
  });

/** A body of this text and no end; it breaks off when the request is aborted, as one from a server does. */
self.endless = (request, text) =>
  new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      request.signal.addEventListener("abort", () => controller.error(request.signal.reason));
    },
  });

/** A body that goes on as long as somebody reads; `flood.bytes` counts how many bytes were made. */
self.flood = (request) => {
  self.flood.bytes = 0;
  return new ReadableStream({
    start: (controller) => request.signal.addEventListener("abort", () => controller.error(request.signal.reason)),
    pull(controller) {
      controller.enqueue(new Uint8Array(8 * 1024).fill(120));
      self.flood.bytes += 8 * 1024;
    },
  });
};

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function inDatabase(name, act) {
  const database = await done(indexedDB.open(name));
  try {
    return await act(database);
  } finally {
    database.close();
  }
}

/** A database as it is on the disk, beside whoever else has it open. */
self.onDisk = {
  get: (name, store, key) => inDatabase(name, (database) => done(database.transaction(store).objectStore(store).get(key))),
  all: (name, store) => inDatabase(name, (database) => done(database.transaction(store).objectStore(store).getAll())),
  put: (name, store, value, key) =>
    inDatabase(name, (database) => done(database.transaction(store, "readwrite").objectStore(store).put(value, key))),
  remove: (name, store, key) =>
    inDatabase(name, (database) => done(database.transaction(store, "readwrite").objectStore(store).delete(key))),
  /** All rows that an index has, in its order. */
  indexed: (name, store, index) =>
    inDatabase(name, (database) => done(database.transaction(store).objectStore(store).index(index).getAll())),
  stores: (name) => inDatabase(name, async (database) => [...database.objectStoreNames]),
  version: (name) => inDatabase(name, async (database) => database.version),
  exists: async (name) => (await indexedDB.databases()).some((database) => database.name === name),
  /** Opens it, for the test to close; it lets nobody's upgrade pass. */
  hold: (name, version) => done(indexedDB.open(name, version)),

  /** Makes a database row for row as tests/golden has it. */
  async restore(name, golden) {
    const { version, stores } = await (await realFetch(golden)).json();
    const opening = indexedDB.open(name, version);
    opening.onupgradeneeded = () => {
      for (const [store, { keyPath, autoIncrement, indexes }] of Object.entries(stores)) {
        const made = opening.result.createObjectStore(store, { keyPath, autoIncrement });
        for (const index of indexes) made.createIndex(index.name, index.keyPath, { multiEntry: index.multiEntry });
      }
    };
    const database = await done(opening);
    const transaction = database.transaction(Object.keys(stores), "readwrite");
    for (const [store, { keyPath, rows }] of Object.entries(stores)) {
      for (const { key, value, base64 } of rows) {
        const bytes = base64 === undefined ? value : Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0)).buffer;
        transaction.objectStore(store).put(bytes, ...(keyPath === null ? [key] : []));
      }
    }
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    database.close();
  },
};

/** How many transactions that write were begun on this database since the last call. */
self.writesBegun = (name) => {
  const begun = writes.get(name) ?? 0;
  writes.delete(name);
  return begun;
};

const writes = new Map();
const { transaction } = IDBDatabase.prototype;
IDBDatabase.prototype.transaction = function (stores, mode, options) {
  if (mode === "readwrite") writes.set(this.name, (writes.get(this.name) ?? 0) + 1);
  return transaction.call(this, stores, mode, options);
};

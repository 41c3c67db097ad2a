// What the workers of all peers have in common, told by the query of their URL. Runs before the peer's code.
//
//   durability=strict|relaxed  every writing transaction has it, whatever the library asks for
//   steps                      notes when the steps of a cold start happen
const query = new URL(self.location.href).searchParams;
const channel = new BroadcastChannel("bench");
const steps = [];
const note = (step) => query.has("steps") && steps.push([step, performance.timeOrigin + performance.now()]);
note("script begins");

const durability = query.get("durability");
if (durability) {
  const { transaction } = IDBDatabase.prototype;
  IDBDatabase.prototype.transaction = function (stores, mode = "readonly", options = {}) {
    return transaction.call(this, stores, mode, mode === "readwrite" ? { ...options, durability } : options);
  };
}

// Tells when each `sync` event was begun and over.
const { waitUntil } = ExtendableEvent.prototype;
ExtendableEvent.prototype.waitUntil = function (promise) {
  if (this.type === "sync") {
    const began = performance.timeOrigin + performance.now();
    note("sync event");
    const tell = () => channel.postMessage({ sync: this.tag, began, ended: performance.timeOrigin + performance.now(), steps });
    Promise.resolve(promise).then(tell, tell);
  }
  return waitUntil.call(this, promise);
};

// The wasm's memory, for who looks in with the devtools protocol.
const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (...given) => {
  const made = await instantiate(...given);
  // The build has shortened its name.
  self.wasmMemory = Object.values((made.instance ?? made).exports).find((thing) => thing instanceof WebAssembly.Memory);
  return made;
};

if (query.has("steps")) {
  const around = (object, name, step) => {
    const original = object[name];
    object[name] = function (...given) {
      note(`${step} begins`);
      const result = original.apply(this, given);
      const ends = () => note(`${step} ends`);
      if (result instanceof IDBRequest) result.addEventListener("success", ends);
      else if (result instanceof IDBTransaction) for (const end of ["complete", "abort"]) result.addEventListener(end, ends);
      else Promise.resolve(result).then(ends, ends);
      return result;
    };
  };
  around(CacheStorage.prototype, "open", "caches.open");
  around(Cache.prototype, "match", "cache.match");
  around(WebAssembly, "compileStreaming", "compile");
  around(WebAssembly, "instantiate", "instantiate");
  around(IDBFactory.prototype, "open", "indexedDB.open");
  around(IDBFactory.prototype, "deleteDatabase", "deleteDatabase");
  around(IDBDatabase.prototype, "transaction", "transaction");
  around(LockManager.prototype, "request", "lock");
  around(self, "fetch", "fetch");
}

self.addEventListener("install", () => self.skipWaiting());

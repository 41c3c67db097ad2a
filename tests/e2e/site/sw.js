// The worker of the tests. Its configuration, and what is to be odd about its browser, comes by the query of
// its own URL; pages tell it more with `tell()` of page.mjs.
const query = new URL(self.location.href).searchParams;

// ?sync=silent: a browser that takes a tag and never fires. ?sync=none: one without Background Sync.
if (query.get("sync") === "silent") SyncManager.prototype.register = () => Promise.resolve();
if (query.get("sync") === "none") delete ServiceWorkerRegistration.prototype.sync;

// ?clock=0: a clock that `tell({ clock: offset })` sets.
let offset = Number(query.get("clock"));
if (query.has("clock")) {
  const RealDate = Date;
  self.Date = class extends RealDate {
    constructor(...given) {
      super(...(given.length ? given : [RealDate.now() + offset]));
    }
    static now() {
      return RealDate.now() + offset;
    }
  };
}

// ?connection={"type": "cellular"}: what the browser tells of the connection; `tell({ connection })` changes it.
let connection = query.has("connection") ? JSON.parse(query.get("connection")) : undefined;
if (connection) Object.defineProperty(navigator, "connection", { get: () => connection });

// ?impatient: what would take half a minute takes a moment.
if (query.has("impatient")) {
  const { setTimeout } = self;
  self.setTimeout = (act, ms, ...given) => setTimeout(act, ms === 30_000 ? 100 : ms, ...given);
}

// ?count: `tell({})` returns how many transactions of each mode were begun, and how many requests read how many rows.
const begun = { readonly: 0, readwrite: 0 };
const read = { requests: 0, rows: 0 };
if (query.has("count")) {
  const { transaction } = IDBDatabase.prototype;
  IDBDatabase.prototype.transaction = function (stores, mode = "readonly", options) {
    begun[mode] += 1;
    return transaction.call(this, stores, mode, options);
  };
  for (const { prototype } of [IDBObjectStore, IDBIndex]) {
    for (const method of ["get", "getKey", "getAll", "getAllKeys", "count", "openCursor", "openKeyCursor"]) {
      const ask = prototype[method];
      prototype[method] = function (...given) {
        const request = ask.apply(this, given);
        read.requests += 1;
        // Once for each step of a cursor. A count walks over what it counts.
        request.addEventListener("success", ({ target: { result } }) => {
          read.rows += typeof result === "number" ? result : Array.isArray(result) ? result.length : result ? 1 : 0;
        });
        return request;
      };
    }
  }
}

// ?log: what is written to the console is told to pages, too.
if (query.has("log")) {
  const log = new BroadcastChannel("test:log");
  for (const level of ["debug", "info", "log", "warn", "error"]) {
    const write = console[level];
    console[level] = (...given) => {
      log.postMessage({ level, text: given.map(String).join(" ") });
      write.apply(console, given);
    };
  }
}

importScripts("/shearwater/worker.js");

const config = query.get("config");
// Where the crash tests stop; see crates/worker/src/failpoints.rs.
self.shearwaterPoint = query.get("point");
shearwater.start(config ? JSON.parse(config) : undefined);

let token = "stale";
// ?auth: what the hook returns is told: `tokens` by owner, in which header, whether it is held, what it throws.
// ?origins=[…]: the origins that it is for.
const auth = { tokens: {}, header: "authorization", hold: false, throws: undefined };
const origins = query.has("origins") ? { origins: JSON.parse(query.get("origins")) } : undefined;
const asked = new BroadcastChannel("test:auth");
const held = [];
shearwater.on(
  "auth",
  ({ id, url, owner, refresh }) => {
    if (query.has("auth")) {
      asked.postMessage({ id, owner, refresh });
      if (auth.throws)
        throw { text: "a text", number: 7, undefined, null: null, object: { a: 1 }, error: new Error("no token") }[auth.throws];
      if (refresh && auth.fresh) auth.tokens = { ...auth.tokens, ...auth.fresh };
      // As it was when it was asked.
      const plain = auth.tokens[owner ?? ""] && { [auth.header]: `Bearer ${auth.tokens[owner ?? ""]}` };
      const as = {
        headers: (plain) => new Headers(plain),
        map: (plain) => new Map(Object.entries(plain)),
        pairs: Object.entries,
        nonsense: () => [1],
      };
      const answer = auth.as && plain ? as[auth.as](plain) : plain;
      return auth.hold ? new Promise((resolve) => held.push(() => resolve(answer))) : answer;
    }
    if (!url.includes("/auth/")) return undefined;
    if (refresh) token = "fresh";
    return { authorization: `Bearer ${token}` };
  },
  origins,
);

self.addEventListener("message", ({ data, ports }) => {
  if (typeof data?.test !== "object") return;
  if ("connection" in data.test) connection = data.test.connection;
  if ("clock" in data.test) offset = data.test.clock;
  Object.assign(auth, data.test.auth);
  if ("adapter" in data.test) adapter = data.test.adapter;
  if (data.test.release) for (const go of held.splice(0)) go();
  ports[0].postMessage({ begun: { ...begun }, read: { ...read }, sync: "sync" in self.registration });
});

const told = new BroadcastChannel("test:sync");
// The platform's own event, heard beside Shearwater's listener.
self.addEventListener("sync", ({ tag, lastChance }) => told.postMessage({ tag, lastChance }));
shearwater.on("sync", ({ tag }) => {
  // biome-ignore lint/style/useThrowOnlyError: an app may throw anything; the worker must make an Error of it.
  if (tag === "throws-a-string") throw "not an Error";
});
// ?tags: what handlers of single tags are given is told.
if (query.has("tags")) {
  for (const tag of JSON.parse(query.get("tags"))) {
    shearwater.on(`sync:${tag}`, (event) => told.postMessage({ handled: event }));
    shearwater.on(`periodicsync:${tag}`, (event) => told.postMessage({ handledPeriodic: event }));
  }
}
// ?periodic=hangs, ?periodic=throws: the handler of periodicsync does so.
shearwater.on("periodicsync", ({ tag }) => {
  told.postMessage({ periodic: tag });
  // biome-ignore lint/style/useThrowOnlyError: an app may throw anything.
  if (query.get("periodic") === "throws") throw "no";
  return query.get("periodic") === "hangs" ? new Promise(() => {}) : undefined;
});

// ?outcomes: what the hooks of outcomes are given is told to pages.
if (query.has("outcomes")) {
  const outcomes = new BroadcastChannel("test:outcomes");
  for (const hook of ["delivered", "failed", "conflict", "blocked"]) {
    shearwater.on(hook, (job) => {
      outcomes.postMessage({ hook, job });
      if (query.get("outcomes") === "hang") return new Promise(() => {});
      throw hook;
    });
  }
}

// ?delivered: what the hook is given is told to pages; ?delivered=throws: it fails.
if (query.has("delivered")) {
  const delivered = new BroadcastChannel("test:delivered");
  shearwater.on("delivered", (job) => {
    if (query.get("delivered") === "throws") throw new Error("of the app");
    delivered.postMessage(job);
  });
}

// ?adapter: "notes" are kept elsewhere, and have a name in place of a title. `tell({ adapter })` says how it fails: "throws",
// "hangs", "nonsense", "read", "endless", "late" (after the server has acted).
let adapter;
if (query.has("adapter")) {
  const renamed = (value, from, to) => {
    if (Array.isArray(value)) return value.map((item) => renamed(item, from, to));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, held]) => [name === from ? to : name, renamed(held, from, to)]),
    );
  };
  const rename = (text, from, to) => (text ? JSON.stringify(renamed(JSON.parse(text), from, to)) : null);
  const adapted = new BroadcastChannel("test:adapter");
  shearwater.on("adapter:notes", async (request, detail) => {
    adapted.postMessage({ method: request.method, ...detail });
    if (adapter === "throws") throw new Error("of the app");
    if (adapter === "hangs") return new Promise(() => {});
    if (adapter === "nonsense") return { status: 200 };
    const { method, headers, signal } = request;
    const body = ["GET", "DELETE"].includes(method) ? undefined : rename(await request.text(), "title", "name");
    const url = request.url.replace("/elsewhere/", "/api/records/");
    const response = await fetch(url, { method, headers, signal, body });
    if (adapter === "late") throw new TypeError("after the server has acted");
    if (adapter === "read") await response.text();
    if (adapter === "read") return response;
    if (adapter === "endless") return new Response(new ReadableStream(), response);
    return new Response(rename(await response.text(), "name", "title"), response);
  });
}

// ?csrf=fields, ?csrf=headers: what the hook supplies, another each time; ?csrf=throws, ?csrf=nonsense.
if (query.has("csrf")) {
  let made = 0;
  shearwater.on("before-send", () => {
    made += 1;
    if (query.get("csrf") === "throws") throw new Error("no token");
    if (query.get("csrf") === "hangs") return new Promise(() => {});
    if (query.get("csrf") === "nonsense") return 7;
    return { [query.get("csrf")]: { csrf_token: `fresh ${made}` } };
  });
}

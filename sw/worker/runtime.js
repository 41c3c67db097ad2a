// The script side of the worker: listeners, the lazy start of the wasm, and its replacement after a panic.
// What needs no platform is in Rust; see crates/worker/src/lib.rs.

import * as glue from "shearwater-glue";

import { open, renewLog } from "./database.js";

const PROTOCOL = 1;
const HOOKS = /^(auth|delivered|(periodic)?sync(:.+)?)$/;
/** A worker whose wasm dies this often in a row is not restarted by itself any more. */
const MOST_RESTARTS = 3;

class ShearwaterError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "ShearwaterError";
    this.code = code;
  }
}

const asError = (thrown) =>
  thrown instanceof Error ? thrown : new ShearwaterError("internal", String(thrown));

/** Makes the two functions of the public surface; `wasmUrl` says where `worker.wasm` lies. */
export function createShearwater(wasmUrl) {
  const hooks = new Map();
  const sources = [];
  let config;
  let started = false;
  let host = createHost();
  let booting = null;
  let loaded = false;
  let restarts = 0;
  let opened;
  let renewed;
  const databaseName = () => config?.name ?? "shearwater";

  /** What the wasm may ask of the script; one for each life of the module. */
  function createHost() {
    const adopted = new Set();
    let die;
    const death = new Promise((_, reject) => (die = reject));
    death.catch(() => {});
    return {
      death,
      dead: false,
      /** Settles when the database, opened now, may be written to: at first by the renewal that is on its way. */
      renewed() {
        const first = renewed;
        renewed = undefined;
        return first ?? renewLog(databaseName()).catch(() => {});
      },
      hook(name, detail) {
        return hooks.get(name)?.(detail);
      },
      hasHook(name) {
        return hooks.has(name);
      },
      authOrigins() {
        return null;
      },
      adopt(controller) {
        adopted.add(controller);
      },
      release(controller) {
        adopted.delete(controller);
      },
      panicked(text) {
        console.error("[shearwater] internal fault, restarting:", text);
        this.dead = true;
        die(new ShearwaterError("internal", `the worker met a fault of its own and was restarted: ${text}`));
        for (const controller of adopted) controller.abort();
        // The next event makes a new instance, in which the dead drain's leases are found and taken back.
        host = createHost();
        booting = null;
      },
    };
  }

  function boot() {
    booting ??= load().catch((error) => {
      // One bad load must not wedge the worker for good.
      booting = null;
      throw error;
    });
    return booting;
  }

  async function load() {
    if (!loaded) {
      // Neither is waited for here; where there is no IndexedDB, the wasm says so. This one first, see there.
      opened ??= open(databaseName()).catch(() => {});
      host.opened = opened;
      renewed ??= renewLog(databaseName()).catch(() => {});
      await glue.default({ module_or_path: await compile() });
      loaded = true;
    }
    glue.boot(config, host);
    for (const source of sources.splice(0)) {
      try {
        await source(store);
      } catch (thrown) {
        // It is asked again at the next start; what it had stored by then is stored.
        console.error("[shearwater] a source of adopt() failed:", asError(thrown).message);
      }
    }
  }

  /** Stores jobs with their bodies, as a page's `enqueueAll` would; resolves when they are on the disk. */
  function store(jobs) {
    return new Promise((resolve, reject) => {
      const bodies = jobs.map(({ body }) => body);
      const op = { enqueue: { jobs: jobs.map(({ body, ...job }) => job), repeat: true } };
      glue
        .message({ shearwater: PROTOCOL, re: crypto.randomUUID(), op, bodies }, ({ ok, error }) =>
          error ? reject(new ShearwaterError(error.code, error.message)) : resolve(ok),
        )
        .catch(reject);
    });
  }

  const cacheName = () => `shearwater ${self.registration?.scope ?? ""} `;

  async function compile() {
    let response;
    try {
      response = await (await caches.open(cacheName() + __WASM_SHA256__)).match(wasmUrl());
    } catch {
      // No Cache Storage here (some private windows): load from the network each time.
    }
    response ??= await download();
    try {
      return await WebAssembly.compileStreaming(response.clone());
    } catch {
      // A server that does not know application/wasm.
      return WebAssembly.compile(await response.arrayBuffer());
    }
  }

  /** Fetches the wasm that belongs to this script, and keeps it for a start without network. */
  async function download() {
    const response = await fetch(wasmUrl(), { cache: "no-cache" });
    if (!response.ok) {
      throw new ShearwaterError("worker-unavailable", `${wasmUrl()} answered ${response.status}: deploy worker.wasm beside worker.js`);
    }
    const digest = await crypto.subtle.digest("SHA-256", await response.clone().arrayBuffer());
    const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hex !== __WASM_SHA256__) {
      throw new ShearwaterError("worker-unavailable", `${wasmUrl()} is of another release than worker.js: deploy both together`);
    }
    try {
      await (await caches.open(cacheName() + hex)).put(wasmUrl(), response.clone());
    } catch {
      // Not kept; the next cold start needs the network.
    }
    return response;
  }

  /** Runs `work` in a living instance; rejects if that dies meanwhile, for then its promises never settle. */
  function alive(work) {
    const { death } = host;
    return Promise.race([boot().then(work), death]);
  }

  /** After a panic: a new instance takes back what the dead one had in hand. */
  async function restart(dead) {
    if (!dead.dead || restarts >= MOST_RESTARTS) return;
    restarts += 1;
    const next = host;
    try {
      await alive(() => glue.resume());
      restarts = 0;
    } catch {
      await restart(next);
    }
  }

  /** Keeps the event alive for `work`, and for what is to be saved should the instance die. */
  function during(event, work) {
    const current = host;
    const promise = alive(work);
    event.waitUntil(promise.catch(() => restart(current)));
    return promise;
  }

  function onMessage(event) {
    const { data, source } = event;
    if (typeof data !== "object" || data === null || !("shearwater" in data)) return; // the app's own
    const reply = (answer) => (event.ports[0] ?? source)?.postMessage(answer);
    const refuse = (error) =>
      reply({ shearwater: PROTOCOL, re: data.re, error: { code: error.code ?? "internal", message: error.message } });
    const from = event.origin || (source?.url && new URL(source.url).origin);
    if (from !== self.location.origin || !source) {
      refuse(new ShearwaterError("invalid-message", "messages are taken from windows and workers of this origin only"));
      return;
    }
    during(event, () => glue.message(data, reply)).catch((thrown) => refuse(asError(thrown)));
  }

  async function onSync({ tag, lastChance }) {
    const current = host;
    const handlers = ["sync", `sync:${tag}`].map(async (hook) => hooks.get(hook)?.({ tag, lastChance }));
    const [drained, ...handled] = await Promise.allSettled([alive(() => glue.sync(tag, lastChance)), ...handlers]);
    if (drained.status === "rejected") await restart(current);
    // Whatever it is that was thrown, the browser must hear of it as a failure.
    const failed = [drained, ...handled].find((outcome) => outcome.status === "rejected");
    if (failed) throw asError(failed.reason);
    if (drained.value) throw new ShearwaterError("work-left", `queue "${tag}" has work left; the browser is to come again`);
  }

  async function onPeriodicSync({ tag }) {
    const current = host;
    const handlers = ["periodicsync", `periodicsync:${tag}`].map(async (hook) => hooks.get(hook)?.({ tag }));
    const [drained, ...handled] = await Promise.allSettled([alive(() => glue.periodic()), ...handlers]);
    if (drained.status === "rejected") await restart(current);
    const failed = [drained, ...handled].find((outcome) => outcome.status === "rejected");
    if (failed) throw asError(failed.reason);
  }

  async function onInstall() {
    try {
      // Checks the configuration, and leaves the wasm in Cache Storage.
      await alive(() => {});
    } catch (thrown) {
      const error = asError(thrown);
      console.error("[shearwater] not installed:", error.message);
      // Pages wait for this worker in connect(); tell them why it does not come.
      const channel = new BroadcastChannel("shearwater:install");
      channel.postMessage({ shearwater: PROTOCOL, error: { code: error.code ?? "internal", message: error.message } });
      channel.close();
      throw error;
    }
  }

  async function onActivate() {
    const prefix = cacheName();
    for (const name of await caches.keys()) {
      if (name.startsWith(prefix) && name !== prefix + __WASM_SHA256__) await caches.delete(name);
    }
  }

  return {
    version: __VERSION__,

    start(options) {
      if (started) throw new ShearwaterError("invalid-config", "shearwater.start() is called once");
      started = true;
      config = options;
      self.addEventListener("install", (event) => event.waitUntil(onInstall()));
      self.addEventListener("activate", (event) => event.waitUntil(onActivate()));
      self.addEventListener("message", onMessage);
      self.addEventListener("sync", (event) => event.waitUntil(onSync(event)));
      self.addEventListener("periodicsync", (event) => event.waitUntil(onPeriodicSync(event)));
    },

    adopt(source) {
      if (started) throw new ShearwaterError("invalid-config", "shearwater.adopt() is called before start()");
      if (typeof source !== "function") throw new ShearwaterError("invalid-config", "adopt() takes a function");
      sources.push(source);
    },

    on(hook, handler) {
      if (!HOOKS.test(hook)) {
        throw new ShearwaterError("invalid-config", `there is no hook "${hook}"; there are "auth", "sync", "sync:<tag>", "periodicsync" and "periodicsync:<tag>"`);
      }
      if (typeof handler !== "function") {
        throw new ShearwaterError("invalid-config", `the handler of "${hook}" is not a function`);
      }
      hooks.set(hook, handler);
    },
  };
}

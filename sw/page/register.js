// Finds the app's worker: registers it where it is not yet, and waits until one of ours takes messages.
//
// Nothing but a greeting is posted to a worker before it has returned it, and no greeting to one that is known to be
// somebody else's. Which worker is ours:
//
// - Without an active worker before it, the one that is registered is, once it is active.
// - An active worker alone is the script that was registered; but its file may have had other contents when it was
//   installed. Where nothing of ours is stored yet, the browser is asked to look for a newer one first.
// - With an active worker and a newer one that waits, the active one is ours if a database of ours exists, for only
//   an active worker makes it. Else it is of another library, and the newer one is waited for.

import { asError, invalidConfig, ShearwaterError, unavailable } from "../error.js";

/** Milliseconds in which a worker that may not be ours is to return a greeting; starting one takes a slow phone a second. */
const GREETING = 4_000;
/** A worker that is killed takes the greeting with it. */
const AGAIN = 2_000;
/** Milliseconds in which a worker that is installed is to take the place of one that is not ours. */
const TAKEOVER = 5_000;

/**
 * What is asked for, and what it takes to explain why it does not come.
 *
 * @typedef {object} App
 * @property {string | URL} worker  as connect() was given it: a TrustedScriptURL must stay one
 * @property {string} wasm
 * @property {string} script  the worker's URL
 * @property {string} scope
 * @property {WorkerType} [type]
 * @property {import("./limit.js").Limit} limit
 * @property {ReturnType<typeof hearRefusals>} refusal
 *
 * @typedef {{name?: string}} Greeting  what a worker says of itself
 */

/** @param {number} ms */
const nap = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const base = () => globalThis.document?.baseURI ?? location.href;

/**
 * `{registration, name}`: the registration whose active worker is ours, and the name of its configuration.
 *
 * @param {import("../types/index.js").ConnectOptions & {wasm: string}} options
 * @param {import("./limit.js").Limit} limit
 */
export async function findWorker({ worker = "/sw.js", scope, type, name, wasm }, limit) {
  const container = serviceWorkers();
  if (!container) {
    throw unavailable("this browser, or this window, has no service workers: use https or localhost, and no private window");
  }
  const script = url(String(worker), "worker");
  script.hash = "";
  const within = scope === undefined ? new URL("./", script) : url(scope, "scope");
  /** @type {App} */
  const app = {
    worker: /** @type {string | URL} */ (worker),
    wasm,
    script: script.href,
    scope: within.href,
    type,
    limit,
    refusal: hearRefusals(script.href),
  };
  try {
    const registration = await registered(container, app, scope);
    const names = name === undefined ? ["shearwater", `shearwater ${within.pathname}`] : [name];
    const told = await greeted(registration, names, app);
    if (name !== undefined && told.name !== undefined && told.name !== name) {
      throw invalidConfig(
        `connect(): name is ${JSON.stringify(name)}, but ${app.script} was started as ${JSON.stringify(told.name)}; leave the option out to take the worker's`,
      );
    }
    return { registration, name: told.name ?? name ?? names[0] };
  } finally {
    app.refusal.close();
  }
}

function serviceWorkers() {
  try {
    return navigator.serviceWorker;
  } catch {
    return undefined; // a sandboxed frame
  }
}

/**
 * @param {string} text
 * @param {string} option
 */
function url(text, option) {
  try {
    return new URL(text, base());
  } catch {
    throw invalidConfig(`connect(): ${option} "${text}" is not a URL`);
  }
}

/** @param {ServiceWorkerRegistration} registration */
const newcomerOf = ({ installing, waiting }) => installing ?? waiting;

/**
 * The registration of this scope and script: the one that is there, or a new one. The one that is there is used even
 * if it could not be made again: by a page, say, whose Trusted Types let no script URL be made of a string.
 *
 * @param {ServiceWorkerContainer} container
 * @param {App} app
 * @param {string} [scope]
 */
async function registered(container, app, scope) {
  const { limit, script } = app;
  const present = await limit.wait(
    "the browser does not say what is registered",
    container.getRegistration(app.scope).catch(() => undefined),
  );
  const options = { ...(scope !== undefined && { scope }), ...(app.type !== undefined && { type: app.type }) };
  const register = async () => container.register(app.worker, options);
  if (present?.scope === app.scope && (newcomerOf(present) ?? present.active)?.scriptURL === script) {
    // Of the type of a registered worker only the browser knows; where that has changed, it installs the script anew.
    register().catch(() => {});
    return present;
  }
  void fetchAhead(app.wasm);
  try {
    return await limit.wait(`${script} was not answered`, register());
  } catch (error) {
    if (error instanceof ShearwaterError) throw error;
    throw await whyNot(app, `cannot be registered (${asError(error).message})`);
  }
}

/**
 * Has the browser's HTTP cache get worker.wasm, where it lies beside page.wasm, while the worker's scripts are still
 * on their way: a new worker asks for it as the third of three files, and the largest.
 *
 * @param {string} wasm
 */
async function fetchAhead(wasm) {
  if (!wasm.endsWith("/page.wasm")) return;
  const abort = new AbortController();
  try {
    const response = await fetch(new URL("worker.wasm", wasm), { cache: "force-cache", priority: "low", signal: abort.signal });
    // What is not to be kept would be fetched twice.
    if (!response.ok || /no-store/.test(response.headers.get("cache-control") ?? "")) abort.abort();
    else await response.arrayBuffer();
  } catch {
    // The worker meets it too, and says so.
  }
}

/**
 * Resolves with what our active worker says of itself.
 *
 * @param {ServiceWorkerRegistration} registration
 * @param {string[]} names
 * @param {App} app
 * @returns {Promise<Greeting>}
 */
async function greeted(registration, names, app) {
  const { limit } = app;
  if (!registration.active) {
    const worker = await settled(registration, app, newcomerOf(registration));
    return (await greet(worker, shortly(limit))) ?? silent(app);
  }
  let stored = await anyDatabase(names);
  if (!newcomerOf(registration)) {
    if (stored || (await anyCache(app.scope))) return surely(registration.active, app);
    await Promise.race([registration.update().catch(() => {}), nap(shortly(limit))]);
  }
  const newcomer = newcomerOf(registration);
  if (newcomer && !stored) {
    // It is ours, whatever the active one is, and knows the name by which to look.
    const told = await greet(newcomer, shortly(limit)).catch(() => undefined);
    stored = told?.name !== undefined && (await anyDatabase([told.name]));
  }
  if (!newcomer || stored) {
    const told = await greet(registration.active, shortly(limit));
    if (told) return told;
    if (!newcomer) return silent(app);
  }
  const worker = await takenOver(registration, newcomer, app);
  return (await greet(worker, shortly(limit))) ?? silent(app);
}

/**
 * @param {App} app
 * @returns {never}
 */
function silent({ script }) {
  throw unavailable(
    `${script} does not answer: does it load Shearwater (importScripts, or import) and call shearwater.start() at its top level?`,
  );
}

/** @param {import("./limit.js").Limit} limit */
const shortly = (limit) => Math.min(GREETING, limit.left());

/**
 * Greets a worker that is ours, however long it takes to start.
 *
 * @param {ServiceWorker} worker
 * @param {App} app
 */
const surely = (worker, { script, limit }) =>
  // The limit passes before the greeting does.
  limit.wait(`${script} does not answer`, /** @type {Promise<Greeting>} */ (greet(worker, limit.left() + GREETING)));

/**
 * Resolves with the newcomer once it takes messages in the place of a worker that is not ours.
 *
 * @param {ServiceWorkerRegistration} registration
 * @param {ServiceWorker} newcomer
 * @param {App} app
 */
async function takenOver(registration, newcomer, app) {
  const foreign = registration.active;
  await stateOf(newcomer, (state) => state !== "installing", app);
  const patience = Math.min(TAKEOVER, app.limit.left() / 2);
  const worker = await Promise.race([settled(registration, app, newcomer, foreign), nap(patience)]);
  if (worker) return worker;
  throw unavailable(
    `another worker controls ${app.scope}, and ${app.script} waits for it to go: close all tabs of the app, or call skipWaiting() in the install handler of the new worker`,
  );
}

/**
 * Resolves with the worker that takes messages in the end; rejects with the reason when the newcomer never will.
 *
 * @param {ServiceWorkerRegistration} registration
 * @param {App} app
 * @param {ServiceWorker | null} newcomer
 * @param {ServiceWorker | null} [foreign]
 * @returns {Promise<ServiceWorker>}
 */
async function settled(registration, app, newcomer, foreign) {
  const state = newcomer && (await stateOf(newcomer, (state) => /^(activat|redundant)/.test(state), app));
  if (newcomer && state !== "redundant") return newcomer;
  // One that is newer still may have been faster.
  const { active } = registration;
  if (active && active !== foreign) return active;
  throw await whyNot(app, "did not install");
}

/**
 * Waits for a state of this worker.
 *
 * @param {ServiceWorker} worker
 * @param {(state: ServiceWorkerState) => boolean} is
 * @param {App} app
 */
function stateOf(worker, is, { limit, script }) {
  return limit.wait(
    `${script} is still installing (does what its install handler gives to waitUntil() settle?)`,
    new Promise((resolve) => {
      const look = () => {
        if (!is(worker.state)) return;
        worker.removeEventListener("statechange", look);
        resolve(worker.state);
      };
      worker.addEventListener("statechange", look);
      look();
    }),
  );
}

/**
 * Greets a worker, again where it says nothing; resolves with `{name}`, or after `ms` with nothing.
 *
 * @param {ServiceWorker} worker
 * @param {number} ms
 * @returns {Promise<Greeting | undefined>}
 */
function greet(worker, ms) {
  return new Promise((resolve, reject) => {
    const post = () => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => {
        port1.close();
        done();
        if (data?.error === undefined) resolve(data?.ok ?? {});
        // A worker of a release that knew no greeting is ours all the same.
        else if (data.error.code === "invalid-message") resolve({});
        else reject(new ShearwaterError(data.error.code, data.error.message));
      };
      worker.postMessage({ shearwater: 1, re: crypto.randomUUID(), op: "hello" }, [port2]);
    };
    const again = setInterval(post, AGAIN);
    const end = setTimeout(() => {
      done();
      resolve(undefined);
    }, ms);
    const done = () => {
      clearInterval(again);
      clearTimeout(end);
    };
    post();
  });
}

/**
 * Whether one of these databases exists.
 *
 * @param {string[]} names
 */
async function anyDatabase(names) {
  try {
    if (indexedDB.databases)
      return (await indexedDB.databases()).some(({ name }) => name !== undefined && names.includes(name));
    return (await Promise.all(names.map(databaseExists))).includes(true);
  } catch {
    return false;
  }
}

/**
 * @param {string} name
 * @returns {Promise<boolean>}
 */
function databaseExists(name) {
  return new Promise((resolve) => {
    const opening = indexedDB.open(name);
    opening.onupgradeneeded = () => opening.transaction?.abort();
    opening.onsuccess = () => {
      opening.result.close();
      resolve(true);
    };
    opening.onerror = (event) => {
      event.preventDefault();
      resolve(false);
    };
  });
}

/**
 * Whether a worker of ours was installed for this scope; see sw/worker/wasm.js.
 *
 * @param {string} scope
 */
async function anyCache(scope) {
  const names = await caches.keys().catch(() => []);
  return names.some((name) => name.startsWith(`shearwater wasm ${scope} `));
}

/**
 * Hears why a worker refuses to start; see sw/worker/announce.js.
 *
 * @param {string} script
 */
function hearRefusals(script) {
  /** @type {ShearwaterError | undefined} */
  let heard;
  /** @type {(error: ShearwaterError) => void} */
  let tell;
  /** @type {Promise<ShearwaterError>} */
  const first = new Promise((resolve) => (tell = resolve));
  /** @type {BroadcastChannel | undefined} */
  let channel;
  try {
    channel = new BroadcastChannel("shearwater:install");
    channel.onmessage = ({ data }) => {
      if (data?.script !== script || !data.error) return;
      heard = new ShearwaterError(data.error.code, data.error.message);
      tell(heard);
    };
  } catch {
    // No BroadcastChannel here.
  }
  return {
    /** What was said, waiting a moment for it: its words may come after its death. */
    reason: () => heard ?? Promise.race([first, nap(500)]),
    close: () => channel?.close(),
  };
}

/**
 * The error for a worker that does not come: its own words, or what can be found out about its script.
 *
 * @param {App} app
 * @param {string} what
 */
async function whyNot({ script, type, refusal, limit }, what) {
  const looked = import("./diagnose.js").then(({ diagnose }) => diagnose(script, type)).catch(() => undefined);
  const told = await refusal.reason();
  if (told) return told;
  const found = await Promise.race([looked, nap(shortly(limit))]);
  return unavailable(`${script} ${what}${found ? `: ${found}` : "; see the console for the script's error"}`);
}

// Finds the app's worker: registers it if needed, and waits until a worker that runs Shearwater takes messages.
//
// A worker is sent only a greeting until it has responded to one, and a worker that is known not to run Shearwater is
// sent nothing. Which worker runs Shearwater:
//
// - If there was no active worker, the registered one does, once it is active.
// - If the active worker is the only one, it runs the registered script, but that file may have had other contents when
//   it was installed. If Shearwater has stored nothing yet, the browser first checks for an update.
// - If a newer worker waits behind the active one, the active one does if Shearwater's database exists, because only an
//   active worker creates it. Otherwise the active worker belongs to another library, and we wait for the newer one.

import { asError, invalidConfig, ShearwaterError, unavailable } from "../error.js";

/** Milliseconds that a worker of unknown origin has to respond to a greeting; a slow phone takes a second to start one. */
const GREETING_TIMEOUT = 4_000;
/** Milliseconds after which the greeting is repeated: a worker that was killed has lost it. */
const GREETING_RETRY = 2_000;
/** Milliseconds that an installed worker has to replace one that does not run Shearwater. */
const TAKEOVER_TIMEOUT = 5_000;

/**
 * The worker to find, and what it takes to explain why it does not start.
 *
 * @typedef {object} App
 * @property {string | URL} worker  as passed to connect(): a TrustedScriptURL must remain one
 * @property {string} wasm
 * @property {"queue" | "full"} [build]
 * @property {string} script  the worker's URL
 * @property {string} scope
 * @property {WorkerType} [type]
 * @property {import("./limit.js").Limit} limit
 * @property {ReturnType<typeof listenForRefusal>} refusal
 *
 * @typedef {{name?: string}} Greeting  the response to a greeting
 */

/** @param {number} ms */
const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const base = () => globalThis.document?.baseURI ?? location.href;

/**
 * Resolves with the registration whose active worker runs Shearwater, and the name in that worker's configuration.
 *
 * @param {import("../types/index.js").ConnectOptions & {wasm: string}} options
 * @param {import("./limit.js").Limit} limit
 */
export async function findWorker({ worker = "/sw.js", scope, type, name, build, wasm }, limit) {
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
    build,
    script: script.href,
    scope: within.href,
    type,
    limit,
    refusal: listenForRefusal(script.href),
  };
  try {
    const registration = await findOrRegister(container, app, scope);
    const names = name === undefined ? ["shearwater", `shearwater ${within.pathname}`] : [name];
    const greeting = await greeted(registration, names, app);
    if (name !== undefined && greeting.name !== undefined && greeting.name !== name) {
      throw invalidConfig(
        `connect(): name is ${JSON.stringify(name)}, but ${app.script} was started as ${JSON.stringify(greeting.name)}; leave the option out to take the worker's`,
      );
    }
    return { registration, name: greeting.name ?? name ?? names[0] };
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
const newerOf = ({ installing, waiting }) => installing ?? waiting;

/**
 * Returns the existing registration of this scope and script, or a new one. The existing one is used even if registering
 * again would fail, for example on a page whose Trusted Types policy creates no script URL from a string.
 *
 * @param {ServiceWorkerContainer} container
 * @param {App} app
 * @param {string} [scope]
 */
async function findOrRegister(container, app, scope) {
  const { limit, script } = app;
  const present = await limit.wait(
    "the browser does not say what is registered",
    container.getRegistration(app.scope).catch(() => undefined),
  );
  const options = { ...(scope !== undefined && { scope }), ...(app.type !== undefined && { type: app.type }) };
  const register = async () => container.register(app.worker, options);
  if (present?.scope === app.scope && (newerOf(present) ?? present.active)?.scriptURL === script) {
    // Only the browser knows the type of a registered worker; if it has changed, the browser reinstalls the script.
    register().catch(() => {});
    return present;
  }
  void fetchAhead(app);
  try {
    return await limit.wait(`${script} was not answered`, register());
  } catch (error) {
    if (error instanceof ShearwaterError) throw error;
    throw await explain(app, `cannot be registered (${asError(error).message})`);
  }
}

/**
 * Fetches the worker's wasm, if it is deployed beside page.wasm, into the browser's HTTP cache while the worker's scripts
 * are still loading: a new worker requests it last of three files, and it is the largest. connect() tells which of the two
 * builds it is; by default it is the queue.
 *
 * @param {App} app
 */
async function fetchAhead({ wasm, build }) {
  if (!wasm.endsWith("/page.wasm")) return;
  const abort = new AbortController();
  try {
    const file = build === "full" ? "worker-full.wasm" : "worker.wasm";
    const response = await fetch(new URL(file, wasm), { cache: "force-cache", priority: "low", signal: abort.signal });
    // A response that must not be stored would be fetched twice.
    if (!response.ok || /no-store/.test(response.headers.get("cache-control") ?? "")) abort.abort();
    else await response.arrayBuffer();
  } catch {
    // The worker runs into the same error and reports it.
  }
}

/**
 * Resolves with the greeting of the active worker that runs Shearwater.
 *
 * @param {ServiceWorkerRegistration} registration
 * @param {string[]} names
 * @param {App} app
 * @returns {Promise<Greeting>}
 */
async function greeted(registration, names, app) {
  const { limit } = app;
  if (!registration.active) {
    const worker = await activated(registration, app, newerOf(registration));
    return (await greet(worker, greetingTimeout(limit))) ?? noResponse(app);
  }
  let stored = await anyDatabase(names);
  if (!newerOf(registration)) {
    if (stored || (await anyCache(app.scope))) return greetPatiently(registration.active, app);
    await Promise.race([registration.update().catch(() => {}), delay(greetingTimeout(limit))]);
  }
  const newer = newerOf(registration);
  if (newer && !stored) {
    // This one runs Shearwater whatever the active one is, and knows the name of the database.
    const greeting = await greet(newer, greetingTimeout(limit)).catch(() => undefined);
    stored = greeting?.name !== undefined && (await anyDatabase([greeting.name]));
  }
  if (!newer || stored) {
    const greeting = await greet(registration.active, greetingTimeout(limit));
    if (greeting) return greeting;
    if (!newer) return noResponse(app);
  }
  const worker = await replaced(registration, newer, app);
  return (await greet(worker, greetingTimeout(limit))) ?? noResponse(app);
}

/**
 * @param {App} app
 * @returns {never}
 */
function noResponse({ script }) {
  throw unavailable(
    `${script} does not answer: does it load Shearwater (importScripts, or import) and call shearwater.start() at its top level?`,
  );
}

/** @param {import("./limit.js").Limit} limit */
const greetingTimeout = (limit) => Math.min(GREETING_TIMEOUT, limit.left());

/**
 * Greets a worker that is known to run Shearwater, however long it takes to start.
 *
 * @param {ServiceWorker} worker
 * @param {App} app
 */
const greetPatiently = (worker, { script, limit }) =>
  // The limit rejects before the greeting gives up.
  limit.wait(`${script} does not answer`, /** @type {Promise<Greeting>} */ (greet(worker, limit.left() + GREETING_TIMEOUT)));

/**
 * Resolves with the newer worker once it has replaced one that does not run Shearwater.
 *
 * @param {ServiceWorkerRegistration} registration
 * @param {ServiceWorker} newer
 * @param {App} app
 */
async function replaced(registration, newer, app) {
  const foreign = registration.active;
  await stateOf(newer, (state) => state !== "installing", app);
  const patience = Math.min(TAKEOVER_TIMEOUT, app.limit.left() / 2);
  const worker = await Promise.race([activated(registration, app, newer, foreign), delay(patience)]);
  if (worker) return worker;
  throw unavailable(
    `another worker controls ${app.scope}, and ${app.script} waits for it to go: close all tabs of the app, or call skipWaiting() in the install handler of the new worker`,
  );
}

/**
 * Resolves with the worker that ends up taking messages; rejects with the reason if the newer one never will.
 *
 * @param {ServiceWorkerRegistration} registration
 * @param {App} app
 * @param {ServiceWorker | null} newer
 * @param {ServiceWorker | null} [foreign]
 * @returns {Promise<ServiceWorker>}
 */
async function activated(registration, app, newer, foreign) {
  const state = newer && (await stateOf(newer, (state) => /^(activat|redundant)/.test(state), app));
  if (newer && state !== "redundant") return newer;
  // A still newer worker may have overtaken it.
  const { active } = registration;
  if (active && active !== foreign) return active;
  throw await explain(app, "did not install");
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
 * Greets a worker, repeatedly until it responds; resolves with the response, or with undefined after `ms`.
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
        // A release that did not know the greeting yet is still Shearwater.
        else if (data.error.code === "invalid-message") resolve({});
        else reject(new ShearwaterError(data.error.code, data.error.message));
      };
      worker.postMessage({ shearwater: 1, re: crypto.randomUUID(), op: "hello" }, [port2]);
    };
    const again = setInterval(post, GREETING_RETRY);
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
 * Whether Shearwater was ever installed for this scope; see sw/worker/wasm.js.
 *
 * @param {string} scope
 */
async function anyCache(scope) {
  const names = await caches.keys().catch(() => []);
  return names.some((name) => name.startsWith(`shearwater wasm ${scope} `));
}

/**
 * Listens for the reason why a worker refuses to start; see sw/worker/announce.js.
 *
 * @param {string} script
 */
function listenForRefusal(script) {
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
    // This browser has no BroadcastChannel.
  }
  return {
    /** The reason, or undefined; waits briefly, because the message may arrive after the worker has died. */
    reason: () => heard ?? Promise.race([first, delay(500)]),
    close: () => channel?.close(),
  };
}

/**
 * The error for a worker that does not start: the reason it gave, or what can be found out about its script.
 *
 * @param {App} app
 * @param {string} what
 */
async function explain({ script, type, refusal, limit }, what) {
  const looked = import("./diagnose.js").then(({ diagnose }) => diagnose(script, type)).catch(() => undefined);
  const reason = await refusal.reason();
  if (reason) return reason;
  const found = await Promise.race([looked, delay(greetingTimeout(limit))]);
  return unavailable(`${script} ${what}${found ? `: ${found}` : "; see the console for the script's error"}`);
}

// dist/page.js: `connect()`. Finds the worker and loads the wasm of crates/page in parallel, and exposes the wasm's
// client as bound functions.

import initialise, { Client, connect as open } from "shearwater-glue";

import { invalidConfig } from "../error.js";
import { createCollections } from "./collection.js";
import { startLimit } from "./limit.js";
import { findWorker } from "./register.js";
import { INTERNAL, trackDeclared, trackForm } from "./track.js";
import { loadWasm } from "./wasm.js";

export { ShearwaterError } from "../error.js";
export const version = __VERSION__;

/** @type {Record<string, string>} */
const OPTIONS = {
  worker: "string",
  scope: "string",
  type: "string",
  build: "string",
  name: "string",
  timeout: "number",
  autoStart: "boolean",
  autoSyncInterval: "number",
  schedule: "object",
  syncOnMount: "boolean",
  syncOnOnline: "boolean",
  syncOnVisibility: "boolean",
};
const TIMEOUT = 60_000;

/** @type {Promise<unknown> | null} */
let loading = null;

/**
 * Finds or registers the worker, waits until it is active, and returns a client; see index.d.ts.
 *
 * @type {typeof import("../types/index.js").connect}
 */
export async function connect(options = {}) {
  check(options);
  const { worker, scope, type, name, build, timeout = TIMEOUT, ...rest } = options;
  const limit = startLimit(timeout);
  try {
    const wasm = new URL("./page.wasm", import.meta.url).href;
    const [found] = await Promise.all([
      findWorker({ worker, scope, type, name, build, wasm }, limit),
      limit.wait(`${wasm} was not answered`, load(wasm)),
    ]);
    const opening = open({ ...rest, timeout }, found.registration, found.name);
    try {
      const client = bind(await limit.wait("the worker does not answer", opening), found.name);
      trackDeclared(client);
      return client;
    } catch (error) {
      // The client may still arrive, and nothing else would close it.
      opening.then(
        (client) => client.close(),
        () => {},
      );
      throw error;
    }
  } finally {
    limit.end();
  }
}

/** @param {string} wasm */
function load(wasm) {
  loading ??= loadWasm(wasm)
    .then((module) => initialise({ module_or_path: module }))
    .catch((error) => {
      loading = null;
      throw error;
    });
  return loading;
}

/**
 * Rejects unknown and invalid options before anything is registered.
 *
 * @param {import("../types/index.js").ConnectOptions} options
 */
function check(options) {
  if (typeof options !== "object" || options === null) throw invalidConfig("connect(): the options are an object");
  for (const [option, value] of Object.entries(options)) {
    const type = OPTIONS[option];
    if (!type) throw invalidConfig(`connect(): there is no option "${option}"; there are ${Object.keys(OPTIONS).join(", ")}`);
    // A URL or a TrustedScriptURL is an object.
    const is =
      value === undefined || typeof value === type || (option === "worker" && typeof value === "object" && value !== null);
    if (!is) throw invalidConfig(`connect(): ${option} is a ${type}`);
  }
  const { type, build, timeout = TIMEOUT } = options;
  if (type !== undefined && type !== "classic" && type !== "module")
    throw invalidConfig('connect(): type is "classic" or "module"');
  if (build !== undefined && build !== "queue" && build !== "full")
    throw invalidConfig('connect(): build is "queue" or "full"');
  if (!(timeout >= 1_000 && timeout <= 0x7fffffff)) throw invalidConfig("connect(): timeout is at least 1000 ms");
}

/**
 * The job with its body as text if it is UTF-8, in base64 otherwise.
 *
 * @param {{body?: BodyInit | null}} job
 */
async function readable(job) {
  if (job.body === undefined || job.body === null) return job;
  const bytes = new Uint8Array(await new Response(job.body).arrayBuffer());
  try {
    return { ...job, body: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    let binary = "";
    for (const byte of bytes) binary += String.fromCharCode(byte);
    return { ...job, body: btoa(binary), bodyEncoding: "base64" };
  }
}

/** Clients that are not closed; without this, an unreferenced one would be garbage and stop hearing. */
const living = new Set();

/** What wasm-bindgen adds to a class of its own. */
const OWN = /^(constructor|free|_.*)$/;

/**
 * A plain object with bound functions, which can be passed around as useSyncExternalStore requires.
 *
 * @param {import("shearwater-glue").Client} client
 * @param {string} name
 * @returns {import("../types/index.js").Client}
 */
function bind(client, name) {
  const methods = Object.getOwnPropertyNames(Client.prototype).filter((name) => !OWN.test(name));
  /** @type {any} */ // Its members are put in by name.
  const bound = Object.fromEntries(methods.map((name) => [name, /** @type {any} */ (client)[name].bind(client)]));
  bound.capabilities = Object.freeze(client.capabilities());
  // A page that keeps nothing but a subscription goes on hearing: what it was given holds the client only weakly.
  living.add(client);
  bound.trackForm = (/** @type {HTMLFormElement} */ form, /** @type {any} */ options) => trackForm(bound, form, options);
  bound[INTERNAL] = {
    ask: (
      /** @type {object} */ op,
      /** @type {unknown[]} */ bodies = [],
      /** @type {string | undefined} */ owner = undefined,
    ) => client._ask(op, bodies, owner),
    owner: client._owner.bind(client),
  };
  const collections = createCollections(name, { ...bound[INTERNAL], syncNow: () => bound.syncNow() });
  for (const name of /** @type {const} */ (["collection", "fullSync", "download", "queueMutation"]))
    bound[name] = collections[name];
  const { setOwner } = bound;
  bound.setOwner = (/** @type {unknown[]} */ ...given) => {
    const signingIn = setOwner(...given);
    collections.waitFor(signingIn);
    return signingIn;
  };
  bound.close = () => {
    living.delete(client);
    collections.close();
    client.close();
  };
  bound.exportFailed = async (/** @type {unknown} */ filter) =>
    JSON.stringify(await Promise.all((await client.exportFailed(filter)).map(readable)), null, 2);
  return Object.freeze(bound);
}

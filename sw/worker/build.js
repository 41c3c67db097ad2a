// Which wasm a worker loads.
//
// There are two builds: `worker.wasm` is the queue, `worker-full.wasm` has collections and uploads besides. The
// configuration says which is needed, so that an app that only queues requests does not load the rest. Both work on the
// same database, and either goes on with what the other has stored.
//
// With `logLevel: "debug"` the same build is looked for in the folder `debug/` first, where functions have their names
// and a panic writes its stack to the console. That folder need not be deployed.

import { invalidConfig } from "../error.js";
import { routesForWasm } from "./routes.js";

/**
 * Where each wasm lies, by its file.
 *
 * @typedef {{readonly "worker.wasm": string, readonly "worker-full.wasm": string}} Urls
 *
 * A file that would do, and its SHA-256.
 *
 * @typedef {{file: string, url: string, sha: string}} Candidate
 *
 * The configuration as start() was given it, which nothing has checked yet.
 *
 * @typedef {import("../types/worker.js").WorkerConfig | undefined} Config
 */

/** Keys of the configuration that only the full build knows. */
const FULL = ["collections", "uploads"];

/**
 * The file for what start() was given. A value that is no configuration is refused by the wasm.
 *
 * @param {Config} config
 * @returns {keyof Urls}
 */
export function wasmFor(config) {
  const given = /** @type {Record<string, unknown> | undefined} */ (/** @type {unknown} */ (config));
  const build = given?.build ?? (FULL.some((part) => given?.[part] !== undefined) ? "full" : "queue");
  if (build !== "queue" && build !== "full") throw invalidConfig('start(): build is "queue" or "full"');
  return build === "full" ? "worker-full.wasm" : "worker.wasm";
}

/**
 * Each file that would do, the first choice first.
 *
 * @param {Config} config
 * @param {Urls} urls
 * @returns {Candidate[]}
 */
export function candidates(config, urls) {
  const file = wasmFor(config);
  const url = urls[file];
  const files = [{ file: String(file), url }];
  // A bundle may have put the wasm into a `data:` URL, beside which nothing lies.
  if (config?.logLevel === "debug" && URL.canParse?.(`debug/${file}`, url)) {
    files.unshift({ file: `debug/${file}`, url: new URL(`debug/${file}`, url).href });
  }
  return files.map((found) => ({ ...found, sha: __WORKER_SHA256__[found.file] ?? "" }));
}

/**
 * The configuration as the wasm takes it: without what was for the script.
 *
 * @param {Config} config
 * @param {string} name
 */
export function forWasm(config, name) {
  if (typeof config !== "object" && config !== undefined) return config;
  const { build: _, csrf: __, routes, ...rest } = config ?? {};
  return { ...rest, ...(routes !== undefined && { routes: routesForWasm(routes) }), name };
}

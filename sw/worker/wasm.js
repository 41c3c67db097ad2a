// Loads the wasm that build.js names at each start, without the network as long as any copy is left.
//
// Two copies are kept from the install on: one in Cache Storage, from which engines compile fastest, and one in a
// database of its own, because a typical `activate` handler deletes every cache that it does not know. Each is stored
// under the SHA-256 that this script was built with, so a copy is either the right one or not found. The source that is
// found restores the others.

import { asError, unavailable } from "../error.js";
import { compileWasm, fetchWasm } from "../wasm.js";

const DATABASE = "shearwater:wasm";
const STORE = "copies";

const prefix = () => `shearwater wasm ${self.registration?.scope ?? ""} `;
/**
 * Under which copies of one of build.js's `candidates` are kept.
 *
 * @typedef {import("./build.js").Candidate} Candidate
 * @typedef {{module: WebAssembly.Module, kept: Promise<unknown>}} Loaded
 * @param {Candidate} candidate
 */
const nameOf = ({ sha }) => prefix() + sha;

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/**
 * One transaction on the database of copies; `act` gets the store and returns a request.
 *
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} act
 */
async function onCopies(mode, act) {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await settled(opening);
  try {
    const transaction = database.transaction(STORE, mode);
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const result = await settled(act(transaction.objectStore(STORE)));
    await done;
    return result;
  } finally {
    database.close();
  }
}

/**
 * Resolves as `promise` does, or with undefined if it rejects: an inaccessible copy counts as missing.
 *
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T | undefined>}
 */
const orNone = (promise) => promise.catch(() => undefined);

/**
 * Compiles the first of the `candidates` that there is: `{module, kept}`. `kept` resolves when the copies are restored; it
 * waits for `writable`, before which no database may be written to. `first`: no copy can exist yet.
 *
 * For any but the last, the server is asked only while the worker installs: a copy shows from then on that it is deployed,
 * and without one no later start waits for a server.
 *
 * @param {Candidate[]} candidates
 * @param {{writable: Promise<unknown>, first: boolean}} state
 * @returns {Promise<Loaded>}
 */
export async function loadWasm(candidates, { writable, first }) {
  for (const wanted of candidates.slice(0, -1)) {
    try {
      return await load(wanted, { writable, modes: first ? ["no-cache"] : [], lost: false });
    } catch (error) {
      if (first) console.info(`[shearwater] goes on without ${wanted.file}: ${asError(error).message}`);
    }
  }
  const wanted = /** @type {Candidate} */ (candidates.at(-1));
  // From the browser's HTTP cache, however old, because the digest shows whether the file is the right one; otherwise from
  // the server.
  return load(wanted, { writable, modes: ["force-cache", "reload"], lost: !first });
}

/**
 * Loads from a copy, or fetches in one of these cache `modes`; with `lost`, a copy was to be there.
 *
 * @param {Candidate} wanted
 * @param {{writable: Promise<unknown>, modes: RequestCache[], lost: boolean}} how
 * @returns {Promise<Loaded>}
 */
async function load(wanted, { writable, modes, lost }) {
  const name = nameOf(wanted);
  const { url } = wanted;
  const cached = await orNone((async () => (await caches.open(name)).match(url))());
  const fromCache = cached && (await orNone(compileWasm(cached)));
  if (fromCache) return { module: fromCache, kept: Promise.resolve() };

  const abort = new AbortController();
  const fetched = fetchAnywhere(wanted, modes, abort.signal);
  orNone(fetched);
  const copy = await orNone(onCopies("readonly", (store) => store.get(name)));
  if (copy) {
    abort.abort();
    const response = new Response(copy, { headers: { "content-type": "application/wasm" } });
    return { module: await compileWasm(copy), kept: orNone(keepInCache(name, url, response)) };
  }
  const response = await fetched.catch((error) => {
    if (lost)
      error.message = `${wanted.file} is lost: no copy is left in Cache Storage (deleted by an activate handler that deletes caches it does not know?) or in IndexedDB, and ${error.message}`;
    throw error;
  });
  const bytes = response.clone().arrayBuffer();
  const kept = Promise.all([
    orNone(keepInCache(name, url, response.clone())),
    orNone(Promise.all([bytes, writable]).then(([bytes]) => onCopies("readwrite", (store) => store.put(bytes, name)))),
  ]);
  return { module: await compileWasm(response), kept };
}

/**
 * Fetches in each of these cache modes until one succeeds.
 *
 * @param {Candidate} wanted
 * @param {RequestCache[]} modes
 * @param {AbortSignal} signal
 */
async function fetchAnywhere({ file, url, sha }, modes, signal) {
  /** @type {unknown} */
  let reason = unavailable(`there is no copy of ${file}`);
  for (const cache of modes) {
    try {
      return await fetchWasm(url, sha, "worker.js", { cache, signal });
    } catch (error) {
      signal.throwIfAborted();
      reason = error;
    }
  }
  throw reason;
}

/**
 * @param {string} name
 * @param {string} url
 * @param {Response} response
 */
async function keepInCache(name, url, response) {
  await (await caches.open(name)).put(url, response);
}

/**
 * Removes the copies of other releases and builds of this scope.
 *
 * @param {Candidate[]} candidates
 * @param {Promise<unknown>} writable
 */
export async function forgetOthers(candidates, writable) {
  const names = candidates.map(nameOf);
  // Earlier releases named their caches without "wasm".
  const ours = [prefix(), `shearwater ${self.registration.scope} `];
  for (const other of await caches.keys()) {
    if (!names.includes(other) && ours.some((start) => other.startsWith(start))) await caches.delete(other);
  }
  await writable;
  const copies = /** @type {string[]} */ (await onCopies("readonly", (store) => store.getAllKeys()));
  for (const other of copies) {
    if (!names.includes(other) && other.startsWith(prefix())) await onCopies("readwrite", (store) => store.delete(other));
  }
}

/**
 * Stores `page.wasm`, if it is deployed beside `worker.wasm`, for pages that are opened offline; sw/page/wasm.js looks it
 * up under the same name.
 *
 * @param {string} url
 */
export async function keepPageWasm(url) {
  const page = new URL("page.wasm", url).href;
  const cache = await caches.open(__PAGE_CACHE__);
  const key = `${page}?sha256=${__PAGE_SHA256__}`;
  if (!(await cache.match(key))) await cache.put(key, await fetchWasm(page, __PAGE_SHA256__, "page.js"));
}

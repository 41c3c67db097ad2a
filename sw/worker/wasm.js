// Finds `worker.wasm` again at each start, without network where there is any copy left.
//
// Two copies are kept from the install on: one in Cache Storage, which engines compile fastest from, and one in a
// database of its own, because the usual `activate` handler deletes all caches that it does not know. Each is kept
// under the SHA-256 that this script was built with, so that a copy is either the right one or not found; whichever
// source is found makes good the others.

import { compileWasm, fetchWasm } from "../wasm.js";

const DATABASE = "shearwater:wasm";
const STORE = "copies";

const prefix = () => `shearwater wasm ${self.registration?.scope ?? ""} `;
const name = () => prefix() + __WASM_SHA256__;

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
 * Resolves with what `promise` does, or with undefined: a copy that cannot be read or written is none.
 *
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T | undefined>}
 */
const orNone = (promise) => promise.catch(() => undefined);

/**
 * Compiles the wasm: `{module, kept}`. `kept` settles when the copies are made good; it waits for `writable`, before
 * which no database may be written to. `first`: no copy can be there yet.
 *
 * @param {string} url
 * @param {{writable: Promise<unknown>, first: boolean}} state
 * @returns {Promise<{module: WebAssembly.Module, kept: Promise<unknown>}>}
 */
export async function loadWasm(url, { writable, first }) {
  const cached = await orNone((async () => (await caches.open(name())).match(url))());
  const fromCache = cached && (await orNone(compileWasm(cached)));
  if (fromCache) return { module: fromCache, kept: Promise.resolve() };

  const abort = new AbortController();
  const fetched = fetchAnywhere(url, abort.signal);
  orNone(fetched);
  const copy = await orNone(onCopies("readonly", (store) => store.get(name())));
  if (copy) {
    abort.abort();
    const response = new Response(copy, { headers: { "content-type": "application/wasm" } });
    return { module: await compileWasm(copy), kept: orNone(keepInCache(url, response)) };
  }
  let response;
  try {
    response = await fetched;
  } catch (error) {
    if (!first && error instanceof Error) {
      error.message = `worker.wasm is lost: no copy is left in Cache Storage (deleted by an activate handler that deletes caches it does not know?) or in IndexedDB, and ${error.message}`;
    }
    throw error;
  }
  const bytes = response.clone().arrayBuffer();
  const kept = Promise.all([
    orNone(keepInCache(url, response.clone())),
    orNone(Promise.all([bytes, writable]).then(([bytes]) => onCopies("readwrite", (store) => store.put(bytes, name())))),
  ]);
  return { module: await compileWasm(response), kept };
}

/**
 * From the browser's HTTP cache, however old: the digest says whether it is the right one. Else from the server.
 *
 * @param {string} url
 * @param {AbortSignal} signal
 */
async function fetchAnywhere(url, signal) {
  try {
    return await fetchWasm(url, __WASM_SHA256__, "worker.js", { cache: "force-cache", signal });
  } catch {
    signal.throwIfAborted();
    return fetchWasm(url, __WASM_SHA256__, "worker.js", { cache: "reload", signal });
  }
}

/**
 * @param {string} url
 * @param {Response} response
 */
async function keepInCache(url, response) {
  await (await caches.open(name())).put(url, response);
}

/**
 * Removes what is kept of other releases of this scope.
 *
 * @param {Promise<unknown>} writable
 */
export async function forgetOthers(writable) {
  // Before this release, caches were named without "wasm".
  const ours = [prefix(), `shearwater ${self.registration.scope} `];
  for (const other of await caches.keys()) {
    if (other !== name() && ours.some((start) => other.startsWith(start))) await caches.delete(other);
  }
  await writable;
  const copies = /** @type {string[]} */ (await onCopies("readonly", (store) => store.getAllKeys()));
  for (const other of copies) {
    if (other !== name() && other.startsWith(prefix())) await onCopies("readwrite", (store) => store.delete(other));
  }
}

/**
 * Keeps `page.wasm`, where it lies beside `worker.wasm`, for a page that is opened without network; see
 * sw/page/wasm.js, which finds it under the same name.
 *
 * @param {string} url
 */
export async function keepPageWasm(url) {
  const page = new URL("page.wasm", url).href;
  const cache = await caches.open(__PAGE_CACHE__);
  const key = `${page}?sha256=${__PAGE_SHA256__}`;
  if (!(await cache.match(key))) await cache.put(key, await fetchWasm(page, __PAGE_SHA256__, "page.js"));
}

// Finds the wasm that build.js names again at each start, without network where there is any copy left.
//
// Two copies are kept from the install on: one in Cache Storage, which engines compile fastest from, and one in a
// database of its own, because the usual `activate` handler deletes all caches that it does not know. Each is kept
// under the SHA-256 that this script was built with, so that a copy is either the right one or not found; whichever
// source is found makes good the others.

import { unavailable } from "../error.js";
import { compileWasm, fetchWasm } from "../wasm.js";

const DATABASE = "shearwater:wasm";
const STORE = "copies";

const prefix = () => `shearwater wasm ${self.registration?.scope ?? ""} `;
/** Under which copies of one of build.js's `candidates` are kept. */
const nameOf = ({ sha }) => prefix() + sha;

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** One transaction on the database of copies; `act` gets the store and returns a request. */
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

/** Resolves with what `promise` does, or with undefined: a copy that cannot be read or written is none. */
const orNone = (promise) => promise.catch(() => undefined);

/**
 * Compiles the first of the `candidates` that there is: `{module, kept}`. `kept` settles when the copies are made good; it
 * waits for `writable`, before which no database may be written to. `first`: no copy can be there yet.
 *
 * For any but the last, the server is asked only while the worker installs: a copy says from then on that it is deployed,
 * and where there is none no later start waits for a server.
 */
export async function loadWasm(candidates, { writable, first }) {
  for (const wanted of candidates.slice(0, -1)) {
    try {
      return await load(wanted, { writable, modes: first ? ["no-cache"] : [] });
    } catch (error) {
      if (first) console.info(`[shearwater] goes on without ${wanted.file}: ${error.message}`);
    }
  }
  const wanted = candidates.at(-1);
  try {
    // From the browser's HTTP cache, however old: the digest says whether it is the right one. Else from the server.
    return await load(wanted, { writable, modes: ["force-cache", "reload"] });
  } catch (error) {
    if (!first) error.message = `${wanted.file} is lost: no copy is left in Cache Storage (deleted by an activate handler that deletes caches it does not know?) or in IndexedDB, and ${error.message}`;
    throw error;
  }
}

/** From a copy, or fetched in one of these cache `modes`. */
async function load(wanted, { writable, modes }) {
  const name = nameOf(wanted);
  const { url } = wanted;
  const cached = await orNone((async () => (await caches.open(name)).match(url))());
  const fromCache = cached && (await orNone(compileWasm(cached)));
  if (fromCache) return { module: fromCache, kept: Promise.resolve() };

  const abort = new AbortController();
  const fetched = fetchAnyhow(wanted, modes, abort.signal);
  orNone(fetched);
  const copy = await orNone(onCopies("readonly", (store) => store.get(name)));
  if (copy) {
    abort.abort();
    const response = new Response(copy, { headers: { "content-type": "application/wasm" } });
    return { module: await compileWasm(copy), kept: orNone(keepInCache(name, url, response)) };
  }
  const response = await fetched;
  const bytes = response.clone().arrayBuffer();
  const kept = Promise.all([
    orNone(keepInCache(name, url, response.clone())),
    orNone(Promise.all([bytes, writable]).then(([bytes]) => onCopies("readwrite", (store) => store.put(bytes, name)))),
  ]);
  return { module: await compileWasm(response), kept };
}

async function fetchAnyhow({ file, url, sha }, modes, signal) {
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

async function keepInCache(name, url, response) {
  await (await caches.open(name)).put(url, response);
}

/** Removes what is kept of other releases and builds for this scope. */
export async function forgetOthers(candidates, writable) {
  const names = candidates.map(nameOf);
  // Before this release, caches were named without "wasm".
  const ours = [prefix(), `shearwater ${self.registration.scope} `];
  for (const other of await caches.keys()) {
    if (!names.includes(other) && ours.some((start) => other.startsWith(start))) await caches.delete(other);
  }
  await writable;
  const copies = await onCopies("readonly", (store) => store.getAllKeys());
  for (const other of copies) {
    if (!names.includes(other) && other.startsWith(prefix())) await onCopies("readwrite", (store) => store.delete(other));
  }
}

/**
 * Keeps `page.wasm`, where it lies beside the worker's at `url`, for a page that is opened without network; see
 * sw/page/wasm.js, which finds it under the same name.
 */
export async function keepPageWasm(url) {
  const page = new URL("page.wasm", url).href;
  const cache = await caches.open(__PAGE_CACHE__);
  const key = `${page}?sha256=${__PAGE_SHA256__}`;
  if (!(await cache.match(key))) await cache.put(key, await fetchWasm(page, __PAGE_SHA256__, "page.js"));
}

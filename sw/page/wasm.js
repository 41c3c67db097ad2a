// Loads page.wasm, and keeps a copy for a page that is opened without network.
//
// The copy lies in Cache Storage under the URL and the SHA-256 that this script was built with, and is looked for
// first: it is the right one or it is not found, and a page that was here before waits for no server. The worker
// stores it too, at the release of a new version that no page has loaded yet (sw/worker/wasm.js).

import { compileWasm, fetchWasm } from "../wasm.js";

/** @param {string} url */
const key = (url) => `${url}?sha256=${__PAGE_SHA256__}`;

/**
 * Compiles page.wasm. Rejects with `worker-unavailable`, saying what is in its way.
 *
 * @param {string} url
 */
export async function loadWasm(url) {
  const cache = await open();
  const cached = await cache?.match(key(url)).catch(() => undefined);
  if (cached) {
    const module = await compileWasm(cached).catch(() => undefined);
    if (module) return module;
  }
  const response = await fetchWasm(url, __PAGE_SHA256__, "page.js").catch((error) =>
    // The browser's HTTP cache may hold the file of the release before.
    fetchWasm(url, __PAGE_SHA256__, "page.js", { cache: "reload" }).catch(() => Promise.reject(error)),
  );
  if (cache) keep(cache, url, response.clone()).catch(() => {});
  return compileWasm(response);
}

/** The cache; nothing where there is none (some private windows). */
async function open() {
  try {
    return await caches.open(__PAGE_CACHE__);
  } catch {
    return undefined;
  }
}

/**
 * @param {Cache} cache
 * @param {string} url
 * @param {Response} response
 */
async function keep(cache, url, response) {
  await cache.put(key(url), response);
  for (const request of await cache.keys()) {
    if (request.url !== key(url) && request.url.startsWith(`${url}?`)) await cache.delete(request);
  }
}

// Loads page.wasm, and keeps a copy for pages that are opened offline.
//
// The copy is in Cache Storage, under the URL and the SHA-256 that this script was built with, and is looked up first:
// it is either the right file or not found, and a page that loaded before waits for no server. The worker stores a copy
// too, so that a new release works offline before any page has loaded it (sw/worker/wasm.js).

import { compileWasm, fetchWasm } from "../wasm.js";

/** @param {string} url */
const key = (url) => `${url}?sha256=${__PAGE_SHA256__}`;

/**
 * Compiles page.wasm. Rejects with `worker-unavailable` and the reason.
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
    // The browser's HTTP cache may still hold the previous release.
    fetchWasm(url, __PAGE_SHA256__, "page.js", { cache: "reload" }).catch(() => Promise.reject(error)),
  );
  if (cache) keep(cache, url, response.clone()).catch(() => {});
  return compileWasm(response);
}

/** The cache; undefined where Cache Storage is not available (some private windows). */
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

// What page and worker share in loading their wasm: whether it is the file of this release, and whether it compiles.

import { asError, unavailable } from "./error.js";

/** The smallest valid module: a browser that rejects it rejects every module. */
const EMPTY = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);

/** @param {ArrayBuffer} bytes */
export async function sha256(bytes) {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Fetches the wasm with this SHA-256; `script` is the file that it belongs to.
 *
 * Rejects with `worker-unavailable`, and says what the server sent instead.
 *
 * @param {string} url
 * @param {string} sha
 * @param {string} script
 * @param {RequestInit} [init]
 */
export async function fetchWasm(url, sha, script, init) {
  let response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    throw unavailable(
      `${url} cannot be fetched (no network, or not allowed by connect-src of the Content-Security-Policy): ${asError(error).message}`,
    );
  }
  if (!response.ok) throw unavailable(`${url} answered ${response.status}: deploy it beside ${script}`);
  const kept = response.clone();
  const bytes = await response.arrayBuffer();
  if (new DataView(bytes).byteLength < 8 || new DataView(bytes).getUint32(0) !== 0x0061736d) {
    const type = response.headers.get("content-type");
    throw unavailable(
      `${url} is not WebAssembly but ${type ?? "something else"} (a page for unknown paths?): deploy it beside ${script}`,
    );
  }
  if ((await sha256(bytes)) !== sha) throw unavailable(`${url} is of another release than ${script}: deploy both together`);
  return kept;
}

/**
 * Compiles a `Response`, or bytes.
 *
 * @param {Response | ArrayBuffer} source
 */
export async function compileWasm(source) {
  if (typeof WebAssembly === "undefined")
    throw unavailable("this browser has no WebAssembly (it is off in the lockdown modes of some)");
  try {
    if (!(source instanceof Response)) return await WebAssembly.compile(source);
    try {
      return await WebAssembly.compileStreaming(source.clone());
    } catch {
      // The server does not send the type application/wasm.
      return await WebAssembly.compile(await source.arrayBuffer());
    }
  } catch (error) {
    const { message } = asError(error);
    const allowed = await WebAssembly.compile(EMPTY).then(
      () => true,
      () => false,
    );
    throw unavailable(
      allowed
        ? `the WebAssembly cannot be compiled: ${message}`
        : `the Content-Security-Policy forbids WebAssembly: add 'wasm-unsafe-eval' to script-src (${message})`,
    );
  }
}

// A routed request as it is read, sent and answered.

import { asError } from "../error.js";
import { ownHeaders } from "./enqueue.js";

/** Types of bodies that are never empty: if one arrives empty, the browser has lost it. */
const NEVER_EMPTY = /^(multipart|image|audio|video)\//i;

/**
 * Reads the body to its end; rejects if it cannot be read, or the browser has lost it.
 *
 * @param {Request} request
 */
export async function read(request) {
  if (/^(GET|HEAD)$/.test(request.method)) return undefined;
  try {
    const body = await request.blob();
    const type = request.headers.get("content-type") ?? "";
    if (body.size === 0 && NEVER_EMPTY.test(type))
      throw new TypeError(`the browser handed over no byte of a body of type ${type}`);
    return body.size > 0 ? body : undefined;
  } catch (thrown) {
    console.error("[shearwater] a routed request is not sent, its body cannot be read:", asError(thrown).message);
    throw thrown;
  }
}

/**
 * The request as the app made it, with these bytes.
 *
 * @param {Request} request
 * @param {Blob | undefined} body
 * @param {AbortSignal} [signal]
 */
export function copyOf(request, body, signal) {
  const { url, method, mode, credentials, cache, redirect, referrer, referrerPolicy, integrity } = request;
  return new Request(url, {
    method,
    headers: ownHeaders(request),
    mode: mode === "navigate" ? "same-origin" : mode,
    credentials,
    cache,
    redirect,
    referrer,
    referrerPolicy,
    integrity,
    ...(body && { body }),
    ...(signal && { signal }),
  });
}

/**
 * Sets the idempotency key by the rules for jobs (`request_init` in crates/worker/src/drain/fetch.rs); one that the app has
 * given stays.
 *
 * @param {Headers} headers
 * @param {string} url
 * @param {string} id
 * @param {boolean | {header: string}} setting
 * @param {string[]} origins
 */
export function setKey(headers, url, id, setting, origins) {
  const { origin } = new URL(url);
  if (setting === false || (origin !== self.location.origin && !origins.includes(origin))) return;
  const name = setting === true ? "idempotency-key" : setting.header;
  const bare = headers.get(name)?.replace(/^"(.*)"$/, "$1") ?? id;
  headers.set(name, `"${bare}"`);
}

/**
 * Whether a success looks like one of this server (`cycle/retry.rs` decides the same of a job).
 *
 * @param {Response} response
 * @param {import("../types/worker.js").QueueConfig["expect"]} expect
 */
export function isExpected(response, expect) {
  if (!expect || !response.ok) return true;
  const { status = [], contentType, redirected } = expect;
  const statuses = [status].flat();
  const type = response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  return (
    (statuses.length === 0 || statuses.includes(response.status)) &&
    (contentType === undefined || type === contentType.toLowerCase()) &&
    (redirected === undefined || response.redirected === redirected)
  );
}

/**
 * Whether the browser would take this response for the request (Service Workers §"Handle Fetch"); any other fails it.
 *
 * @param {Response} response
 * @param {Request} request
 */
export function fits(response, request) {
  if (response.bodyUsed || response.type === "error") return false;
  if (response.type === "opaque") return request.mode === "no-cors";
  if (response.type === "opaqueredirect") return request.redirect === "manual";
  return !response.redirected || request.redirect === "follow";
}

/**
 * What a request that is queued is answered with: a form by the way to a page, so that a reload submits nothing again.
 *
 * @param {Request} request
 * @param {string} id
 * @param {string | undefined} page
 */
export function accepted({ mode, referrer }, id, page) {
  if (mode === "navigate") {
    const next = new URL(page ?? referrer, self.location.href);
    next.hash = `shearwater-job=${id}`;
    return new Response(null, { status: 303, headers: { location: next.href, "shearwater-job": id } });
  }
  const headers = { "content-type": "application/json", "shearwater-job": id };
  return new Response(JSON.stringify({ queued: true, id }), { status: 202, headers });
}

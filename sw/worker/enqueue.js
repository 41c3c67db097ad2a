// `shearwater.enqueue` in the worker, for push and fetch handlers. Accepts what the page's `enqueue` accepts.

import { asError, ShearwaterError } from "../error.js";

const MEMBERS = ["url", "method", "headers", "body", "credentials", "mode", "redirect", "referrerPolicy", "cache", "integrity"];
/** Members that a copied fetch() call may contain; none of them outlives the call. */
const IGNORED = ["signal", "keepalive", "duplex", "window", "priority"];

/** @param {string} message */
const invalid = (message) => new ShearwaterError("invalid-request", message);

/**
 * Returns the job to store: `{job, body}`. The request is read as it is at the time of the call.
 *
 * @param {Request | import("../types/index.js").RequestInput} input
 * @param {import("../types/index.js").EnqueueOptions} [options]
 * @param {{id: string, body: Blob | undefined}} [taken]  of a request that was read already
 */
export async function toJob(input, options, taken) {
  if (options !== undefined && options !== null && typeof options !== "object") throw invalid("the options are an object");
  const { metadata, bind, ...rest } = options ?? {};
  const kept = metadata === undefined ? undefined : JSON.stringify(metadata);
  const request = input instanceof Request ? input : build(input);
  if (request.bodyUsed && !taken) throw invalid("the request's body was already read; queue request.clone() made before that");
  const reading = taken ? taken.body : /^(GET|HEAD)$/.test(request.method) ? undefined : request.clone().blob();
  const job = {
    id: taken?.id ?? crypto.randomUUID(),
    request: {
      url: request.url,
      method: request.method,
      headers: [...ownHeaders(request)],
      // Of the worker's own, what fetch does anyway is not said: an item of a batch has no options. One that a route has sent
      // already is no item: it went by itself.
      ...(taken ? optionsOf(request) : unusual(optionsOf(request))),
      ...(request.referrerPolicy && { referrerPolicy: request.referrerPolicy }),
      ...(request.integrity && { integrity: request.integrity }),
    },
    options: bind === undefined ? rest : { ...rest, bind: toList(bind) },
    ...(kept !== undefined && { metadata: kept }),
  };
  let body;
  try {
    body = await reading;
  } catch (error) {
    throw invalid(`the body cannot be read: ${asError(error).message}`);
  }
  return { job, body: body?.size ? body : undefined };
}

/**
 * `{name: {job, pointer}}` or `{name: job}` as the list that the wasm reads.
 *
 * @param {any} bind
 */
function toList(bind) {
  if (typeof bind !== "object" || bind === null) throw invalid('bind is an object such as {note: {job: id, pointer: "/id"}}');
  return Object.entries(bind).map(([name, to]) => ({ ...(typeof to === "object" ? to : { job: to }), name }));
}

/**
 * What a request says besides its address, method, headers and body.
 *
 * @param {Request} request
 */
function optionsOf(request) {
  // A navigation is not repeated as a navigation: there is no one to show the page to.
  const navigates = request.mode === "navigate";
  return {
    credentials: request.credentials,
    cache: request.cache,
    mode: navigates ? "same-origin" : request.mode,
    redirect: navigates ? "follow" : request.redirect,
  };
}

const USUAL = { credentials: "same-origin", cache: "default", mode: "cors", redirect: "follow" };

/** @param {ReturnType<typeof optionsOf>} options */
const unusual = (options) =>
  Object.fromEntries(
    Object.entries(options).filter(([name, value]) => USUAL[/** @type {keyof typeof USUAL} */ (name)] !== value),
  );

/**
 * The headers without those that the browser adds itself, some of which an intercepted request contains.
 *
 * @param {Request} request
 */
export function ownHeaders(request) {
  const { headers } = new Request(request.url, { headers: request.headers });
  for (const name of ["user-agent", "upgrade-insecure-requests"]) headers.delete(name);
  return headers;
}

/**
 * Rewrites what the wasm reports about the message so that it refers to the request: the caller knows no message.
 *
 * @param {any} error  whatever was thrown
 */
export function asRequestError(error) {
  if (error.code !== "invalid-message") return error;
  return invalid(error.message.replace(/^.*?\bjobs\.(options|request)\.?/, "the $1: "));
}

/** @param {any} input  unchecked; this is where it is validated */
function build(input) {
  if (typeof input !== "object" || input === null)
    throw invalid("a request is a Request or an object {url, method, headers, body, …}");
  for (const name of Object.keys(input)) {
    if (!MEMBERS.includes(name) && !IGNORED.includes(name))
      throw invalid(`a request has no "${name}"; it has ${MEMBERS.join(", ")}`);
  }
  if (input.url === undefined) throw invalid("url is missing");
  const init = Object.fromEntries(
    MEMBERS.slice(1)
      .filter((name) => input[name] !== undefined)
      .map((name) => [name, input[name]]),
  );
  const { body = null } = input;
  /** @type {string | undefined} */
  let type;
  if (isJson(body)) {
    init.body = JSON.stringify(body);
    type = "application/json";
  } else if (body !== null && !isBodyInit(body)) {
    throw invalid("body is a string, Blob, FormData, URLSearchParams, buffer, stream, or what JSON can hold");
  }
  init.method ??= body === null ? "GET" : "POST";
  try {
    const headers = new Headers(init.headers);
    if (type && !headers.has("content-type")) headers.set("content-type", type);
    const stream = typeof ReadableStream === "function" && body instanceof ReadableStream;
    const request = new Request(input.url, { ...init, headers, ...(stream && { duplex: "half" }) });
    for (const [name] of headers) {
      if (!request.headers.has(name)) throw new TypeError(`headers: the browser sets "${name}" itself; leave it out`);
    }
    return request;
  } catch (error) {
    throw invalid(`fetch() would refuse this: ${asError(error).message}`);
  }
}

/**
 * Whether the body is sent as JSON: an array, a plain object of any realm, or an object with a `toJSON` method.
 *
 * @param {any} body
 */
function isJson(body) {
  if (typeof body !== "object" || body === null) return false;
  if (Array.isArray(body) || typeof body.toJSON === "function") return true;
  const prototype = Object.getPrototypeOf(body);
  return (
    prototype === null ||
    (Object.getPrototypeOf(prototype) === null && Object.prototype.toString.call(body) === "[object Object]")
  );
}

/** @param {any} body */
const isBodyInit = (body) =>
  typeof body === "string" ||
  ArrayBuffer.isView(body) ||
  /^\[object (Blob|File|FormData|URLSearchParams|ReadableStream|(Shared)?ArrayBuffer)\]$/.test(
    Object.prototype.toString.call(body),
  );

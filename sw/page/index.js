// dist/page.js: `connect()`. Loads the wasm of crates/page and puts its client behind bound functions.

import initialise, { connect as open } from "shearwater-glue";

export const version = __VERSION__;

let loading = null;

/** Registers the worker, waits until it is active, and answers a client; see index.d.ts. */
export async function connect(options = {}) {
  loading ??= initialise({ module_or_path: new URL("./page.wasm", import.meta.url) }).catch((error) => {
    loading = null;
    throw error;
  });
  await loading;
  return bind(await open(options));
}

/** A job with its body as text where it is UTF-8, else in base64. */
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

const METHODS = [
  "enqueue", "enqueueAll", "get", "list", "retry", "discard", "cancel", "edit", "clear", "syncNow", "pause", "resume", "setOwner",
  "registerPeriodic", "metrics", "repair", "compact", "getSnapshot", "subscribe", "on", "watch", "close",
];

/** A plain object with bound functions: they can be handed around, as useSyncExternalStore wants it. */
function bind(client) {
  const bound = { capabilities: Object.freeze(client.call("capabilities")) };
  for (const method of METHODS) bound[method] = (first, second) => client.call(method, first, second);
  bound.exportFailed = async (filter) =>
    JSON.stringify(await Promise.all((await client.call("exportFailed", filter)).map(readable)), null, 2);
  return Object.freeze(bound);
}

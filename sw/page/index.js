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

/** A plain object with bound functions: they can be handed around, as useSyncExternalStore wants it. */
function bind(client) {
  return Object.freeze({
    capabilities: Object.freeze(client.capabilities()),
    enqueue: (request, options) => client.enqueue(request, options),
    enqueueAll: (requests, options) => client.enqueueAll(requests, options),
    get: (id) => client.get(id),
    list: (filter) => client.list(filter),
    retry: (id) => client.retry(id),
    discard: (id) => client.discard(id),
    edit: (id, change) => client.edit(id, change),
    clear: (filter) => client.clear(filter),
    syncNow: (queue) => client.syncNow(queue),
    pause: (queue) => client.pause(queue),
    resume: (queue) => client.resume(queue),
    setOwner: (owner, options) => client.setOwner(owner, options?.purge === true),
    registerPeriodic: (tag, minInterval) => client.registerPeriodic(tag, minInterval),
    metrics: () => client.metrics(),
    repair: () => client.repair(),
    compact: (options) => client.compact(options?.failed),
    exportFailed: async (filter) => JSON.stringify(await Promise.all((await client.exportFailed(filter)).map(readable)), null, 2),
    getSnapshot: () => client.getSnapshot(),
    subscribe: (listener) => client.subscribe(listener),
    on: (event, listener) => client.on(event, listener),
    watch: (id, listener) => client.watch(id, listener),
    close: () => client.close(),
  });
}

// dist/worker.js: for `importScripts` in a classic service worker. Defines the global `shearwater`.

import { createShearwater } from "./runtime.js";

// The platform does not tell an imported script its own URL; the stack of an error created here does. A restarted Firefox
// shows it as it was passed to `importScripts`, relative to the worker's own URL.
const here =
  /(?:^|[\s(@])(\w+:\/\/[^\s()]*\/|[^\s()@]*\/|)[^\s()@/]*\.js[^\s()/]*:\d+/m.exec(new Error().stack ?? "")?.[1] ?? "";
/** @param {string} file */
const urlOf = (file) => new URL(file, new URL(here, self.location.href)).href;

self.shearwater = createShearwater({ "worker.wasm": urlOf("worker.wasm"), "worker-full.wasm": urlOf("worker-full.wasm") });

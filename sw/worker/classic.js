// dist/worker.js: for `importScripts` in a classic service worker. Defines the global `shearwater`.

import { createShearwater } from "./runtime.js";

// The platform does not tell an imported script its own URL; the stack of an error created here does. A restarted Firefox
// shows it as it was passed to `importScripts`, relative to the worker's own URL.
const here =
  /(?:^|[\s(@])(\w+:\/\/[^\s()]*\/|[^\s()@]*\/|)[^\s()@/]*\.js[^\s()/]*:\d+/m.exec(new Error().stack ?? "")?.[1] ?? "";
const url = new URL("worker.wasm", new URL(here, self.location.href)).href;

self.shearwater = createShearwater(() => url);

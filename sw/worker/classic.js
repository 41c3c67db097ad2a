// dist/worker.js: for `importScripts` in a classic service worker. Makes the global `shearwater`.

import { createShearwater } from "./runtime.js";

// Of an imported script the platform tells no URL; the stack of an error made here does. Firefox, once it has
// been restarted, gives it there as `importScripts` was given it, relative to the worker's own.
const here =
  /(?:^|[\s(@])(\w+:\/\/[^\s()]*\/|[^\s()@]*\/|)[^\s()@/]*\.js[^\s()/]*:\d+/m.exec(new Error().stack ?? "")?.[1] ?? "";
const url = new URL("worker.wasm", new URL(here, self.location.href)).href;

self.shearwater = createShearwater(() => url);

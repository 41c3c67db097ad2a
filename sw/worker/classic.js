// dist/worker.js: for `importScripts` in a classic service worker. Makes the global `shearwater`.

import { createShearwater } from "./runtime.js";

// Of an imported script the platform tells no URL; the stack of an error made here does.
const here = /(\w+:\/\/[^\s()@]+?\/)[^/\s()]*\.js[^/\s()]*:\d+/.exec(new Error().stack ?? "")?.[1];

self.shearwater = createShearwater(() => new URL("worker.wasm", here ?? self.location.href).href);

// dist/import-workbox.js, for a classic worker: after worker.js, `shearwater.adopt(shearwater.workboxQueues())`.

import { workboxQueues } from "./import-workbox.js";

self.shearwater.workboxQueues = workboxQueues;

// dist/worker.mjs: for `import * as shearwater from "shearwater/worker"` in a module worker or a bundle.

import { createShearwater } from "./runtime.js";

// Each in full: so a bundler finds the files.
const shearwater = createShearwater({
  "worker.wasm": new URL("./worker.wasm", import.meta.url).href,
  "worker-full.wasm": new URL("./worker-full.wasm", import.meta.url).href,
});

export const { version, start, on, adopt, enqueue } = shearwater;
export { ShearwaterError } from "../error.js";

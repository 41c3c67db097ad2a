// dist/worker.mjs: for `import * as shearwater from "shearwater/worker"` in a module worker or a bundle.

import { createShearwater } from "./runtime.js";

const url = new URL("./worker.wasm", import.meta.url).href;
const shearwater = createShearwater(() => url);

export const { version, start, on, adopt, enqueue } = shearwater;
export { ShearwaterError } from "../error.js";

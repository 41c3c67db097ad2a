// What the build puts in: constants by esbuild, the glue of crates/page by wasm-bindgen. wasm-bindgen would declare all
// of it as `any`; what is declared here is what this side relies on.

declare const __VERSION__: string;
declare const __PAGE_SHA256__: string;
declare const __PAGE_CACHE__: string;

declare module "shearwater-glue" {
  /** Instantiates the wasm. */
  export default function initialise(source: { module_or_path: WebAssembly.Module }): Promise<unknown>;
  /** Opens a client on the active worker of a registration; `name` is that of the worker's configuration. */
  export function connect(options: object, registration: ServiceWorkerRegistration, name: string): Promise<Client>;
  export class Client {
    /** Calls a method by its name in index.d.ts. */
    // biome-ignore lint/suspicious/noExplicitAny: what it returns is the method's; index.d.ts has the types.
    call(method: string, first?: unknown, second?: unknown): any;
  }
}

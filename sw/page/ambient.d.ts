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
  /** Its methods are those of index.d.ts, which has their types; these are the ones that the script calls itself. */
  export class Client {
    capabilities(): { backgroundSync: boolean; periodicSync: boolean };
    // biome-ignore lint/suspicious/noExplicitAny: jobs with their bodies, as `readable` takes them.
    exportFailed(filter: unknown): Promise<any[]>;
    /** Asks in the words of crates/core/src/protocol. */
    // biome-ignore lint/suspicious/noExplicitAny: the answer is the operation's.
    _ask(op: object | string, bodies: unknown[], owner?: string): Promise<any>;
    _owner(): string;
    close(): void;
  }
}

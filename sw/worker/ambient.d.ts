// What the build puts in (constants by esbuild, the glue of crates/worker by wasm-bindgen), and what TypeScript's library
// lacks of the platform: the events of Background Sync, which one engine has, and what Chromium alone tells of itself.

declare const __VERSION__: string;
/** By file. */
declare const __WORKER_SHA256__: Record<string, string>;
declare const __PAGE_SHA256__: string;
declare const __PAGE_CACHE__: string;

declare module "shearwater-glue" {
  /** Instantiates the wasm. */
  export default function initialise(source: { module_or_path: WebAssembly.Module }): Promise<unknown>;
  /** Starts the engine; throws what is wrong with the configuration. `host` is what the wasm may ask of the script. */
  export function boot(config: unknown, host: import("./instance.js").Host): void;
  /** Handles a page's message; `reply` is called with the response. */
  export function message(data: unknown, reply: (response: import("./runtime.js").Response) => void): Promise<void>;
  /** Handles a `sync` event; resolves with whether work is left. */
  export function sync(tag: string, lastChance: boolean): Promise<boolean>;
  /** Handles a `periodicsync` event. */
  export function periodic(tag: string): Promise<void>;
  /** Whether stored jobs of the key wait. */
  export function overtakes(queue: string, key: string): Promise<boolean>;
  /** When a job may be sent whose first try was refused, or had no response in time. */
  export function notBefore(queue: string, retryAfter?: string, date?: string): number;
  /** Takes back what a dead instance had claimed, and drains. */
  export function resume(): Promise<void>;
  /** With `dead`, has the next call begin with a fresh instance in the place of this one; without, is that call. */
  export function renew(dead: boolean): void;
  /** Sets what is called with an error that the wasm throws in a callback of the platform. */
  export function watchCallbacks(watcher: (thrown: unknown) => void): void;
}

// Every script here runs in a service worker; the library knows `self` as any worker's only.
interface WorkerGlobalScope {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: Clients;
  addEventListener(type: "install" | "activate", listener: (event: ExtendableEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
  addEventListener(type: "message", listener: (event: ExtendableMessageEvent) => void): void;
  addEventListener(type: "sync", listener: (event: SyncEvent) => void): void;
  addEventListener(type: "periodicsync", listener: (event: PeriodicSyncEvent) => void): void;
  shearwater: typeof shearwater;
}

/** https://urlpattern.spec.whatwg.org/ */
declare const URLPattern: (new (input: string, base: string) => import("../types/worker.js").URLPatternLike) | undefined;

/** https://wicg.github.io/background-sync/spec/#sync-event */
interface SyncEvent extends ExtendableEvent {
  readonly tag: string;
  readonly lastChance: boolean;
}

/** https://wicg.github.io/periodic-background-sync/#periodicsync-event */
interface PeriodicSyncEvent extends ExtendableEvent {
  readonly tag: string;
}

/** Chromium's: why it deleted the database that was there. */
interface IDBVersionChangeEvent {
  readonly dataLoss?: string;
  readonly dataLossMessage?: string;
}

/** Of engines built on Chromium only: https://wicg.github.io/ua-client-hints/ */
interface WorkerNavigator {
  readonly userAgentData?: object;
}

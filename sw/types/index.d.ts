/**
 * Shearwater, the page side. Times are milliseconds: instants since the Unix epoch, durations plain.
 * A rejected promise carries a {@link ShearwaterError}.
 */

/** Finds or registers the app's service worker, waits until it is active, and returns a client. */
export function connect(options?: ConnectOptions): Promise<Client>;

/** The version of this package. */
export const version: string;

export interface ConnectOptions {
  /** URL of the app's service worker, relative to the page; a `TrustedScriptURL` where the page requires one. Default: `"/sw.js"`. */
  worker?: string | URL | TrustedURL;
  /** Scope of the registration. Default: the worker's folder. */
  scope?: string;
  /** `"module"` for a module worker. Default: `"classic"`. */
  type?: "classic" | "module";
  /** The `name` that the worker's configuration must have. Default: whichever it has. */
  name?: string;
  /** Send when a page is opened. Default: true. */
  syncOnMount?: boolean;
  /** Send when the browser says that the network is back. Default: true. */
  syncOnOnline?: boolean;
  /** Send when the page becomes visible. Default: true. */
  syncOnVisibility?: boolean;
  /** While jobs wait, a visible page wakes the worker this often; 0 for never. Default: 60,000. */
  autoSyncInterval?: number;
  /** How long `connect()` may take, and each answer of the worker after it. Default: 60,000. */
  timeout?: number;
}

/** A `TrustedScriptURL`, in the projects that have no types of it. */
export interface TrustedURL {
  toString(): string;
  toJSON(): string;
}

/**
 * What to send: what `fetch` takes, as one object. `method` is `POST` by default when there is a body, else `GET`.
 *
 * What `fetch` would refuse without asking the network is refused with `invalid-request`: `mode: "same-origin"` to
 * another origin, `mode: "no-cors"` with `PUT`, `cache: "only-if-cached"`, a port that browsers block, `http:` from an
 * `https:` app.
 *
 * `keepalive`, `duplex`, `priority`, `window` and `attributionReporting` of a copied `fetch` call mean nothing here;
 * they are ignored, and the console says so once.
 */
export interface RequestInput {
  /** Absolute, or relative to the page. */
  url: string | URL;
  method?: string;
  /**
   * `Authorization`, `Cookie` and CSRF headers are taken off and never stored: see the worker's `auth` hook. An
   * `Idempotency-Key` of your own (or the header that the queue names instead) becomes the job's key: 1 to 256
   * printable ASCII characters, in quotes or not. The app's own server gets it in quotes, another as you wrote it.
   */
  headers?: HeadersInit;
  /**
   * Taken as it is at the call. Plain objects, arrays, and objects with a `toJSON` method are sent as JSON; numbers and
   * booleans as text, as `fetch` does. Anything else that `fetch` has no encoding for (a `Map`, a `Promise`, a class
   * instance) is refused.
   */
  body?: BodyInit | object | number | boolean | null;
  credentials?: RequestCredentials;
  mode?: "cors" | "no-cors" | "same-origin";
  redirect?: RequestRedirect;
  referrerPolicy?: ReferrerPolicy;
  cache?: RequestCache;
  integrity?: string;
  /**
   * Takes the request back until `enqueue` has resolved: that is rejected with the signal's reason, and a job that was
   * stored by then is discarded. One that is being sent already goes on.
   */
  signal?: AbortSignal | null;
  /** Ignored. */
  keepalive?: boolean;
  /** Ignored. */
  duplex?: "half";
  /** Ignored; the priority of a job is an option of `enqueue`. */
  priority?: "high" | "low" | "auto";
  /** Ignored. */
  window?: null;
}

export type Json = string | number | boolean | null | JsonObject | JsonArray;
export type JsonObject = { [name: string]: Json | undefined };
export type JsonArray = Json[];

export interface EnqueueOptions {
  /** Default: `"default"`. */
  queue?: string;
  /** Jobs of one key are delivered one at a time, in the order they were queued. */
  key?: string;
  /** `critical` 10, `high` 8, `normal` 5 (default), `low` 3, `cleanup` 1, or 1–10. */
  priority?: "critical" | "high" | "normal" | "low" | "cleanup" | number;
  /** Your own data, kept with the job and shown with it; what a body may be as JSON, 16 KiB at most. */
  metadata?: Json | object;
  /** Not before this instant. */
  notBefore?: number;
  /** After this long undelivered, the job is `failed` with reason `expired`. Default: 7 days. */
  maxAge?: number;
  /** Answered attempts before the job is `failed`. Default: 5. Tries that find nobody do not count. */
  maxAttempts?: number;
}

export type JobState = "pending" | "syncing" | "failed" | "conflict" | "blocked";

export interface JobError {
  /** `http`: see `status`. `network`: nobody answered. `interrupted`: the worker was stopped while sending.
   *  `withheld`: not sent, for a reason on this side (the `auth` hook failed, another owner, a clock in doubt).
   *  `hidden`: the server can be reached, and the browser does not show its response (CORS, `integrity`).
   *  `redirected`: the server redirects, and the redirect is not followed, or leads in circles.
   *  `unexpected`: a success that is not what the queue's `expect` says.
   *  `cancelled`: by `cancel()`, while it was being sent; it may have arrived.
   *  `storage`, of a snapshot only: results cannot be written, so nothing is sent. */
  kind:
    | "network"
    | "timeout"
    | "http"
    | "interrupted"
    | "expired"
    | "unsendable"
    | "withheld"
    | "hidden"
    | "redirected"
    | "unexpected"
    | "cancelled"
    | "storage";
  status?: number;
  /** One sentence for people; with the beginning of the server's own explanation. */
  message: string;
}

export interface Job {
  id: string;
  /** `delivered` for jobs that are in the history. */
  state: JobState | "delivered";
  queue: string;
  key?: string;
  method: string;
  url: string;
  priority?: number;
  /** Bytes of the body. */
  size?: number;
  metadata?: Json;
  idempotencyKey?: string;
  /** Attempts that the server answered, or that timed out. */
  attempts: number;
  maxAttempts?: number;
  /** Tries that found nobody. They count toward nothing; what bounds them is `maxAge`. */
  unreachable: number;
  queuedAt: number;
  lastTriedAt?: number;
  /** Absent when nothing sends the job by itself, or when it waits for another. */
  nextAttemptAt?: number;
  expiresAt?: number;
  /** The earlier job of the same key that this one waits for. */
  waitingFor?: string;
  error?: JobError;
  /** The status it was delivered with; absent for an opaque (`no-cors`) reply, of which no more is known. */
  status?: number;
  deliveredAt?: number;
  /** Of a delivered job: what its queue's `response` setting asks to keep. Names of headers are in lower case. */
  response?: { status: number; headers: Record<string, string>; body?: string };
}

export interface SyncResult {
  delivered: number;
  /** Attempts that will be made again. */
  retried: number;
  failed: number;
  conflicts: number;
  blocked: number;
  /** Jobs that still wait. */
  remaining: number;
}

/** What is stored, as every open tab sees it. A new object when, and only when, something changed. */
export interface SyncStatus {
  /** `error`: the last drain ended with a job that was not delivered. */
  state: "idle" | "syncing" | "error" | "offline" | "paused";
  isRunning: boolean;
  isOnline: boolean;
  pending: number;
  syncing: number;
  failed: number;
  conflicts: number;
  blocked: number;
  /** Queues that are paused by name. */
  pausedQueues: readonly string[];
  /** Of the running drain, 0 to 1; null when none runs. */
  progress: number | null;
  lastSyncAt: number | null;
  /** When something may be sent next, as far as only time decides it. */
  nextSyncAt: number | null;
  error: JobError | null;
  /** Drains that sent something. */
  syncCount: number;
  /** Stored records that did not parse and were put aside since the worker started. */
  quarantined: number;
}

export interface Events {
  "sync-start": { queue: string };
  "sync-complete": { queue: string } & SyncResult;
  delivered: Job;
  failed: Job;
  conflict: Job;
  blocked: Job;
  /** Any change of any job. */
  job: Job;
  /** Jobs were removed by hand; empty when more than one was. */
  removed: { ids: string[] };
  progress: { done: number; total: number };
}

export interface Metrics {
  queues: Array<{
    queue: string;
    counts: { pending: number; syncing: number; failed: number; conflict: number; blocked: number };
  }>;
  /** Delivered jobs that the history remembers; the times are of these. */
  delivered: number;
  /** Of all that came to an end, the share that was delivered, 0 to 1. */
  successRate?: number;
  /** From queueing to delivery. */
  meanTime?: number;
  p95Time?: number;
  syncCount: number;
  lastSyncAt?: number;
  nextSyncAt?: number;
  /** Servers in trouble, and when they are tried again. */
  origins: Array<{ origin: string; opensAt?: number; closures: number }>;
  quarantine: QuarantinedRow[];
  /** Of the whole origin; null where the browser does not say. */
  storage: { usage: number; quota: number; persisted: boolean | null } | null;
}

/** A stored row that did not parse and was put aside as it was. */
export interface QuarantinedRow {
  store: string;
  id?: string;
  reason: string;
  at: number;
}

export interface RepairReport {
  /** Stored jobs, of all owners. */
  jobs: number;
  /** Rows put aside by this repair. */
  quarantined: number;
  /** The counters did not agree with the rows, and do now. */
  recounted: boolean;
  quarantine: QuarantinedRow[];
}

export interface Client {
  readonly capabilities: Readonly<{
    /** The browser fires `sync` events, also when no page is open. */
    backgroundSync: boolean;
    periodicSync: boolean;
  }>;
  /**
   * Stores a request; resolves with the job's id when it is safely on the disk.
   *
   * It is handed to the worker within the call, so that one made in `pagehide` or `visibilitychange` arrives though the
   * page goes, with two exceptions. The body of a `Request`, or a stream, is read first, which takes time: queue
   * `{url, method, body}` instead. And of a page that goes into the back/forward cache Chromium passes no message on
   * before it comes back: queue when something changes, not when the page goes. WebKit reads no `Request` whose
   * body is a form with files, and `enqueue` says so.
   */
  enqueue(request: Request | RequestInput, options?: EnqueueOptions): Promise<string>;
  /** Stores many in one transaction: all or none. */
  enqueueAll(requests: Array<Request | RequestInput>, options?: EnqueueOptions): Promise<string[]>;
  /** A stored job, or the trace of a delivered one while the history keeps it. */
  get(id: string): Promise<Job | null>;
  /** In the order of queueing; 100 unless `limit` (at most 1,000) says otherwise. */
  list(filter?: { queue?: string; state?: JobState; limit?: number; after?: string }): Promise<Job[]>;
  /** Tries a job now; a failed one afresh. False: too late, it is gone or being sent. */
  retry(id: string): Promise<boolean>;
  /** Removes a job. False: too late. */
  discard(id: string): Promise<boolean>;
  /**
   * Stops a job: one that waits is removed; one that is being sent is aborted and listed as `failed` with the error kind
   * `cancelled`, for it may have arrived. False: too late.
   */
  cancel(id: string): Promise<boolean>;
  /** Changes a waiting or failed job's request, under a new idempotency key; what is left out stays. False: too late. */
  edit(id: string, change: Request | Partial<RequestInput>): Promise<boolean>;
  /** Removes all that match and are not being sent; answers how many. */
  clear(filter?: { queue?: string; state?: JobState }): Promise<number>;
  /** Sends now, waiting for nobody but servers that asked for it (`Retry-After`). */
  syncNow(queue?: string): Promise<SyncResult>;
  /** Stores and does not send this owner's jobs, until `resume`; survives restarts. `unknown-queue` for a queue that the
   *  configuration does not name and that holds no job. */
  pause(queue?: string): Promise<void>;
  resume(queue?: string): Promise<void>;
  /**
   * Says who is signed in. Jobs are stamped with, shown to and sent for their owner only; so are pauses, the status and
   * its error. Call it before the session's cookies change.
   *
   * With `purge: true`, everything of the owner before is removed: jobs, bodies, history. A string names the owner whose
   * things are removed. Without `purge` they are kept, and sent when that owner is back. Naming the current owner frees
   * the jobs that wait for a sign-in, and changes and purges nothing.
   */
  setOwner(owner: string | null, options?: { purge?: boolean | string }): Promise<void>;
  /** Has the browser fire `periodicsync`, at least `minInterval` apart: what is due is sent. */
  registerPeriodic(tag: string, minInterval: number): Promise<"registered" | "denied" | "unsupported">;
  metrics(): Promise<Metrics>;
  /** Looks at every stored row: puts aside what does not parse, counts anew, takes back dead leases. */
  repair(): Promise<RepairReport>;
  /** Forgets traces beyond the configured history, and failed jobs last tried longer than `failed` ms ago. */
  compact(options?: { failed?: number }): Promise<{ history: number; failed: number }>;
  /** Failed, conflicting and blocked jobs with headers and bodies, as JSON; 100 of each unless `limit` says otherwise. */
  exportFailed(filter?: { queue?: string; state?: JobState; limit?: number; after?: string }): Promise<string>;
  /** For `useSyncExternalStore` and its like. */
  getSnapshot(): SyncStatus;
  subscribe(listener: () => void): () => void;
  on<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): () => void;
  /** Calls `listener` with the job at each of its changes; with null when it was removed. */
  watch(id: string, listener: (job: Job | null) => void): () => void;
  /** Ends this client; the worker goes on. */
  close(): void;
}

/** `instanceof` holds for every error of this package, whichever side made it. */
export class ShearwaterError extends Error {
  constructor(code: ShearwaterError["code"], message: string);
  readonly name: "ShearwaterError";
  readonly code:
    | "invalid-request"
    | "invalid-config"
    | "invalid-message"
    | "unknown-queue"
    | "quota-exceeded"
    | "storage-unavailable"
    | "worker-unavailable"
    | "timeout"
    | "internal";
}

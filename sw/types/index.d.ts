/**
 * Shearwater, the page side. Times are milliseconds: instants since the Unix epoch, durations plain.
 * A rejected promise carries a {@link ShearwaterError}.
 */

/**
 * Finds or registers the app's service worker, waits until it is active, and returns a client, which lives until
 * {@link Client.close}, whether or not the app keeps it.
 */
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
  /** Which wasm the worker will load, so that a first visit can fetch it ahead; see `WorkerConfig`. Default: `"queue"`. */
  build?: "queue" | "full";
  /** The `name` that the worker's configuration must have. Default: whichever it has. */
  name?: string;
  /** Send when a page is opened. Default: true. */
  syncOnMount?: boolean;
  /** Send when the browser says that the network is back. Default: true. */
  syncOnOnline?: boolean;
  /** Send when the page becomes visible. Default: true. */
  syncOnVisibility?: boolean;
  /** Do all of this from the beginning; if not, from `startAutoSync()` on. Default: true. */
  autoStart?: boolean;
  /** While jobs wait, a visible page wakes the worker this often (profile `fixed`); 0 for never. Default: 60,000. */
  autoSyncInterval?: number;
  /** How often the page wakes the worker while jobs wait; see docs/scheduling.md. Default: `{profile: "fixed"}`. */
  schedule?: Schedule;
  /** How long `connect()`, and each later response of the worker, may take. Default: 60,000. */
  timeout?: number;
}

/** Intervals are milliseconds, 100 to 2,147,483,647 (24 days); 0 for none. See docs/scheduling.md. */
export interface Schedule {
  /**
   * `fixed` (default): `autoSyncInterval` while the page is visible. `adaptive`: 5 min while the page is used, 15 min while it
   * is visible and idle, none while hidden; 15 min when the battery is low, none when it is critical. `frequent`: 30 s while
   * visible, 5 min while hidden, 15 min when the battery is low.
   */
  profile?: "fixed" | "adaptive" | "frequent";
  /** In place of the profile's interval for a visible page that is used. */
  active?: number;
  /** In place of the profile's interval for a visible page that nobody uses. */
  idle?: number;
  /** In place of the profile's interval for a hidden page. */
  hidden?: number;
  /** In place of the profile's shortest interval while the battery is low and not charging. */
  lowBattery?: number;
  /** In place of the profile's shortest interval while the battery is critical and not charging. */
  criticalBattery?: number;
  /** The level below which a battery is low, 0 to 1. Default: 0.3. */
  lowLevel?: number;
  /** The level below which it is critical, 0 to 1. Default: 0.15. */
  criticalLevel?: number;
  /** After this long without pointer, key or scroll, a page is idle. Default: 60,000. */
  idleAfter?: number;
  /** A page that becomes visible syncs at once if the last sync is older than this. Default: 300,000. */
  staleAfter?: number;
}

/** What is sent over which network; see docs/scheduling.md. */
export interface NetworkPolicy {
  /** False: nothing is sent except by `syncNow`. Default: true. */
  autoSync: boolean;
  /** Send over cellular connections. Default: true. */
  syncOnMobileData: boolean;
  /** Send over metered connections; a cellular one is metered unless the browser says otherwise. Default: true. */
  syncOnMeteredConnection: boolean;
  /** True: send nothing while the browser asks to save data. Default: false. */
  saveData: boolean;
  /** Jobs of priority 10 are sent over any connection. Default: true. */
  criticalOverride: boolean;
}

/** A `TrustedScriptURL`, in the projects that have no types of it. */
export interface TrustedURL {
  toString(): string;
  toJSON(): string;
}

/**
 * What to send: what `fetch` takes, as one object. `method` is `POST` by default when there is a body, else `GET`.
 *
 * A request that `fetch` would reject without using the network is rejected with `invalid-request`: `mode: "same-origin"` to
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
   * Withdraws the request until `enqueue` has resolved: `enqueue` rejects with the signal's reason, and a job that was
   * stored by then is discarded, unless it is being sent already. What took another job's place (`onDuplicate`) stays.
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
  /** Attempts with a response before the job is `failed`. Default: 5. Attempts without a response do not count. */
  maxAttempts?: number;
  /**
   * What happens if a job of the same owner, queue and `key` is waiting already (a job that is being sent, or has failed, does
   * not count). `append` (default): the new one is queued behind it. `keep`: the new one is not stored. `replace`: it takes the
   * place of the last waiting one. `merge`: its JSON body is a merge patch (RFC 7396) to the body of the last waiting one, which
   * must have the same URL and method. Except for `append`, `enqueue` resolves with the id of the waiting job.
   */
  onDuplicate?: "append" | "keep" | "replace" | "merge";
  /**
   * Values of earlier jobs' responses: where `{name}` occurs in the URL, a header or the JSON body, the value is filled in when
   * the job is sent. `{name.author}` is a member of the value. The job waits until those jobs are delivered; see
   * docs/bindings.md.
   */
  bind?: Record<string, Binding | string>;
  /**
   * JSON pointers (RFC 6901) of values in this job's JSON response that are kept for jobs bound to it later. Without it, a
   * response of up to 2 KiB that contains no credentials is kept as a whole.
   */
  capture?: string[];
}

/** A value of an earlier job's response; a string is the id alone. */
export interface Binding {
  /** The id of a job of the same owner that was queued earlier. */
  job: string;
  /** Where in its JSON response, as a JSON pointer (RFC 6901) such as `/id`. Default: `""`, the whole response. */
  pointer?: string;
}

export type JobState = "pending" | "syncing" | "failed" | "conflict" | "blocked";

export interface JobError {
  /** `http`: see `status`. `network`: no response. `interrupted`: the worker was stopped while sending.
   *  `withheld`: not sent, for a reason on this side (the `auth` hook failed, another owner, a clock in doubt).
   *  `hidden`: the server responds, but the browser does not expose the response (CORS, `integrity`).
   *  `redirected`: the server redirects, and the redirect is not followed, or loops.
   *  `unexpected`: a success that does not match the queue's `expect`.
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
  /** One sentence for people, with the beginning of the server's own explanation. */
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
  /** Attempts that got a response or timed out. */
  attempts: number;
  maxAttempts?: number;
  /** Attempts without a response. They count toward no limit but `maxAge`. */
  unreachable: number;
  queuedAt: number;
  lastTriedAt?: number;
  /** Absent when the job is not sent automatically, or waits for another. */
  nextAttemptAt?: number;
  expiresAt?: number;
  /** The job that this one waits for: an earlier one of the same key, or one whose response it is bound to. */
  waitingFor?: string;
  error?: JobError;
  /** The status it was delivered with; absent for an opaque (`no-cors`) response, which does not show it. */
  status?: number;
  deliveredAt?: number;
  /** Of a delivered job: what its queue's `response` setting keeps. Header names are in lower case. */
  response?: { status: number; headers: Record<string, string>; body?: string };
  /** What it is bound to. */
  bind?: Array<{ name: string; job: string; pointer: string }>;
}

export interface SyncResult {
  delivered: number;
  /** Jobs whose attempt failed and will be repeated. */
  retried: number;
  failed: number;
  conflicts: number;
  blocked: number;
  /** Jobs that still wait. */
  remaining: number;
}

/** The stored state, the same in every open tab. A new object if, and only if, something changed. */
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
  /** Of the running drain, 0 to 1; null when no drain runs. */
  progress: number | null;
  lastSyncAt: number | null;
  /** When the next job becomes due, as far as only time decides it. */
  nextSyncAt: number | null;
  error: JobError | null;
  /** Drains that sent something. */
  syncCount: number;
  /** Stored records that did not parse and were quarantined since the worker started. */
  quarantined: number;
  /** What is sent over which network: the owner's choices, or the worker's configuration. */
  network: NetworkPolicy;
  /** Why waiting jobs are held over the current network; null while nothing holds them. */
  restriction: "auto-sync" | "mobile-data" | "metered" | "save-data" | null;
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
  /** Jobs were removed by a call; empty when there was more than one. */
  removed: { ids: string[] };
  progress: { done: number; total: number };
}

export interface Metrics {
  queues: Array<{
    queue: string;
    counts: { pending: number; syncing: number; failed: number; conflict: number; blocked: number };
  }>;
  /** Delivered jobs in the history; the times refer to these. */
  delivered: number;
  /** The share of settled jobs that were delivered, 0 to 1. */
  successRate?: number;
  /** From queueing to delivery. */
  meanTime?: number;
  p95Time?: number;
  syncCount: number;
  lastSyncAt?: number;
  nextSyncAt?: number;
  /** Servers that fail, and when they are tried again. */
  origins: Array<{ origin: string; opensAt?: number; closures: number }>;
  quarantine: QuarantinedRow[];
  /** What became of the configuration's periodic tasks, by tag. */
  periodic: PeriodicStatus[];
  /** Of the whole origin; null if the browser does not tell. */
  storage: { usage: number; quota: number; persisted: boolean | null } | null;
}

/** What became of a tag's periodic tasks; see `WorkerConfig.periodic`. */
export interface PeriodicStatus {
  tag: string;
  /** When the last run began. */
  lastRunAt?: number;
  /** When a wake runs it, unless the browser fires the tag before. */
  nextRunAt?: number;
  isRunning: boolean;
  tasks: Array<{
    /** `cleanup`, `drain`, `pull`, `refresh <cache>` or `handler`. */
    task: string;
    /** When it ended in the last run; absent while it has not. */
    endedAt?: number;
    /** When it last succeeded, in whichever run. */
    succeededAt?: number;
    /** What it last did, for people. */
    result?: string;
    /** Why it failed in the last run. */
    error?: string;
  }>;
}

/** A stored row that did not parse and was quarantined unchanged. */
export interface QuarantinedRow {
  store: string;
  id?: string;
  reason: string;
  at: number;
}

export interface RepairReport {
  /** Stored jobs, of all owners. */
  jobs: number;
  /** Rows quarantined by this repair. */
  quarantined: number;
  /** The counters did not match the rows, and were corrected. */
  recounted: boolean;
  quarantine: QuarantinedRow[];
}

export interface Client {
  readonly capabilities: Readonly<{
    /** The browser fires `sync` events, even when no page is open. */
    backgroundSync: boolean;
    periodicSync: boolean;
  }>;
  /**
   * Stores a request; resolves with the job's id when it is safely on disk.
   *
   * The request is posted to the worker within the call, so a call in `pagehide` or `visibilitychange` succeeds although
   * the page is closed, with two exceptions. The body of a `Request`, or a stream, is read first, which takes time: queue
   * `{url, method, body}` instead. And Chromium delivers no message of a page in the back/forward cache until the page is
   * back: queue when something changes, not when the page goes away. WebKit cannot read a `Request` whose body is a form
   * with files; `enqueue` rejects it and says so.
   */
  enqueue(request: Request | RequestInput, options?: EnqueueOptions): Promise<string>;
  /** Stores many in one transaction: all or none. */
  enqueueAll(requests: Array<Request | RequestInput>, options?: EnqueueOptions): Promise<string[]>;
  /**
   * Stores an item of a queue whose worker configuration has `batch`, and returns at once. `event` is what JSON can say,
   * 64 KiB at most. The item is posted to the worker within the call, so a call in `pagehide` succeeds although the page
   * is closed. What goes wrong is told to the console; use `enqueue` to be told.
   */
  track(queue: string, event: unknown): void;
  /** Returns a stored job, or a delivered one while the history keeps it. */
  get(id: string): Promise<Job | null>;
  /** In the order of queueing; 100 unless `limit` (at most 1,000) says otherwise. */
  list(filter?: { queue?: string; state?: JobState; limit?: number; after?: string }): Promise<Job[]>;
  /** Sends a job now, as far as the network policy permits; a failed one starts over. False: too late, it is gone or being sent. */
  retry(id: string): Promise<boolean>;
  /**
   * Removes a job. False: too late. Rejects with `has-dependents` if other jobs wait for its response; `cascade: true` removes
   * those as well.
   */
  discard(id: string, options?: { cascade?: boolean }): Promise<boolean>;
  /**
   * Cancels a job: a waiting job is removed; a job that is being sent is aborted and listed as `failed` with the error kind
   * `cancelled`, because it may have arrived. False: too late. Rejects with `has-dependents` as `discard` does.
   */
  cancel(id: string, options?: { cascade?: boolean }): Promise<boolean>;
  /** Changes a waiting or failed job's request, under a new idempotency key; members that are left out stay. False: too late. */
  edit(id: string, change: Request | Partial<RequestInput>): Promise<boolean>;
  /** Removes all matching jobs that are not being sent; returns how many. */
  clear(filter?: { queue?: string; state?: JobState }): Promise<number>;
  /** Sends now, without regard to backoff; only servers that asked for a wait (`Retry-After`) get it. */
  syncNow(queue?: string): Promise<SyncResult>;
  /** Stores this owner's jobs without sending them, until `resume`; survives restarts. `unknown-queue` for a queue that the
   *  configuration does not name and that holds no job. */
  pause(queue?: string): Promise<void>;
  resume(queue?: string): Promise<void>;
  /** Lets the page sync by itself, as `connect` options say; it does from the beginning unless they say `autoStart: false`. */
  startAutoSync(): void;
  /** Stops that. A job whose time has come is sent all the same. */
  stopAutoSync(): void;
  /** Changes what is sent over which network, for the current owner; members that are left out stay. Survives restarts. */
  setNetworkPolicy(change: Partial<NetworkPolicy>): Promise<void>;
  /**
   * Sets the signed-in user. A job is shown to and sent for its owner only; pauses, the status and its error are per owner
   * too. Call it before the session's cookies change.
   *
   * With `purge: true`, everything of the previous owner is removed: jobs, bodies, history. A string names the owner whose
   * data is removed. Without `purge` the data is kept, and jobs are sent when that owner is back. Setting the current owner
   * again releases the jobs that wait for a sign-in, and changes and purges nothing else.
   */
  setOwner(owner: string | null, options?: { purge?: boolean | string }): Promise<void>;
  /**
   * Asks the browser to fire `periodicsync`, at least `minInterval` ms apart: the tag's tasks in `WorkerConfig.periodic` run
   * then, or, for a tag without tasks, due jobs are sent. Tasks also run where it is not `registered`: see there.
   */
  registerPeriodic(tag: string, minInterval: number): Promise<"registered" | "denied" | "unsupported">;
  metrics(): Promise<Metrics>;
  /** Checks every stored row: quarantines rows that do not parse, recounts, recovers expired leases. */
  repair(): Promise<RepairReport>;
  /** Deletes delivered jobs beyond the configured history, and failed jobs last tried or expired longer than `failed` ms ago. */
  compact(options?: { failed?: number }): Promise<{ history: number; failed: number }>;
  /** Failed, conflicting and blocked jobs with headers and bodies, as JSON; 100 of each unless `limit` says otherwise. */
  exportFailed(filter?: { queue?: string; state?: JobState; limit?: number; after?: string }): Promise<string>;
  /** For `useSyncExternalStore` and similar. */
  getSnapshot(): SyncStatus;
  subscribe(listener: () => void): () => void;
  on<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): () => void;
  /** Calls `listener` with the job at each change, and with null when it was removed. */
  watch(id: string, listener: (job: Job | null) => void): () => void;
  /**
   * Keeps what is typed into a form, and submits it through the queue. Loads `forms.js`; `ready` rejects where that fails or
   * the form cannot be tracked. See `shearwater/forms`.
   */
  trackForm(
    form: import("./forms.js").FormElement,
    options?: import("./forms.js").FormOptions,
  ): import("./forms.js").TrackedForm;
  /**
   * Returns the collection of this name in `WorkerConfig.collections`, the same object each time. `key` is the collection's
   * `key` there, which the page does not know. Default: `"id"`. Throws `invalid-request` for another key than before. Whether
   * the configuration names the collection is known to the worker only: writes and `sync` reject if it does not.
   */
  collection<T extends object = JsonObject, K extends string = "id">(name: string, options?: { key?: K }): Collection<T, K>;
  /**
   * Pushes what is not at the servers, pulls all collections, and drains all queues. One runs at a time in this tab: calls meanwhile
   * share it. What could not be pulled says so in its `error`.
   */
  fullSync(): Promise<{ collections: { collection: string; applied: number; error?: string | null }[]; queue: SyncResult }>;
  /**
   * Fetches the rows of a scope for offline use: the listing's request with these parameters. Nothing expires by it, and the
   * pulls of the collection go on as before. Of a collection that pulls nothing else, set `pull.every` to 0.
   */
  download(collection: string, scope: Record<string, string | number | boolean>): Promise<Reconciled>;
  /**
   * `put`, `update` or `delete` of a collection, for code that has them by name; `data` is the record or the patch. False: there is
   * no such record.
   */
  queueMutation(kind: "create" | "update" | "delete", collection: string, id: string, data?: object): Promise<boolean>;
  /** Ends this client; the worker goes on. */
  close(): void;
}

/**
 * Records that are kept on this device and synced with a server; see `WorkerConfig.collections`.
 *
 * Reads come straight from IndexedDB and wait for neither the network nor the worker, only for a `setOwner` that this page has
 * called. They return copies of what was written last on this device, pushed or not, of the user who is signed in; they reject
 * with `storage-unavailable` if the database cannot be read. Writes resolve when they are stored; they are pushed when there is
 * a network.
 *
 * Records are JSON objects of at most 16 MiB, ids strings of 1 to 512 bytes without control characters, not `"."` or `".."`.
 * Anything else rejects with `invalid-request`.
 */
export interface Collection<T extends object = JsonObject, K extends string = "id"> {
  /**
   * Stores a record in place of what has its id, and resolves with the id. A record without one gets a UUID. The record is
   * taken as it is at the call. Where the server's ids are numbers, so may this one be; other methods take its text.
   */
  put(record: Omit<T, K> & { [P in K]?: string | number }): Promise<string>;
  /**
   * Changes a record: by a merge patch (RFC 7396), which replaces arrays whole and deletes members that it sets to null; or by
   * a function that returns the record as it is to be. The function is called with a copy of the record; calls for one record
   * run one after another, in all tabs. False: there is no such record, or, with a function, another user has signed in.
   */
  update(id: string, change: MergePatch<T> | ((record: T) => T)): Promise<boolean>;
  /** Deletes a record here and at the server. False: there is none. */
  delete(id: string): Promise<boolean>;
  /** Finds a record by its id, or by the one that it had before the server gave it another. */
  get(id: string): Promise<T | null>;
  /** All records, in the order in which they came to be on this device. */
  all(): Promise<T[]>;
  /**
   * The records that match. A query that names an index reads the index's range; any other reads the whole collection and is
   * evaluated in memory. Rejects with `invalid-request` if the collection declares no such index.
   */
  query(query?: Query<T>): Promise<T[]>;
  /** How many records there are, or how many an index has in a range. */
  count(query?: { index: string; range?: IndexRange }): Promise<number>;
  /**
   * Calls `listener` with the result of the query, undefined for all, as soon as it is read, and again whenever it changed: by
   * this tab, another one, a pull, or a sign-in. Errors of the listener and of reading are told to the console.
   */
  subscribe(query: Query<T> | undefined, listener: (records: T[]) => void): () => void;
  /** What is not at the server yet, conflicts included, in the order of the last writes. */
  pendingChanges(): Promise<PendingChange<T>[]>;
  /** Records that were changed both here and at the server, and wait for `resolve`. */
  conflicts(): Promise<RecordConflict<T>[]>;
  /**
   * Compares the whole of the server's rows with what is here: applies those that are new or changed, and marks as expired
   * what the server does not list any more. Expired records are left out by `all`, `query`, `count` and `subscribe`; `get`
   * finds them, and they are kept until `cleanUp`, or until the server lists them again. A listing that fails, is cut short, has
   * a row that cannot be read or is empty (unless `reconcile.allowEmpty`) expires nothing: see `errors`. While a sync of this
   * collection runs, the answer is the error `"Sync already in progress"` and zeros.
   */
  reconcile(): Promise<Reconciled>;
  /** What `reconcile` has found gone, with the time since which. */
  expired(): Promise<{ id: string; record: T | null; at: number }[]>;
  /** Removes records that have been expired for so many milliseconds. Default: all of them. Resolves with how many. */
  cleanUp(options?: { olderThan?: number }): Promise<number>;
  /** How far it is synced, from the store: no request is made. */
  status(): Promise<CollectionStatus>;
  /** Takes back what was written here since the record was last as at the server. False: nothing was, or it may have been sent. */
  undo(id: string): Promise<boolean>;
  /**
   * Settles a conflict: what was written here counts, or the server's row, or this record in place of both. False: there is no
   * conflict.
   */
  resolve(id: string, choice: "local" | "remote" | Omit<T, K>): Promise<boolean>;
  /**
   * Pushes what is not at the server, then pulls what has changed there. `applied`: rows of the server that changed what is here.
   * `error`: why the pull did not come to its end, for people. What was not pushed is among `pendingChanges`.
   */
  sync(): Promise<{ applied: number; error?: string }>;
}

/** What a comparison with the server's rows found. */
export interface Reconciled {
  added: number;
  updated: number;
  expired: number;
  unchanged: number;
  /** For people. Where there are any, nothing was expired. */
  errors: string[];
  /** When it ended; null if it did not. */
  syncedAt: number | null;
}

export interface CollectionStatus {
  /** Records whose change is not at the server, conflicts apart. */
  creates: number;
  updates: number;
  deletes: number;
  conflicts: number;
  isSyncing: boolean;
  /** When the last pull ended well; null before the first. */
  lastSyncAt: number | null;
  /** The same of `reconcile`. */
  lastReconcileAt: number | null;
  /** When the next is due by itself; null if none is. */
  nextSyncAt: number | null;
  /** Why the last one failed, for people. */
  error: string | null;
}

/** A merge patch (RFC 7396): null deletes a member, an array replaces the one that is there. */
export type MergePatch<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [P in keyof T]?: MergePatch<T[P]> | null }
    : T;

export type Query<T> = PlainQuery<T> | IndexQuery<T>;

/** Evaluated in memory. */
export interface PlainQuery<T> {
  /** Members with the values that they must have (undefined: that are absent), or a function. Default: all records. */
  where?: Partial<T> | ((record: T) => boolean);
  /**
   * The member to sort by, with `-` before it from the highest down. Numbers (false is 0, true is 1) come before strings, which
   * are compared by UTF-16 code units, and what is neither comes last. Equal ones stay in the order in which they came here.
   * Default: that order.
   */
  order?: (keyof T & string) | `-${keyof T & string}`;
  /** At most this many. Default: all. */
  limit?: number;
  /** Skip so many. Default: 0. */
  offset?: number;
  index?: undefined;
}

/** By an index of `CollectionConfig.indexes`: what is not in its range is not read. A record without its values is not found. */
export interface IndexQuery<T> {
  /** The index's name. */
  index: string;
  /** Default: all that the index has. */
  range?: IndexRange;
  /** As in a query without an index, of what the range has. */
  where?: Partial<T> | ((record: T) => boolean);
  /**
   * The index's name, or `-` and the name from the highest down; of equal values, by the id. Or, as in a query without an index,
   * a member that the range's records are sorted by. Default: the index's name.
   */
  order?: string;
  /** At most this many. Default: all. */
  limit?: number;
  /** Skip so many. Default: 0. */
  offset?: number;
  /**
   * Only what comes after this record, the last of the page before: what is written between two pages makes no record come
   * twice and skips none. It need not be there any more. For the order of the index.
   */
  after?: T;
}

/**
 * A range of an index: all of it, `only` a value, what begins with a string (`prefix`), or `from` and `to`, which belong to it unless
 * `fromOpen` or `toOpen` is true. Numbers (false is 0, true is 1) come before strings, which are compared by UTF-16 code units. For
 * an index of several paths, a bound is an array of values for all paths or the first ones: `only: ["Bern"]`, `prefix: ["Bern",
 * "A"]`.
 */
export interface IndexRange {
  only?: IndexBound;
  from?: IndexBound;
  to?: IndexBound;
  fromOpen?: boolean;
  toOpen?: boolean;
  prefix?: string | Array<string | number | boolean>;
}

export type IndexBound = string | number | boolean | Array<string | number | boolean>;

export interface PendingChange<T> {
  id: string;
  change: "create" | "update" | "delete";
  /** When the record was last written here. */
  since: number;
  /** The job that pushes it: `client.get(job)` says why it is not delivered yet, `client.retry(job)` sends it again. */
  job?: string;
  /** The record that it refers to and waits for, which the server does not have yet (`references`); then it has no job. */
  waitsFor?: { collection: string; id: string };
  /** As it is here; null if it was deleted. */
  record: T | null;
  /** The server's row that the change began from; null if there is none. */
  base: T | null;
}

/** The three sides of a conflict; null for one that does not exist, or was deleted. */
export interface RecordConflict<T> {
  id: string;
  /** The server's row that the change here began from. */
  base: T | null;
  local: T | null;
  remote: T | null;
}

/** `instanceof` holds for every error of this package, created in the page or the worker. */
export class ShearwaterError extends Error {
  constructor(code: ShearwaterError["code"], message: string);
  readonly name: "ShearwaterError";
  readonly code:
    | "invalid-request"
    | "invalid-config"
    | "invalid-message"
    | "unknown-queue"
    | "has-dependents"
    | "quota-exceeded"
    | "storage-unavailable"
    | "worker-unavailable"
    | "timeout"
    | "internal";
}

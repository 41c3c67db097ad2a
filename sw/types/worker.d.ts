/**
 * Shearwater in the service worker. Classic: `importScripts("/shearwater/worker.js")` makes the global
 * `shearwater` with these functions; in TypeScript, `/// <reference types="shearwater/worker" />` at the head of the
 * file declares it. Module: `import * as shearwater from "shearwater/worker"`.
 */

import type { EnqueueOptions, Job, NetworkPolicy, RequestInput, ShearwaterError } from "./index.js";

export { ShearwaterError } from "./index.js";

/** Adds the listeners. Call it once, synchronously, at top level. An invalid config fails the install. */
export function start(config?: WorkerConfig): void;

/**
 * Takes over the jobs of another queue, each time the worker starts, before anything else. Call it before `start`. See
 * `shearwater/import-workbox`.
 */
export function adopt(source: Source): void;

/** Calls `store` with jobs under stable ids, and deletes them at their origin when that has resolved. */
export type Source = (store: (jobs: AdoptedJob[]) => Promise<string[]>) => Promise<void>;

export interface AdoptedJob {
  /** A UUID, the same each time for the same job: a job that is stored already is not stored again. */
  id: string;
  request: { url: string; method: string; headers?: Array<[string, string]> } & Record<string, unknown>;
  options?: Record<string, unknown>;
  /** JSON text. */
  metadata?: string;
  body?: Blob | ArrayBuffer;
}

/**
 * Stores a request, as the page's `enqueue` does, in `push`, `fetch` and other handlers; pass its promise to `waitUntil`.
 * A relative URL is relative to the worker's script. Call it after `start`.
 */
export function enqueue(request: Request | RequestInput, options?: EnqueueOptions): Promise<string>;

/** Sets a hook, replacing an earlier one. Errors that it throws are contained and reported. */
export function on(hook: "auth", handler: Hooks["auth"], options?: AuthOptions): void;
export function on(hook: "before-send", handler: Hooks["before-send"], options?: AuthOptions): void;
export function on<H extends Exclude<keyof Hooks, "auth" | "before-send">>(hook: H, handler: Hooks[H]): void;
/**
 * Requests of a collection go to this function in place of `fetch`: an adapter for a server that speaks otherwise. It gets what
 * the collection's `adapter` (`"rest"`, unless said otherwise) would send, with the headers of `auth` and `before-send`, and returns
 * the response that such a server would give, for mutations, reads and pages alike. Time limits, retries, classification,
 * idempotency and conflicts are those of every collection.
 *
 * Pass `request.signal` on: it is aborted after the queue's `timeout`, and the adapter is not waited for any longer. If it throws, or
 * returns what is no `Response` or cannot be read, the mutation waits and goes again, under the same key.
 */
export function on(
  hook: `adapter:${string}`,
  handler: (request: Request, detail: AdapterDetail) => Response | Promise<Response>,
): void;
export function on(hook: `sync:${string}`, handler: (event: SyncDetail) => unknown): void;
export function on(hook: `periodicsync:${string}`, handler: (event: { tag: string }) => unknown): void;

export const version: string;

export interface AdapterDetail {
  collection: string;
  /** Whose record it is, or who pulls. */
  owner: string | null;
  /** The same for each try of a mutation. */
  idempotencyKey: string;
}

export interface SyncDetail {
  tag: string;
  lastChance: boolean;
}

export interface Hooks {
  /**
   * Supplies the headers that are never stored, each time a job is sent. After a 401 (419, 440) it is called once more, with
   * `refresh: true`, while all other sends wait; the headers that it then returns are sent. If they are rejected again, the
   * job is `blocked` until `setOwner` or `retry`. If the hook throws, the job waits and no attempt counts. A request with
   * headers of the hook follows no redirect, which would carry them along: it fails with the kind `redirected`.
   */
  auth(job: AuthDetail): Record<string, string> | undefined | Promise<Record<string, string> | undefined>;
  /**
   * Supplies what is taken when a job is sent and never stored, such as a CSRF token: headers, and fields that are added to a
   * form (`application/x-www-form-urlencoded` or `multipart/form-data`). It is called right before each send to one of its
   * origins. If it throws, returns anything else or takes longer than 30 s, the job waits and no attempt counts. Redirects
   * take these headers along: secrets belong in `auth`. A server that compares the bodies of one idempotency key sees the
   * fields in them: send the token as a header there.
   */
  "before-send"(job: Omit<AuthDetail, "refresh">): BeforeSend | undefined | Promise<BeforeSend | undefined>;
  /**
   * A job was delivered, and its delivery is stored. The hook's errors and duration do not affect the job. If the worker is
   * killed at that moment, the hook is not called; `get()` still returns the job.
   */
  delivered(job: Job): unknown;
  /**
   * A job was sent and became `failed`, `conflict` or `blocked`, or it expired, and that is stored; `job.error` says why.
   * Errors, duration and a killed worker are as with `delivered`. Not called for what a person does (`cancel`).
   */
  failed(job: Job): unknown;
  conflict(job: Job): unknown;
  blocked(job: Job): unknown;
  /**
   * A request of a route was stored. Returns the response that the app's `fetch` gets, or undefined for the usual one: 202
   * with `Shearwater-Job: <id>` and `{"queued": true, "id": "<id>"}`; after a form navigation, a 303. If the hook throws,
   * takes more than 30 s or returns what the browser does not take for this request, the app gets the usual one.
   */
  routed(detail: RoutedDetail): Response | undefined | Promise<Response | undefined>;
  /** Any `sync` event, in parallel with the drain of the queue of that name. Rejects the event if it throws. */
  sync(event: SyncDetail): unknown;
  /** The task `"handler"` of any tag; for a tag without tasks, any event, in parallel with the drain of all queues. */
  periodicsync(event: { tag: string }): unknown;
}

export interface RoutedDetail {
  /** The request as the app made it, with its body, and with its credentials; of a form navigation, as a same-origin request. */
  request: Request;
  /** Of the stored job. */
  id: string;
  /**
   * `failure`: no response. `timeout`: none in time. `status`: one of the route's `statuses`. `unexpected`: a success that is
   * not what the queue expects. `order`: not tried, because earlier requests of its key wait.
   */
  reason: "failure" | "timeout" | "status" | "unexpected" | "order";
  /** With the reason `status`. */
  status?: number;
}

export interface AuthOptions {
  /** The origins for whose requests the hook is called. Default: the app's own. */
  origins?: string[];
}

export interface BeforeSend {
  headers?: Record<string, string>;
  fields?: Record<string, string>;
}

export interface AuthDetail {
  id: string;
  url: string;
  method: string;
  queue: string;
  owner: string | null;
  refresh: boolean;
}

export interface WorkerConfig {
  /**
   * Name of the database, its locks and its channel. Default: `"shearwater"` for an app at `/`, else `"shearwater "`
   * and the path of the scope, so that two apps of one origin share nothing.
   */
  name?: string;
  /** Reject queues that `queues` does not name. Default: false. */
  strict?: boolean;
  queues?: Record<string, QueueConfig>;
  /**
   * Which of the app's own requests are queued when they fail; the first that matches counts. A request that matches none is
   * not touched.
   */
  routes?: RouteConfig[];
  /**
   * What is done now and then, by tag: when the browser fires the tag's `periodicsync` event (see `registerPeriodic`), and,
   * where it does not, on the first wake after `minInterval` has passed, once however many tabs and workers there are.
   * `metrics().periodic` shows the results.
   */
  periodic?: Record<string, PeriodicConfig>;
  /**
   * Records that pages read and write on the device and that are synced with a server, by the name of
   * `client.collection(name)`: 1 to 64 bytes without control characters. Loads the full build.
   */
  collections?: Record<string, CollectionConfig>;
  /** Images in Cache Storage that are uploaded, by sync tag: `{"image-upload": {url: "/api/upload"}}`. */
  cacheUploads?: Record<string, CacheUploadConfig>;
  /** Origins besides the app's own that get the idempotency header, which causes a CORS preflight. */
  idempotencyOrigins?: string[];
  /** Of delivered jobs. Default: 7 days, 1,000 jobs. */
  history?: { maxAge?: number; max?: number };
  /**
   * Where a CSRF token is found when a job for the app's own origin is sent, for those who set no `before-send` hook: in a
   * cookie that scripts may read (where the browser has CookieStore), or in a `meta` of one of the app's pages (`"/"` unless
   * `page` says another), which is fetched before each send. It is sent as a header, or as a field of a form.
   */
  csrf?: ({ cookie: string } | { meta: string; page?: string }) & ({ header: string } | { field: string });
  /** Of drafts of forms, for each owner. Default: 30 days since the last save, 50 drafts, 50 MiB each with its files. */
  drafts?: { maxAge?: number; max?: number; maxBytes?: number };
  /** After so many different jobs in a row have failed (no response, 429, 5xx …), the others wait and one probes. Default: 5. */
  breakerThreshold?: number;
  /** Retries per origin: burst, ms for one more, and the share that each good response earns. Default: 10, 1,000, 0.1. */
  retryBudget?: { burst?: number; interval?: number; ratio?: number };
  /** What is sent over which network, unless the owner chose otherwise by `client.setNetworkPolicy`. Default: everything. */
  network?: Partial<NetworkPolicy>;
  /**
   * Parts of credentials' names besides the built-in ones (`authorization`, `apiKey`, `authToken`, `csrf` …): headers with
   * such names are never stored, and URL parameters with such names are rejected.
   */
  credentials?: string[];
  /**
   * Which wasm is loaded: `"queue"`, worker.wasm, or `"full"`, worker-full.wasm, which has collections besides. Default: the
   * queue, unless the configuration has what only the other knows.
   */
  build?: "queue" | "full";
  /**
   * With `"debug"`, the wasm is looked for in the folder `debug/` beside the script when the worker installs: its functions
   * have names, and a panic writes its stack to the console. Where it is not deployed, the usual one is loaded. Default:
   * `"error"`.
   */
  logLevel?: "off" | "error" | "info" | "debug";
}

/**
 * A collection. An invalid value is refused with `invalid-config`. What follows is of the adapter `"rest"`; docs/collections.md has
 * the requests of the others.
 *
 * Each record that is not at the server has one job, in the queue of the collection, whatever was written since:
 * - `POST url` with the record and an `Idempotency-Key`. The server may give the row another id: the record is found by both.
 * - `PATCH url/{id}` with a merge patch (RFC 7396), or `PUT url/{id}` with the record; `DELETE url/{id}`. With `If-Match`
 *   (RFC 9110 §13.1.1) if a version is known.
 *
 * The server responds with the row as it is now; to a request that meets another version, with 409 or 412 and the row that it
 * has. What it leaves out is fetched by `GET url/{id}`, to which 404 or 410 says that there is no row.
 *
 * A pull is `GET url?limit={pageSize}&updatedSince={time}&after={id}` until a page is empty. A page is a JSON array of rows, or an
 * object whose `items` is one, in the order of (`updatedAt`, `key`), with deleted rows among them. `updatedSince` and `after` are
 * those of the last row, and a page begins after that row; without `after` it begins with the rows of that time, and without
 * both with the first. A server that ignores them ends the pull with an error. See docs/collections.md.
 */
export interface CollectionConfig {
  /** Where the server has the rows, relative to the worker's script; no fragment. */
  url: string;
  /**
   * What the server speaks. PostgREST has columns for members, no entity tags (the version is a filter) and no
   * `Idempotency-Key`: let the app make the ids. CouchDB's protocol, without attachments. Default: `"rest"`.
   */
  adapter?: "rest" | "postgrest" | "couchdb";
  /**
   * The member that is a record's id. Pages name it, too: `client.collection(name, {key})`. Default: `"id"`; with CouchDB `"_id"`.
   */
  key?: string;
  /**
   * The member in which the server says when a row changed last: RFC 3339, or milliseconds or seconds since 1970. Default:
   * `"updatedAt"`; with PostgREST `"updated_at"`. With CouchDB it is the app's own, and needed by `newest-wins` alone.
   */
  updatedAt?: string;
  /** The member that names a row's version, a string or a number, sent as `If-Match`. Default: `updatedAt`'s value; with CouchDB `"_rev"`. */
  version?: string;
  /**
   * The member that is neither null nor false in a deleted row. Default: `"deletedAt"`; with PostgREST `"deleted_at"`, with CouchDB
   * `"_deleted"`.
   */
  deletedAt?: string;
  /** Further members that only the server sets: they are not sent, and changes of them are no conflict. Default: none. */
  serverOwned?: string[];
  /**
   * What its records are found by, up to 16: `{byName: "name", byTown: ["address.town", "name"], byTag: {path: "tags", multi:
   * true}}`. A path is a member, or members of members joined by dots; several are compared one after another. With `multi`, each
   * of the first 1,000 items of an array is an entry. Strings, numbers and booleans (0 and 1) are indexed; times in RFC 3339 are
   * strings, and in order if all are spelled alike. A record is not in an index where it has anything else at one of the paths,
   * null or nothing included. Of a string, its first 256 UTF-16 code units count for the order; ranges go by all of it.
   *
   * Indexes may be added, changed and removed at any time: the worker brings what is stored up to date after its next start, and
   * queries read the whole collection until then. A query by an index that the running worker does not declare is rejected. Default:
   * none.
   */
  indexes?: Record<string, IndexConfig>;
  /**
   * Members that are the id of a record, or an array of ids, and of which collection: `{author: "people", parent: "notes"}`. A
   * record is pushed after those that it refers to, and names them as the server does: an id that the server replaces is
   * replaced here too. Of records that refer to one another, one is created without the reference, which follows as an update.
   * Write a record before those that refer to it. An id of which no record is here is sent as it is. Default: none.
   */
  references?: Record<string, string>;
  /** The queue of its jobs, whose settings are in `queues`. Default: the collection's name. */
  queue?: string;
  pull?: {
    /** Milliseconds between two pulls that nobody asked for, at any wake; at least 1,000, or 0 for none. Default: 300,000. */
    every?: number;
    /** Rows of a page, 1 to 1,000. Default: 200. */
    pageSize?: number;
    /**
     * Milliseconds before the last row seen from which a pull begins, for rows that the server commits later than their time
     * says; up to 86,400,000. Default: 10,000.
     */
    overlap?: number;
  };
  push?: {
    /** Whether an update sends what has changed, by `PATCH`, or the whole record, by `PUT`. Default: `"patch"`. */
    update?: "patch" | "put";
    /**
     * With PostgREST, whether a deletion deletes the row, which other clients see by `reconcile` alone, or marks it, by setting
     * `deletedAt`, which they pull. Default: `"delete"`.
     */
    delete?: "delete" | "mark";
  };
  /** How `reconcile` compares all of the server's rows with what is here. */
  reconcile?: {
    /** Milliseconds between two that nobody asked for, at any wake; at least 1,000. Default: 0, none. */
    every?: number;
    /** Up to this the time doubles while nothing is found changed. Default: 8 × `every`. */
    atMost?: number;
    /** False: the server lists all rows in one response, and goes by no `updatedSince`. Default: true. */
    paged?: boolean;
    /** Whether an empty list means that there are no rows; otherwise it is an error. Default: false. */
    allowEmpty?: boolean;
  };
  conflict?: {
    /**
     * What counts of a record that was changed both here and at the server. `merge` (default): both, member by member, by
     * comparison with the row that both began from; a record that one side deleted is kept. `local-wins`: what was written
     * here. `remote-wins`: the server's row. `newest-wins`: the later of the two, by the device's clock and the server's.
     * `ask-user`: neither, until the app calls `resolve`; the record is listed by `conflicts` with all three sides.
     */
    strategy?: "merge" | "local-wins" | "remote-wins" | "newest-wins" | "ask-user";
    /**
     * How `merge` decides about members that both sides have changed; of the others, the value of the side that wrote the
     * record last counts, by the device's clock and the server's.
     */
    merge?: {
      /** Members of which the value here counts. */
      local?: string[];
      /** Members of which the value counts of the side that wrote the record last, as of all that are not named. */
      newest?: string[];
      /** Arrays of which the union counts: what either side added, and nothing that only one took away is lost. */
      union?: string[];
    };
  };
}

export type IndexConfig = string | string[] | { path: string | string[]; multi?: boolean };

/**
 * Images that the app leaves in a cache, to be uploaded: `(await caches.open("image-uploads")).put("/photos/1?album=7", response)`.
 * Each entry is posted as a multipart form, with the parameters of its URL as fields, and deleted from the cache once it is
 * delivered. See docs/cache-uploads.md.
 */
export interface CacheUploadConfig {
  /** The cache. Default: `"image-uploads"`. */
  cache?: string;
  /** Where the forms are posted, relative to the worker's script. */
  url: string;
  /** The name of the file in the form. Default: `"image"`. */
  field?: string;
  /** The queue of its jobs. Default: the tag. */
  queue?: string;
}

/**
 * Requests that are queued when their first try fails. The app's `fetch` gets the server's response if there is one, else
 * 202; an error if the request cannot be stored. See docs/routes.md.
 */
export interface RouteConfig {
  /**
   * The URLs: a `URLPattern`, or its text, relative to the worker's script (`"/api/notes/*"`). A pattern that matches
   * everything is rejected without `allowAll`.
   */
  match: string | URLPatternLike;
  /** Default: POST, PUT, PATCH, DELETE. */
  methods?: string[];
  /** The queue of its jobs. Default: `"default"`. */
  queue?: string;
  /**
   * The key of its jobs; `{name}` stands for what the pattern's group of that name matched: `"note-{id}"` with
   * `"/api/notes/:id"`. Requests of one key go one at a time, and are stored without a try while jobs of the key wait.
   */
  key?: string;
  on?: {
    /** No response, or one that the queue's `expect` does not accept. Default: true. */
    failure?: boolean;
    /** No response within so many milliseconds, 100 to 3,600,000. Default: none. */
    timeout?: number;
    /** The server's response has one of these statuses, 400 to 599. `Retry-After` is heeded. Default: none. */
    statuses?: number[];
  };
  /** Where the browser goes after a form whose submission was queued; the id follows as `#shearwater-job=<id>`. Default: back. */
  page?: string;
  /** Allow a pattern that matches everything. Default: false. */
  allowAll?: boolean;
}

/** A `URLPattern`, of the browser or of the package urlpattern-polyfill. */
export interface URLPatternLike {
  test(input: string): boolean;
  exec(input: string): Record<URLPatternPart, { groups: Record<string, string | undefined> }> | null;
  readonly protocol: string;
  readonly username: string;
  readonly password: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
  readonly search: string;
  readonly hash: string;
}

export type URLPatternPart = "protocol" | "username" | "password" | "hostname" | "port" | "pathname" | "search" | "hash";

export interface PeriodicConfig {
  /** Milliseconds between two runs: one minute to one year. */
  minInterval: number;
  /**
   * Run side by side; one that fails, or takes longer than 2 min, is nothing to the others. Without a network, `drain`,
   * `pull` and `refresh` wait for the next wake that has one.
   *
   * - `"cleanup"` deletes delivered jobs beyond `history`; with `maxAge`, also failed jobs that were last tried so many ms ago.
   * - `"drain"` sends what is due.
   * - `"pull"` pulls all `collections`, due or not. One that fails is nothing to the others.
   * - `refresh` fetches entries of a cache anew: `urls`, or `all` that it holds. Where an entry has a validator, it is asked for
   *   by `If-None-Match` or `If-Modified-Since`, unless `conditional` is false. An entry stays as it is after an error, a
   *   redirect, or a page in place of something else, as of a captive portal.
   * - `"handler"` calls the hooks `periodicsync` and `periodicsync:<tag>`.
   */
  tasks: Array<
    | "cleanup"
    | "drain"
    | "pull"
    | "handler"
    | { cleanup: { maxAge?: number } }
    | { refresh: { cache: string; urls: string[]; conditional?: boolean } }
    | { refresh: { cache: string; all: true; conditional?: boolean } }
  >;
}

export interface QueueConfig {
  /** Attempts with a response before a job is failed. Default: 5. */
  maxAttempts?: number;
  /** Default: 7 days. */
  maxAge?: number;
  /**
   * Parallel sends. While other origins have jobs, one origin gets two thirds at most; a send without a response for 5 s
   * holds a slot of its own origin only. Default: 6.
   */
  concurrency?: number;
  /** For one send, plus one second per 32 KiB of body. Default: 60,000. */
  timeout?: number;
  /** Whether a dead letter blocks its successors of the same key. Default: `"block"`. */
  onFailure?: "block" | "continue";
  backoff?: {
    /** The first delay. Default: 1,000. */
    base?: number;
    /** Default: 2. */
    factor?: number;
    /** The longest delay. Default: 300,000. */
    max?: number;
    /** Default: `"full"`. */
    jitter?: "equal" | "full" | "decorrelated";
  };
  /**
   * What a successful response must look like to count as a delivery, so that a captive portal's page or a redirect to a
   * login page does not. Other responses are retried: without counting an attempt if they look like a portal (redirected,
   * or HTML), counting one otherwise.
   */
  expect?: { status?: number | number[]; contentType?: string; redirected?: boolean };
  /** What `response` of a delivered job contains: these headers, the body as text up to 64 KiB. */
  response?: { headers?: string[]; body?: boolean };
  /**
   * Whether a JSON response of up to 2 KiB that contains no credentials is kept in the history for jobs that are bound to it
   * later. Default: true. A job's `capture` option names what is kept instead; see docs/bindings.md.
   */
  capture?: boolean;
  /**
   * Sends jobs of this queue together. Its items are what `client.track` stores, and requests to `url` itself: each a JSON
   * value of at most 64 KiB. Requests to other addresses are sent one by one. See docs/batches.md.
   */
  batch?: BatchConfig;
  /** The meaning of single statuses. That of 302 applies to every redirect that is not followed. */
  statuses?: Record<number, "deliver" | "retry" | "fail" | "conflict" | "block">;
  /** False for none, or the header's name. Default: true, `Idempotency-Key`. */
  idempotency?: boolean | { header: string };
  /** Waiting this long raises a job by one priority level. Default: one hour. */
  aging?: number;
}

export interface BatchConfig {
  /** Where batches are posted; relative to the worker's script. */
  url: string;
  /** Items in a request at most, 1 to 1,000. Default: 50. */
  max?: number;
  /** Bytes of a request's body at most, envelope included, 1 KiB to 16 MiB. Default: 1 MiB. A larger item goes alone. */
  maxBytes?: number;
  /** Milliseconds that an item waits for others, unless there are enough or `syncNow` is called; up to one hour. Default: 0. */
  wait?: number;
  /**
   * The body around the items: the member whose value is `"items"` has their array, and the others are constants. Default:
   * the array alone.
   */
  wrap?: Record<string, string | number | boolean>;
  /**
   * JSON pointer to the array of results in a successful response, one result an item, in their order. A result is a status,
   * or an object with `status` and, for people, `detail`, `message` or `error`; any other value is a success. Default: the
   * response's body, if it is an array. With this setting every success but a 204 must have results; a 207 always must. If
   * their number differs from that of the items, the same batch is sent again.
   */
  results?: string;
}

declare global {
  /** In a classic worker, after `importScripts`. */
  const shearwater: {
    start: typeof start;
    on: typeof on;
    adopt: typeof adopt;
    enqueue: typeof enqueue;
    ShearwaterError: typeof ShearwaterError;
    version: string;
    /** After `importScripts("/shearwater/import-workbox.js")`. */
    workboxQueues?: typeof import("./import-workbox.js").workboxQueues;
  };
}

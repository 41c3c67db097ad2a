// What happens to a request that a route matches: its first try, and the queue if that fails.
//
// ```text
//   bytes read ─▶ first try ── a reply that stands ───────────────────▶ the app gets it
//                     │ no reply, none in time, a status of the route
//                     ▼
//                  stored ── no (disk full, wasm broken, …) ─▶ the app gets what the first try came to
//                     │ yes
//                     ▼
//                  202 with the job's id, or what the `routed` hook makes of it
// ```
//
// # What always holds
//
// - The body is read once, before the first try; the first try and every later one send the same bytes.
// - The first try carries the `Idempotency-Key` of the job that it may become, under the rules for jobs: to the app's own
//   origin and to those that the configuration names. A lost reply doubles nothing at a server that honours it.
// - 202 means stored. Whatever keeps a request from being stored, the app gets the truth: the server's own reply, or the
//   network error.
// - The wasm is not loaded for a request whose first try succeeds, unless its route has a `key`.
// - A request with a key overtakes none: while jobs of its key are stored it is stored behind them, without a try; and
//   requests of one key go one after the other.
// - What was asked for as one user is not stored as another: see in-flight.js.
//
// # When something ends early
//
// - The worker dies before the commit: nothing is stored. Chromium hands the request to a new worker once, elsewhere the
//   app's `fetch` is rejected. The same request of the same page, by the browser or the app, goes under the same key again
//   (tries.js), so that the server handles it once.
// - The worker dies after the commit and before the 202: the same; and the job is stored, is delivered under that key, and
//   is not stored a second time.
// - The reply comes while the job is being stored, after a timeout: the app gets it, and the job is discarded.
// - The page is closed: the first try goes on, and is queued if it fails.
// - The app aborts its `fetch`: so is the first try, and nothing is queued; a job that was stored by then is discarded,
//   unless it is being sent. Chromium tells a worker of no abort: there a request is queued although it was aborted.

import { asError } from "../error.js";
import { toJob } from "./enqueue.js";
import { Lines, watchWithdrawal } from "./in-flight.js";
import { accepted, copyOf, fits, isExpected, read, setKey } from "./routed-request.js";
import { keyOf } from "./routes.js";
import { inTime, Tries } from "./tries.js";

/** Milliseconds that the `routed` hook may take. */
const LONGEST_HOOK = 30_000;

/**
 * @typedef {import("./routes.js").Route} Route
 * @typedef {import("./in-flight.js").Session} Session
 * @typedef {import("./in-flight.js").Withdrawal} Withdrawal
 * @typedef {import("../types/worker.js").RoutedDetail} RoutedDetail
 * @typedef {RoutedDetail["reason"]} Reason
 * @typedef {{job: any, body: Blob | undefined}} Stored  what toJob returns
 *
 * @typedef {object} Queue  what the wasm does, once it is loaded
 * @property {(event: FetchEvent, stored: Stored, again: boolean) => Promise<string>} store  resolves with the id
 *   after the commit; with `again`, a job of this id that is known already is not stored
 * @property {(event: FetchEvent, id: string) => Promise<unknown>} discard
 * @property {(queue: string, key: string) => Promise<boolean>} overtakes
 * @property {(queue: string, retryAfter?: string, date?: string) => Promise<number>} notBefore
 *
 * @typedef {object} Outcome  of a first try
 * @property {Promise<Response>} reply
 * @property {Response} [response]  once it is there
 * @property {boolean} [stands]  the response is for the app
 * @property {Reason} [reason]  to queue the request
 */

/**
 * Creates the function that responds to a routed request.
 *
 * @param {import("../types/worker.js").WorkerConfig} config
 * @param {Queue} queue
 * @param {Session} session
 * @param {(detail: RoutedDetail) => unknown} hook  the app's `routed` hook
 * @returns {{respond: (event: FetchEvent, route: Route) => Promise<Response>, forget: () => Promise<unknown>}}  `forget`: at a
 *   sign-in, the tries of before
 */
export function createFirstTry(config, queue, session, hook) {
  const lines = new Lines();
  const tries = new Tries(self.registration?.scope ?? self.location.href);

  /**
   * @param {FetchEvent} event
   * @param {Route} route
   */
  async function respond(event, route) {
    const { request } = event;
    const key = keyOf(route, request.url);
    const name = route.config.queue ?? "default";
    const turn = key === undefined ? undefined : lines.join(`${name}\n${key}`);
    const signedIn = session.current();
    const withdrawal = watchWithdrawal(event);
    /** @type {import("./tries.js").Try | undefined} */
    let noted;
    try {
      const body = await read(request);
      await turn?.before;
      withdrawal.check();
      noted = await tries.begin(event, body);
      const { id, again } = noted;
      /** @type {Outcome} */
      const outcome =
        key !== undefined && (await mustWait(name, key))
          ? { reply: Promise.reject(new TypeError("not sent: earlier requests of its key wait")), reason: "order" }
          : await firstTry(request, body, route, noted, withdrawal);
      outcome.reply.catch(() => {});
      const { reason } = outcome;
      if (reason === undefined || !(await store(event, route, { id, again, body, key }, outcome, signedIn)))
        return await outcome.reply;
      turn?.end();
      return await settle(event, route, id, /** @type {Outcome & {reason: Reason}} */ (outcome), body, withdrawal);
    } finally {
      turn?.end();
      withdrawal.end();
      if (noted) event.waitUntil(noted.end());
    }
  }

  /**
   * Whether stored jobs of the key come first. Where they cannot be looked up, none of them can be sent, nor this one stored.
   *
   * @param {string} name
   * @param {string} key
   */
  const mustWait = (name, key) => queue.overtakes(name, key).catch(() => false);

  /**
   * Sends the request as the app made it, under the job's idempotency key; resolves when it is known what follows.
   *
   * @param {Request} request
   * @param {Blob | undefined} body
   * @param {Route} route
   * @param {{id: string, again: boolean}} noted
   * @param {Withdrawal} withdrawal
   * @returns {Promise<Outcome>}
   */
  async function firstTry(request, body, route, { id, again }, withdrawal) {
    const { failure = true, timeout, statuses = [] } = route.config.on ?? {};
    const settings = config.queues?.[route.config.queue ?? "default"];
    const first = copyOf(request, body, withdrawal.controller.signal);
    setKey(first.headers, request.url, id, settings?.idempotency ?? true, config.idempotencyOrigins ?? []);
    const reply = fetch(first);
    /** @type {Outcome} */
    const outcome = { reply };
    /** @param {Response} response */
    const judge = (response) => {
      const unexpected = failure && !isExpected(response, settings?.expect);
      // What a server answers while the try of the dead worker is still running.
      const running = again && response.status === 409 && response.headers.has("retry-after");
      const reason = running || statuses.includes(response.status) ? "status" : unexpected ? "unexpected" : undefined;
      // Of a reply that comes after the timeout, only whether it stands matters.
      outcome.response = response;
      outcome.stands = reason === undefined;
      outcome.reason ??= reason;
    };
    const refuse = () => {
      if (failure && !withdrawal.isWithdrawn()) outcome.reason ??= "failure";
    };
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const late = new Promise((resolve) => {
      if (timeout !== undefined) timer = setTimeout(resolve, timeout);
    });
    await Promise.race([reply.then(judge, refuse), late.then(() => (outcome.reason ??= "timeout"))]);
    clearTimeout(timer);
    return outcome;
  }

  /**
   * Stores the request; resolves with whether it is stored.
   *
   * @param {FetchEvent} event
   * @param {Route} route
   * @param {{id: string, again: boolean, body: Blob | undefined, key: string | undefined}} what
   * @param {Outcome} outcome
   * @param {number} signedIn
   */
  async function store(event, route, { id, again, body, key }, { reason, response }, signedIn) {
    const name = route.config.queue ?? "default";
    try {
      const options = { queue: name, ...(key !== undefined && { key }), ...(await held(name, reason, response)) };
      const stored = await toJob(event.request, options, { id, body });
      // Looked at and begun in one go: whoever signs in from here on waits for the commit. NaN equals nothing.
      if (session.current() !== signedIn) throw new Error("another user may have signed in since it was made");
      await session.hold(queue.store(event, stored, again));
      return true;
    } catch (thrown) {
      const error = asError(thrown);
      console.error(`[shearwater] a request that the route "${route.text}" matches is not queued: ${error.message}`);
      return false;
    }
  }

  /**
   * A refused or unanswered first try was an attempt: the next one waits as after any other.
   *
   * @param {string} name
   * @param {Reason | undefined} reason
   * @param {Response | undefined} response
   */
  async function held(name, reason, response) {
    if (reason !== "status" && reason !== "timeout") return {};
    const header = (/** @type {string} */ field) => response?.headers.get(field) ?? undefined;
    return { notBefore: await queue.notBefore(name, header("retry-after"), header("date")) };
  }

  /**
   * Responds to a request that was stored.
   *
   * @param {FetchEvent} event
   * @param {Route} route
   * @param {string} id
   * @param {Outcome & {reason: Reason}} outcome
   * @param {Blob | undefined} body
   * @param {Withdrawal} withdrawal
   */
  async function settle(event, { config: { page } }, id, { response, stands, reason }, body, withdrawal) {
    const { request } = event;
    if (withdrawal.isWithdrawn() || stands) {
      await queue.discard(event, id).catch(() => {});
      withdrawal.check();
    }
    if (response && stands) return response;
    withdrawal.controller.abort();
    response?.body?.cancel().catch(() => {});
    const detail = { request: copyOf(request, body), id, reason, ...(reason === "status" && { status: response?.status }) };
    return (await ask(detail, request)) ?? accepted(request, id, page);
  }

  /**
   * The response of the app's hook, if it has one for this request in time that the browser would take.
   *
   * @param {RoutedDetail} detail
   * @param {Request} request
   * @returns {Promise<Response | undefined>}
   */
  async function ask(detail, request) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    try {
      const late = new Promise((_, reject) => {
        timer = setTimeout(reject, LONGEST_HOOK, new Error(`it has not responded for ${LONGEST_HOOK} ms`));
      });
      const response = await Promise.race([(async () => hook(detail))(), late]);
      if (response === undefined || response === null) return undefined;
      if (!(response instanceof Response) || !fits(response, request))
        throw new Error("it returned no response for this request");
      return response;
    } catch (thrown) {
      console.error('[shearwater] the hook "routed" failed, the request is queued all the same:', asError(thrown).message);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  // A sign-in waits for no store that does not open.
  return { respond, forget: () => inTime(tries.forget()).catch(() => {}) };
}

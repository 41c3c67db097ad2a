// The script side of the worker: event listeners, hooks, and the responses that do not need the wasm.
// Everything that can be is in Rust; see crates/worker/src/lib.rs.

import * as glue from "shearwater-glue";

import { asError, invalidConfig, ShearwaterError, toWire } from "../error.js";
import { announce } from "./announce.js";
import { candidates } from "./build.js";
import { createCacheUploads } from "./cache-uploads.js";
import { csrfHook } from "./csrf.js";
import { asRequestError, toJob } from "./enqueue.js";
import { createFirstTry } from "./first-try.js";
import { Session } from "./in-flight.js";
import { createInstance } from "./instance.js";
import { identify } from "./name.js";
import { compileRoutes, createFetchListener } from "./routes.js";
import { forgetOthers, keepPageWasm, loadWasm } from "./wasm.js";

const PROTOCOL = 1;
const HOOKS = /^(auth|before-send|delivered|failed|conflict|blocked|routed|adapter:.+|(periodic)?sync(:.+)?)$/;
/** Milliseconds that the first event of a worker waits for adopt(); after that both run in parallel. */
const ADOPTION_ALONE = 3_000;
/** Milliseconds that events are kept alive for adopt(). */
const LONGEST_ADOPTION = 60_000;
/** How often the worker's own enqueue is repeated when the wasm dies under it. */
const MOST_REPEATS = 2;

/**
 * @typedef {import("../types/worker.js").AdoptedJob} AdoptedJob
 * @typedef {{shearwater: number, re: string, ok?: any, error?: {code: import("../error.js").Code, message: string}}} Response
 *   to a message
 */

/** @param {number} ms */
const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param {string} text */
function isOrigin(text) {
  try {
    return new URL(text).origin === text;
  } catch {
    return false;
  }
}

/**
 * Creates the functions of the public API; `urls` says where each wasm lies, by its file.
 *
 * @param {import("./build.js").Urls} urls
 * @returns {Pick<typeof import("../types/worker.js"), "version" | "ShearwaterError" | "start" | "adopt" | "on" | "enqueue">}
 */
export function createShearwater(urls) {
  /** @type {import("./instance.js").App["hooks"]} */
  const hooks = new Map();
  /** @type {import("../types/worker.js").Source[]} */
  const sources = [];
  let started = false;
  /** @type {import("./build.js").Candidate[]} */
  let files = [];
  let installing = false;
  /** @type {Promise<import("./name.js").Identity> | undefined} */
  let identity;
  /** @type {Promise<unknown> | undefined} */
  let adopting;
  /** @type {Promise<unknown> | undefined} */
  let kept;

  /** @type {import("./instance.js").App} */
  const app = {
    config: undefined,
    hooks,
    identity() {
      identity ??= identify(app.config);
      return identity;
    },
    async load(writable) {
      const found = await loadWasm(files, { writable, first: installing });
      kept = found.kept;
      return found.module;
    },
  };
  const instance = createInstance(app);
  const session = new Session();
  /** @type {() => Promise<unknown>} */
  let forgetTries = () => Promise.resolve();
  /** @type {Promise<ReturnType<typeof createCacheUploads>> | undefined} */
  let uploads;

  /**
   * Throws an error about a mistake in the app's script, and tells pages, which hear nothing of it from the browser.
   *
   * @param {string} message
   * @returns {never}
   */
  function mistake(message) {
    throw announce(invalidConfig(message));
  }

  /**
   * Takes over the jobs of the sources given to adopt(). Only in the active worker: the previous one may still send them.
   */
  function adopt() {
    const all = () =>
      sources.map(async (source) => {
        try {
          await source((jobs) => storeAdopted(jobs));
        } catch (thrown) {
          // It is called again at the next start; the jobs that it has stored so far are kept.
          console.error("[shearwater] a source of adopt() failed:", asError(thrown).message);
        }
      });
    adopting ??= Promise.race([Promise.all(all()), delay(LONGEST_ADOPTION)]);
    return adopting;
  }

  async function ready() {
    if (sources.length === 0) return;
    await Promise.race([adopt(), delay(ADOPTION_ALONE)]);
  }

  /**
   * Runs `work` in a live instance, once this worker is active.
   *
   * @template T
   * @param {() => T | Promise<T>} work
   */
  const active = (work) => instance.alive(() => ready().then(work));

  /**
   * Stores jobs with their bodies, as a page's `enqueueAll` would: `stored` resolves with the ids when they are on disk,
   * `served` when the work that this set off is over.
   *
   * @param {Array<Omit<AdoptedJob, "body">>} jobs
   * @param {Array<AdoptedJob["body"]>} bodies
   * @param {boolean} repeat
   * @param {string} [owner]  whose they are; the current one's if it does not say
   */
  function store(jobs, bodies, repeat, owner) {
    /** @type {Promise<void>} */
    let served = Promise.resolve();
    /** @type {Promise<string[]>} */
    const stored = new Promise((resolve, reject) => {
      const op = { enqueue: { jobs, repeat } };
      const message = { shearwater: PROTOCOL, re: crypto.randomUUID(), op, bodies, ...(owner !== undefined && { owner }) };
      served = glue.message(message, ({ ok, error }) =>
        error ? reject(new ShearwaterError(error.code, error.message)) : resolve(ok),
      );
      served.catch(reject);
    });
    return { stored, served };
  }

  const storeAdopted = (/** @type {AdoptedJob[]} */ jobs, /** @type {string | undefined} */ owner = undefined) =>
    instance.alive(
      () =>
        store(
          jobs.map(({ body, ...job }) => job),
          jobs.map(({ body }) => body),
          true,
          owner,
        ).stored,
    );

  /**
   * Asks the wasm for something that nobody's message asked for.
   *
   * @param {unknown} op
   */
  const ask = (op) =>
    instance.alive(
      () =>
        new Promise((resolve, reject) => {
          const message = { shearwater: PROTOCOL, re: crypto.randomUUID(), op };
          const reply = (/** @type {Response} */ { ok, error }) =>
            error ? reject(new ShearwaterError(error.code, error.message)) : resolve(ok);
          glue.message(message, reply).catch(reject);
        }),
    );

  /**
   * Has images in Cache Storage queued before `work`, and deleted after it.
   *
   * @template T
   * @param {() => T | Promise<T>} work
   */
  async function amongUploads(work) {
    await (await uploads)?.tidy();
    const done = await work();
    await (await uploads)?.tidy();
    return done;
  }

  /**
   * Keeps the event alive for `work`, and for the recovery if the instance dies.
   *
   * @template T
   * @param {ExtendableEvent} event
   * @param {() => T | Promise<T>} work
   */
  function keepAlive(event, work) {
    const current = instance.current();
    const promise = active(work);
    event.waitUntil(promise.catch(() => instance.restart(current)).then(() => adopting));
    return promise;
  }

  /**
   * Stores one job; resolves with its id. `run` begins it in a live instance.
   *
   * @param {Omit<AdoptedJob, "body">} job
   * @param {AdoptedJob["body"]} body
   * @param {(begin: () => ReturnType<typeof store>) => Promise<string[]>} run
   * @param {boolean} [again]  it may be stored already
   * @returns {Promise<string>}
   */
  async function storeOne(job, body, run, again = false) {
    for (let repeats = 0; ; repeats += 1) {
      const current = instance.current();
      try {
        const [id] = await run(() => store([job], [body], again || repeats > 0));
        return /** @type {string} */ (id);
      } catch (error) {
        // With the same id: a job that was stored before the wasm died is not stored again.
        if (!current.dead || repeats >= MOST_REPEATS) throw asRequestError(error);
      }
    }
  }

  /** What the wasm does for routed requests. */
  const queue = /** @type {import("./first-try.js").Queue} */ ({
    store: (event, { job, body }, again) =>
      storeOne(
        job,
        body,
        (begin) =>
          new Promise((resolve, reject) => {
            const serve = () => {
              const { stored, served } = begin();
              stored.then(resolve, reject);
              return served;
            };
            keepAlive(event, serve).catch(reject);
          }),
        again,
      ),
    discard: (event, id) =>
      new Promise((resolve, reject) => {
        const message = { shearwater: PROTOCOL, re: crypto.randomUUID(), op: { discard: id } };
        // The drains that follow are the event's to wait for, not the response's.
        keepAlive(event, () => glue.message(message, resolve)).catch(reject);
      }),
    overtakes: (name, key) => active(() => glue.overtakes(name, key)),
    notBefore: (name, retryAfter, date) => instance.alive(() => glue.notBefore(name, retryAfter, date)),
  });

  /** @param {ExtendableMessageEvent} event */
  function onMessage(event) {
    const { data } = event;
    // Or a worker, which has no `url`; its event has an `origin`.
    const source = /** @type {Client | null} */ (event.source);
    if (typeof data !== "object" || data === null || !("shearwater" in data)) return; // the app's own
    const reply = (/** @type {Response} */ answer) => (event.ports[0] ?? source)?.postMessage(answer);
    const answer = (/** @type {Omit<Response, "shearwater" | "re">} */ outcome) =>
      reply({ shearwater: PROTOCOL, re: data.re, ...outcome });
    const refuse = (/** @type {Error} */ error) => answer({ error: toWire(error) });
    const from = event.origin || (source?.url && new URL(source.url).origin);
    if (from !== self.location.origin || !source) {
      refuse(new ShearwaterError("invalid-message", "messages are taken from windows and workers of this origin only"));
    } else if (!started) {
      refuse(
        invalidConfig(
          `${self.location.pathname} loads Shearwater and does not start it: call shearwater.start() at its top level`,
        ),
      );
    } else if (data.op === "hello") {
      // A page asks which worker this is; its next message will need the wasm.
      event.waitUntil(app.identity().then(({ name }) => answer({ ok: { name } })));
      event.waitUntil(instance.boot().catch(() => {}));
    } else if (data.op?.setOwner !== undefined) {
      const changed = session.change();
      const done = (/** @type {Response} */ answer) => {
        changed();
        reply(answer);
      };
      const { owner, purge } = Object(data.op.setOwner);
      const work = async () => {
        const images = await uploads;
        await Promise.all([session.committed(), forgetTries()]);
        if (!images) return glue.message(data, done);
        // What lies in the cache is the owner's who goes: sent for the next, it would be shown to the wrong person.
        /** @type {Promise<void>} */
        let served = Promise.resolve();
        const commit = () =>
          /** @type {Promise<Response>} */ (
            new Promise((resolve, reject) => {
              served = glue.message(data, resolve);
              served.catch(reject);
            })
          );
        done(await images.signIn(owner ?? "", typeof purge === "string" ? purge : undefined, commit));
        return served;
      };
      keepAlive(event, work)
        .catch((thrown) => refuse(asError(thrown)))
        .finally(changed);
    } else {
      const wakes = uploads && ["wake", "sync"].some((name) => Object.hasOwn(Object(data.op), name));
      const work = () => glue.message(data, reply);
      keepAlive(event, wakes ? () => amongUploads(work) : work).catch((thrown) => refuse(asError(thrown)));
    }
  }
  // Here and not in start(): a worker that was never started responds with an error.
  self.addEventListener("message", onMessage);

  /**
   * Runs `work` and the app's handlers of an event in parallel; rejects with an Error if any of them does.
   *
   * @template T
   * @param {"sync" | "periodicsync"} kind
   * @param {{tag: string, lastChance?: boolean}} detail
   * @param {() => T | Promise<T>} work
   */
  async function runWithHandlers(kind, detail, work) {
    const current = instance.current();
    const handlers = [kind, `${kind}:${detail.tag}`].map(async (hook) => hooks.get(hook)?.handler(detail));
    const [drained, ...handled] = await Promise.allSettled([active(work), ...handlers]);
    if (drained.status === "rejected") await instance.restart(current);
    await adopting;
    // The browser must see a failure whatever value was thrown.
    const failed = [drained, ...handled].find((outcome) => outcome.status === "rejected");
    if (failed) throw asError(failed.reason);
    return /** @type {PromiseFulfilledResult<Awaited<T>>} */ (drained).value;
  }

  /** @param {import("../types/worker.js").SyncDetail} event */
  async function onSync({ tag, lastChance }) {
    if (await runWithHandlers("sync", { tag, lastChance }, () => amongUploads(() => glue.sync(tag, lastChance)))) {
      // Only the browser sees it, so it is not one of the published codes.
      const code = /** @type {import("../error.js").Code} */ (/** @type {string} */ ("work-left"));
      throw new ShearwaterError(code, `queue "${tag}" has work left; the browser is to come again`);
    }
  }

  /**
   * A configured tag calls the app's handlers by its task "handler" alone, which also runs where the browser fires nothing.
   *
   * @param {string} tag
   */
  function onPeriodicSync(tag) {
    const isConfigured = app.config?.periodic !== undefined && Object.hasOwn(app.config.periodic, tag);
    const drain = () => amongUploads(() => glue.periodic(tag));
    return isConfigured ? active(drain) : runWithHandlers("periodicsync", { tag }, drain);
  }

  async function onInstall() {
    installing = true;
    try {
      // Checks the configuration, and stores copies of the wasm.
      await instance.alive(() => {});
      await kept;
    } catch (thrown) {
      const error = announce(asError(thrown));
      console.error("[shearwater] not installed:", error.message);
      throw error;
    } finally {
      installing = false;
    }
  }

  /** @param {ExtendableEvent} event */
  function onActivate(event) {
    event.waitUntil(forgetOthers(files, instance.writable()).catch(() => {}));
    // Not awaited: a page may be waiting for this event to end.
    keepPageWasm(/** @type {import("./build.js").Candidate} */ (files.at(-1)).url).catch(() => {});
    if (sources.length > 0) active(() => {}).catch(() => {});
  }

  return {
    version: __VERSION__,
    ShearwaterError: /** @type {typeof import("../types/index.js").ShearwaterError} */ (ShearwaterError),

    start(options) {
      if (started) mistake("shearwater.start() is called once");
      /** @type {import("./routes.js").Route[]} */
      let routes;
      try {
        if (options?.csrf !== undefined && !hooks.has("before-send"))
          hooks.set("before-send", { handler: csrfHook(options.csrf) });
        files = candidates(options, urls);
        routes = compileRoutes(options?.routes);
      } catch (error) {
        throw announce(asError(error));
      }
      started = true;
      app.config = options;
      for (const hook of hooks.keys()) checkAdapter(hook);
      if (options?.cacheUploads !== undefined) {
        uploads = app
          .identity()
          .then(({ name }) => createCacheUploads(options.cacheUploads ?? {}, name, { ask, store: storeAdopted }));
        // What is wrong with the configuration is told by whoever boots the wasm.
        uploads.catch(() => {});
      }
      if (routes.length > 0) {
        const config = options ?? {};
        const { respond, forget } = createFirstTry(config, queue, session, (detail) => hooks.get("routed")?.handler(detail));
        forgetTries = forget;
        const warn = (/** @type {string} */ text) => config.logLevel !== "off" && console.warn("[shearwater]", text);
        self.addEventListener("fetch", createFetchListener(routes, respond, warn));
      }
      self.addEventListener("install", (event) => event.waitUntil(onInstall()));
      self.addEventListener("activate", onActivate);
      self.addEventListener("sync", (event) => event.waitUntil(onSync(event)));
      self.addEventListener("periodicsync", (event) => event.waitUntil(onPeriodicSync(event.tag)));
    },

    adopt(source) {
      if (started) mistake("shearwater.adopt() is called before start()");
      if (typeof source !== "function") mistake("adopt() takes a function");
      sources.push(source);
    },

    /**
     * @param {string} hook
     * @param {(...given: any[]) => unknown} handler
     * @param {import("../types/worker.js").AuthOptions} [options]
     */
    on(hook, handler, options) {
      if (!HOOKS.test(hook)) {
        mistake(
          `there is no hook "${hook}"; there are "auth", "before-send", "delivered", "failed", "conflict", "blocked", "routed", "adapter:<collection>", "sync", "sync:<tag>", "periodicsync" and "periodicsync:<tag>"`,
        );
      }
      if (typeof handler !== "function") mistake(`the handler of "${hook}" is not a function`);
      if (started) checkAdapter(hook);
      hooks.set(hook, { handler, ...hookOptions(hook, options) });
    },

    async enqueue(request, options) {
      if (!started) throw invalidConfig("shearwater.enqueue() is called after start()");
      const { job, body } = await toJob(request, options);
      return storeOne(job, body, (begin) => active(() => begin().stored));
    },
  };

  /** @param {string} hook */
  function checkAdapter(hook) {
    const [kind, name] = hook.split(/:(.*)/s);
    const collections = /** @type {{collections?: object} | undefined} */ (app.config)?.collections;
    if (kind === "adapter" && !Object.hasOwn(collections ?? {}, name ?? ""))
      mistake(`there is no collection "${name}" for the hook "${hook}": name it in start({collections})`);
  }

  /**
   * @param {string} hook
   * @param {import("../types/worker.js").AuthOptions} [options]
   * @returns {import("../types/worker.js").AuthOptions}
   */
  function hookOptions(hook, options = {}) {
    const unknown = Object.keys(options).find((name) => !["auth", "before-send"].includes(hook) || name !== "origins");
    if (unknown) mistake(`the hook "${hook}" has no option "${unknown}"`);
    if (options.origins === undefined) return {};
    if (!Array.isArray(options.origins) || !options.origins.every(isOrigin)) {
      mistake(`origins of the "${hook}" hook are strings such as "https://api.example"`);
    }
    return { origins: [...options.origins] };
  }
}

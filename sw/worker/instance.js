// The life cycle of the wasm instance: its lazy start, its death by a panic or a trap, and its replacement.
//
// A dead instance never settles the promises it returned, so whatever awaits them races against `host.death`. The next
// instance recovers the jobs that the dead one had claimed, by their leases.

import * as glue from "shearwater-glue";

import { ShearwaterError } from "../error.js";
import { forWasm } from "./build.js";
import { renewLog } from "./database.js";

/** After so many deaths in a row, the wasm is no longer restarted automatically. */
const MOST_RESTARTS = 3;

/**
 * @typedef {object} App
 * @property {import("../types/worker.js").WorkerConfig} [config]  the argument of start()
 * @property {Map<string, {handler: (...given: any[]) => unknown, origins?: string[]}>} hooks  by name
 * @property {() => Promise<import("./name.js").Identity>} identity  the name and the opened database, see name.js
 * @property {(writable: Promise<unknown>) => Promise<WebAssembly.Module>} load  compiles the wasm; `writable` resolves
 *   when databases may be written to; see wasm.js
 *
 * @typedef {object} Host  what the wasm may call; one for each instance, see crates/worker/src/host.rs
 * @property {Promise<import("./database.js").Opened>} [opened]
 * @property {Promise<never>} death
 * @property {boolean} dead
 * @property {() => Promise<unknown>} renewed
 * @property {(name: string, detail: unknown) => unknown} hook
 * @property {(name: string, request: Request, detail: unknown) => Promise<Response>} adapt
 * @property {(name: string) => boolean} hasHook
 * @property {(name: string) => string[] | null} hookOrigins
 * @property {(controller: AbortController) => void} adopt
 * @property {(controller: AbortController) => void} release
 * @property {(text: string) => void} panicked
 */

/** @param {App} app */
export function createInstance(app) {
  let host = createHost();
  /** @type {Promise<void> | null} */
  let booting = null;
  let loaded = false;
  let stale = false;
  let restarts = 0;
  /** @type {Promise<unknown> | undefined} */
  let renewed;

  /** @returns {Host} */
  function createHost() {
    /** @type {Set<AbortController>} */
    const adopted = new Set();
    /** @type {(error: Error) => void} */
    let die;
    /** @type {Promise<never>} */
    const death = new Promise((_, reject) => (die = reject));
    death.catch(() => {});
    return {
      death,
      dead: false,
      /** Resolves when the database, if opened now, may be written to. The first call returns the renewal in progress. */
      renewed() {
        const first = renewed;
        renewed = undefined;
        return first ?? writable();
      },
      hook(name, detail) {
        return app.hooks.get(name)?.handler(detail);
      },
      /** What an adapter of the app's responds, for as long as the request is not aborted. */
      adapt(name, request, detail) {
        const { signal } = request;
        const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        const adapted = async () => {
          const response = await app.hooks.get(name)?.handler(request, detail);
          const isReadable = response instanceof Response && !response.bodyUsed && !response.body?.locked;
          if (!isReadable || /^(error|opaque)$/.test(response.type))
            throw new TypeError("it returns no Response, or one that cannot be read");
          if (!response.body) return response;
          // A body that never ends is given up with the request.
          const body = response.body.pipeThrough(new TransformStream(), { signal });
          return Object.defineProperty(new Response(body, response), "redirected", { value: response.redirected });
        };
        return Promise.race([adapted(), aborted]);
      },
      hasHook(name) {
        return app.hooks.has(name);
      },
      /** The origins that a hook covers; null for the app's own. */
      hookOrigins(name) {
        return app.hooks.get(name)?.origins ?? null;
      },
      adopt(controller) {
        adopted.add(controller);
      },
      release(controller) {
        adopted.delete(controller);
      },
      panicked(text) {
        if (this.dead) return;
        console.error("[shearwater] internal error, restarting:", text);
        this.dead = true;
        // Not synchronously: the panic is still on the wasm's stack.
        stale = loaded;
        queueMicrotask(renew);
        die(new ShearwaterError("internal", `internal error, the worker was restarted: ${text}`));
        for (const controller of adopted) controller.abort();
        // The next event boots a new instance, which takes over the dead drain's leases.
        host = createHost();
        booting = null;
      },
    };
  }

  /** Replaces a dead instance by a fresh one, before any callback of the dead one runs. */
  function renew() {
    if (!stale) return;
    stale = false;
    glue.renew(true);
    // The glue replaces the instance at the next call.
    glue.renew(false);
  }

  const writable = () =>
    app
      .identity()
      .then(({ name }) => renewLog(name))
      .catch(() => {});

  function boot() {
    if (booting) return booting;
    const loading = load().catch((error) => {
      // One failed load must not wedge the worker permanently.
      if (booting === loading) booting = null;
      throw error;
    });
    booting = loading;
    return loading;
  }

  async function load() {
    const identified = app.identity();
    if (!loaded) {
      renewed ??= writable();
      const [module] = await Promise.all([app.load(renewed), identified]);
      host.opened = identified.then(({ opened }) => opened);
      await glue.default({ module_or_path: module });
      loaded = true;
    }
    renew();
    const { name } = await identified;
    try {
      glue.boot(forWasm(app.config, name), host);
    } catch (thrown) {
      trapped(thrown);
      throw thrown;
    }
  }

  /**
   * Treats an error that the wasm itself threw as the death of the instance.
   *
   * @param {unknown} thrown
   */
  function trapped(thrown) {
    // A dead instance may trap again until it is replaced; after a panic it does.
    if (isTrap(thrown) && !stale) host.panicked(`${thrown.name}: ${thrown.message}`);
  }
  // Most of the wasm runs in callbacks of the platform, whose errors nothing else catches.
  glue.watchCallbacks(trapped);

  /**
   * Runs `work` in a live instance; rejects if the instance dies meanwhile, because its promises then never settle.
   *
   * @template T
   * @param {() => T | Promise<T>} work
   * @returns {Promise<T>}
   */
  function alive(work) {
    const current = host;
    const outcome = boot()
      .then(work)
      .catch((thrown) => {
        if (!isTrap(thrown)) throw thrown;
        // Has no effect if the instance is known to be dead, as after a panic, which ends in a trap.
        current.panicked(`${thrown.name}: ${thrown.message}`);
        return current.death;
      });
    return Promise.race([outcome, current.death]);
  }

  /**
   * After a death, has a new instance recover the jobs that the dead one had claimed.
   *
   * @param {Host} dead
   * @returns {Promise<void>}
   */
  async function restart(dead) {
    if (!dead.dead || restarts >= MOST_RESTARTS) return;
    restarts += 1;
    const next = host;
    try {
      await alive(() => glue.resume());
      restarts = 0;
    } catch {
      await restart(next);
    }
  }

  return { boot, alive, restart, writable, current: () => host };
}

/**
 * Whether the wasm threw this itself: a trap, a stack overflow (an InternalError in Firefox), an array that is too long.
 * Its memory is then in an undefined state, with locks held that are never released.
 *
 * @param {any} thrown
 * @returns {thrown is Error}
 */
function isTrap(thrown) {
  return thrown instanceof WebAssembly.RuntimeError || thrown instanceof RangeError || thrown?.name === "InternalError";
}

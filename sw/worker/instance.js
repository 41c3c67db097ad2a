// The lives of the wasm: its lazy start, its death by a panic or a trap, and the instance that comes after.
//
// A dead instance never settles what it had begun, so whatever waits for it races against `host.death`. What it had
// in hand is found by the next instance, by its leases.

import * as glue from "shearwater-glue";

import { ShearwaterError } from "../error.js";
import { renewLog } from "./database.js";

/** A worker whose wasm dies this often in a row is not restarted by itself any more. */
const MOST_RESTARTS = 3;

/**
 * @typedef {object} App
 * @property {import("../types/worker.js").WorkerConfig} [config]  what start() was given
 * @property {Map<string, {handler: (detail: any) => unknown, origins?: string[]}>} hooks  by name
 * @property {() => Promise<import("./name.js").Identity>} identity  the name and the opened database, see name.js
 * @property {(writable: Promise<unknown>) => Promise<WebAssembly.Module>} load  compiles the wasm, given when databases
 *   may be written to; see wasm.js
 *
 * @typedef {object} Host  what the wasm may ask of the script; one for each life, see crates/worker/src/host.rs
 * @property {Promise<import("./database.js").Opened>} [opened]
 * @property {Promise<never>} death
 * @property {boolean} dead
 * @property {() => Promise<unknown>} renewed
 * @property {(name: string, detail: unknown) => unknown} hook
 * @property {(name: string) => boolean} hasHook
 * @property {() => string[] | null} authOrigins
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
      /** Settles when the database, opened now, may be written to: at first by the renewal that is on its way. */
      renewed() {
        const first = renewed;
        renewed = undefined;
        return first ?? writable();
      },
      hook(name, detail) {
        return app.hooks.get(name)?.handler(detail);
      },
      hasHook(name) {
        return app.hooks.has(name);
      },
      /** The origins that the `auth` hook is for; null for the app's own. */
      authOrigins() {
        return app.hooks.get("auth")?.origins ?? null;
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
        // Not at once: a panic is still on the stack of the wasm.
        stale = loaded;
        queueMicrotask(renew);
        die(new ShearwaterError("internal", `internal error, the worker was restarted: ${text}`));
        for (const controller of adopted) controller.abort();
        // The next event boots a new instance, in which the dead drain's leases are found and taken back.
        host = createHost();
        booting = null;
      },
    };
  }

  /** Puts a fresh instance in the place of a dead one, before any callback of the dead one finds it. */
  function renew() {
    if (!stale) return;
    stale = false;
    glue.renew(true);
    // The glue replaces the instance at the call that follows.
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
      // One bad load must not wedge the worker for good.
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
    const { config } = app;
    try {
      glue.boot(typeof config === "object" || config === undefined ? { ...config, name } : config, host);
    } catch (thrown) {
      trapped(thrown);
      throw thrown;
    }
  }

  /**
   * Takes an error that the wasm itself has thrown for the death that it is.
   *
   * @param {unknown} thrown
   */
  function trapped(thrown) {
    // Until it is replaced, a dead instance may trap again: after a panic it does.
    if (isTrap(thrown) && !stale) host.panicked(`${thrown.name}: ${thrown.message}`);
  }
  // Most of the wasm runs in callbacks of the platform, whose errors nobody else catches.
  glue.watchCallbacks(trapped);

  /**
   * Runs `work` in a living instance; rejects if that dies meanwhile, for then its promises never settle.
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
        // Unless it is known to be dead, as after a panic, whose last instruction is a trap.
        current.panicked(`${thrown.name}: ${thrown.message}`);
        return current.death;
      });
    return Promise.race([outcome, current.death]);
  }

  /**
   * After a death: a new instance takes back what the dead one had in hand.
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
 * Whether the wasm threw this itself: an instruction that traps, a stack that overflowed (which Firefox calls an
 * InternalError), an array that is too long. After any of them its memory is in whatever state it was in, with locks
 * held that nobody lets go.
 *
 * @param {any} thrown
 * @returns {thrown is Error}
 */
function isTrap(thrown) {
  return thrown instanceof WebAssembly.RuntimeError || thrown instanceof RangeError || thrown?.name === "InternalError";
}

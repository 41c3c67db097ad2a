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
 * @param app.config    what start() was given
 * @param app.hooks     by name: {handler, origins}
 * @param app.identity  resolves with the name and the opened database, see name.js
 * @param app.load      compiles the wasm, given when databases may be written to; see wasm.js
 */
export function createInstance(app) {
  let host = createHost();
  let booting = null;
  let loaded = false;
  let stale = false;
  let restarts = 0;
  let renewed;

  /** What the wasm may ask of the script; one for each life. */
  function createHost() {
    const adopted = new Set();
    let die;
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

  /** Takes an error that the wasm itself has thrown for the death that it is. */
  function trapped(thrown) {
    // Until it is replaced, a dead instance may trap again: after a panic it does.
    if (isTrap(thrown) && !stale) host.panicked(`${thrown.name}: ${thrown.message}`);
  }
  // Most of the wasm runs in callbacks of the platform, whose errors nobody else catches.
  glue.watchCallbacks(trapped);

  /** Runs `work` in a living instance; rejects if that dies meanwhile, for then its promises never settle. */
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

  /** After a death: a new instance takes back what the dead one had in hand. */
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
 */
function isTrap(thrown) {
  return thrown instanceof WebAssembly.RuntimeError || thrown instanceof RangeError || thrown?.name === "InternalError";
}

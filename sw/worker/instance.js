// The lives of the wasm: its lazy start, its death by a panic or a trap, and the instance that comes after.
//
// A dead instance never settles what it had begun, so whatever waits for it races against `host.death`. What it had
// in hand is found by the next instance, by its leases.

import * as glue from "shearwater-glue";

import { ShearwaterError } from "../error.js";
import { renewLog } from "./database.js";

/** A worker whose wasm dies this often in a row is not restarted by itself any more. */
const MOST_RESTARTS = 3;

const STALE = "Cannot invoke closure from previous WASM instance";

/**
 * @param app.config    what start() was given
 * @param app.hooks     by name: {handler, origins}
 * @param app.identity  resolves with the name and the opened database, see name.js
 * @param app.load      compiles the wasm, given when databases may be written to; see wasm.js
 * @param app.wasmUrl   where it lies
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
        renewed = Promise.resolve();
        return first ?? writable();
      },
      hook(name, detail) {
        return app.hooks.get(name)?.handler(detail);
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

  const writable = () => app.identity().then(({ name }) => renewLog(name)).catch(() => {});

  function boot() {
    booting ??= load().catch((error) => {
      // One bad load must not wedge the worker for good.
      booting = null;
      throw error;
    });
    return booting;
  }

  async function load() {
    const current = host;
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
      if (!trapped(thrown)) throw thrown;
      return current.death;
    }
  }

  /** Takes an error that the wasm itself has thrown for the death that it is; returns whether it was one. */
  function trapped(thrown) {
    if (!isTrap(thrown, app.wasmUrl)) return false;
    // Until it is replaced, a dead instance may trap again.
    if (!stale) host.panicked(`${thrown.name}: ${thrown.message}`);
    return true;
  }

  // Most of the wasm runs in callbacks of the platform, whose errors nobody else catches.
  const watch = (event, thrown) => {
    if (trapped(thrown) || thrown?.message === STALE) event.preventDefault();
  };
  self.addEventListener("error", (event) => watch(event, event.error));
  self.addEventListener("unhandledrejection", (event) => watch(event, event.reason));

  /** Runs `work` in a living instance; rejects if that dies meanwhile, for then its promises never settle. */
  function alive(work) {
    const { death } = host;
    const outcome = boot().then(work);
    outcome.catch(trapped);
    return Promise.race([outcome.catch((thrown) => (isTrap(thrown, app.wasmUrl) ? death : Promise.reject(thrown))), death]);
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
 * Whether the wasm at `url` threw this: an instruction that traps, a stack that overflowed, an array that is too
 * long. After any of them its memory is in whatever state it was in, with locks held that nobody lets go.
 */
function isTrap(thrown, url) {
  const kind = thrown instanceof WebAssembly.RuntimeError || thrown instanceof RangeError || thrown?.name === "InternalError";
  if (!kind) return false;
  const stack = String(thrown.stack);
  if (!/wasm-function|\[wasm code\]/.test(stack)) return false;
  // An app may have other wasm, of which some engines tell the address.
  const addresses = [...stack.matchAll(/(https?:\S+?):wasm-function/g)].map(([, address]) => address);
  return addresses.length === 0 || addresses.includes(url);
}

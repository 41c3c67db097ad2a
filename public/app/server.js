// Watches the server: whether it answers, what it has counted, and the demo's own down switch.

const EVERY = 3_000;
const TIMEOUT = 8_000;

/**
 * `get()` returns `{ reach, down, seenAt, tally }`. `reach`: `unknown`, `ok` or `unreachable`; `seenAt`: when it was last
 * reached, null for never; `down`: the switch, null while it is not known or not there; `tally`: its count of events and of the
 * requests that brought them, null while it is not known.
 */
export function createServer() {
  const listeners = new Set();
  let state = { reach: "unknown", down: null, tally: null, seenAt: null };
  let looking = null;
  let again = false;
  let timer = null;

  function set(change) {
    state = { ...state, ...change };
    for (const listener of listeners) listener(state);
  }

  async function lookOnce() {
    let down = null;
    try {
      down = await readSwitch();
      // With the switch down there is no need to ask, and to fill the console with what is expected.
      if (down) throw new Error("the server is switched down");
      const tally = await readJson("/api/analytics");
      set({ down, reach: "ok", tally, seenAt: Date.now() });
    } catch {
      set({ down, reach: "unreachable" });
    }
  }

  /** Looks now; a look that is under way is followed by another. */
  function look() {
    again = true;
    looking ??= lookWhileAsked().finally(() => {
      looking = null;
      schedule();
    });
    return looking;
  }

  async function lookWhileAsked() {
    while (again) {
      again = false;
      await lookOnce();
    }
  }

  function schedule() {
    clearTimeout(timer);
    timer = document.hidden ? null : setTimeout(look, EVERY);
  }

  return {
    get: () => state,
    subscribe(listener) {
      listeners.add(listener);
    },
    look,
    watch() {
      document.addEventListener("visibilitychange", () => (document.hidden ? schedule() : void look()));
      addEventListener("online", look);
      addEventListener("offline", look);
      void look();
    },
    async setDown(down) {
      await readJson("/demo/control", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ down }),
      });
      set({ down });
      await look();
    },
  };
}

/** Null from a server without a switch; rejects when nobody answers. */
async function readSwitch() {
  const response = await ask("/demo/control");
  return response.ok ? (await response.json()).down : null;
}

const ask = (url, options) => fetch(url, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT), ...options });

async function readJson(url, options) {
  const response = await ask(url, options);
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response.json();
}

// Watches the server: its notes, whether it answers, and the demo's own down switch.

const EVERY = 3_000;
const TIMEOUT = 8_000;
const NOTES_SHOWN = 50;
const MEMORY = "demo.server-notes";

/**
 * `get()` answers `{ reach, down, notes, seenAt, tally }`. `reach`: `unknown`, `ok` or `unreachable`;
 * `down`: the switch, null while it is not known or not there; `tally`: its count of events and of the requests that brought
 * them, null while it is not known.
 */
export function createServer() {
  const listeners = new Set();
  let state = { reach: "unknown", down: null, tally: null, ...remembered() };
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
      const [{ notes }, tally] = await Promise.all([readJson(`/api/notes?limit=${NOTES_SHOWN}`), readJson("/api/analytics")]);
      set({ down, reach: "ok", notes, tally, seenAt: Date.now() });
      remember(state);
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

/** The notes as last seen, so that a page opened without network has something to show. */
function remembered() {
  try {
    const { notes, seenAt } = JSON.parse(localStorage.getItem(MEMORY));
    if (Array.isArray(notes)) return { notes, seenAt };
  } catch {
    // Nothing there, or no storage.
  }
  return { notes: [], seenAt: null };
}

function remember({ notes, seenAt }) {
  try {
    localStorage.setItem(MEMORY, JSON.stringify({ notes, seenAt }));
  } catch {
    // Full or forbidden: then it is not remembered.
  }
}

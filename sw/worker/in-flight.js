// What may happen to a routed request while it is under way: others of its key, a sign-in, its withdrawal.

/** Requests of one key, one after the other in the order in which they came. */
export class Lines {
  /** @type {Map<string, Promise<void>>} */
  #last = new Map();

  /**
   * Resolves `before` when all who joined earlier have called `end`.
   *
   * @param {string} name
   */
  join(name) {
    const before = this.#last.get(name);
    /** @type {() => void} */
    let end = () => {};
    const ended = /** @type {Promise<void>} */ (new Promise((resolve) => (end = resolve)));
    const last = Promise.all([before, ended]).then(() => {
      if (this.#last.get(name) === last) this.#last.delete(name);
    });
    this.#last.set(name, last);
    return { before, end };
  }
}

/**
 * Who is signed in, as far as it matters to requests under way: whether that may have changed since they were made. Their
 * owner is known to the store alone, which is not read before a first try. So a request is queued only if no sign-in was under
 * way, began or ended between its arrival and its commit, and a sign-in waits for the commits that have begun.
 */
export class Session {
  #number = 0;
  #signingIn = 0;
  /** @type {Set<Promise<unknown>>} */
  #commits = new Set();

  /** Differs from what it returned before if another user may have signed in since; NaN, which equals nothing, meanwhile. */
  current() {
    return this.#signingIn > 0 ? Number.NaN : this.#number;
  }

  /** A sign-in begins; returns what is to be called when it has ended, once or more often. */
  change() {
    let isOver = false;
    this.#number += 1;
    this.#signingIn += 1;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#number += 1;
      this.#signingIn -= 1;
    };
  }

  /** Resolves when the commits that have begun are over. */
  committed() {
    return Promise.allSettled(this.#commits);
  }

  /**
   * Has sign-ins wait for a commit.
   *
   * @template T
   * @param {Promise<T>} commit
   */
  async hold(commit) {
    this.#commits.add(commit);
    try {
      return await commit;
    } finally {
      this.#commits.delete(commit);
    }
  }
}

/**
 * Whether the app has aborted its `fetch`; if so, aborts the first try. A page that is closed aborts its requests too: those
 * nobody withdrew.
 *
 * @typedef {ReturnType<typeof watchWithdrawal>} Withdrawal
 * @param {FetchEvent} event
 */
export function watchWithdrawal({ request: { signal }, clientId }) {
  const controller = new AbortController();
  let withdrawn = false;
  async function onAbort() {
    const client = clientId && (await self.clients.get(clientId));
    if (!client) return;
    withdrawn = true;
    controller.abort(signal.reason);
  }
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort().catch(() => {});
  return {
    controller,
    isWithdrawn: () => withdrawn,
    /** Throws the reason if the request is withdrawn. */
    check() {
      if (withdrawn) throw signal.reason;
    },
    end: () => signal.removeEventListener("abort", onAbort),
  };
}

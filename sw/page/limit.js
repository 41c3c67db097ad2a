// One timeout for everything that connect() waits for.

import { ShearwaterError } from "../error.js";

/** @typedef {ReturnType<typeof startLimit>} Limit */

/**
 * Starts a timeout of `ms`; its error names whatever is still pending.
 *
 * @param {number} ms
 */
export function startLimit(ms) {
  const waiting = new Set();
  const end = Date.now() + ms;
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  /** @type {Promise<never>} */
  const passed = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new ShearwaterError("timeout", `connect() gave up after ${ms} ms: ${[...waiting].join("; ")}`));
    }, ms);
  });
  passed.catch(() => {});
  return {
    left: () => Math.max(0, end - Date.now()),
    /**
     * Settles as `promise` does, or rejects at the timeout; `what` describes it in that error.
     *
     * @template T
     * @param {string} what
     * @param {Promise<T>} promise
     */
    async wait(what, promise) {
      waiting.add(what);
      try {
        return await Promise.race([promise, passed]);
      } finally {
        waiting.delete(what);
      }
    },
    end: () => clearTimeout(timer),
  };
}

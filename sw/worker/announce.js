// Tells pages that wait in connect() why this worker does not start.

import { toWire } from "../error.js";

const CHANNEL = "shearwater:install";

/**
 * Broadcasts `error` to pages, and returns it.
 *
 * @template {Error} E
 * @param {E} error
 * @returns {E}
 */
export function announce(error) {
  try {
    const channel = new BroadcastChannel(CHANNEL);
    channel.postMessage({
      shearwater: 1,
      script: self.location.href,
      error: toWire(error),
    });
    channel.close();
  } catch {
    // This browser has no BroadcastChannel; the error is on the console.
  }
  return error;
}

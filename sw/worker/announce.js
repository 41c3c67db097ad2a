// How pages that wait in connect() hear why this worker does not start.

import { toWire } from "../error.js";

const CHANNEL = "shearwater:install";

/**
 * Tells pages of `error`, and returns it.
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
    // No BroadcastChannel here: the console has it.
  }
  return error;
}

// How pages that wait in connect() hear why this worker does not start.

const CHANNEL = "shearwater:install";

/** Tells pages of `error`, and returns it. */
export function announce(error) {
  try {
    const channel = new BroadcastChannel(CHANNEL);
    channel.postMessage({
      shearwater: 1,
      script: self.location.href,
      error: { code: error.code ?? "internal", message: error.message },
    });
    channel.close();
  } catch {
    // No BroadcastChannel here: the console has it.
  }
  return error;
}

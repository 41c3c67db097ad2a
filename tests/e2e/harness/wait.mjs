// Waits on conditions, never on the clock.

/** Calls `look` until it returns something truthy; throws with what it last saw if that takes too long. */
export async function until(what, look, timeout = 60_000) {
  const end = Date.now() + timeout;
  let seen;
  for (;;) {
    try {
      seen = await look();
      if (seen) return seen;
    } catch (error) {
      seen = error;
    }
    if (Date.now() > end)
      throw new Error(`waited in vain for: ${what}; last seen: ${seen instanceof Error ? seen.stack : JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}

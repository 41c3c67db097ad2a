// What Shearwater has stored and not delivered, read from the store whenever it changes.

import { announce } from "./announce.js";

export const MOST_SHOWN = 200;
const MOST_EVENTS = 1_000;

/**
 * `changes` are the jobs that a person would miss: notes, photos, edits and deletions. Events of the batch queue are
 * counted only. `stored` and `waiting` count changes that the list may be too short for.
 *
 * @typedef {{changes: import("/shearwater/page.js").Job[], stored: number, waiting: number, events: number}} Jobs
 */

/**
 * Calls its listeners with {@link Jobs}, once a frame at most.
 *
 * @param {import("/shearwater/page.js").Client} client
 */
export function watchJobs(client) {
  const listeners = new Set();

  async function read() {
    const [changes, events] = await Promise.all([
      client.list({ queue: "notes", limit: MOST_SHOWN }),
      client.list({ queue: "analytics", limit: MOST_EVENTS }),
    ]);
    const { pending, syncing, failed, conflicts, blocked } = client.getSnapshot();
    const failedEvents = events.filter(({ state }) => state === "failed").length;
    const waiting = Math.max(changes.filter(isWaiting).length, pending + syncing - (events.length - failedEvents));
    const stored = Math.max(changes.length, waiting + failed + conflicts + blocked - failedEvents);
    for (const listener of listeners) listener({ changes, stored, waiting, events: events.length });
  }

  const readSoon = oncePerFrame(read);
  client.on("job", readSoon);
  client.on("removed", readSoon);
  client.subscribe(readSoon);

  return {
    /** @param {(jobs: Jobs) => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      readSoon();
    },
  };
}

const isWaiting = ({ state }) => state === "pending" || state === "syncing";

/** Runs `work` at most once per frame, and never twice at the same time. */
function oncePerFrame(work) {
  let state = "resting";
  return function ask() {
    if (state === "running") state = "asked again";
    if (state !== "resting") return;
    state = "waiting";
    requestAnimationFrame(async () => {
      state = "running";
      try {
        await work();
      } catch (error) {
        announce(`The list could not be read. ${error.message}`);
      }
      const again = state === "asked again";
      state = "resting";
      if (again) ask();
    });
  };
}

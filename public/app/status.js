// The status bar: Shearwater's snapshot in words, and the hands that sync and pause.

import { announce } from "./announce.js";
import { everySecond } from "./clock.js";
import { byId, setText } from "./dom.js";
import { formatCount, formatSince, formatUntil } from "./format.js";

/**
 * `jobs` is of jobs.js: the snapshot counts events as well, which nobody waits for. `notes` is of notes.js: a conflict that the
 * server's response told of has no job any more.
 */
export function setUpStatus(client, jobs, notes) {
  const bar = byId("status");
  const pause = byId("pause");
  const syncNow = byId("sync-now");
  let waiting = 0;

  function render() {
    const status = client.getSnapshot();
    const conflicts = Math.max(status.conflicts, notes.get()?.conflicts.size ?? 0);
    const refused = status.failed + conflicts + status.blocked;
    const paused = status.state === "paused";
    bar.dataset.state = status.state;
    setText(byId("status-sentence"), sentence(status, waiting, refused));
    setText(byId("figure-pending"), String(waiting));
    setText(byId("figure-failed"), String(refused));
    byId("figure-failed").dataset.some = String(refused > 0);
    setText(byId("figure-last"), status.lastSyncAt === null ? "never" : formatSince(status.lastSyncAt));
    setText(byId("figure-next"), nextSync(status, waiting));
    setText(pause, paused ? "Resume" : "Pause");

    const progress = byId("progress");
    progress.dataset.running = String(status.isRunning);
    progress.value = status.progress ?? 0;

    byId("network").dataset.online = String(status.isOnline);
    setText(byId("network"), status.isOnline ? "Online" : "Offline");
    document.title = waiting > 0 ? `(${waiting}) Shearwater` : "Shearwater";
  }

  pause.addEventListener("click", () =>
    reporting(async () => {
      if (client.getSnapshot().state === "paused") {
        await client.resume();
        announce("Resumed.");
      } else {
        await client.pause();
        announce("Paused. Changes are kept on this device.");
      }
    }),
  );

  syncNow.addEventListener("click", () =>
    reporting(async () => {
      const { delivered, remaining, failed } = await client.syncNow();
      announce(`${delivered} delivered, ${failed} failed, ${remaining} still waiting.`);
    }),
  );

  const { backgroundSync } = client.capabilities;
  const background = byId("background");
  background.hidden = false;
  background.dataset.there = String(backgroundSync);
  setText(background, backgroundSync ? "Background Sync" : "No Background Sync");
  background.title = backgroundSync ? "Changes are sent with the tab closed, too." : "Changes are sent while a tab is open.";

  pause.disabled = false;
  syncNow.disabled = false;
  jobs.subscribe((state) => {
    waiting = state.waiting;
    render();
  });
  notes.subscribe(render);
  everySecond(render);
}

async function reporting(work) {
  try {
    await work();
  } catch (error) {
    announce(error.message);
  }
}

function sentence(status, waiting, refused) {
  const { state, syncing, error } = status;
  const changes = formatCount(waiting, "change", "changes");
  const verb = waiting === 1 ? "waits" : "wait";
  const wait = `${changes} ${verb} on this device`;
  if (state === "paused") return waiting > 0 ? `Paused. ${wait}.` : "Paused. What you save is kept on this device.";
  if (state === "offline") return waiting > 0 ? `Offline. ${wait}.` : "Offline. What you save is kept on this device.";
  if (syncing > 0 && waiting > 0) return `Sending ${formatCount(Math.min(syncing, waiting), "change", "changes")}…`;
  if (waiting > 0) return error?.kind === "network" ? `Server unreachable. ${changes} ${verb}.` : `${wait}.`;
  if (refused > 0) return `${formatCount(refused, "change needs", "changes need")} your decision.`;
  return status.syncCount > 0 ? "Everything is delivered." : "Ready. Nothing waits to be sent.";
}

function nextSync({ state, isRunning, syncing, nextSyncAt }, waiting) {
  if (state === "paused") return "paused";
  if (syncing > 0) return "now";
  if (waiting > 0 && state === "offline") return "when online";
  if (nextSyncAt !== null) return formatUntil(nextSyncAt);
  return isRunning && waiting > 0 ? "soon" : "–";
}

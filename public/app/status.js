// The status bar: Shearwater's snapshot in words, and the hands that sync and pause.

import { announce } from "./announce.js";
import { everySecond } from "./clock.js";
import { byId, setText } from "./dom.js";
import { formatCount, formatSince, formatUntil } from "./format.js";

export function setUpStatus(client) {
  const bar = byId("status");
  const pause = byId("pause");
  const syncNow = byId("sync-now");

  function render() {
    const status = client.getSnapshot();
    const paused = status.state === "paused";
    bar.dataset.state = status.state;
    setText(byId("status-sentence"), sentence(status));
    setText(byId("figure-pending"), String(status.pending + status.syncing));
    setText(byId("figure-failed"), String(status.failed + status.conflicts + status.blocked));
    byId("figure-failed").dataset.some = String(status.failed + status.conflicts + status.blocked > 0);
    setText(byId("figure-last"), status.lastSyncAt === null ? "never" : formatSince(status.lastSyncAt));
    setText(byId("figure-next"), nextSync(status));
    setText(pause, paused ? "Resume" : "Pause");

    const progress = byId("progress");
    progress.dataset.running = String(status.isRunning);
    progress.value = status.progress ?? 0;

    byId("network").dataset.online = String(status.isOnline);
    setText(byId("network"), status.isOnline ? "Online" : "Offline");
    const waiting = status.pending + status.syncing;
    document.title = waiting > 0 ? `(${waiting}) Shearwater` : "Shearwater";
  }

  pause.addEventListener("click", () =>
    reporting(async () => {
      if (client.getSnapshot().state === "paused") {
        await client.resume();
        announce("Resumed.");
      } else {
        await client.pause();
        announce("Paused. Notes are kept on this device.");
      }
    }),
  );

  syncNow.addEventListener("click", () =>
    reporting(async () => {
      const { delivered, remaining, failed } = await client.syncNow();
      announce(`${formatCount(delivered, "note", "notes")} delivered, ${failed} failed, ${remaining} still waiting.`);
    }),
  );

  const { backgroundSync } = client.capabilities;
  const background = byId("background");
  background.hidden = false;
  background.dataset.there = String(backgroundSync);
  setText(background, backgroundSync ? "Background Sync" : "No Background Sync");
  background.title = backgroundSync ? "Notes are sent with the tab closed, too." : "Notes are sent while a tab is open.";

  pause.disabled = false;
  syncNow.disabled = false;
  client.subscribe(render);
  everySecond(render);
  render();
}

async function reporting(work) {
  try {
    await work();
  } catch (error) {
    announce(error.message);
  }
}

function sentence(status) {
  const { state, pending, syncing, failed, conflicts, blocked, error } = status;
  const open = pending + syncing;
  const notes = formatCount(open, "note", "notes");
  const verb = open === 1 ? "waits" : "wait";
  const wait = `${notes} ${verb} on this device`;
  const refused = failed + conflicts + blocked;
  if (state === "paused") return open > 0 ? `Paused. ${wait}.` : "Paused. New notes are kept on this device.";
  if (state === "offline") return open > 0 ? `Offline. ${wait}.` : "Offline. New notes are kept on this device.";
  if (syncing > 0) return `Sending ${formatCount(syncing, "note", "notes")}…`;
  if (open > 0) return error?.kind === "network" ? `Server unreachable. ${notes} ${verb}.` : `${wait}.`;
  if (refused > 0) return `${formatCount(refused, "note needs", "notes need")} your decision.`;
  return status.syncCount > 0 ? "Everything is delivered." : "Ready. Nothing waits to be sent.";
}

function nextSync({ state, isRunning, pending, syncing, nextSyncAt }) {
  if (state === "paused") return "paused";
  if (syncing > 0) return "now";
  if (pending > 0 && state === "offline") return "when online";
  if (nextSyncAt !== null) return formatUntil(nextSyncAt);
  return isRunning && pending > 0 ? "soon" : "–";
}

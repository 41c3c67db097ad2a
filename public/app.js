// The demo: notes with photos, kept on this device, edited in any tab or browser, and synced by Shearwater's service worker.

import { connect } from "/shearwater/page.js";

import { announce } from "./app/announce.js";
import { kindOf, wordFor } from "./app/change.js";
import { setUpCompose } from "./app/compose.js";
import { setUpDaily } from "./app/daily.js";
import { byId, setText } from "./app/dom.js";
import { record, setUpEvents } from "./app/events.js";
import { watchJobs } from "./app/jobs.js";
import { setUpNoteList } from "./app/note-list.js";
import { watchNotes } from "./app/notes.js";
import { setUpQueue } from "./app/queue.js";
import { createServer } from "./app/server.js";
import { setUpServerSwitch } from "./app/server-switch.js";
import { setUpSettle } from "./app/settle.js";
import { setUpStatus } from "./app/status.js";

const connected = connect({ worker: "/sw.js" });
const server = createServer();

// Before the worker is there, the form can be filled in and sent.
const opened = connected.then((client) => {
  const jobs = watchJobs(client);
  return { client, jobs, notes: watchNotes(client, jobs, server) };
});
const composing = setUpCompose(opened);
setUpServerSwitch(server);
server.watch();

try {
  const { client, jobs, notes } = await opened;
  const settle = setUpSettle(client, notes);
  setUpNoteList(client, jobs, notes, server, settle);
  setUpStatus(client, jobs, notes);
  setUpQueue(client, jobs, notes, settle);
  setUpEvents(jobs, server);
  setUpDaily(client);
  client.on("delivered", (job) => {
    if (kindOf(job) !== "event") announce(`Delivered: ${wordFor(job)}.`);
    void server.look();
  });
  client.on("failed", (job) => announce(`Not delivered: ${wordFor(job)}. ${job.error?.message ?? ""}`));
  byId("server-switch").addEventListener("click", () => record(client, "server switched"));
  record(client, "page opened");
  await composing;
} catch (error) {
  const trouble = byId("trouble");
  setText(trouble, `Shearwater could not start: ${error.message}`);
  trouble.hidden = false;
  byId("status").dataset.state = "stopped";
  setText(byId("status-sentence"), "Notes cannot be saved on this device.");
}

// The demo: notes with photos, saved on this device first and delivered by Shearwater's service worker.

import { connect } from "/shearwater/page.js";

import { announce } from "./app/announce.js";
import { kindOf, wordFor } from "./app/change.js";
import { setUpCompose } from "./app/compose.js";
import { setUpDaily } from "./app/daily.js";
import { byId, setText } from "./app/dom.js";
import { record, setUpEvents } from "./app/events.js";
import { watchJobs } from "./app/jobs.js";
import { setUpQueue } from "./app/queue.js";
import { createServer } from "./app/server.js";
import { setUpServerNotes } from "./app/server-notes.js";
import { setUpServerSwitch } from "./app/server-switch.js";
import { setUpStatus } from "./app/status.js";

const connected = connect({ worker: "/sw.js" });
const server = createServer();

// Before the worker is there, the form can be filled in and sent, and the server's notes be read.
const composing = setUpCompose(connected);
const follow = setUpServerNotes(server);
setUpServerSwitch(server);
server.watch();

try {
  const client = await connected;
  const jobs = watchJobs(client);
  setUpStatus(client, jobs);
  setUpQueue(client, jobs, await composing);
  follow(client, jobs);
  setUpEvents(jobs, server);
  setUpDaily(client);
  client.on("delivered", (job) => {
    if (kindOf(job) !== "event") announce(`Delivered: ${wordFor(job)}.`);
    void server.look();
  });
  client.on("failed", (job) => announce(`Not delivered: ${wordFor(job)}. ${job.error?.message ?? ""}`));
  byId("server-switch").addEventListener("click", () => record(client, "server switched"));
  record(client, "page opened");
} catch (error) {
  const trouble = byId("trouble");
  setText(trouble, `Shearwater could not start: ${error.message}`);
  trouble.hidden = false;
  byId("status").dataset.state = "stopped";
  setText(byId("status-sentence"), "Notes cannot be saved on this device.");
}

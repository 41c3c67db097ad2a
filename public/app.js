// The demo: notes with photos, saved on this device first and delivered by Shearwater's service worker.

import { connect } from "/shearwater/page.js";

import { announce } from "./app/announce.js";
import { setUpCompose } from "./app/compose.js";
import { byId, setText } from "./app/dom.js";
import { setUpQueue } from "./app/queue.js";
import { createServer } from "./app/server.js";
import { setUpServerNotes } from "./app/server-notes.js";
import { setUpServerSwitch } from "./app/server-switch.js";
import { setUpStatus } from "./app/status.js";

const connected = connect({ worker: "/sw.js" });
const server = createServer();

// Before the worker is there, the form can be filled in and sent, and the server's notes be read.
setUpCompose(connected);
setUpServerNotes(server);
setUpServerSwitch(server);
server.watch();

try {
  const client = await connected;
  setUpStatus(client);
  setUpQueue(client);
  client.on("delivered", () => {
    announce("A note was delivered.");
    void server.look();
  });
  client.on("failed", (job) => announce(`A note could not be delivered. ${job.error?.message ?? ""}`));
} catch (error) {
  const trouble = byId("trouble");
  setText(trouble, `Shearwater could not start: ${error.message}`);
  trouble.hidden = false;
  byId("status").dataset.state = "stopped";
  setText(byId("status-sentence"), "Notes cannot be saved on this device.");
}

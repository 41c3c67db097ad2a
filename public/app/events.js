// Analytics: what a person does here is an event, stored at once and sent with others.

import { everySecond } from "./clock.js";
import { byId, setText } from "./dom.js";
import { formatSince } from "./format.js";

let last = null;

/** Nobody waits for an event, and closing the tab loses none: it is handed over within the call. */
export function record(client, name) {
  client.track("analytics", { name, at: Date.now() });
  last = { name, at: Date.now() };
  render();
}

export function setUpEvents(jobs, server) {
  jobs.subscribe(({ events }) => setText(byId("events-waiting"), String(events)));
  server.subscribe(showTally);
  showTally(server.get());
  everySecond(render);
}

function showTally({ tally }) {
  setText(byId("events-stored"), tally ? String(tally.events) : "–");
  setText(byId("events-batches"), tally ? String(tally.batches) : "–");
}

function render() {
  if (last) setText(byId("events-last"), `Last event: “${last.name}”, ${formatSince(last.at)}.`);
}

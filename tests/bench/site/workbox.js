// workbox-background-sync as its documentation says: a Queue and `pushRequest`, behind a message from the page.
//
// `sync` events do nothing while ?hold, so that nothing is sent before the drain that is measured.
import "./tools.js";
import { Queue } from "workbox-background-sync";

const held = new URL(self.location.href).searchParams.has("hold");
const queue = new Queue("jobs", held ? { onSync: async () => {} } : {});

async function act({ one, many, atOnce, drain }) {
  const push = ({ url, ...init }) => queue.pushRequest({ request: new Request(url, init) });
  if (one) await push(one);
  if (many && atOnce) await Promise.all(many.map(push));
  else for (const request of many ?? []) await push(request);
  if (drain) await queue.replayRequests();
}

self.addEventListener("message", (event) => {
  event.waitUntil(
    act(event.data).then(
      () => event.ports[0].postMessage(null),
      (error) => event.ports[0].postMessage(String(error)),
    ),
  );
});

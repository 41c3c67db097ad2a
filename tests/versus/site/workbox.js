// workbox-background-sync as its documentation says: a Queue, `pushRequest`, and the default `onSync`.
//
// `careful` is what an app can add by itself within the documented API: an `onSync` that puts back what the
// server could not take, and throws an Error. (The page sets an Idempotency-Key then.)
import { Queue } from "workbox-background-sync";

const { careful, throwOnce, ...options } = JSON.parse(new URL(self.location.href).searchParams.get("config") ?? "{}");
self.addEventListener("install", () => self.skipWaiting());

async function replayCarefully(queue) {
  for (let entry = await queue.shiftRequest(); entry; entry = await queue.shiftRequest()) {
    try {
      const response = await fetch(entry.request.clone());
      if (response.status >= 500 || response.status === 429 || response.status === 408)
        throw new Error(`the server answered ${response.status}`);
    } catch (error) {
      await queue.unshiftRequest(entry);
      throw error;
    }
  }
}

const replay = () => (careful ? replayCarefully(queue) : queue.replayRequests());

let thrown = false;
function throwThenReplay() {
  if (thrown) return replay();
  thrown = true;
  new BroadcastChannel("versus").postMessage("thrown");
  // biome-ignore lint/style/useThrowOnlyError: what an app throws is what the row is about.
  throw careful ? new Error("no token yet") : "no token yet";
}

const onSync = throwOnce ? throwThenReplay : careful ? replay : undefined;
const queue = new Queue("jobs", { ...options, onSync });

self.addEventListener("message", (event) => {
  event.waitUntil(
    (async () => {
      const { push } = event.data;
      const outcomes = [];
      for (const { url, ...init } of push ?? []) {
        outcomes.push(
          await queue.pushRequest({ request: new Request(url, init) }).then(
            () => null,
            ({ name }) => name,
          ),
        );
      }
      if (event.data.replay) await replay().catch(() => {});
      event.ports[0].postMessage(outcomes);
    })(),
  );
});

// Shearwater as its README says.
importScripts("/tools.js");
importScripts("/shearwater/worker.js");
note("scripts loaded");
const concurrency = Number(query.get("concurrency")) || 6;
const routes = query.has("routes") ? { routes: [{ match: "/api/sink/routed/*" }] } : {};
const records = {
  url: "/api/records/notes",
  version: "version",
  indexes: { byTown: "town" },
  pull: { every: 0, pageSize: 1_000 },
};
const collections = query.has("collections") ? { collections: { notes: records } } : {};
shearwater.start({ queues: { default: { concurrency } }, ...routes, ...collections });
if (query.has("listener")) self.addEventListener("fetch", ({ request }) => request.method);

// Repeats what it tells pages, so often a second: what 10,000 changes a minute are to a page.
let last;
new BroadcastChannel("shearwater:shearwater").onmessage = ({ data }) => (last = data);
self.addEventListener("message", (event) => {
  const { storm } = event.data;
  if (!storm) return;
  const out = new BroadcastChannel("shearwater:shearwater");
  event.waitUntil(
    (async () => {
      for (let at = 0; at < storm.times; at += 1) {
        const status = { ...storm.status, version: storm.status.version + 1 + at, pending: at };
        out.postMessage({ ...storm.message, status });
        await new Promise((resolve) => setTimeout(resolve, 1_000 / storm.perSecond));
      }
      event.ports[0].postMessage("over");
    })(),
  );
});

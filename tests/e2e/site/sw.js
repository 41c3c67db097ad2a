// The worker of the tests. Its configuration comes by the query of its own URL.
importScripts("/shearwater/worker.js");

const query = new URL(self.location.href).searchParams;
const config = query.get("config");
// Where the crash tests stop; see crates/worker/src/points.rs.
self.shearwaterPoint = query.get("point");
shearwater.start(config ? JSON.parse(config) : undefined);

let token = "stale";
shearwater.on("auth", ({ url, refresh }) => {
  if (!url.includes("/auth/")) return undefined;
  if (refresh) token = "fresh";
  return { authorization: `Bearer ${token}` };
});

const told = new BroadcastChannel("test:sync");
// The platform's own event, heard beside Shearwater's listener.
self.addEventListener("sync", ({ tag, lastChance }) => told.postMessage({ tag, lastChance }));
shearwater.on("sync", ({ tag }) => {
  if (tag === "throws-a-string") throw "not an Error";
});

// Shearwater as its README says; the configuration comes by the query.
importScripts("/shearwater/worker.js");

const { throwOnce, ...config } = JSON.parse(new URL(self.location.href).searchParams.get("config") ?? "{}");
self.addEventListener("install", () => self.skipWaiting());
shearwater.start(config);

if (throwOnce) {
  let thrown = false;
  shearwater.on("sync", () => {
    if (thrown) return;
    thrown = true;
    new BroadcastChannel("versus").postMessage("thrown");
    // biome-ignore lint/style/useThrowOnlyError: what an app throws is what the row is about.
    throw "no token yet";
  });
}

// The service worker in which the tests of crates/worker run.

import "./app.js";
import "./platform.js";
import { runTest } from "./test.js";

const binary = new URL("worker_bg.wasm", self.location.href);

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("message", (event) => {
  if (typeof event.data?.runTest !== "string") return;
  event.waitUntil(runTest(event.data.runTest, binary).then((result) => event.ports[0].postMessage(result)));
});

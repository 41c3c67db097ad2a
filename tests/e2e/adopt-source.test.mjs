// `adopt()` takes over the jobs of an app's own queue unchanged.

import assert from "node:assert/strict";
import test from "node:test";

import { makeSite } from "./harness/site.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const site = makeSite({
  "sw.js": `importScripts("/shearwater/worker.js");
   shearwater.adopt((store) => store([0, 1, 10, 5_000, 70_000].map((size, at) => ({
     id: "00000000-0000-4000-8000-00000000000" + at,
     request: { url: self.location.origin + "/api/sink/" + size, method: "POST", headers: [] },
     body: new Blob([new Uint8Array(size).fill(at)], { type: "image/png" }),
   }))));
   shearwater.start();`,
  "before.js": 'self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));',
  "waits.js": `importScripts("/shearwater/worker.js");
   const told = new BroadcastChannel("told");
   shearwater.adopt(async () => told.postMessage("asked"));
   shearwater.start();
   self.addEventListener("message", ({ data }) => data === "go" && self.skipWaiting());`,
  "hangs.js": 'importScripts("/shearwater/worker.js"); shearwater.adopt(() => new Promise(() => {})); shearwater.start();',
});
const w = world({ site });

test("blobs of every size arrive whole, with the type that they have, and once however often the worker starts", async () => {
  const page = await w.open();
  await until("all of them", async () => (await w.server.sink()).length === 5);
  // Until the outcomes are stored too: a worker that is stopped before sends again, under the same key.
  await w.settled(page);
  const driven = await w.browser.workers(page);
  await driven.stop();
  await page.evaluate(() => window.client.metrics());
  const arrivals = (await w.server.arrivals("/api/sink")).sort((a, b) => a.bodySize - b.bodySize);
  assert.deepEqual(
    arrivals.map(({ bodySize, contentType }) => [bodySize, contentType]),
    [0, 1, 10, 5_000, 70_000].map((size) => [size, "image/png"]),
  );
});

test("nothing is taken over while the worker before is still active and may send it", async () => {
  const page = await w.visit("/", { ready: false });
  await page.evaluate(async () => {
    window.told = [];
    new BroadcastChannel("told").onmessage = ({ data }) => window.told.push(data);
    await navigator.serviceWorker.register("/before.js");
    while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 10));
    window.registration = await navigator.serviceWorker.register("/waits.js");
    while (!window.registration.waiting) await new Promise((resolve) => setTimeout(resolve, 10));
    await new Promise((resolve) => setTimeout(resolve, 500));
  });
  assert.deepEqual(await page.evaluate(() => window.told), []);
  await page.evaluate(() => window.registration.waiting.postMessage("go"));
  await until("it to be asked", () => page.evaluate(() => window.told.length === 1));
});

test("a source that never ends delays the first response for seconds, and nothing after it", async () => {
  const page = await w.visit();
  const took = await page.evaluate(async () => {
    const began = performance.now();
    window.client = await window.connect({ worker: "/hangs.js" });
    await client.enqueue({ url: "/api/sink/x", body: "x" });
    return performance.now() - began;
  });
  assert.ok(took < 8_000, `took ${took} ms`);
  await until("the delivery", async () => (await w.server.sink()).length === 1);
});

// The main job: stored while the server cannot be reached, delivered by a real `sync` event.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

test("three notes, one with a photo, are stored offline and delivered once by a sync event, the tab closed", async () => {
  const page = await w.open();
  const workers = await w.browser.workers(await w.browser.newPage());
  await w.server.down(true);
  const photo = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7919) % 251));
  await page.evaluate(async (photo) => {
    await window.client.enqueue({ url: "/api/notes", body: { text: "first" } }, { queue: "notes" });
    const form = new FormData();
    form.append("text", "second, with a photo");
    const bytes = Uint8Array.from(atob(photo), (char) => char.charCodeAt(0));
    form.append("photo", new File([bytes], "sea.jpg", { type: "image/jpeg" }));
    await window.client.enqueue({ url: "/api/notes", method: "POST", body: form }, { queue: "notes" });
    await window.client.enqueue(
      new Request("/api/notes", {
        method: "POST",
        body: JSON.stringify({ text: "third" }),
        headers: { "content-type": "application/json" },
      }),
      { queue: "notes" },
    );
  }, photo.toString("base64"));
  await page.close();
  assert.equal((await w.server.notes()).length, 0);

  await w.server.down(false);
  await workers.sync(w.server.origin, "notes");
  const notes = await until("three notes", async () => {
    const notes = await w.server.notes();
    return notes.length >= 3 && notes;
  });
  assert.deepEqual(notes.map((note) => note.text).sort(), ["first", "second, with a photo", "third"]);
  const attachment = notes.flatMap((note) => note.attachments)[0];
  assert.equal(attachment.sha256, createHash("sha256").update(photo).digest("hex"));
  assert.equal(attachment.name, "sea.jpg");
  const arrivals = await w.server.arrivals("/api/notes");
  assert.equal(new Set(arrivals.map((arrival) => arrival.idempotencyKey)).size, 3);
  assert.equal(arrivals.length, 3, "each was sent once");
});

test("enqueue registers the queue's tag, and the browser fires a real sync event for it", async () => {
  const page = await w.open();
  await page.evaluate(() => {
    window.fired = [];
    new BroadcastChannel("test:sync").onmessage = ({ data }) => window.fired.push(data);
  });
  await w.server.down(true);
  await w.enqueue(page, { url: "/api/sink/registered", body: "x" }, { queue: "photos" });
  await until("a real sync event", () => page.evaluate(() => window.fired.some(({ tag }) => tag === "photos")));
  // Its drain got no response, so the browser was asked to fire again: the tag is still registered.
  const tags = await page.evaluate(async () => (await navigator.serviceWorker.ready).sync.getTags());
  assert.deepEqual(tags, ["photos"]);
  await page.close();
  await w.server.down(false);
  const sink = await until("the job", async () => {
    const sink = await w.server.sink();
    return sink.length > 0 && sink;
  });
  assert.equal(sink.length, 1);
});

test("a sync event that leaves work is rejected, and its last chance registers the tag anew", async () => {
  const page = await w.open();
  const workers = await w.browser.workers(page);
  await w.server.faults([{ path: "/api/sink", action: { status: 503, headers: { "retry-after": "600" } } }]);
  const id = await w.enqueue(page, { url: "/api/sink/later", body: "x" });
  await until("one attempt", async () => (await w.get(page, id)).attempts === 1);
  await until("no drain", async () => !(await w.snapshot(page)).isRunning);
  const tags = () => page.evaluate(async () => (await navigator.serviceWorker.ready).sync.getTags());
  await workers.sync(w.server.origin, "default", true);
  await until("the tag", async () => (await tags()).includes("default"));
  const job = await w.get(page, id);
  assert.equal(job.state, "pending");
  assert.equal(job.attempts, 1, "a Retry-After is not cut short by a sync event");
  assert.ok(job.nextAttemptAt - job.lastTriedAt >= 600_000);
});

test("while the server is down, tries follow the backoff: no storm of sync events", async () => {
  const page = await w.open({ config: { queues: { default: { backoff: { base: 60_000, max: 60_000, jitter: "equal" } } } } });
  await w.server.down(true);
  const id = await w.enqueue(page, { url: "/api/sink/down", body: "x" });
  // One try at once, one by the sync event that registering the tag fires; then nothing for a minute.
  await until("the tries that are due", async () => (await w.get(page, id)).unreachable >= 1);
  await until("rest", async () => !(await w.snapshot(page)).isRunning);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const { unreachable } = await w.get(page, id);
  assert.ok(unreachable <= 3, `${unreachable} tries`);
  const { refused } = await w.server.stats();
  assert.ok(refused <= 8, `${refused} connections`);
});

test("syncNow resolves when all was tried, not when the backoff is over; the status says when the next try is due", async () => {
  const page = await w.open({ config: { queues: { default: { backoff: { base: 10_000, max: 10_000, jitter: "equal" } } } } });
  await w.server.down(true);
  const ids = await page.evaluate(() =>
    client.enqueueAll([
      { url: "/api/sink/1", body: "1" },
      { url: "/api/sink/2", body: "2" },
    ]),
  );
  await until("a try of both", async () => (await w.list(page)).every((job) => job.unreachable >= 1));
  await until("rest", async () => !(await w.snapshot(page)).isRunning);
  const result = await page.evaluate(() => client.syncNow());
  assert.deepEqual([result.retried, result.remaining], [2, 2]);
  const resting = await until("a status at rest", async () => {
    const status = await w.snapshot(page);
    return status.nextSyncAt !== null && !status.isRunning && status;
  });
  assert.equal(resting.state, "error");
  await w.server.down(false);
  assert.equal((await page.evaluate(() => client.syncNow())).delivered, 2);
  const { state, error, isRunning } = await until("idle", async () => {
    const status = await w.snapshot(page);
    return status.state === "idle" && status;
  });
  assert.deepEqual([state, error, isRunning], ["idle", null, false]);
  assert.equal((await w.server.sink()).length, ids.length);
});

test("offline, nothing is tried and nothing spins; back online, it is sent at once", async () => {
  const page = await w.open();
  const worker = await (
    await w.browser.browser.waitForTarget(
      (target) => target.type() === "service_worker" && target.url().startsWith(w.server.origin),
    )
  ).createCDPSession();
  const network = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
  await worker.send("Network.enable");
  await worker.send("Network.emulateNetworkConditions", { offline: true, ...network });
  await page.setOfflineMode(true);
  const posts = await page.evaluate(async () => {
    window.posts = 0;
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (...args) {
      window.posts += 1;
      return postMessage.apply(this, args);
    };
    await client.enqueue({ url: "/api/sink/offline", body: "x" });
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    return window.posts;
  });
  assert.ok(posts <= 5, `${posts} messages in four seconds`);
  assert.equal((await w.snapshot(page)).state, "offline");
  assert.equal((await w.server.arrivals("/api/sink")).length, 0);
  await worker.send("Network.emulateNetworkConditions", { offline: false, ...network });
  await page.setOfflineMode(false);
  await until("delivery", async () => (await w.server.sink()).length === 1);
});

test("a tag that names no queue costs nothing and harms nothing; the app's own tags still work", async () => {
  const page = await w.open();
  const workers = await w.browser.workers(page);
  await workers.sync(w.server.origin, "somebody-elses-tag");
  await workers.sync(w.server.origin, "somebody-elses-tag", true);
  const id = await w.enqueue(page, { url: "/api/sink/after", body: "x" });
  await w.becomes(page, id, "delivered");
  assert.equal((await w.server.sink()).length, 1);
});

test("a cold start without network, wasm from Cache Storage, takes over what an earlier worker left", async () => {
  const page = await w.open();
  const workers = await w.browser.workers(page);
  await w.server.faults([{ path: "/api/sink", action: { hold: true } }]);
  await w.enqueue(page, { url: "/api/sink/left", body: "x" });
  await w.held(1);
  await workers.stop();
  const { server } = w;
  const cached = await page.evaluate(async () => {
    const names = await caches.keys();
    const requests = await Promise.all(
      names.map(async (name) => (await (await caches.open(name)).keys()).map((request) => request.url)),
    );
    return requests.flat();
  });
  assert.ok(
    cached.some((url) => url.endsWith("/shearwater/worker.wasm")),
    cached.join(),
  );
  await server.faults([]);
  await server.release();
  await workers.sync(server.origin, "default");
  const sink = await until("delivery", async () => {
    const sink = await server.sink();
    return sink.length > 0 && sink;
  });
  assert.equal(sink.length, 1);
});

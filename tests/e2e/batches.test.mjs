// Batches: several items as one request, sent again as they were, told apart by the response, split when it is refused.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const URL_OF_BATCHES = "/api/analytics/batch";

/** A worker's configuration with batches in the queue `events`. */
const config = (batch = {}, queue = {}) => ({
  queues: {
    events: { backoff: { base: 50, max: 200 }, ...queue, batch: { url: URL_OF_BATCHES, wrap: { events: "items" }, ...batch } },
  },
});
const open = (batch, queue) => w.open({ config: config(batch, queue) });

/** Stores these events, all in one call, and sends nothing before all are there. */
const store = async (page, events) => {
  await page.evaluate(() => window.client.pause("events"));
  const requests = events.map((event) => ({ url: URL_OF_BATCHES, method: "POST", body: event }));
  const ids = await w.enqueueAll(page, requests, { queue: "events" });
  await page.evaluate(() => window.client.resume("events"));
  return ids;
};
const numbers = (count, from = 0) => Array.from({ length: count }, (_, at) => ({ n: from + at }));
const stored = async () => (await w.server.sink(URL_OF_BATCHES)).map(({ body }) => JSON.parse(body));
const arrivals = () => w.server.arrivals(URL_OF_BATCHES);
const sorted = (events) => events.map(({ n }) => n).sort((a, b) => a - b);

test("1,000 events leave in 20 requests of 50, each event once and in order", async () => {
  const page = await open({ max: 50 });
  await store(page, numbers(1_000));
  await until("1,000 events", async () => (await stored()).length >= 1_000);
  await w.settled(page);
  assert.deepEqual(sorted(await stored()), sorted(numbers(1_000)));
  assert.equal((await arrivals()).length, 20);
  const keys = new Set((await arrivals()).map(({ idempotencyKey }) => idempotencyKey));
  assert.equal(keys.size, 20);
  const { failed, pending } = await w.snapshot(page);
  assert.deepEqual([failed, pending], [0, 0]);
});

test("track stores events and returns at once, in pagehide too", async () => {
  const page = await open({ wait: 200 });
  await page.evaluate(() => {
    window.addEventListener("pagehide", () => window.client.track("events", { n: 2 }));
    if (window.client.track("events", { n: 1 }) !== undefined) throw new Error("track returns something");
  });
  await w.closeTab(page);
  await until("both events", async () => (await stored()).length >= 2);
  assert.deepEqual(sorted(await stored()), [1, 2]);
});

test("an item waits for company until there is enough of it, or its time is up, or somebody asks", async () => {
  const page = await open({ max: 3, wait: 600_000 });
  const ids = await w.enqueueAll(
    page,
    numbers(2).map((body) => ({ url: URL_OF_BATCHES, method: "POST", body })),
    { queue: "events" },
  );
  await w.resting(page);
  assert.equal((await w.get(page, ids[0])).state, "pending");
  await page.evaluate(() => window.client.track("events", { n: 2 }));
  await until("the full batch", async () => (await stored()).length === 3);
  await page.evaluate(() => window.client.track("events", { n: 3 }));
  await until("a fourth item", async () => (await w.snapshot(page)).pending === 1);
  await page.evaluate(() => window.client.syncNow("events"));
  await until("the fourth event", async () => (await stored()).length === 4);
  assert.equal((await arrivals()).length, 2);
});

for (const results of ["multi", "array", "member"]) {
  test(`results of each item (${results}): the bad one fails alone, with its own reason`, async () => {
    const pointer = results === "member" ? { results: "/results" } : {};
    const page = await open({ url: `${URL_OF_BATCHES}?results=${results}`, ...pointer });
    const url = `${URL_OF_BATCHES}?results=${results}`;
    await page.evaluate(() => window.client.pause("events"));
    const events = [...numbers(4), { n: 4, bad: true }, { n: 5 }];
    const ids = await w.enqueueAll(
      page,
      events.map((body) => ({ url, method: "POST", body })),
      { queue: "events" },
    );
    await page.evaluate(() => window.client.resume("events"));
    const bad = await w.becomes(page, ids[4], "failed");
    assert.equal(bad.error.status, 422);
    assert.match(bad.error.message, /the event is bad/);
    await w.settled(page);
    assert.equal((await w.get(page, ids[0])).status, 201);
    assert.deepEqual(sorted(await stored()), [0, 1, 2, 3, 5]);
    assert.equal((await arrivals()).length, 1);
  });
}

test("a refused batch is split until the bad item stands alone; the others are stored once", async () => {
  const page = await open();
  const ids = await store(page, [...numbers(5), { n: 5, bad: true }, ...numbers(2, 6)]);
  const bad = await w.becomes(page, ids[5], "failed");
  assert.equal(bad.error.status, 422);
  assert.equal(bad.attempts, 1);
  await w.settled(page);
  assert.deepEqual(sorted(await stored()), [0, 1, 2, 3, 4, 6, 7]);
  const sends = await arrivals();
  assert.equal(new Set(sends.map(({ idempotencyKey }) => idempotencyKey)).size, sends.length, "each part has its own key");
  assert.equal(sends.length, 7, "8, 4 and 4, 2 and 2, 1 and 1");
});

test("a batch that is too large for the server (413) goes in halves", async () => {
  const url = `${URL_OF_BATCHES}?most=100`;
  const page = await open({ url });
  await page.evaluate(() => window.client.pause("events"));
  const requests = numbers(16).map((body) => ({ url, method: "POST", body }));
  await w.enqueueAll(page, requests, { queue: "events" });
  await page.evaluate(() => window.client.resume("events"));
  await until("all events", async () => (await stored()).length >= 16);
  await w.settled(page);
  assert.deepEqual(sorted(await stored()), sorted(numbers(16)));
  assert.equal((await w.snapshot(page)).failed, 0);
});

test("maxBytes counts the envelope: a body is never larger, and no item is left", async () => {
  const most = 1_024;
  const page = await open({ maxBytes: most, wrap: { app: "x".repeat(100), events: "items", live: true } });
  await store(
    page,
    numbers(60).map((event) => ({ ...event, text: "é".repeat(20) })),
  );
  await until("all events", async () => (await stored()).length >= 60);
  const sizes = (await arrivals()).map(({ bodySize }) => bodySize);
  assert.ok(
    sizes.every((size) => size <= most),
    `${sizes}`,
  );
  assert.ok(sizes.filter((size) => size > most - 80).length >= sizes.length - 1, `each is as full as it may be: ${sizes}`);
});

test("the worker is killed between the server's commit and the reply: the very same batch comes again", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config: config({ max: 5 }) });
  const workers = await chromium.workers(page);
  await w.server.faults([{ path: URL_OF_BATCHES, action: { hold: true, drop: "after" }, times: 2 }]);
  await store(page, numbers(10));
  await w.held(2);
  await workers.stop();
  await w.server.release();
  await until("the first effects", async () => (await stored()).length === 10);
  await w.server.faults([]);
  await workers.sync(w.server.origin, "events");
  await w.settled(page);
  assert.deepEqual(sorted(await stored()), sorted(numbers(10)));
  const sends = await arrivals();
  const bodies = new Map();
  for (const { idempotencyKey, bodySha256 } of sends) {
    assert.equal(bodies.get(idempotencyKey) ?? bodySha256, bodySha256, "a key has one payload");
    bodies.set(idempotencyKey, bodySha256);
  }
  assert.deepEqual([bodies.size, sends.length], [2, 4]);
});

test("a wrong number of results: each item is kept and says so, and the same batch goes again", async () => {
  const page = await open({}, { maxAttempts: 2 });
  await w.server.faults([
    {
      path: URL_OF_BATCHES,
      action: { status: 200, handle: true, headers: { "content-type": "application/json" }, body: "[201, 201, 201]" },
    },
  ]);
  const ids = await store(page, numbers(5));
  for (const id of ids) {
    const job = await w.becomes(page, id, "failed");
    assert.equal(job.error.message, "the batch's response has 3 results for 5 items");
    assert.equal(job.attempts, 2);
  }
  await w.server.faults([]);
  // One stands for all: they were sent together.
  await page.evaluate((id) => window.client.retry(id), ids[2]);
  for (const id of ids) await w.becomes(page, id, "delivered");
  assert.deepEqual(sorted(await stored()), sorted(numbers(5)));
  assert.equal(new Set((await arrivals()).map(({ idempotencyKey }) => idempotencyKey)).size, 1);
});

test("results that never come, or come in part: nobody is delivered, and the same batch goes again", async () => {
  const headers = { "content-type": "application/json" };
  for (const body of ["", "[201, 2"]) {
    await w.serve();
    const page = await open();
    await w.server.faults([
      { path: URL_OF_BATCHES, action: { status: 200, headers, body, stall: true, handle: true }, times: 1 },
    ]);
    const ids = await store(page, numbers(3));
    await until("the same batch once more", async () => (await arrivals()).length >= 2);
    for (const id of ids) await w.becomes(page, id, "delivered");
    assert.deepEqual(sorted(await stored()), sorted(numbers(3)));
    const sends = await arrivals();
    assert.deepEqual([sends.length, new Set(sends.map(({ idempotencyKey }) => idempotencyKey)).size], [2, 1]);
  }
});

test("what cannot be an item is refused, and another address is a request of its own", async () => {
  const page = await open();
  const enqueue = (request) => w.refused(page, "enqueue", request, { queue: "events" });
  for (const [request, reason] of [
    [{ url: URL_OF_BATCHES, method: "PUT", body: {} }, /is a POST of JSON/],
    [{ url: URL_OF_BATCHES, method: "POST", headers: { "x-thing": "1" }, body: {} }, /without headers/],
    [{ url: URL_OF_BATCHES, method: "POST", body: "no JSON" }, /is JSON/],
    [{ url: URL_OF_BATCHES, method: "POST", body: { text: "x".repeat(70_000) } }, /64 KiB/],
  ]) {
    const { code, message } = await enqueue(request);
    assert.equal(code, "invalid-request");
    assert.match(message, reason);
  }
  const { resolved } = await enqueue({ url: "/api/sink/alone", method: "PUT", body: "text" });
  await w.becomes(page, resolved, "delivered");
  assert.equal((await w.server.sink("/api/sink/alone")).length, 1);
});

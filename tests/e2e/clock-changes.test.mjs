// The clock is set while jobs wait: no job is given up for it, and none waits longer than it should.
//
// The page, the worker and the time that the server tells are set apart: the browser talks to the server by
// way of a proxy, which puts another `Date` on replies, or is not there at all.

import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import test, { afterEach, beforeEach } from "node:test";

import { until } from "./harness/wait.mjs";
import { numbered, world } from "./harness/world.mjs";

const w = world();

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
const wait = (base) => ({ queues: { default: { backoff: { base, max: base, jitter: "equal" } } } });

let proxy;
beforeEach(async () => {
  const state = { date: 0, down: false, asked: 0 };
  const server = createServer((incoming, outgoing) => {
    if (incoming.method === "HEAD") state.asked += 1;
    if (state.down) return incoming.socket.destroy();
    const { hostname, port } = new URL(w.server.origin);
    const onward = request(
      {
        hostname: hostname.replace("localhost", "127.0.0.1"),
        port,
        method: incoming.method,
        path: incoming.url,
        headers: incoming.headers,
      },
      (reply) => {
        outgoing.sendDate = false;
        outgoing.writeHead(reply.statusCode, {
          ...reply.headers,
          date: state.date === null ? [] : new Date(Date.now() + state.date).toUTCString(),
        });
        reply.pipe(outgoing);
      },
    );
    onward.on("error", () => incoming.socket.destroy());
    incoming.pipe(onward);
    return undefined;
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy = Object.assign(state, {
    origin: `http://localhost:${server.address().port}`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  });
});
afterEach(() => proxy.stop());

const open = (config = {}) =>
  w.browser.open(proxy.origin, {
    options: { worker: `/sw.js?config=${encodeURIComponent(JSON.stringify(config))}&clock=0`, syncOnMount: false },
  });

/** Sets the clock of the device: of the worker and of this page. */
const setClock = (page, offset) =>
  page.evaluate((offset) => {
    setClock(offset);
    return tell({ clock: offset });
  }, offset);

const online = (page) => page.evaluate(() => window.dispatchEvent(new Event("online")));
const arrived = () => w.server.arrivals("/api/sink");
const enqueue = (page, count, options) => w.enqueueAll(page, numbered(count), options);
/** Waits until each was tried in vain and waits. */
const stranded = (page) =>
  until(
    "tries in vain",
    async () =>
      (await w.list(page)).every((job) => job.state === "pending" && (job.unreachable > 0 || job.attempts > 0)) &&
      !(await w.snapshot(page)).isRunning,
  );
async function allDelivered(page, ids) {
  for (const id of ids) await w.becomes(page, id, "delivered");
  assert.deepEqual((await arrived()).map((arrival) => arrival.idempotencyKey).sort(), [...ids].sort());
  assert.equal((await w.snapshot(page)).failed, 0);
}

test("set forward a year while jobs of seven days wait: none expires, all are delivered when the server is up", async () => {
  const page = await open(wait(HOUR));
  await w.server.down(true);
  const ids = await enqueue(page, 5);
  await stranded(page);
  await setClock(page, YEAR);
  await w.server.down(false);
  await online(page);
  await allDelivered(page, ids);
  assert.ok(proxy.asked > 0, "the app's own server was asked for the time");
  // And what is queued by that clock is delivered by the right one.
  await w.server.down(true);
  const more = await enqueue(page, 2);
  await stranded(page);
  await setClock(page, 0);
  await w.server.down(false);
  await online(page);
  await allDelivered(page, [...ids, ...more]);
});

test("set forward a year without a reachable server: no job is given up or sent; the wake that gets a response decides", async () => {
  const page = await open(wait(HOUR));
  proxy.down = true;
  const ids = await enqueue(page, 5);
  await stranded(page);
  await setClock(page, YEAR);
  for (let round = 1; round <= 4; round += 1) {
    await online(page);
    await until("a question in vain", () => proxy.asked >= round);
    await w.resting(page);
    const jobs = await w.list(page);
    assert.deepEqual(
      jobs.map((job) => job.state),
      Array(5).fill("pending"),
      `round ${round}`,
    );
  }
  assert.deepEqual(
    [...new Set((await w.list(page)).map((job) => job.error.kind))].filter((kind) => !["withheld", "network"].includes(kind)),
    [],
  );
  proxy.down = false;
  await online(page);
  await allDelivered(page, ids);
});

test("set forward, and the server says the same: what is too old is failed as expired, the rest is delivered", async () => {
  const page = await open(wait(HOUR));
  await w.server.down(true);
  const old = await enqueue(page, 2);
  const [young] = await enqueue(page, 1, { maxAge: 30 * DAY });
  await stranded(page);
  await setClock(page, 8 * DAY);
  proxy.date = 8 * DAY;
  await w.server.down(false);
  await online(page);
  for (const id of old) assert.equal((await w.becomes(page, id, "failed")).error.kind, "expired");
  await w.becomes(page, young, "delivered");
  assert.deepEqual(
    (await arrived()).map((arrival) => arrival.idempotencyKey),
    [young],
  );
});

test("set forward, and a response without a date: the clock is believed", async () => {
  const page = await open(wait(HOUR));
  await w.server.down(true);
  const [id] = await enqueue(page, 1);
  await stranded(page);
  await setClock(page, 8 * DAY);
  proxy.date = null;
  await w.server.down(false);
  await online(page);
  assert.equal((await w.becomes(page, id, "failed")).error.kind, "expired");
});

test("a job that is too old by every clock expires, without a request", async () => {
  const page = await open();
  await page.evaluate(() => client.pause());
  const [id] = await enqueue(page, 1, { maxAge: 200 });
  const { expiresAt } = await w.get(page, id);
  await until("its end", () => Date.now() > expiresAt);
  await page.evaluate(() => client.resume());
  assert.equal((await w.becomes(page, id, "failed")).error.kind, "expired");
  assert.deepEqual([await arrived(), proxy.asked], [[], 0]);
});

for (const [name, back] of [
  ["12 hours", 12 * HOUR],
  ["a day", DAY],
  ["a year", YEAR],
]) {
  test(`set back ${name} while jobs wait for their backoff: they go within one wake, as soon as they would have`, async () => {
    const page = await open(wait(1_000));
    await w.server.faults([{ path: "/api/sink", action: { status: 503 }, times: 3 }]);
    await page.evaluate(() => client.pause());
    const ids = await enqueue(page, 3);
    const before = Date.now();
    await page.evaluate(() => client.resume());
    await until("three refusals", async () => (await arrived()).length === 3);
    await setClock(page, -back);
    for (const id of ids) assert.equal((await w.becomes(page, id, "delivered")).attempts, 2);
    assert.equal((await arrived()).length, 6);
    assert.ok(Date.now() - before < 30_000);
  });
}

test("set back a day while jobs wait for an hour: a wake tells when, by the new clock; a hopeful one sends", async () => {
  const page = await open(wait(HOUR));
  await w.server.down(true);
  const ids = await enqueue(page, 3);
  await stranded(page);
  await setClock(page, -DAY);
  await page.evaluate(() => client.syncNow());
  await stranded(page);
  for (const job of await w.list(page)) {
    const wait = job.nextAttemptAt - (Date.now() - DAY);
    assert.ok(wait <= 1.3 * HOUR, `${wait / HOUR} h`);
  }
  await w.server.down(false);
  await online(page);
  await allDelivered(page, ids);
});

test("set back while an open breaker and a Retry-After wait: they are not prolonged", async () => {
  const page = await open({ ...wait(300) });
  await w.server.faults([{ path: "/api/sink", action: { status: 503, headers: { "retry-after": "1" } } }]);
  const ids = await enqueue(page, 8);
  await until("a closed origin", async () =>
    (await page.evaluate(() => client.metrics())).origins.some((origin) => origin.closures > 0),
  );
  await setClock(page, -YEAR);
  await w.server.faults([]);
  for (const id of ids) await w.becomes(page, id, "delivered");
});

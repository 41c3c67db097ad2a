// A server that accepts requests and never responds delays no jobs but its own (issue 8, D).

import assert from "node:assert/strict";
import test, { afterEach, beforeEach } from "node:test";

import { startServer } from "./harness/server.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

/** Generous for a healthy server on a busy machine; a request to the silent one takes a minute to be given up. */
const SOON = 25_000;

let silent;
beforeEach(async () => {
  silent = await startServer();
  await silent.faults([{ path: "/api/sink", action: { hold: true } }]);
});
afterEach(() => silent.stop());

const queue = (more) => ({ queues: { default: { backoff: { base: 1_000, max: 2_000, jitter: "equal" }, ...more } } });
const toSilent = (page, count, options) =>
  page.evaluate(
    (url, count, options) =>
      client.enqueueAll(
        Array.from({ length: count }, (_, at) => ({ url: `${url}/${at}`, body: `${at}` })),
        options,
      ),
    `${silent.crossOrigin}/api/sink/silent`,
    count,
    options,
  );
const toHealthy = (page, count, options) =>
  page.evaluate(
    (count, options) =>
      client.enqueueAll(
        Array.from({ length: count }, (_, at) => ({ url: `/api/sink/healthy/${at}`, body: `${at}` })),
        options,
      ),
    count,
    options,
  );
const held = (count) => until(`${count} held`, async () => (await silent.stats()).held >= count);
const delivered = (page, id) =>
  until(`job ${id} to be delivered`, async () => (await w.get(page, id)).state === "delivered", SOON);

for (const concurrency of [6, 2]) {
  test(`jobs to a healthy server are delivered beside a silent one, ${concurrency} at a time`, async () => {
    const page = await w.open({ config: queue({ concurrency }) });
    await toSilent(page, 12);
    await held(1);
    for (const id of await toHealthy(page, 5)) await delivered(page, id);
    assert.equal((await silent.sink()).length, 0);
  });
}

test("a critical job to a healthy server does not wait for a silent one", async () => {
  const page = await w.open({ config: queue() });
  await toSilent(page, 12, { priority: "critical" });
  await held(1);
  const [id] = await toHealthy(page, 1, { priority: "critical" });
  await delivered(page, id);
});

test("jobs to a healthy server that were queued first and retried are not starved by a silent one", async () => {
  const page = await w.open({ config: queue() });
  await w.server.faults([{ path: "/api/sink/healthy", action: { status: 503 }, times: 5 }]);
  const ids = await toHealthy(page, 5);
  await until("an attempt of each", async () => (await w.server.arrivals("/api/sink/healthy")).length >= 5);
  await toSilent(page, 12);
  for (const id of ids) await delivered(page, id);
});

test("after a switch, the next user's job does not wait behind the hung request of the one before", async () => {
  const page = await w.open({ config: queue() });
  const setOwner = (owner) => page.evaluate((owner) => client.setOwner(owner), owner);
  await setOwner("A");
  // Of the app's own server, too.
  await w.server.faults([{ path: "/api/sink/a", action: { hold: true } }]);
  const ofA = await w.enqueue(page, { url: "/api/sink/a", body: "of A" });
  await w.held(1);
  await setOwner("B");
  await delivered(page, await w.enqueue(page, { url: "/api/sink/b", body: "of B" }));
  assert.equal((await w.server.stats()).held, 1, "A's still hangs");
  await w.server.release();
  await until("the end of A's", async () => (await w.server.stats()).inFlight === 0);
  await setOwner("A");
  await w.becomes(page, ofA, "delivered");
  assert.equal((await w.server.sink("/api/sink/a")).length, 1);
});

test("once requests to a silent server have timed out, it is sent one probe at a time, and no second set", async () => {
  const page = await w.open({ config: { ...queue({ timeout: 1_500 }), breakerThreshold: 5 } });
  await toSilent(page, 30);
  const closures = async () =>
    (await page.evaluate(() => client.metrics())).origins.find(({ origin }) => origin === silent.crossOrigin)?.closures ?? 0;
  await until("a closed origin that was probed", async () => (await closures()) >= 3);
  const arrivals = (await silent.arrivals("/api/sink/silent")).filter((arrival) => arrival.method === "POST");
  // The first set of at most six, one that was begun as an earlier one ended, and a probe for each closure but the first.
  assert.ok(
    arrivals.length <= 6 + 1 + (await closures()),
    `${arrivals.length} requests: ${arrivals.map(({ atMs }) => atMs - arrivals[0].atMs)}`,
  );
});

// Tabs, sync events and "sync now" all at once: the server counts each job once (P2, Q7).

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

test("two tabs, sync events and syncNow from each at once: 300 jobs, 300 arrivals", async () => {
  const [one, two] = [await w.open(), await w.open()];
  const workers = await w.browser.workers(one);
  await w.server.faults([{ path: "/api/sink", action: { delayMs: 3 } }]);
  const fill = (page, name) =>
    page.evaluate(
      (name) =>
        window.client.enqueueAll(Array.from({ length: 150 }, (_, at) => ({ url: `/api/sink/${name}/${at}`, body: `${at}` }))),
      name,
    );
  const filled = Promise.all([fill(one, "one"), fill(two, "two")]);
  const noise = (async () => {
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([
        workers.sync(w.server.origin, "default"),
        one.evaluate(() => window.client.syncNow()),
        two.evaluate(() => window.client.syncNow("default")),
        two.evaluate(() => window.dispatchEvent(new Event("online"))),
      ]);
    }
  })();
  const ids = (await filled).flat();
  await noise;
  await w.settled(one);
  const arrivals = await w.server.arrivals("/api/sink");
  assert.equal(arrivals.length, 300);
  assert.deepEqual(arrivals.map((arrival) => arrival.idempotencyKey).sort(), ids.sort());
});

test("both tabs see the same status, from what is stored", async () => {
  const [one, two] = [await w.open(), await w.open()];
  await w.server.faults([{ path: "/api/sink/bad", action: { status: 422, body: "no" } }]);
  await one.evaluate(() => window.client.pause());
  await w.enqueue(one, { url: "/api/sink/good", body: "x" });
  await w.enqueue(two, { url: "/api/sink/bad", body: "x" });
  for (const page of [one, two]) {
    await until("two pending, paused", async () => {
      const { pending, state } = await w.snapshot(page);
      return pending === 2 && state === "paused";
    });
  }
  assert.equal((await w.server.arrivals("/api/sink")).length, 0, "paused means that nothing is sent");
  await two.evaluate(() => window.client.resume());
  for (const page of [one, two]) {
    await until("one failed", async () => {
      const { pending, failed, state } = await w.snapshot(page);
      return pending === 0 && failed === 1 && state === "error";
    });
  }
  assert.deepEqual(await w.snapshot(one), await w.snapshot(two));
});

test("no more than six at a time by default, and as many as the queue says", async () => {
  const page = await w.open({ config: { queues: { narrow: { concurrency: 2 } } } });
  await w.server.faults([{ path: "/api/sink", action: { hold: true } }]);
  for (const [queue, width] of [
    ["wide", 6],
    ["narrow", 2],
  ]) {
    await page.evaluate(
      (queue) =>
        window.client.enqueueAll(
          Array.from({ length: 12 }, () => ({ url: "/api/sink/x", body: "x" })),
          { queue },
        ),
      queue,
    );
    await until(`${width} held`, async () => (await w.server.stats()).held === width);
    await w.server.faults([]);
    await w.server.release();
    await w.settled(page);
    const { maxInFlight } = await w.server.stats();
    assert.ok(maxInFlight <= 6, `${maxInFlight}`);
    await w.server.faults([{ path: "/api/sink", action: { hold: true } }]);
  }
  assert.equal((await w.server.arrivals("/api/sink")).length, 24);
});

// The circuit breaker (Q5, Q6): a failing server is probed, one that asks for a pause gets it, and nothing is lost.

import assert from "node:assert/strict";
import test from "node:test";

import { startServer } from "./harness/server.mjs";
import { until } from "./harness/wait.mjs";
import { numbered, world } from "./harness/world.mjs";

const w = world();

const backoff = (base, max = base) => ({ queues: { default: { backoff: { base, max, jitter: "equal" } } } });
const many = (page, count, path) => w.enqueueAll(page, numbered(count, path));
const arrived = (path = "/api/sink") => w.server.arrivals(path);
const troubled = async (page) => (await page.evaluate(() => client.metrics())).origins;
/** Each job was accepted once. */
async function acceptedOnce(ids) {
  await until(`${ids.length} jobs`, async () => (await w.server.sink()).length >= ids.length);
  assert.deepEqual((await w.server.sink()).map((entry) => entry.idempotencyKey).sort(), [...ids].sort());
}

test("RateLimit with nothing left pauses the origin for its t, whatever wakes there are; others go on", async () => {
  const page = await w.open({ config: backoff(5, 20) });
  const other = await startServer();
  try {
    await w.server.faults([{ path: "/api/sink/first", action: { headers: { ratelimit: '"default";r=0;t=2' } } }]);
    const first = await w.enqueue(page, { url: "/api/sink/first", body: "x" });
    await w.becomes(page, first, "delivered");
    const ids = await many(page, 4);
    const elsewhere = await w.enqueue(page, { url: `${other.origin.replace("localhost", "127.0.0.1")}/api/sink/x`, body: "x" });
    await w.becomes(page, elsewhere, "delivered");
    await page.evaluate(async () => {
      for (const event of ["online", "focus"]) window.dispatchEvent(new Event(event));
      await client.syncNow();
    });
    await acceptedOnce([first, ...ids]);
    const [asked, ...after] = await arrived();
    // From the reply on, which was after the arrival.
    for (const arrival of after) assert.ok(arrival.atMs - asked.atMs >= 2_000, `${arrival.atMs - asked.atMs} ms`);
    const [one] = await other.arrivals("/api/sink");
    assert.ok(
      one.atMs - asked.atMs < 2_000 || after.every((arrival) => arrival.atMs > one.atMs),
      "another origin does not wait",
    );
  } finally {
    await other.stop();
  }
});

test("something left in RateLimit, or nonsense, pauses nothing", async () => {
  const page = await w.open();
  for (const [at, value] of [
    '"default";r=1;t=600',
    '"default";r=0',
    "r=zero;t=600",
    ";;=,",
    "limit=1, remaining=5, reset=600",
  ].entries()) {
    await w.server.faults([{ path: "/api/sink", action: { headers: { ratelimit: value } } }]);
    for (const part of ["a", "b"])
      await w.becomes(page, await w.enqueue(page, { url: `/api/sink/${at}/${part}`, body: "x" }), "delivered");
  }
});

test("Retry-After outranks RateLimit: the job waits for its own, the origin does not for the other", async () => {
  const page = await w.open({ config: backoff(5, 20) });
  await w.server.faults([
    {
      path: "/api/sink/first",
      action: { status: 429, headers: { "retry-after": "1", ratelimit: '"default";r=0;t=3600' } },
      times: 1,
    },
  ]);
  const first = await w.enqueue(page, { url: "/api/sink/first", body: "x" });
  const job = await until("an attempt", async () => {
    const job = await w.get(page, first);
    return job.attempts === 1 && job;
  });
  const ids = await many(page, 3);
  for (const id of ids) await w.becomes(page, id, "delivered");
  if (job.state === "pending") {
    const wait = job.nextAttemptAt - job.lastTriedAt;
    assert.ok(wait >= 1_000 && wait < 60_000, `${wait}`);
  }
  await w.becomes(page, first, "delivered");
  const [one, two] = await arrived("/api/sink/first");
  assert.ok(two.atMs - one.atMs >= 1_000, `${two.atMs - one.atMs}`);
});

for (const concurrency of [1, 6]) {
  test(`five different jobs that get 503 open the breaker, ${concurrency} at a time: few are tried, then one probe at a time; all are delivered when it recovers`, async () => {
    const { queues } = backoff(500);
    const page = await w.open({ config: { queues: { default: { ...queues.default, concurrency } } } });
    await w.server.faults([{ path: "/api/sink", action: { status: 503 } }]);
    const ids = await many(page, 60);
    const other = await startServer();
    try {
      await until("a closed origin", async () => (await troubled(page)).some((origin) => origin.closures > 0));
      const url = other.origin.replace("localhost", "127.0.0.1");
      await w.becomes(page, await w.enqueue(page, { url: `${url}/api/sink/x`, body: "x" }), "delivered");
      await until("four closures", async () => (await troubled(page)).some((origin) => origin.closures >= 4));
      const seen = await arrived();
      const gaps = seen.slice(1).map((arrival, at) => arrival.atMs - seen[at].atMs);
      // What was claimed when the fifth reply was noted is sent all the same: twice the concurrency, and those claimed since the first.
      const burst = gaps.findLastIndex((gap) => gap < 300) + 2;
      assert.ok(burst >= 5 && burst <= (concurrency === 1 ? 7 : 18), `${burst} before it was closed: ${gaps}`);
      const probes = seen.slice(burst);
      assert.ok(probes.length >= 2 && probes.length <= 6, `${probes.length} probes: ${gaps}`);
      assert.equal(
        new Set(probes.map((probe) => probe.idempotencyKey)).size,
        probes.length,
        "the probes are of different jobs",
      );
      assert.deepEqual(
        (await troubled(page)).map((origin) => origin.origin),
        [w.server.origin],
      );
      await w.server.faults([]);
      await acceptedOnce(ids);
      await until("a well origin", async () => (await troubled(page)).every((origin) => origin.closures === 0));
      assert.equal((await w.snapshot(page)).failed, 0);
    } finally {
      await other.stop();
    }
  });
}

test("while one probe is in flight, no other is sent, on any wake", async () => {
  const page = await w.open({ config: backoff(50) });
  await w.server.faults([{ path: "/api/sink", action: { status: 503 } }]);
  const ids = await many(page, 20);
  await until(
    "a closed origin",
    async () => (await troubled(page)).some((origin) => origin.closures > 0) && (await w.server.stats()).inFlight === 0,
  );
  await w.server.faults([{ path: "/api/sink", action: { hold: true } }]);
  await w.held(1);
  const before = (await arrived()).length;
  ids.push(await w.enqueue(page, { url: "/api/sink/late", body: "x" }));
  for (let round = 0; round < 5; round += 1) {
    await page.evaluate(async () => {
      for (const event of ["online", "focus"]) window.dispatchEvent(new Event(event));
      await client.list();
    });
  }
  assert.deepEqual([(await w.server.stats()).held, (await arrived()).length], [1, before]);
  await w.server.faults([]);
  await w.server.release();
  await acceptedOnce(ids);
});

test("an outage uses up no attempts: thirty jobs of three attempts outlive it", async () => {
  const page = await w.open({ config: backoff(10, 20) });
  await w.server.faults([{ path: "/api/sink", action: { status: 503 } }]);
  const ids = await page.evaluate(() =>
    client.enqueueAll(
      Array.from({ length: 30 }, (_, at) => ({ url: `/api/sink/${at}`, body: `${at}` })),
      { maxAttempts: 3 },
    ),
  );
  await until("twenty arrivals", async () => (await arrived()).length >= 20);
  await w.server.faults([]);
  await acceptedOnce(ids);
  assert.equal((await w.snapshot(page)).failed, 0);
});

test("an open breaker is still open after the browser was killed, and closes by itself", async () => {
  const first = await w.start();
  const config = backoff(3_600_000);
  const page = await first.open(w.server.origin, { config });
  await w.server.faults([{ path: "/api/sink", action: { status: 503 } }]);
  const ids = await many(page, 20);
  const before = await until("a closed origin", async () => {
    const [origin] = await troubled(page);
    return origin?.closures > 0 && (await w.server.stats()).inFlight === 0 && !(await w.snapshot(page)).isRunning && origin;
  });
  const tried = (await arrived()).length;
  await first.kill();
  await w.server.faults([]);
  const second = await w.start({ profile: first.profile });
  const again = await second.open(w.server.origin, { config, options: { syncOnMount: false } });
  const [after] = await troubled(again);
  assert.deepEqual(after, before);
  const late = await again.evaluate(() => client.enqueue({ url: "/api/sink/late", body: "x" }));
  assert.equal((await w.get(again, late)).nextAttemptAt, before.opensAt);
  await again.evaluate(() => client.list());
  assert.equal((await arrived()).length, tried, "not even for a new job");
  await again.evaluate(() => client.syncNow());
  await acceptedOnce([...ids, late]);
});

test("what keeps failing is sent no more often than the retry budget allows; it is deferred, not dropped", async () => {
  const page = await w.open({ config: { ...backoff(5, 10), retryBudget: { burst: 3, interval: 600_000, ratio: 0 } } });
  // Four: too few to close the origin.
  await w.server.faults([{ path: "/api/sink/bad", action: { status: 503 } }]);
  const bad = await page.evaluate(() =>
    client.enqueueAll([0, 1, 2, 3].map((at) => ({ url: `/api/sink/bad/${at}`, body: `${at}` }))),
  );
  await until("three retries", async () => (await arrived("/api/sink/bad")).length === 7);
  const good = await many(page, 20, "/api/sink/good");
  for (const id of good) await w.becomes(page, id, "delivered");
  await until("all of them put off", async () =>
    (await w.list(page)).every((job) => job.state === "pending" && job.nextAttemptAt > job.queuedAt + 60_000),
  );
  assert.deepEqual(
    (await w.list(page)).map((job) => job.id),
    bad,
  );
  assert.equal((await arrived("/api/sink/bad")).length, 7);
});

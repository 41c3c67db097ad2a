// What responses mean, when a job is retried, and what the other jobs of its key do meanwhile (Q3–Q5).

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

/** A queue that retries fast, so that a test of attempts takes no minute. */
const quick = { queues: { default: { backoff: { base: 5, max: 20 } } } };

const table = [
  ["delivered", [200, 201, 204, 207]],
  ["failed", [400, 403, 404, 405, 410, 413, 415, 422, 428, 451, 501, 505, 507]],
  ["conflict", [409, 412]],
  ["blocked", [401, 419, 440]],
];

test("final statuses, each told by its status and not by its text", async () => {
  const page = await w.open();
  const statuses = table.flatMap(([state, statuses]) => statuses.map((status) => [status, state]));
  await w.server.faults(
    statuses.map(([status]) => ({
      path: `/api/sink/${status}`,
      action: { status, ...(status !== 204 && { body: "error 503, please retry: 200 OK" }) },
    })),
  );
  const ids = await page.evaluate(
    (statuses) => window.client.enqueueAll(statuses.map(([status]) => ({ url: `/api/sink/${status}`, body: "x" }))),
    statuses,
  );
  for (const [at, [status, state]] of statuses.entries()) {
    const job = await w.becomes(page, ids[at], state);
    assert.equal(job.attempts, 1, `${status}`);
    if (state === "delivered") assert.equal(job.status, status);
    else assert.equal(job.error.status, status);
  }
  assert.equal((await w.server.arrivals("/api/sink")).length, statuses.length, "each was sent once");
  const { failed, conflicts, blocked, pending } = await w.snapshot(page);
  assert.deepEqual({ failed, conflicts, blocked, pending }, { failed: 13, conflicts: 2, blocked: 3, pending: 0 });
});

test("statuses that pass are tried again, five times by default, with one idempotency key", async () => {
  const page = await w.open({ config: quick });
  const statuses = [425, 429, 500, 502, 503, 504];
  await w.server.faults(statuses.map((status) => ({ path: `/api/sink/${status}`, action: { status } })));
  const ids = await page.evaluate(
    (statuses) => window.client.enqueueAll(statuses.map((status) => ({ url: `/api/sink/${status}`, body: "x" }))),
    statuses,
  );
  for (const id of ids) {
    const job = await w.becomes(page, id, "failed");
    assert.equal(job.attempts, 5);
  }
  for (const status of statuses) {
    const arrivals = await w.server.arrivals(`/api/sink/${status}`);
    assert.equal(arrivals.length, 5, `${status}`);
    assert.equal(new Set(arrivals.map((arrival) => arrival.idempotencyKey)).size, 1);
  }
});

test("a status that passes once is delivered at the second attempt", async () => {
  const page = await w.open({ config: quick });
  await w.server.faults([{ path: "/api/sink", action: { status: 503 }, times: 1 }]);
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  const job = await w.becomes(page, id, "delivered");
  assert.equal(job.attempts, 2);
});

test("a DELETE of what is gone is delivered", async () => {
  const page = await w.open();
  await w.server.faults([
    { path: "/api/sink/404", action: { status: 404 } },
    { path: "/api/sink/410", action: { status: 410 } },
  ]);
  for (const status of [404, 410]) {
    const id = await w.enqueue(page, { url: `/api/sink/${status}`, method: "DELETE" });
    await w.becomes(page, id, "delivered");
  }
});

test("Retry-After in seconds and as a date is a minimum; nonsense is ignored", async () => {
  const page = await w.open({ config: quick });
  const now = new Date();
  const values = {
    seconds: ["120", 120_000],
    date: [new Date(Math.floor(now / 1000) * 1000 + 300_000).toUTCString(), 295_000],
    past: [new Date(now - 86_400_000).toUTCString(), 0],
    negative: ["-5", 0],
    words: ["soon", 0],
    huge: ["99999999999999999999", 86_400_000],
  };
  await w.server.faults(
    Object.entries(values).map(([name, [value]]) => ({
      path: `/api/sink/${name}`,
      action: { status: 503, headers: { "retry-after": value } },
      times: 1,
    })),
  );
  for (const [name, [, least]] of Object.entries(values)) {
    const id = await w.enqueue(page, { url: `/api/sink/${name}`, body: "x" });
    const job = await until(`an attempt of ${name}`, async () => {
      const job = await w.get(page, id);
      return job.attempts > 0 && job;
    });
    if (least === 0) {
      await w.becomes(page, id, "delivered");
    } else {
      assert.equal(job.state, "pending", name);
      const wait = job.nextAttemptAt - job.lastTriedAt;
      assert.ok(wait >= least && wait <= least + 120_000, `${name}: ${wait}`);
      // A person's "sync now" does not overrule what the server asked for.
      await page.evaluate(() => window.client.syncNow());
      assert.equal((await w.server.arrivals(`/api/sink/${name}`)).length, 1);
    }
  }
});

test("no response at all burns no attempt; a job that never gets one delays no other", async () => {
  const page = await w.open({ config: quick });
  await w.server.faults([{ path: "/api/sink/cut", action: { drop: "before" } }]);
  const cut = await w.enqueue(page, { url: "/api/sink/cut", body: "x" }, { maxAttempts: 1 });
  await until("three tries", async () => (await w.get(page, cut)).unreachable >= 3);
  const good = await w.enqueue(page, { url: "/api/sink/good", body: "x" });
  await w.becomes(page, good, "delivered");
  const job = await w.get(page, cut);
  assert.deepEqual([["pending", "syncing"].includes(job.state), job.attempts, job.error.kind], [true, 0, "network"]);
  await w.server.faults([]);
  await w.becomes(page, cut, "delivered");
});

test("a server that does not respond in time is tried again", async () => {
  const page = await w.open({ config: { queues: { default: { timeout: 300, backoff: { base: 5, max: 20 } } } } });
  await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 1 }]);
  const id = await w.enqueue(page, { url: "/api/sink/slow", body: "x" });
  const job = await w.becomes(page, id, "delivered");
  assert.equal(job.attempts, 2);
});

test("jobs of a key keep their order while its head fails for a time; other keys go on", async () => {
  const page = await w.open({ config: quick });
  await w.server.faults([{ path: "/api/sink/a/0", action: { status: 503, headers: { "retry-after": "1" } }, times: 2 }]);
  const ids = [];
  for (let at = 0; at < 5; at += 1) {
    for (const key of ["a", "b"]) {
      ids.push(await w.enqueue(page, { url: `/api/sink/${key}/${at}`, body: `${at}` }, { key }));
    }
  }
  for (const id of ids) await w.becomes(page, id, "delivered");
  const sink = await w.server.sink();
  for (const key of ["a", "b"]) {
    assert.deepEqual(
      sink.filter((entry) => entry.path.startsWith(`/api/sink/${key}/`)).map((entry) => entry.body),
      ["0", "1", "2", "3", "4"],
    );
  }
  const firstOfA = sink.findIndex((entry) => entry.path.startsWith("/api/sink/a/"));
  const lastOfB = sink.findLastIndex((entry) => entry.path.startsWith("/api/sink/b/"));
  assert.ok(lastOfB < firstOfA, "b did not wait for a");
});

test("a dead letter blocks its key, and says whom it holds up; retried, the rest follows in order", async () => {
  const page = await w.open();
  await w.server.faults([{ path: "/api/sink/0", action: { status: 422 }, times: 1 }]);
  const ids = await page.evaluate(() =>
    window.client.enqueueAll(
      [0, 1, 2].map((at) => ({ url: `/api/sink/${at}`, body: `${at}` })),
      { key: "k" },
    ),
  );
  await w.becomes(page, ids[0], "failed");
  const waiting = await w.get(page, ids[1]);
  assert.deepEqual([waiting.state, waiting.waitingFor], ["pending", ids[0]]);
  assert.equal((await w.server.sink()).length, 0);
  assert.equal(await page.evaluate((id) => window.client.retry(id), ids[0]), true);
  for (const id of ids) await w.becomes(page, id, "delivered");
  assert.deepEqual(
    (await w.server.sink()).map((entry) => entry.body),
    ["0", "1", "2"],
  );
});

test('with onFailure "continue" the successors of a dead letter go on', async () => {
  const page = await w.open({ config: { queues: { default: { onFailure: "continue" } } } });
  await w.server.faults([{ path: "/api/sink/0", action: { status: 422 } }]);
  const ids = await page.evaluate(() =>
    window.client.enqueueAll(
      [0, 1, 2].map((at) => ({ url: `/api/sink/${at}`, body: `${at}` })),
      { key: "k" },
    ),
  );
  await w.becomes(page, ids[0], "failed");
  for (const id of ids.slice(1)) await w.becomes(page, id, "delivered");
});

test("more urgent jobs go first, then in the order of queueing", async () => {
  const page = await w.open({ config: { queues: { default: { concurrency: 1 } } } });
  await page.evaluate(() => window.client.pause());
  for (const [name, priority] of [
    ["low", "low"],
    ["normal-1", "normal"],
    ["critical", "critical"],
    ["normal-2", 5],
    ["cleanup", "cleanup"],
    ["high", "high"],
  ]) {
    await w.enqueue(page, { url: `/api/sink/${name}`, body: name }, { priority });
  }
  await page.evaluate(() => window.client.resume());
  await w.settled(page);
  assert.deepEqual(
    (await w.server.sink()).map((entry) => entry.body),
    ["critical", "high", "normal-1", "normal-2", "low", "cleanup"],
  );
});

test("a queue's own meaning of single statuses", async () => {
  const page = await w.open({ config: { queues: { default: { statuses: { 404: "deliver", 503: "fail" } } } } });
  await w.server.faults([404, 503].map((status) => ({ path: `/api/sink/${status}`, action: { status } })));
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/404", body: "x" }), "delivered");
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/503", body: "x" }), "failed");
});

test("an opaque reply is delivered, of unknown status", async () => {
  const page = await w.open();
  const other = w.server.origin.replace("localhost", "127.0.0.1");
  const id = await w.enqueue(page, { url: `${other}/api/sink/opaque`, method: "POST", body: "x", mode: "no-cors" });
  const job = await w.becomes(page, id, "delivered");
  assert.equal(job.status, undefined);
  assert.equal((await w.server.sink()).length, 1);
});

test("the first request still running at the server: the retry under its key is no conflict", async () => {
  const page = await w.open({ config: { queues: { default: { timeout: 300, backoff: { base: 5, max: 20 } } } } });
  await w.server.faults([{ path: "/api/sink", action: { hold: true }, times: 1 }]);
  const id = await w.enqueue(page, { url: "/api/sink/running", body: "x" });
  await until("a 409", async () => (await w.server.arrivals("/api/sink")).some((arrival) => arrival.status === 409));
  await w.server.release();
  await w.becomes(page, id, "delivered");
  assert.equal((await w.server.sink()).length, 1);
});

test("a job older than its maxAge is failed as expired; zero means at once", async () => {
  const page = await w.open();
  const id = await w.enqueue(page, { url: "/api/sink/old", body: "x" }, { maxAge: 0 });
  const job = await w.becomes(page, id, "failed");
  assert.equal(job.error.kind, "expired");
  assert.equal((await w.server.arrivals("/api/sink")).length, 0);
  assert.equal(await page.evaluate((id) => window.client.retry(id), id), true);
});

test("credentials are never stored; the auth hook supplies them, and refreshes them after a 401", async () => {
  const page = await w.open();
  await w.server.faults([{ path: "/api/sink/auth/", action: { status: 401 }, times: 1 }]);
  const id = await w.enqueue(page, {
    url: "/api/sink/auth/x",
    body: "x",
    headers: { Authorization: "Bearer secret-of-the-page", "X-Kept": "1" },
  });
  await w.becomes(page, id, "delivered");
  const arrivals = await w.server.arrivals("/api/sink/auth");
  assert.deepEqual(
    arrivals.map((arrival) => arrival.headers.authorization),
    ["Bearer stale", "Bearer fresh"],
  );
  assert.equal(arrivals[0].headers["x-kept"], "1");
});

// Control of a queue (issue 8, 7, 8 and 13): many calls at once, cancel, misspelt names, stored responses.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { numbered, world } from "./harness/world.mjs";

const w = world();

const script = (config, more = {}) => `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), ...more })}`;
const later = () => ({ notBefore: Date.now() + 3_600_000 });
const cancel = (page, id) => page.evaluate((id) => client.cancel(id), id);

test("2,000 calls of enqueue that are not awaited, with two seconds' patience: none is refused, all are stored, and sent once", async () => {
  const page = await w.open({ options: { timeout: 2_000 } });
  const { ids, refused, posts } = await page.evaluate(async () => {
    let posts = 0;
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (...given) {
      posts += 1;
      return postMessage.apply(this, given);
    };
    const calls = Array.from({ length: 2_000 }, (_, at) => client.enqueue({ url: `/api/sink/${at}`, body: `${at}` }));
    const outcomes = await Promise.allSettled(calls);
    return {
      ids: outcomes.map(({ value }) => value),
      refused: outcomes.filter(({ reason }) => reason).map(({ reason }) => reason.code),
      posts,
    };
  });
  assert.deepEqual([refused.length, [...new Set(refused)]], [0, []]);
  assert.equal(new Set(ids).size, 2_000);
  // A call is posted again where the worker may have died, not where it works.
  assert.ok(posts < 3_000, `${posts} messages`);
  await until("all at the server", async () => (await w.server.sink()).length >= 2_000, 240_000);
  const sink = await w.server.sink();
  assert.deepEqual(sink.map((entry) => entry.idempotencyKey).sort(), [...ids].sort());
});

test("1,000 calls of enqueue that are not awaited share commits: a tenth of as many at most; all are stored, and sent once", async () => {
  const page = await w.open({ options: { worker: "/sw.js?count" } });
  // Or a drain would write beside them.
  await page.evaluate(() => client.pause());
  await w.resting(page);
  const { ids, commits } = await page.evaluate(async () => {
    const written = async () => (await tell({})).begun.readwrite;
    const before = await written();
    const ids = await Promise.all(
      Array.from({ length: 1_000 }, (_, at) => client.enqueue({ url: `/api/sink/${at}`, body: `${at}` })),
    );
    return { ids, commits: (await written()) - before };
  });
  assert.ok(commits <= 100, `${commits} commits`);
  assert.deepEqual((await page.evaluate(() => keys("jobs"))).sort(), [...ids].sort());
  await page.evaluate(() => client.resume());
  await until("all at the server", async () => (await w.server.sink()).length >= 1_000, 240_000);
  assert.deepEqual((await w.server.sink()).map((entry) => entry.idempotencyKey).sort(), [...ids].sort());
});

test("syncNow reads no more with 5,000 jobs of tomorrow than with 100", async () => {
  const page = await w.open({ options: { worker: "/sw.js?count", autoSyncInterval: 0 } });
  let stored = 0;
  /** What one syncNow reads when there are this many jobs: the least of three, for the drain of an enqueue may end beside the first. */
  const readAt = async (count) => {
    for (; stored < count; stored += 100) {
      const notBefore = Date.now() + 86_400_000;
      await page.evaluate((requests, options) => client.enqueueAll(requests, options), numbered(100), { notBefore });
    }
    const runs = [];
    for (let run = 0; run < 3; run += 1) {
      await w.resting(page);
      const [before, result, after] = await page.evaluate(async () => [
        (await tell({})).read,
        await client.syncNow(),
        (await tell({})).read,
      ]);
      assert.equal(result.remaining, count);
      runs.push({ requests: after.requests - before.requests, rows: after.rows - before.rows });
    }
    const least = (of) => Math.min(...runs.map((run) => run[of]));
    return { requests: least("requests"), rows: least("rows") };
  };
  const few = await readAt(100);
  const many = await readAt(5_000);
  assert.ok(few.requests > 0 && few.rows > 0, "it was counted");
  const seen = JSON.stringify({ few, many });
  assert.ok(many.requests <= few.requests + 2 && many.rows <= few.rows + 2, seen);
  assert.equal((await w.server.arrivals("/api/sink")).length, 0);
});

test("cancel removes a job that waits", async () => {
  const page = await w.open();
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" }, later());
  const seen = page.evaluate((id) => new Promise((resolve) => client.watch(id, (job) => job === null && resolve(job))), id);
  assert.equal(await cancel(page, id), true);
  assert.equal(await seen, null);
  assert.deepEqual([await w.list(page), await w.get(page, id)], [[], null]);
  assert.equal(await cancel(page, id), false, "it is gone");
});

test("cancel aborts a job that is being sent: it is listed as failed, for it may have arrived", async () => {
  const page = await w.open();
  await w.server.faults([{ path: "/api/sink/held", action: { hold: true } }]);
  const id = await w.enqueue(page, { url: "/api/sink/held", body: "x" }, { key: "k" });
  const behind = await w.enqueue(page, { url: "/api/sink/behind", body: "x" }, { key: "k" });
  await w.held(1);
  assert.equal(await cancel(page, id), true);
  const job = await w.becomes(page, id, "failed");
  assert.equal(job.error.kind, "cancelled");
  assert.equal((await w.get(page, behind)).waitingFor, id, "a dead letter like others");
  await w.server.faults([]);
  await w.server.release();
  await until("the end of the request", async () => (await w.server.stats()).inFlight === 0);
  await page.evaluate(() => client.syncNow());
  assert.equal((await w.server.arrivals("/api/sink/held")).length, 1, "it is not sent again by itself");
  assert.equal(await page.evaluate((id) => client.retry(id), id), true);
  await w.becomes(page, id, "delivered");
  await w.becomes(page, behind, "delivered");
  assert.equal((await w.server.sink("/api/sink/held")).length, 1, "under its key");
});

test("sends that a person cancels say nothing about their server: its other jobs go at once", async () => {
  const page = await w.open({ config: { breakerThreshold: 3 } });
  await w.server.faults([{ path: "/api/sink/held", action: { hold: true } }]);
  const ids = await page.evaluate(() =>
    client.enqueueAll(Array.from({ length: 4 }, (_, at) => ({ url: "/api/sink/held", body: `${at}` }))),
  );
  await w.held(4);
  for (const id of ids) assert.equal(await cancel(page, id), true);
  await w.settled(page);
  const ledger = (await page.evaluate(() => rows("meta"))).find((row) => row.origins);
  assert.deepEqual(ledger.origins, [], "nothing is held against it");
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/next", body: "x" }), "delivered");
});

test("cancel in one tab of what another tab's call set off; the other jobs in flight are not touched", async () => {
  const [one, two] = [await w.open(), await w.open()];
  await w.server.faults([{ path: "/api/sink", action: { hold: true } }]);
  const ids = await one.evaluate(() => client.enqueueAll([0, 1, 2].map((at) => ({ url: `/api/sink/${at}`, body: `${at}` }))));
  await w.held(3);
  assert.equal(await cancel(two, ids[1]), true);
  for (const page of [one, two])
    await until("the job as cancelled", async () => (await w.get(page, ids[1])).error?.kind === "cancelled");
  await w.server.faults([]);
  await w.server.release();
  for (const at of [0, 2]) await w.becomes(one, ids[at], "delivered");
  assert.equal((await w.get(one, ids[1])).state, "failed");
});

test("cancel comes too late for what is delivered, and never for what is not there", async () => {
  const page = await w.open();
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  await w.becomes(page, id, "delivered");
  assert.equal(await cancel(page, id), false);
  assert.equal((await w.get(page, id)).state, "delivered");
  assert.equal(await cancel(page, crypto.randomUUID()), false);
});

for (const method of ["pause", "resume", "syncNow"]) {
  test(`${method} of an unknown queue is refused`, async () => {
    const page = await w.open({ config: { queues: { mail: {} } } });
    const { code, message } = await w.refused(page, method, "mial");
    assert.equal(code, "unknown-queue");
    assert.match(message, /mial/);
    for (const known of ["mail", "default"]) assert.equal((await w.refused(page, method, known)).code, undefined, known);
    await w.enqueue(page, { url: "/api/sink/x", body: "x" }, { queue: "adhoc", ...later() });
    assert.equal((await w.refused(page, method, "adhoc")).code, undefined, "it holds a job");
  });
}

test("a pause of a queue that is known by its one job can be taken back when the job is gone", async () => {
  const page = await w.open();
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" }, { queue: "adhoc", ...later() });
  await page.evaluate(() => client.pause("adhoc"));
  assert.equal(await page.evaluate((id) => client.discard(id), id), true);
  assert.equal((await w.refused(page, "resume", "adhoc")).code, undefined);
  assert.deepEqual((await w.snapshot(page)).pausedQueues, []);
});

test("what the server replied to a delivered job is in the event, the hook, get() and watch(), where the queue asks for it", async () => {
  const config = {
    queues: {
      default: { response: { headers: ["X-Ref", "Location", "X-Absent"], body: true } },
      plain: {},
      heads: { response: { headers: ["x-ref"] } },
    },
  };
  const page = await w.open({ options: { worker: script(config, { delivered: "" }) } });
  await w.server.faults([
    { path: "/api/sink", action: { headers: { "x-ref": "42", location: "/api/sink/17", "set-cookie": "private=1" } } },
  ]);
  await page.evaluate(() => {
    window.events = [];
    client.on("delivered", (job) => events.push(job));
  });
  const ids = {};
  const watched = {};
  for (const queue of ["default", "plain", "heads"]) {
    ids[queue] = await w.enqueue(page, { url: `/api/sink/${queue}`, body: "x" }, { queue });
    watched[queue] = page.evaluate(
      (id) => new Promise((resolve) => client.watch(id, (job) => job?.state === "delivered" && resolve(job))),
      ids[queue],
    );
  }
  for (const [queue, id] of Object.entries(ids)) {
    await w.becomes(page, id, "delivered");
    const hooked = await until("the hook", () => page.evaluate((id) => heard.delivered.find((job) => job.id === id), id));
    const event = await until("the event", () => page.evaluate((id) => events.find((job) => job.id === id), id));
    for (const job of [await w.get(page, id), hooked, event, await watched[queue]]) {
      const { response } = job;
      if (queue === "plain") {
        assert.equal(response, undefined);
        continue;
      }
      assert.equal(response.status, 200);
      const headers = new Headers(response.headers);
      assert.deepEqual(
        Object.fromEntries(headers),
        queue === "default" ? { "x-ref": "42", location: "/api/sink/17" } : { "x-ref": "42" },
      );
      if (queue === "default") assert.ok("arrival" in JSON.parse(response.body), response.body);
      else assert.equal(response.body, undefined);
    }
  }
});

test("a reply's body is kept up to 64 KiB, and holds nothing up", async () => {
  const page = await w.open({ config: { queues: { default: { response: { body: true } } } } });
  await w.server.faults([
    { path: "/api/sink/long", action: { status: 200, body: "begin ", flood: 50_000_000 } },
    { path: "/api/sink/stalled", action: { status: 200, body: "begin ", stall: true } },
    { path: "/api/sink/empty", action: { status: 204 } },
  ]);
  for (const [path, least, most] of [
    ["long", 6, 65_536],
    ["stalled", 0, 6],
    ["empty", 0, 0],
  ]) {
    const job = await w.becomes(page, await w.enqueue(page, { url: `/api/sink/${path}`, body: "x" }), "delivered");
    const body = job.response.body ?? "";
    assert.ok(body.length >= least && body.length <= most, `${path}: ${body.length}`);
  }
  await until("no connection to be held", async () => (await w.server.stats()).openBodies === 0);
  assert.ok((await w.server.stats()).bodyBytes < 40_000_000);
});

test("the delivered hook that throws changes nothing about the delivery", async () => {
  const page = await w.open({ options: { worker: script({}, { delivered: "throws" }) } });
  for (const path of ["a", "b"])
    await w.becomes(page, await w.enqueue(page, { url: `/api/sink/${path}`, body: "x" }), "delivered");
  assert.equal((await w.server.sink()).length, 2);
});

test("each outcome calls its hook with the job, once, whatever the hook throws; a retry calls none", async () => {
  const config = { queues: { default: { maxAttempts: 2, backoff: { base: 5, max: 10 } } } };
  const page = await w.open({ options: { worker: script(config, { outcomes: "" }) } });
  await page.evaluate(() => {
    window.outcomes = [];
    new BroadcastChannel("test:outcomes").onmessage = ({ data }) => outcomes.push(data);
  });
  const table = {
    ok: ["delivered", 200],
    gone: ["failed", 422],
    stale: ["conflict", 409],
    login: ["blocked", 401],
    down: ["failed", 503],
  };
  await w.server.faults(
    Object.entries(table).map(([path, [, status]]) => ({ path: `/api/sink/${path}`, action: { status, body: "why" } })),
  );
  const ids = {};
  for (const path of Object.keys(table)) ids[path] = await w.enqueue(page, { url: `/api/sink/${path}`, body: "x" });
  for (const [path, [state]] of Object.entries(table)) await w.becomes(page, ids[path], state);
  const outcomes = await until("all hooks", () =>
    page.evaluate((all) => outcomes.length >= all && outcomes, Object.keys(ids).length),
  );
  for (const [path, [state, status]] of Object.entries(table)) {
    const told = outcomes.filter(({ job }) => job.id === ids[path]);
    assert.deepEqual(
      told.map(({ hook, job }) => [hook, job.state, job.error?.status ?? job.status]),
      [[state, state, status]],
      path,
    );
  }
  assert.equal((await w.server.arrivals("/api/sink/down")).length, 2, "it was tried again, and no hook heard of that");
});

test("an idempotency key among the headers is the job's key", async () => {
  const page = await w.open();
  const key = crypto.randomUUID();
  for (const given of [key, `"${key}-quoted"`]) {
    const plain = given.replaceAll('"', "");
    const id = await w.enqueue(page, { url: "/api/sink/x", headers: { "Idempotency-Key": given }, body: "x" });
    await w.becomes(page, id, "delivered");
    assert.equal((await w.server.arrivals("/api/sink/x")).at(-1).idempotencyKey, plain);
  }
});

test("watch() of a job that an open breaker released does not stay at syncing", async () => {
  const page = await w.open({
    config: { breakerThreshold: 1, queues: { default: { backoff: { base: 600_000, max: 600_000, jitter: "equal" } } } },
  });
  // The first closes the origin while five others are on their way, and more are claimed.
  await w.server.faults([
    { path: "/api/sink", times: 1, skip: 5, action: { status: 503 } },
    { path: "/api/sink", action: { hold: true, status: 503 } },
  ]);
  const ids = await page.evaluate(async () => {
    await client.pause();
    const ids = await client.enqueueAll(Array.from({ length: 30 }, (_, at) => ({ url: `/api/sink/${at}`, body: `${at}` })));
    window.seen = {};
    window.claimed = new Set();
    for (const id of ids)
      client.watch(id, (job) => {
        seen[id] = job?.state;
        if (job?.state === "syncing") claimed.add(id);
      });
    await client.resume();
    return ids;
  });
  await until("a closed origin", async () =>
    (await page.evaluate(() => client.metrics())).origins.some((origin) => origin.closures > 0),
  );
  await until(
    "what was not sent to be given back",
    async () =>
      (await page.evaluate(() => rows("jobs"))).filter((row) => row.state === "syncing").length ===
      (await w.server.stats()).held,
  );
  assert.ok(
    (await page.evaluate(() => claimed.size)) > (await w.server.arrivals("/api/sink")).length,
    "some were claimed and not sent",
  );
  await w.server.release();
  await until("rest", async () => !(await w.snapshot(page)).isRunning);
  const stored = Object.fromEntries((await w.list(page)).map((job) => [job.id, job.state]));
  assert.deepEqual([...new Set(Object.values(stored))], ["pending"]);
  await until(
    "what is watched to be as what is stored",
    async () => {
      const seen = await page.evaluate(() => seen);
      const wrong = ids.filter((id) => (seen[id] ?? "pending") !== stored[id]).map((id) => seen[id]);
      if (wrong.length > 0) throw new Error(`${wrong.length} are shown as ${[...new Set(wrong)]}`);
      return true;
    },
    15_000,
  );
});

test("outcome hooks that never settle hold up no job, no drain and no call", async () => {
  const page = await w.open({ options: { worker: "/sw.js?outcomes=hang" } });
  await w.server.faults([{ path: "/api/sink/bad", action: { status: 422 } }]);
  const bad = await w.enqueue(page, { url: "/api/sink/bad", body: "x" });
  await w.becomes(page, bad, "failed");
  const ids = await w.enqueueAll(page, numbered(20, "/api/sink/good"));
  for (const id of ids) await w.becomes(page, id, "delivered");
  assert.deepEqual(await page.evaluate(() => window.client.syncNow()), {
    delivered: 0,
    retried: 0,
    failed: 0,
    conflicts: 0,
    blocked: 0,
    remaining: 0,
  });
});

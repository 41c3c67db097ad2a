// One user's data stays with that user (issue 8, B and C): a late message belongs to whoever was signed in when it was
// posted, and the next user neither sees, pauses nor sends anything of the previous one.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ dist: "dist-test" });

const quick = { queues: { default: { backoff: { base: 5, max: 20 } } } };
const tokens = { A: "token-of-A", B: "token-of-B" };
const script = (config, more = {}) => `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), auth: "", ...more })}`;
const open = (config = quick, more = {}, options = {}) => w.open({ options: { worker: script(config, more), ...options } });
const setOwner = (page, owner, options) => page.evaluate((owner, options) => client.setOwner(owner, options), owner, options);
const tell = (page, test) => page.evaluate((test) => window.tell(test), test);
const sends = (path) => w.server.arrivals(`/api/sink/${path}`);
const bearers = async (path) => (await sends(path)).map((arrival) => arrival.headers.authorization);
const ids = async (page) => (await w.list(page)).map((job) => job.id);
const states = async (page) => (await page.evaluate(() => rows("jobs"))).map((row) => row.state);

/** Calls `act` in the page and stops the worker at the point, so that the page has to post its message again. */
async function stoppedAt(point, page, act, ...args) {
  const workers = await w.browser.workers(page);
  await w.server.faults([{ path: "/api/points", action: { hold: true } }]);
  const call = page.evaluate(act, ...args);
  call.catch(() => {});
  await until(`the point "${point}"`, async () => (await w.server.arrivals(`/api/points/${point}`)).length > 0);
  await workers.stop();
  await w.server.faults([]);
  await w.server.release();
  return { call };
}

test("an enqueue that arrives after the owner changed is of the owner that the page knew", async () => {
  const point = { point: "enqueue-before" };
  const [one, two] = [await open(quick, point), await open(quick, point)];
  await setOwner(one, "A");
  const { call } = await stoppedAt("enqueue-before", one, () => client.enqueue({ url: "/api/sink/a", body: "of A" }));
  await tell(two, { auth: { tokens } });
  await setOwner(two, "B");
  const id = await call;
  await two.evaluate(() => client.syncNow());
  assert.deepEqual([await ids(two), await w.get(two, id), await bearers("a")], [[], null, []], "it is not B's");
  await setOwner(two, "A");
  await w.becomes(two, id, "delivered");
  assert.deepEqual(await bearers("a"), ["Bearer token-of-A"]);
});

test("an enqueue that is repeated after its owner was purged stores nothing for the next", async () => {
  const point = { point: "enqueue-after" };
  const [one, two] = [await open(quick, point), await open(quick, point)];
  await setOwner(one, "A");
  const { call } = await stoppedAt("enqueue-after", one, () =>
    client.enqueue({ url: "/api/sink/a", body: "of A" }, { notBefore: Date.now() + 3_600_000 }),
  );
  await tell(two, { auth: { tokens } });
  await setOwner(two, "B", { purge: true });
  await call.catch(() => {});
  assert.deepEqual([await ids(two), await states(two)], [[], []]);
  await setOwner(two, "A");
  assert.deepEqual([await ids(two), await sends("a")], [[], []], "nor does it come back for A");
});

test("a job that was discarded in another tab does not come back through a repeated enqueue", async () => {
  const point = { point: "enqueue-after" };
  const [one, two] = [await open(quick, point), await open(quick, point)];
  const { call } = await stoppedAt("enqueue-after", one, () =>
    client.enqueue({ url: "/api/sink/x", body: "x" }, { notBefore: Date.now() + 3_600_000 }),
  );
  const [id] = await ids(two);
  assert.equal(await two.evaluate((id) => client.discard(id), id), true);
  assert.equal(await call, id);
  assert.deepEqual([await ids(two), await states(two)], [[], []]);
  assert.equal(await w.get(two, id), null);
});

/** Notes everything that the page is told from now on. */
const listen = (page) =>
  page.evaluate(() => {
    window.told = [];
    for (const event of [
      "sync-start",
      "sync-complete",
      "delivered",
      "failed",
      "conflict",
      "blocked",
      "job",
      "removed",
      "progress",
    ])
      client.on(event, (detail) => told.push({ event, detail }));
    client.subscribe(() => told.push({ event: "snapshot", detail: client.getSnapshot() }));
  });

for (const purge of [false, true]) {
  test(`what was in flight at ${purge ? "a purge" : "the switch"} is not told to the next user's page`, async () => {
    const [page, other] = [await open(), await open()];
    await tell(page, { auth: { tokens } });
    await setOwner(page, "A");
    await w.server.faults([{ path: "/api/sink/private", action: { hold: true, status: 422, body: "words for A" } }]);
    const ofA = await page.evaluate(() =>
      client.enqueueAll(
        [0, 1].map((at) => ({ url: `/api/sink/private/${at}`, body: "of A" })),
        { metadata: "a secret of A" },
      ),
    );
    await w.held(2);
    await setOwner(page, "B", { purge });
    for (const each of [page, other]) await listen(each);
    await w.server.release();
    await until("the outcome of A's", async () => !(await states(page)).includes("syncing"));
    await w.becomes(page, await w.enqueue(page, { url: "/api/sink/b", body: "of B" }), "delivered");
    for (const each of [page, other]) {
      await until("B's delivery", () => each.evaluate(() => told.some(({ event }) => event === "delivered")));
      const told = JSON.stringify(await each.evaluate(() => told));
      for (const secret of [...ofA, "private", "a secret of A", "words for A"])
        assert.ok(!told.includes(secret), `${secret}: ${told}`);
      const { failed, error, state } = await w.snapshot(each);
      assert.deepEqual([failed, error, state], [0, null, "idle"]);
      const { queues, delivered, successRate } = await each.evaluate(() => client.metrics());
      assert.deepEqual(
        [queues.flatMap((queue) => Object.values(queue.counts)).filter(Boolean), delivered, successRate],
        [[], 1, 1],
      );
    }
    await setOwner(page, "A");
    for (const id of ofA)
      assert.equal((await w.get(page, id))?.error.message.includes("words for A"), purge ? undefined : true);
  });
}

for (const purge of [false, true]) {
  test(`the next user ${purge ? "after a purge " : ""}sees no error, no servers in trouble and no figures of the one before`, async () => {
    const page = await open({
      breakerThreshold: 2,
      queues: { default: { backoff: { base: 600_000, max: 600_000, jitter: "equal" } } },
    });
    await setOwner(page, "A");
    await w.becomes(page, await w.enqueue(page, { url: "/api/sink/good", body: "x" }), "delivered");
    await w.server.faults([{ path: "/api/sink/bad", action: { status: 503, body: "words for A" } }]);
    await page.evaluate(() => client.enqueueAll([0, 1, 2].map((at) => ({ url: `/api/sink/bad/${at}`, body: "x" }))));
    await until("an error", async () => {
      const { error, isRunning } = await w.snapshot(page);
      return error && !isRunning && (await page.evaluate(() => client.metrics())).origins.length === 1;
    });
    await setOwner(page, "B", { purge });
    const seen = async () => {
      const { state, error, lastSyncAt, syncCount, nextSyncAt, pending } = await w.snapshot(page);
      const { origins, delivered, syncCount: syncs, lastSyncAt: last } = await page.evaluate(() => client.metrics());
      return { state, error, lastSyncAt, syncCount, nextSyncAt, pending, origins, delivered, syncs, last: last ?? null };
    };
    const fresh = {
      state: "idle",
      error: null,
      lastSyncAt: null,
      syncCount: 0,
      nextSyncAt: null,
      pending: 0,
      origins: [],
      delivered: 0,
      syncs: 0,
      last: null,
    };
    assert.deepEqual(await seen(), fresh);
    await setOwner(page, "A");
    const { error, lastSyncAt, pending } = await seen();
    assert.deepEqual(
      [error === null, lastSyncAt === null, pending],
      purge ? [true, true, 0] : [false, false, 3],
      "and A sees A's",
    );
  });
}

test("a pause is of the user who set it", async () => {
  const page = await open({ queues: { ...quick.queues, mail: {} } });
  await setOwner(page, "A");
  await page.evaluate(() => client.pause());
  await page.evaluate(() => client.pause("mail"));
  const ofA = await w.enqueue(page, { url: "/api/sink/a", body: "of A" });
  await setOwner(page, "B");
  const { state, pausedQueues } = await w.snapshot(page);
  assert.deepEqual([state, pausedQueues], ["idle", []]);
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/b", body: "of B" }), "delivered");
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/mail", body: "of B" }, { queue: "mail" }), "delivered");
  await setOwner(page, "A");
  assert.equal((await w.snapshot(page)).state, "paused");
  assert.deepEqual(await sends("a"), []);
  await page.evaluate(() => client.resume());
  await w.becomes(page, ofA, "delivered");
});

test("two workers on one database: what one has claimed for A is not sent after the other switched to B", async () => {
  const config = { ...quick, name: "shearwater" };
  const one = await open(config, {}, { name: "shearwater" });
  const two = await open(config, { second: "" }, { name: "shearwater", scope: "/second/" });
  await tell(one, { auth: { tokens, hold: true } });
  await setOwner(one, "A");
  const ofA = await one.evaluate(() =>
    client.enqueueAll(Array.from({ length: 12 }, (_, at) => ({ url: `/api/sink/a/${at}`, body: `${at}` }))),
  );
  await until("six at the hook", () => one.evaluate(() => heard.auth.length >= 6));
  await setOwner(two, "B");
  await tell(one, { auth: { hold: false }, release: true });
  await until("A's to be given back, or gone", async () => !(await states(one)).includes("syncing"));
  assert.deepEqual(await sends("a"), []);
  await setOwner(two, "A");
  await one.evaluate(() => client.syncNow());
  for (const id of ofA) await w.becomes(one, id, "delivered");
  assert.equal((await w.server.sink("/api/sink/a/")).length, 12, "each once");
});

for (const [what, lose] of [
  ["is gone", () => onStore("meta", "readwrite", (meta) => meta.delete("ledger"))],
  ["does not parse", () => put("meta", { v: "garbage" }, "ledger")],
]) {
  test(`a ledger that ${what}: the owner is still who is signed in, and what was paused is`, async () => {
    const page = await open();
    await setOwner(page, "A");
    await w.enqueue(page, { url: "/api/sink/a", body: "of A" }, { notBefore: Date.now() + 3_600_000 });
    await setOwner(page, "B");
    await page.evaluate(() => client.pause());
    const ofB = await w.enqueue(page, { url: "/api/sink/b", body: "of B" });
    await page.evaluate(lose);
    await (await w.browser.workers(page)).stop();
    const again = await open();
    assert.deepEqual(await ids(again), [ofB]);
    await again.evaluate(() => client.syncNow());
    const { pending, state } = await w.snapshot(again);
    assert.deepEqual([pending, state, await sends("")], [1, "paused", []]);
    await again.evaluate(() => client.resume());
    await w.becomes(again, ofB, "delivered");
    await setOwner(again, "A");
    assert.equal((await ids(again)).length, 1, "and A's is A's");
  });
}

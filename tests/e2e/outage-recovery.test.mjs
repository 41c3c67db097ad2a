// After an outage (issue 8, 3): one job that gets through pulls the others forward, and what the page shows follows.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { numbered, world } from "./harness/world.mjs";

const w = world();

/** Waits of minutes: whoever sends sooner was told to. */
const patient = (more) => ({ queues: { default: { backoff: { base: 300_000, max: 300_000, jitter: "equal" }, ...more } } });
/** Generous for a busy machine; no backoff is over by then. */
const SOON = 40_000;

const many = (page, count) => w.enqueueAll(page, numbered(count));
const sink = () => w.server.sink("/api/sink/");
/** Waits until each job has been tried in vain, or waits behind a closed origin. */
const vain = (page, count) =>
  until("tries in vain", async () => {
    const jobs = await w.list(page);
    const { isRunning } = await w.snapshot(page);
    return (
      !isRunning &&
      jobs.length === count &&
      jobs.every((job) => job.state === "pending") &&
      jobs.filter((job) => job.unreachable > 0).length >= Math.min(5, count)
    );
  });
const allArrive = async (ids) => {
  await until(`${ids.length} jobs at the server`, async () => (await sink()).length >= ids.length, SOON);
  assert.deepEqual((await sink()).map((entry) => entry.idempotencyKey).sort(), [...ids].sort(), "each once");
};
const wellAgain = (page) =>
  until(
    "a status without an error",
    async () => {
      const { state, error, isRunning, pending, syncing, lastSyncAt } = await w.snapshot(page);
      if (state === "idle" && error === null && !isRunning && pending + syncing === 0 && lastSyncAt !== null) return true;
      throw new Error(JSON.stringify({ state, error, isRunning, pending, syncing, lastSyncAt }));
    },
    SOON,
  );

// Four are too few to close the origin.
for (const [what, count] of [
  ["", 4],
  [" behind a closed origin", 40],
]) {
  test(`a job that gets through pulls forward ${count} others${what}, and the error goes`, async () => {
    const page = await w.open({ config: patient() });
    await w.server.down(true);
    const ids = await many(page, count);
    await vain(page, count);
    const { error, state } = await w.snapshot(page);
    assert.deepEqual([error?.kind, state], ["network", "error"]);
    await w.server.down(false);
    // By hand, one job alone.
    assert.equal(await page.evaluate((id) => client.retry(id), ids[0]), true);
    await allArrive(ids);
    await wellAgain(page);
  });
}

test("a new job that gets through pulls the others forward", async () => {
  const page = await w.open({ config: patient() });
  await w.server.down(true);
  const ids = await many(page, 4);
  await vain(page, 4);
  await w.server.down(false);
  ids.push(await w.enqueue(page, { url: "/api/sink/new", body: "new" }));
  await allArrive(ids);
  await wellAgain(page);
});

test("what waits for another reason is not pulled forward", async () => {
  const page = await w.open({ config: patient() });
  await w.server.faults([
    { path: "/api/sink/asked", action: { status: 503, headers: { "retry-after": "600" } } },
    { path: "/api/sink/failing", action: { status: 503 } },
    { path: "/api/sink/cut", action: { drop: "before" } },
  ]);
  const ids = {};
  for (const name of ["asked", "failing", "cut"]) ids[name] = await w.enqueue(page, { url: `/api/sink/${name}`, body: name });
  ids.tomorrow = await w.enqueue(page, { url: "/api/sink/tomorrow", body: "x" }, { notBefore: Date.now() + 86_400_000 });
  await until(
    "a try of each",
    async () =>
      (await w.list(page)).every((job) => job.id === ids.tomorrow || job.attempts + job.unreachable > 0) &&
      !(await w.snapshot(page)).isRunning,
  );
  await w.server.faults([]);
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/good", body: "x" }), "delivered");
  await until("the one without a response", async () => (await w.get(page, ids.cut)).state === "delivered", SOON);
  for (const name of ["asked", "failing", "tomorrow"]) assert.equal((await w.get(page, ids[name])).state, "pending", name);
  for (const [name, sends] of [
    ["asked", 1],
    ["failing", 1],
    ["tomorrow", 0],
  ])
    assert.equal((await w.server.arrivals(`/api/sink/${name}`)).length, sends, name);
});

for (const count of [4, 20]) {
  test(`resume() sends ${count} jobs that got no response, as an online event does`, async () => {
    const page = await w.open({ config: patient() });
    await w.server.down(true);
    const ids = await many(page, count);
    await vain(page, count);
    await page.evaluate(() => client.pause());
    await w.server.down(false);
    await page.evaluate(() => client.resume());
    await allArrive(ids);
  });
}

test("lastSyncAt is the time of a drain that reached a server", async () => {
  const page = await w.open({ config: patient() });
  await w.server.down(true);
  const [id] = await many(page, 1);
  await vain(page, 1);
  const metrics = () => page.evaluate(() => client.metrics());
  assert.equal((await w.snapshot(page)).lastSyncAt, null);
  assert.equal((await metrics()).lastSyncAt ?? null, null);
  await w.server.down(false);
  await page.evaluate(() => client.syncNow());
  await w.becomes(page, id, "delivered");
  const reached = await until("a time", async () => (await w.snapshot(page)).lastSyncAt);
  await w.server.down(true);
  await w.enqueue(page, { url: "/api/sink/vain", body: "x" });
  await vain(page, 1);
  assert.equal((await w.snapshot(page)).lastSyncAt, reached);
  // A refusal is a reply.
  await w.server.down(false);
  await w.server.faults([{ path: "/api/sink", action: { status: 422 } }]);
  await page.evaluate(() => client.syncNow());
  await until("a later time", async () => (await w.snapshot(page)).lastSyncAt > reached);
});

// The database is deleted, replaced, filled or garbled under a running worker (Q15): a typed error or a clean
// start, never a hang, and nothing is lost that can be kept.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { numbered, world } from "./harness/world.mjs";

const w = world();

const many = (page, count, options) => w.enqueueAll(page, numbered(count), options);
const accepted = async () => (await w.server.sink()).map((entry) => entry.idempotencyKey).sort();
const works = async (page, path = "later") => {
  const id = await w.enqueue(page, { url: `/api/sink/${path}`, body: "x" });
  await w.becomes(page, id, "delivered");
  return id;
};

/** In the page: deletes the database, whoever has it open. */
const deleteDatabase = () =>
  new Promise((resolve, reject) => {
    const deleting = indexedDB.deleteDatabase("shearwater");
    deleting.onsuccess = () => resolve();
    deleting.onerror = () => reject(deleting.error);
  });

test("the database is deleted while jobs wait: they are gone, the page is told so, what comes then is delivered", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const ids = await many(page, 3);
  await page.evaluate(deleteDatabase);
  assert.deepEqual(await w.list(page), []);
  assert.equal(await w.get(page, ids[0]), null);
  const id = await works(page);
  assert.deepEqual(await accepted(), [id]);
  await until("a true status", async () => {
    const { pending, syncing, state } = await w.snapshot(page);
    return pending + syncing === 0 && state === "idle";
  });
});

test("the database is deleted while jobs are being sent: each is sent once, the worker does not hang", async () => {
  const page = await w.open();
  await w.server.faults([{ path: "/api/sink", action: { hold: true }, times: 6 }]);
  const ids = await many(page, 20);
  await w.held(6);
  await page.evaluate(deleteDatabase);
  await w.server.release();
  const id = await works(page);
  await until(
    "the end of all sends",
    async () => (await w.server.stats()).inFlight === 0 && !(await w.snapshot(page)).isRunning,
  );
  const arrivals = (await w.server.arrivals("/api/sink")).map((arrival) => arrival.idempotencyKey);
  assert.equal(new Set(arrivals).size, arrivals.length, "none twice");
  assert.ok(arrivals.every((key) => [...ids, id].includes(key)));
  await until("a true status", async () => {
    const { pending, syncing } = await w.snapshot(page);
    return pending + syncing === 0;
  });
});

test("a later version of the database: this worker refuses with a typed error, hangs nowhere, and loses nothing", async () => {
  const page = await w.open({ options: { timeout: 20_000 } });
  await page.evaluate(() => client.pause());
  const ids = await many(page, 3);
  await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open("shearwater", 999);
        opening.onupgradeneeded = () => opening.result.createObjectStore("of the future");
        opening.onsuccess = () => resolve(opening.result.close());
        opening.onerror = () => reject(opening.error);
        opening.onblocked = () => reject(new Error("blocked"));
      }),
  );
  for (const [method, ...args] of [
    ["enqueue", { url: "/api/sink/x", body: "x" }],
    ["enqueueAll", [{ url: "/api/sink/x" }]],
    ["list"],
    ["get", ids[0]],
    ["resume"],
    ["metrics"],
    ["repair"],
    ["compact"],
    ["setOwner", "A"],
    ["exportFailed"],
    ["discard", ids[0]],
  ]) {
    const { code, message, resolved } = await w.refused(page, method, ...args);
    assert.equal(code, "storage-unavailable", `${method}: ${JSON.stringify(resolved)}`);
    assert.ok(message.length > 20);
  }
  // A wake of any kind ends, too.
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  const sync = await w.refused(page, "syncNow");
  assert.ok(sync.code === "storage-unavailable" || sync.resolved, JSON.stringify(sync));
  // A tab that is opened now hears of it as well.
  const other = await w.visit();
  assert.equal(
    await other.evaluate(() =>
      connect({ timeout: 20_000 }).then(
        () => "connected",
        ({ code }) => code,
      ),
    ),
    "storage-unavailable",
  );
  const stored = await page.evaluate(() => keys("jobs"));
  assert.deepEqual(stored.sort(), [...ids].sort());
  assert.equal((await w.server.arrivals("/api/sink")).length, 0);
});

test("an upgrade by another while jobs are being sent does not wait for us; their outcome is not made up", async () => {
  const page = await w.open();
  await w.server.faults([{ path: "/api/sink", action: { hold: true }, times: 2 }]);
  const ids = await many(page, 2);
  await w.held(2);
  await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open("shearwater", 99);
        opening.onsuccess = () => resolve(opening.result.close());
        opening.onerror = () => reject(opening.error);
      }),
  );
  await w.server.release();
  await until("both accepted", async () => (await w.server.sink()).length === 2);
  const { code } = await w.refused(page, "list");
  assert.equal(code, "storage-unavailable");
  // A worker of that version would find them as they were: leased, to be sent again under their keys.
  const rows = await page.evaluate(() => window.rows("jobs"));
  assert.deepEqual(
    rows.map(({ id, state, idempotencyKey }) => [id, state, idempotencyKey]).sort(),
    ids.map((id) => [id, "syncing", id]).sort(),
  );
});

test("all site data is cleared under an open page: no hang, a typed error or a clean start, and after a reload it works", async () => {
  const page = await w.open({ options: { timeout: 20_000 } });
  await page.evaluate(() => client.pause());
  await many(page, 3);
  const cdp = await page.createCDPSession();
  await cdp.send("Storage.clearDataForOrigin", { origin: w.server.origin, storageTypes: "all" });
  for (const [method, ...args] of [["list"], ["enqueue", { url: "/api/sink/x", body: "x" }]]) {
    const { code, resolved } = await w.refused(page, method, ...args);
    assert.ok(resolved !== undefined || ["storage-unavailable", "worker-unavailable"].includes(code), `${method}: ${code}`);
  }
  await page.reload();
  await page.waitForFunction("window.ready");
  await page.evaluate(async () => {
    window.client = await connect();
  });
  await works(page);
  const { pending, failed } = await w.snapshot(page);
  assert.deepEqual([pending, failed], [0, 0]);
});

test("quota exceeded in the middle of enqueueAll: none of it is stored, and a smaller one is, at once", async () => {
  const first = await w.browser.newPage();
  await (await w.browser.workers(first)).fillQuota(w.server.origin, 3_000_000);
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const [before] = await many(page, 1);
  const answers = await page.evaluate(async () => {
    const bytes = () => {
      const bytes = new Uint8Array(600_000);
      for (let from = 0; from < bytes.length; from += 60_000) crypto.getRandomValues(bytes.subarray(from, from + 60_000));
      return new Blob([bytes]);
    };
    const answer = (promise) =>
      promise.then(
        (ids) => ({ ids }),
        ({ name, code }) => ({ name, code }),
      );
    return [
      await answer(
        client.enqueueAll(
          Array.from({ length: 12 }, (_, at) => ({ url: `/api/sink/large/${at}`, body: bytes() })),
          { key: "line" },
        ),
      ),
      await answer(
        client.enqueueAll(
          Array.from({ length: 3 }, (_, at) => ({ url: `/api/sink/small/${at}`, body: "x" })),
          { key: "line" },
        ),
      ),
    ];
  });
  assert.deepEqual(answers[0], { name: "ShearwaterError", code: "quota-exceeded" });
  assert.equal(answers[1].ids?.length, 3, JSON.stringify(answers[1]));
  const ids = [before, ...answers[1].ids];
  assert.deepEqual(
    (await w.list(page)).map((job) => job.id),
    ids,
  );
  // The three share a record.
  assert.deepEqual((await page.evaluate(() => keys("bodies"))).sort(), [before, `left ${ids[1]}`, `pack ${ids[1]}`].sort());
  assert.equal((await w.snapshot(page)).pending, 4);
  await page.evaluate(() => client.resume());
  await w.settled(page);
  assert.deepEqual(await accepted(), [...ids].sort());
});

for (const [store, garble] of [
  ["jobs", (id) => put("jobs", { id, xReady: ["", "default", location.origin, 0, 0], xState: ["", "default", "pending", 0] })],
  ["history", () => put("history", { id: crypto.randomUUID(), deliveredAt: "yesterday" })],
  ["history", () => put("history", { id: 7, deliveredAt: 1 })],
  ["meta", () => put("meta", "garbage", "ledger")],
  ["meta", () => put("meta", { v: 1, queues: [{ queue: 7 }] }, "ledger")],
  ["quarantine", () => put("quarantine", null)],
  ["bodies", (id) => put("bodies", { not: "a body" }, id)],
  ["bodies", (id) => onStore("bodies", "readwrite", (bodies) => bodies.delete(id))],
]) {
  test(`garbage in "${store}" (${String(garble).slice(String(garble).indexOf("=>") + 3)}): the rest is delivered, nothing hangs`, async () => {
    const page = await w.open();
    await page.evaluate(() => client.pause());
    const ids = [];
    for (let at = 0; at < 4; at += 1) ids.push(...(await many(page, 1)));
    await page.evaluate(garble, ids[0]);
    await page.evaluate(() => client.metrics());
    await page.evaluate(() => client.resume());
    for (const id of ids.slice(1)) await w.becomes(page, id, "delivered");
    await works(page);
    const report = await page.evaluate(() => client.repair());
    const { quarantine } = await page.evaluate(() => client.metrics());
    if (store === "jobs" || store === "meta")
      assert.deepEqual(
        quarantine.map((row) => row.store),
        [store],
      );
    if (store === "jobs") assert.equal(await w.get(page, ids[0]), null);
    if (store === "bodies") {
      // What is not the body is not sent as the body: the job is kept for a person.
      const job = await w.get(page, ids[0]);
      assert.deepEqual([job.state, job.error?.kind], ["failed", "unsendable"], JSON.stringify(job));
      assert.ok(!(await accepted()).includes(ids[0]));
    } else {
      const { pending, syncing, failed } = await w.snapshot(page);
      assert.deepEqual([pending, syncing, failed], [0, 0, 0]);
    }
    assert.equal((await page.evaluate(() => client.repair())).recounted, false, JSON.stringify(report));
  });
}

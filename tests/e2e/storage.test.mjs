// Storage that fails (Q15): what was not stored is never called stored.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

test("a full disk refuses the enqueue with quota-exceeded; what was stored before is unharmed and delivered", async () => {
  const first = await w.browser.newPage();
  const workers = await w.browser.workers(first);
  await workers.fillQuota(w.server.origin, 3_000_000);
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const small = await w.enqueue(page, { url: "/api/sink/small", body: "small" });
  const outcomes = await page.evaluate(async () => {
    const outcomes = [];
    // Random bytes: zeros would compress.
    for (let at = 0; at < 12; at += 1) {
      const bytes = new Uint8Array(600_000);
      for (let from = 0; from < bytes.length; from += 60_000) crypto.getRandomValues(bytes.subarray(from, from + 60_000));
      outcomes.push(
        await client.enqueue({ url: `/api/sink/${at}`, body: new Blob([bytes]) }).then(
          (id) => ({ id }),
          ({ code }) => ({ code }),
        ),
      );
    }
    return outcomes;
  });
  const stored = outcomes.filter((outcome) => outcome.id);
  const refused = outcomes.filter((outcome) => outcome.code);
  assert.ok(refused.length > 0, "the quota was not reached");
  assert.ok(
    refused.every((outcome) => outcome.code === "quota-exceeded"),
    JSON.stringify(refused),
  );
  const { pending } = await w.snapshot(page);
  assert.equal(pending, stored.length + 1);
  assert.deepEqual(
    (await w.list(page)).map((job) => job.id),
    [small, ...stored.map((outcome) => outcome.id)],
  );
  await page.evaluate(() => client.resume());
  await w.settled(page);
  const sink = await w.server.sink();
  assert.deepEqual(sink.map((entry) => entry.idempotencyKey).sort(), [small, ...stored.map((outcome) => outcome.id)].sort());
});

/** A page whose origin takes no more: jobs of ever smaller bodies, until each is refused. Answers it, and what was taken. */
async function fullDisk() {
  const first = await w.browser.newPage();
  await (await w.browser.workers(first)).fillQuota(w.server.origin, 3_000_000);
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const ids = await page.evaluate(async () => {
    const taken = [];
    for (const size of [200_000, 70_000, 6_000, 600, 0]) {
      for (;;) {
        const body = new Uint8Array(size);
        for (let from = 0; from < size; from += 60_000) crypto.getRandomValues(body.subarray(from, from + 60_000));
        const request = { url: `/api/sink/${taken.length}`, method: "POST", body: size ? body : null };
        const outcome = await client.enqueue(request).then(
          (id) => ({ id }),
          ({ code }) => ({ code }),
        );
        if (outcome.code && outcome.code !== "quota-exceeded") throw new Error(outcome.code);
        if (!outcome.id) break;
        taken.push(outcome.id);
      }
    }
    return taken;
  });
  assert.ok(ids.length >= 5, `${ids.length} jobs`);
  assert.ok((await page.evaluate(() => keys("meta"))).includes("reserve"));
  return { page, ids };
}

test("a queue on a full disk drains: each job is sent and removed, then there is room and a reserve again", async () => {
  const { page, ids } = await fullDisk();
  await page.evaluate(() => client.resume());
  await w.settled(page);
  assert.deepEqual((await w.server.sink()).map((entry) => entry.idempotencyKey).sort(), [...ids].sort());
  assert.equal((await w.server.arrivals("/api/sink")).length, ids.length);
  // Chromium counts what is really used every half minute only; until then it refuses a reserve as large as the last.
  const retry = () => client.enqueue({ url: "/api/sink/later", method: "POST", body: "x" }).catch(() => null);
  const id = await until("there is room again", () => page.evaluate(retry), 120_000);
  await w.becomes(page, id, "delivered");
  assert.ok((await page.evaluate(() => keys("meta"))).includes("reserve"));
});

test("on a full disk a job can be discarded, and all can be cleared", async () => {
  const { page, ids } = await fullDisk();
  assert.equal(await page.evaluate((id) => client.discard(id), ids[0]), true);
  assert.equal(await page.evaluate(() => client.clear()), ids.length - 1);
  assert.deepEqual(await w.list(page), []);
});

test("a disk so full that not even the reserve helps: syncNow and the snapshot say so, and nothing is sent", async () => {
  const { page, ids } = await fullDisk();
  // Somebody else has taken its room.
  const worker = await w.browser.workers(page);
  await page.evaluate(() => onStore("meta", "readwrite", (meta) => meta.delete("reserve")));
  await worker.fillQuota(w.server.origin, 100_000);
  assert.equal((await w.refused(page, "resume")).code, "quota-exceeded");
  assert.equal((await w.list(page)).length, Math.min(100, ids.length));
  assert.equal((await w.server.arrivals("/api/sink")).length, 0);
  await worker.fillQuota(w.server.origin, 50_000_000);
  await page.evaluate(() => client.resume());
  await worker.fillQuota(w.server.origin, 100_000);
  const { code, resolved } = await w.refused(page, "syncNow");
  const { error, pending, syncing } = await w.snapshot(page);
  if (pending + syncing > 0) {
    assert.equal(code, "quota-exceeded", JSON.stringify(resolved));
    assert.equal(error.kind, "storage");
  }
  await worker.fillQuota(w.server.origin, 50_000_000);
  await page.evaluate(() => client.syncNow());
  await w.settled(page);
  assert.deepEqual((await w.server.sink()).map((entry) => entry.idempotencyKey).sort(), [...ids].sort());
});

test("an upgrade or deletion by another connection is not blocked, and the store is reopened", async () => {
  const page = await w.open();
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/1", body: "x" }), "delivered");
  await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const deleting = indexedDB.deleteDatabase("shearwater");
        deleting.onsuccess = () => resolve();
        deleting.onerror = () => reject(deleting.error);
      }),
  );
  const id = await w.enqueue(page, { url: "/api/sink/2", body: "x" });
  await w.becomes(page, id, "delivered");
  assert.equal((await w.server.sink()).length, 2);
});

test("bodies are stored apart: a listing of large jobs loads none of them, and delivery leaves none behind", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  await page.evaluate(() =>
    client.enqueueAll(
      Array.from({ length: 20 }, (_, at) => ({ url: `/api/sink/${at}`, body: new Blob([new Uint8Array(200_000)]) })),
    ),
  );
  const rows = await page.evaluate(readAll, "jobs");
  assert.ok(rows.every((row) => JSON.stringify(row).length < 1_500));
  assert.equal((await page.evaluate(readAll, "bodies")).length, 20);
  await page.evaluate(() => client.resume());
  await w.settled(page);
  for (const store of ["jobs", "bodies"]) assert.deepEqual(await page.evaluate(readAll, store), [], store);
  assert.equal((await page.evaluate(readAll, "history")).length, 20);
});

test("the history is bounded", async () => {
  const page = await w.open({ config: { history: { max: 5 } } });
  for (let round = 0; round < 3; round += 1) {
    await page.evaluate(() => client.enqueueAll(Array.from({ length: 6 }, (_, at) => ({ url: `/api/sink/${at}`, body: "x" }))));
    await w.settled(page);
  }
  await page.evaluate(() => client.enqueue({ url: "/api/sink/last", body: "x" }));
  await until("a bounded history", async () => (await page.evaluate(readAll, "history")).length <= 6);
});

async function readAll(store) {
  const database = await new Promise((resolve) => {
    const opening = indexedDB.open("shearwater");
    opening.onsuccess = () => resolve(opening.result);
  });
  const rows = await new Promise((resolve) => {
    const reading = database.transaction(store).objectStore(store).getAll();
    reading.onsuccess = () => resolve(reading.result);
  });
  database.close();
  return rows;
}

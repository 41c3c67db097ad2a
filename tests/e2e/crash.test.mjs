// Killed anywhere: the worker stopped and the browser process killed, in mid-flight (P1, P2).

import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { numbered, world } from "./harness/world.mjs";

const w = world();

/** Every job was accepted once, by its key, and sent again only where an earlier send got no response. */
async function assertOnce(ids, page) {
  await w.acceptedOnce(ids, page);
  const sends = (await w.server.arrivals()).filter((arrival) => arrival.method === "POST");
  for (const key of ids) {
    const answered = sends.filter(
      ({ idempotencyKey, status, replayed }) => idempotencyKey === key && status !== null && !replayed,
    );
    assert.ok(answered.length <= 1, `${key} was answered ${answered.length} times`);
  }
}

const enqueue = (page, count) => w.enqueueAll(page, numbered(count));

test("the worker is stopped with six requests in flight, before the server handled them", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin);
  const workers = await chromium.workers(page);
  await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 6 }]);
  const ids = await enqueue(page, 20);
  await w.held(6);
  await workers.stop();
  await w.server.release();
  await workers.sync(w.server.origin, "default");
  await assertOnce(ids);
  await until("an empty queue", async () => (await w.list(page)).length === 0);
});

test("the worker is stopped after the server handled six and before a reply came", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin);
  const workers = await chromium.workers(page);
  await w.server.faults([{ path: "/api/sink", action: { drop: "after", delayMs: 150 }, times: 6 }]);
  const ids = await enqueue(page, 20);
  await until("the first effects", async () => (await w.server.sink()).length >= 1);
  await workers.stop();
  await workers.sync(w.server.origin, "default");
  await assertOnce(ids);
});

test("a worker that is stopped with a tab open is woken by the tab, without any call; the status follows", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin);
  const workers = await chromium.workers(page);
  await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 1 }]);
  const ids = await w.enqueueAll(page, numbered(5), { key: "one-line" });
  await w.held(1);
  await workers.stop();
  await w.server.release();
  await assertOnce(ids);
  await w.idle(page);
});

test("the browser process is killed in mid-flight and started again on the same profile", async () => {
  const first = await w.start();
  const page = await first.open(w.server.origin);
  await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 6 }]);
  const ids = await enqueue(page, 20);
  await w.held(6);
  await first.kill();
  await w.server.release();
  assert.equal((await w.server.sink()).length, 0);

  const second = await w.start({ profile: first.profile });
  const again = await second.open(w.server.origin);
  await assertOnce(ids);
  await until("an empty queue", async () => (await w.list(again)).length === 0);
  const { pending, syncing, failed } = await w.snapshot(again);
  assert.deepEqual([pending, syncing, failed], [0, 0, 0]);
});

test("the browser process is killed the moment enqueue has resolved", async () => {
  await w.server.down(true);
  const first = await w.start();
  const page = await first.open(w.server.origin);
  const ids = await enqueue(page, 5);
  await first.kill();
  await w.server.down(false);
  const second = await w.start({ profile: first.profile });
  await second.open(w.server.origin);
  await assertOnce(ids);
});

test("ten kills in a row, with forty jobs of four keys: each arrives once and each key in order", async () => {
  await w.server.faults([{ path: "/api/sink", action: { delayMs: 25 } }]);
  let chromium = await w.start();
  let page = await chromium.open(w.server.origin);
  const ids = [];
  for (let at = 0; at < 40; at += 1) {
    ids.push(await w.enqueue(page, { url: `/api/sink/${at % 4}/${at}`, body: String(at) }, { key: `key-${at % 4}` }));
    if (at % 4 === 3) {
      await chromium.kill();
      chromium = await w.start({ profile: chromium.profile });
      page = await chromium.open(w.server.origin);
    }
  }
  await assertOnce(ids, page);
  for (let key = 0; key < 4; key += 1) {
    const order = (await w.server.sink(`/api/sink/${key}/`)).map((entry) => Number(entry.body));
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
      `key ${key}`,
    );
  }
});

test("the browser finds its store corrupt and deletes it: the quarantine says so, and what comes then works", async () => {
  let chromium = await w.start();
  let page = await chromium.open(w.server.origin);
  await page.evaluate(() => window.client.pause());
  await enqueue(page, 2);
  await chromium.kill();
  const folder = join(chromium.profile, "Default/IndexedDB");
  const [store] = readdirSync(folder).filter((name) => name.endsWith(".indexeddb.leveldb"));
  for (const name of readdirSync(join(folder, store)).filter((name) => name.startsWith("MANIFEST")))
    writeFileSync(join(folder, store, name), "garbage");
  chromium = await w.start({ profile: chromium.profile });
  page = await chromium.open(w.server.origin);
  assert.deepEqual(await w.list(page), []);
  const [entry] = (await page.evaluate(() => window.client.metrics())).quarantine;
  assert.equal(entry.store, "database");
  assert.match(entry.reason, /corrupt/);
  const id = await w.enqueue(page, { url: "/api/sink/after", body: "after" });
  await w.becomes(page, id, "delivered");
});

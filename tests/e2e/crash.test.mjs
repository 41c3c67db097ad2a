// Killed anywhere: the worker stopped and the browser process killed, in mid-flight (P1, P2).

import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { after, afterEach, before } from "node:test";

import { startChromium as launch } from "./harness/chromium.mjs";
import { startServer } from "./harness/server.mjs";
import { until } from "./harness/wait.mjs";

let server;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

/** Browsers of the running test; a test that fails must not leave one behind. */
const open = [];
async function startChromium(options) {
  const chromium = await launch(options);
  open.push(chromium);
  return chromium;
}
afterEach(async () => {
  for (const chromium of open.splice(0)) await chromium.kill().catch(() => {});
});

const held = (count) => until(`${count} held`, async () => (await server.stats()).held >= count);

/** Every job was accepted once, by its key, and sent again only where an earlier send went unanswered. */
async function assertOnce(ids, page) {
  let sink = [];
  try {
    await until("all jobs", async () => {
      sink = await server.sink();
      return sink.length >= ids.length;
    });
  } catch (error) {
    const arrived = new Set(sink.map((entry) => entry.idempotencyKey));
    const missing = ids.filter((id) => !arrived.has(id));
    const known =
      page &&
      (await page
        .evaluate(
          async (ids) => ({
            jobs: await Promise.all(ids.map((id) => window.client.get(id))),
            snapshot: window.client.getSnapshot(),
          }),
          missing,
        )
        .catch(String));
    throw new Error(
      `${error.message}\nmissing: ${JSON.stringify(missing)}\nthe client says: ${JSON.stringify(known)}\narrived: ${JSON.stringify((await server.arrivals()).slice(-20))}`,
    );
  }
  assert.equal(sink.length, ids.length, "each was accepted once");
  assert.deepEqual(sink.map((entry) => entry.idempotencyKey).sort(), [...ids].sort());
  const arrivals = (await server.arrivals()).filter((arrival) => arrival.method === "POST");
  for (const [key, sends] of group(arrivals)) {
    const answered = sends.filter((send) => send.status !== null && !send.replayed);
    assert.ok(answered.length <= 1, `${key} was answered ${answered.length} times`);
  }
}

function group(arrivals) {
  const groups = new Map();
  for (const arrival of arrivals) groups.set(arrival.idempotencyKey, [...(groups.get(arrival.idempotencyKey) ?? []), arrival]);
  return groups;
}

const enqueue = (page, count) =>
  page.evaluate(
    (count) =>
      window.client.enqueueAll(Array.from({ length: count }, (_, at) => ({ url: `/api/sink/${at}`, body: `job ${at}` }))),
    count,
  );

test("the worker is stopped with six requests in flight, before the server handled them", async () => {
  await server.reset();
  const chromium = await startChromium();
  const page = await chromium.open(server.origin);
  const workers = await chromium.workers(page);
  await server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 6 }]);
  const ids = await enqueue(page, 20);
  await held(6);
  await workers.stop();
  await server.release();
  await workers.sync(server.origin, "default");
  await assertOnce(ids);
  await until("an empty queue", async () => (await page.evaluate(() => window.client.list())).length === 0);
  await chromium.close();
});

test("the worker is stopped after the server handled six and before a reply came", async () => {
  await server.reset();
  const chromium = await startChromium();
  const page = await chromium.open(server.origin);
  const workers = await chromium.workers(page);
  await server.faults([{ path: "/api/sink", action: { drop: "after", delayMs: 150 }, times: 6 }]);
  const ids = await enqueue(page, 20);
  await until("the first effects", async () => (await server.sink()).length >= 1);
  await workers.stop();
  await workers.sync(server.origin, "default");
  await assertOnce(ids);
  await chromium.close();
});

test("a worker that is stopped with a tab open is woken by the tab, without anybody's doing; the status follows", async () => {
  await server.reset();
  const chromium = await startChromium();
  const page = await chromium.open(server.origin);
  const workers = await chromium.workers(page);
  await server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 1 }]);
  const ids = await page.evaluate(() =>
    window.client.enqueueAll(
      Array.from({ length: 5 }, (_, at) => ({ url: `/api/sink/${at}`, body: `${at}` })),
      { key: "one-line" },
    ),
  );
  await held(1);
  await workers.stop();
  await server.release();
  await assertOnce(ids);
  await until("a true status", async () => {
    const { state, isRunning, pending, syncing } = await page.evaluate(() => window.client.getSnapshot());
    return state === "idle" && !isRunning && pending + syncing === 0;
  });
});

test("the browser process is killed in mid-flight and started again on the same profile", async () => {
  await server.reset();
  const first = await startChromium();
  const page = await first.open(server.origin);
  await server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 6 }]);
  const ids = await enqueue(page, 20);
  await held(6);
  await first.kill();
  await server.release();
  assert.equal((await server.sink()).length, 0);

  const second = await startChromium({ profile: first.profile });
  const again = await second.open(server.origin);
  await assertOnce(ids);
  await until("an empty queue", async () => (await again.evaluate(() => window.client.list())).length === 0);
  const { pending, syncing, failed } = await again.evaluate(() => window.client.getSnapshot());
  assert.deepEqual([pending, syncing, failed], [0, 0, 0]);
  await second.close();
});

test("the browser process is killed the moment enqueue has resolved", async () => {
  await server.reset();
  await server.down(true);
  const first = await startChromium();
  const page = await first.open(server.origin);
  const ids = await enqueue(page, 5);
  await first.kill();
  await server.down(false);
  const second = await startChromium({ profile: first.profile });
  await second.open(server.origin);
  await assertOnce(ids);
  await second.close();
});

test("ten kills in a row, with forty jobs of four keys: each arrives once and each key in order", async () => {
  await server.reset();
  await server.faults([{ path: "/api/sink", action: { delayMs: 25 } }]);
  let chromium = await startChromium();
  let page = await chromium.open(server.origin);
  const ids = [];
  for (let at = 0; at < 40; at += 1) {
    ids.push(
      await page.evaluate(
        (at) => window.client.enqueue({ url: `/api/sink/${at % 4}/${at}`, body: String(at) }, { key: `key-${at % 4}` }),
        at,
      ),
    );
    if (at % 4 === 3) {
      await chromium.kill();
      chromium = await startChromium({ profile: chromium.profile });
      page = await chromium.open(server.origin);
    }
  }
  await assertOnce(ids, page);
  for (let key = 0; key < 4; key += 1) {
    const order = (await server.sink(`/api/sink/${key}/`)).map((entry) => Number(entry.body));
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
      `key ${key}`,
    );
  }
  await chromium.close();
});

test("the browser finds its store corrupt and deletes it: the quarantine says so, and what comes then works", async () => {
  let chromium = await startChromium();
  let page = await chromium.open(server.origin);
  await page.evaluate(() => window.client.pause());
  await enqueue(page, 2);
  await chromium.kill();
  const folder = join(chromium.profile, "Default/IndexedDB");
  const [store] = readdirSync(folder).filter((name) => name.endsWith(".indexeddb.leveldb"));
  for (const name of readdirSync(join(folder, store)).filter((name) => name.startsWith("MANIFEST")))
    writeFileSync(join(folder, store, name), "garbage");
  chromium = await startChromium({ profile: chromium.profile });
  page = await chromium.open(server.origin);
  assert.deepEqual(await page.evaluate(() => window.client.list()), []);
  const [entry] = (await page.evaluate(() => window.client.metrics())).quarantine;
  assert.equal(entry.store, "database");
  assert.match(entry.reason, /corrupt/);
  const id = await page.evaluate(() => window.client.enqueue({ url: "/api/sink/after", body: "after" }));
  await until("what comes then", async () => (await page.evaluate((id) => window.client.get(id), id))?.state === "delivered");
});

// A panic in the wasm cannot wedge the worker (W7). Runs against dist-test/, whose worker panics on demand.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ dist: "dist-test" });

/** Asks the worker to panic; answers what it answers. */
const panic = (page) =>
  page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    return new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => resolve(data);
      active.postMessage({ shearwater: 1, re: crypto.randomUUID(), op: "panic" }, [port2]);
    });
  });

test("a panic is answered with a typed error, and the next call works", async () => {
  const page = await w.open();
  const answer = await panic(page);
  assert.equal(answer.error.code, "internal");
  assert.match(answer.error.message, /asked to/);
  const id = await w.enqueue(page, { url: "/api/sink/after", body: "x" });
  await w.becomes(page, id, "delivered");
});

test("jobs in hand at a panic are taken back and delivered, each once, without another wake", async () => {
  const page = await w.open();
  await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 6 }]);
  const ids = await page.evaluate(() =>
    client.enqueueAll(Array.from({ length: 15 }, (_, at) => ({ url: `/api/sink/${at}`, body: `${at}` }))),
  );
  await until("six in flight", async () => (await w.server.stats()).held === 6);
  await panic(page);
  await w.server.release();
  const sink = await until("all", async () => {
    const sink = await w.server.sink();
    return sink.length >= 15 && sink;
  });
  assert.deepEqual(sink.map((entry) => entry.idempotencyKey).sort(), [...ids].sort());
  await w.settled(page);
});

test("a sync event that meets a panic is rejected, not left hanging; a later one drains", async () => {
  const page = await w.open();
  const workers = await w.chromium.workers(page);
  await w.server.faults([{ path: "/api/sink", action: { hold: true }, times: 1 }]);
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  await until("it to be in flight", async () => (await w.server.stats()).held === 1);
  await workers.sync(w.server.origin, "default");
  await panic(page);
  await w.server.release();
  await workers.sync(w.server.origin, "default");
  await w.becomes(page, id, "delivered");
  assert.equal((await w.server.sink()).length, 1);
});

test("panic after panic: the queue stays sound", async () => {
  const page = await w.open();
  for (let round = 0; round < 8; round += 1) {
    const id = await w.enqueue(page, { url: `/api/sink/${round}`, body: `${round}` }, { key: "k" });
    await panic(page);
    await w.becomes(page, id, "delivered");
  }
  assert.deepEqual(
    (await w.server.sink()).map((entry) => entry.body),
    ["0", "1", "2", "3", "4", "5", "6", "7"],
  );
});

// A trap in the wasm (`unreachable`, a stack that overflows, memory that is used up) is death like a panic: what waits
// settles, and a new instance goes on (W7). Runs against dist-test/, whose worker traps on demand.

import assert from "node:assert/strict";
import test from "node:test";

import { numbered, world } from "./harness/world.mjs";

const w = world({ dist: "dist-test" });

for (const [op, kind] of [
  ["trap at once", "RuntimeError"],
  ["trap later", "RuntimeError"],
  ["overflow at once", "RangeError"],
  ["overflow later", "RangeError"],
  ["exhaust at once", "RuntimeError"],
  ["exhaust later", "RuntimeError"],
]) {
  test(`"${op}" is reported as a typed error, and the next call works`, async () => {
    const page = await w.open();
    const { error } = await w.post(page, op);
    assert.equal(error.code, "internal");
    assert.match(error.message, new RegExp(kind));
    const id = await w.enqueue(page, { url: "/api/sink/after", body: "x" });
    await w.becomes(page, id, "delivered");
  });
}

for (const op of ["panic", "trap later", "exhaust later"]) {
  test(`jobs in hand at a "${op}" are taken back and delivered, each once, without another wake`, async () => {
    const page = await w.open();
    await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 6 }]);
    const ids = await w.enqueueAll(page, numbered(15));
    await w.held(6);
    await w.post(page, op);
    await w.server.release();
    await w.acceptedOnce(ids, page);
    await w.settled(page);
  });
}

for (const op of ["panic", "overflow later", "exhaust at once"]) {
  test(`a sync event that meets a "${op}" is rejected, not left hanging; a later one drains`, async () => {
    const page = await w.open();
    const workers = await w.browser.workers(page);
    await w.server.faults([{ path: "/api/sink", action: { hold: true }, times: 1 }]);
    const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
    await w.held(1);
    await workers.sync(w.server.origin, "default");
    await w.post(page, op);
    await w.server.release();
    await workers.sync(w.server.origin, "default");
    await w.becomes(page, id, "delivered");
    assert.equal((await w.server.sink()).length, 1);
  });
}

test("calls that wait while memory runs out, time and again: each is stored and sent once, or refused as an internal error", async () => {
  const page = await w.open();
  const outcomes = await page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    const calls = Array.from({ length: 60 }, (_, at) => {
      // The client has nothing of this, and waits for no answer.
      if (at % 20 === 10) active.postMessage({ shearwater: 1, re: crypto.randomUUID(), op: "exhaust later" });
      return client.enqueue({ url: `/api/sink/${at}`, body: `${at}` }).then(
        (id) => ({ id }),
        ({ code }) => ({ code }),
      );
    });
    return Promise.all(calls);
  });
  const refused = outcomes.filter(({ code }) => code);
  assert.ok(refused.length < outcomes.length);
  assert.deepEqual(
    [...new Set(refused.map(({ code }) => code))].filter((code) => code !== "internal"),
    [],
  );
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/after", body: "after" }), "delivered");
  await w.settled(page);
  const sink = await w.server.sink();
  const keys = sink.map((entry) => entry.idempotencyKey);
  assert.equal(new Set(keys).size, keys.length, "none twice");
  const ids = outcomes.flatMap(({ id }) => id ?? []);
  assert.deepEqual(
    ids.filter((id) => !keys.includes(id)),
    [],
    "none lost",
  );
});

test("traps, overflows and panics in turn: the queue stays sound and in order", async () => {
  const page = await w.open();
  const ops = [
    "trap later",
    "panic",
    "overflow at once",
    "trap at once",
    "overflow later",
    "panic",
    "trap later",
    "exhaust later",
    "trap at once",
    "exhaust at once",
  ];
  for (const [round, op] of ops.entries()) {
    const id = await w.enqueue(page, { url: `/api/sink/${round}`, body: `${round}` }, { key: "k" });
    await w.post(page, op);
    await w.becomes(page, id, "delivered");
  }
  assert.deepEqual(
    (await w.server.sink()).map((entry) => entry.body),
    ops.map((_, round) => `${round}`),
  );
});

test("a forged message with an array of ten million holes is refused, and the next call works", async () => {
  const page = await w.open();
  // Made in the page: an array of holes does not come through as one.
  const answer = await page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    return new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => resolve(data);
      active.postMessage({ shearwater: 1, re: "forged", op: { enqueue: { jobs: new Array(10_000_000) } } }, [port2]);
    });
  });
  assert.ok(["internal", "invalid-message"].includes(answer.error.code), JSON.stringify(answer));
  const id = await w.enqueue(page, { url: "/api/sink/after", body: "x" });
  await w.becomes(page, id, "delivered");
});

// A panic in the wasm cannot wedge the worker (W7). Runs against dist-test/, whose worker panics on demand.

import assert from "node:assert/strict";
import test from "node:test";

import { world } from "./harness/world.mjs";

const w = world({ dist: "dist-test" });

const panic = (page) => w.post(page, "panic");

test("a panic is reported as a typed error, and the next call works", async () => {
  const page = await w.open();
  const answer = await panic(page);
  assert.equal(answer.error.code, "internal");
  assert.match(answer.error.message, /asked to/);
  const id = await w.enqueue(page, { url: "/api/sink/after", body: "x" });
  await w.becomes(page, id, "delivered");
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

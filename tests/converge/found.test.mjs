// What runs have found, reduced: one test a defect.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "../e2e/harness/wait.mjs";
import { world } from "../e2e/harness/world.mjs";

const w = world();
const url = "/api/records/notes";
const id = "00000001-0000-4000-8000-000000000000";
const config = {
  collections: { notes: { url, version: "version", pull: { every: 0 }, conflict: { merge: { union: ["tags"] } } } },
  queues: { notes: { backoff: { base: 50, max: 100 } } },
};
const sync = (page) => page.evaluate(() => window.client.collection("notes").sync());

test("a pull whose worker was stopped holds up no other", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config });
  const workers = await chromium.workers(page);
  await w.server.faults([{ method: "GET", path: url, action: { hold: true }, times: 1 }]);
  await page.evaluate(() => void window.client.collection("notes").sync());
  await w.held(1);
  await workers.stop();
  await w.server.release();
  await until(
    "a sync",
    async () => {
      const { error } = await sync(page);
      return error === undefined || Promise.reject(new Error(error));
    },
    20_000,
  );
});

test("an edit by a function keeps an element that a pull brings before it is written", async () => {
  const page = await w.open({ config });
  await page.evaluate((id) => window.client.collection("notes").put({ id, tags: ["x"] }), id);
  await until("the row", async () => (await w.server.records("notes")).length === 1);
  await sync(page);
  await w.server.writeRecord("notes", { id, data: { tags: ["x", "theirs"] } });
  const between = await page.evaluate(async (id) => {
    const notes = window.client.collection("notes");
    // The page's messages with the write wait; nothing else does.
    const { prototype } = ServiceWorker;
    const { postMessage } = prototype;
    const writes = [];
    prototype.postMessage = function (...given) {
      const { op } = given[0] ?? {};
      if (op?.["record-write"]) writes.push(() => postMessage.apply(this, given));
      else postMessage.apply(this, given);
    };
    const editing = notes.update(id, (note) => ({ ...note, tags: [...note.tags, "ours"] }));
    while (writes.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await notes.sync();
    const { tags } = await notes.get(id);
    prototype.postMessage = postMessage;
    for (const write of writes) write();
    await editing;
    return tags;
  }, id);
  assert.deepEqual(between, ["x", "theirs"]);
  await until("nothing left", async () => {
    const { error } = await sync(page);
    return error === undefined && (await page.evaluate(() => window.client.collection("notes").pendingChanges())).length === 0;
  });
  assert.deepEqual((await w.server.records("notes"))[0].tags.sort(), ["ours", "theirs", "x"]);
});

// Killed while a predecessor's delivery is recorded: its dependent is sent once, with the value.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ dist: "dist-test" });

for (const point of ["outcome-before", "outcome-after"]) {
  test(`the worker is stopped at ${point} of the predecessor`, async () => {
    const browser = await w.start();
    const page = await browser.open(w.origin(), { options: { worker: `/sw.js?point=${point}` } });
    await page.evaluate(() => window.client.pause());
    const note = { url: "/api/notes", body: { text: "one" } };
    const first = await w.enqueue(page, note, { queue: "notes" });
    const second = await w.enqueue(
      page,
      { url: "/api/sink/{note}", body: "x" },
      { bind: { note: { job: first, pointer: "/id" } } },
    );
    await w.server.faults([{ path: "/api/points", action: { hold: true }, times: 1 }]);
    await page.evaluate(() => window.client.resume());
    await w.held(1);
    assert.equal((await w.server.notes()).length, 1);
    await (await browser.workers(page)).stop();
    await w.server.release();
    await page.evaluate(() => window.client.syncNow());
    await until("the dependent", async () => (await w.get(page, second)).state === "delivered");
    const [{ id }] = await w.server.notes();
    assert.equal((await w.server.notes()).length, 1);
    assert.deepEqual(
      (await w.server.sink()).map(({ path }) => path),
      [`/api/sink/${id}`],
    );
  });
}

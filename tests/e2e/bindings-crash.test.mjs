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

for (const point of ["enqueue-after", "outcome-before", "outcome-after", "send-before"]) {
  test(`the browser is killed at ${point}: note and photo arrive once, the photo at the note's id`, async () => {
    const browser = await w.start();
    const options = { worker: `/sw.js?point=${point}` };
    const page = await browser.open(w.origin(), { options });
    await page.evaluate(() => window.client.pause());
    const first = await w.enqueue(page, { url: "/api/notes", body: { text: "one" } }, { queue: "notes" });
    await w.server.faults([{ path: "/api/points", action: { hold: true }, times: 1 }]);
    const photo = { url: "/api/sink/{note}", body: "x" };
    if (point === "enqueue-after") {
      page
        .evaluate((photo, job) => window.client.enqueue(photo, { bind: { note: { job, pointer: "/id" } } }), photo, first)
        .catch(() => {});
    } else {
      await w.enqueue(page, photo, { bind: { note: { job: first, pointer: "/id" } } });
      await page.evaluate(() => window.client.resume());
    }
    await w.held(1);
    await browser.kill();
    await w.server.release();
    const reborn = await w.start({ profile: browser.profile });
    const again = await reborn.open(w.origin(), { options: { worker: "/sw.js?point=none" } });
    await again.evaluate(() => window.client.resume());
    await until("the photo", async () => {
      await again.evaluate(() => window.client.syncNow());
      return (await w.server.sink()).length === 1;
    });
    const notes = await w.server.notes();
    assert.equal(notes.length, 1);
    assert.deepEqual(
      (await w.server.sink()).map(({ path }) => path),
      [`/api/sink/${notes[0].id}`],
    );
  });
}

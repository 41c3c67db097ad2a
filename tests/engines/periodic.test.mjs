// Periodic tasks where no browser fires them: in Firefox and WebKit, on the first wake after they are due.

import assert from "node:assert/strict";
import test from "node:test";

import { others } from "../e2e/harness/engines.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { onEngines } from "../e2e/harness/world.mjs";

const HOUR = 3_600_000;

onEngines(others, (w) => {
  test(`${w.engine}: a tag that is unsupported runs on a wake that finds it due, once, with its results`, async () => {
    const tasks = ["cleanup", "drain", { refresh: { cache: "pages", all: true } }, "handler"];
    const config = JSON.stringify({ periodic: { "daily-sync": { minInterval: 24 * HOUR, tasks } } });
    const page = await w.open({ options: { worker: `/sw.js?${new URLSearchParams({ config, clock: "0" })}` } });
    assert.equal(await page.evaluate(() => window.client.registerPeriodic("daily-sync", 86_400_000)), "unsupported");
    await w.server.faults([{ path: "/api/sink/page", action: { status: 200, headers: { etag: '"1"' }, body: "old" } }]);
    await page.evaluate(async () => {
      await (await caches.open("pages")).addAll(["/api/sink/page"]);
      return true;
    });
    await w.server.faults([{ path: "/api/sink/page", action: { status: 200, headers: { etag: '"2"' }, body: "new" } }]);
    const run = () => page.evaluate(async () => (await window.client.metrics()).periodic[0]);
    await until("the tag to be seen", async () => (await run()).nextRunAt);
    await page.evaluate((clock) => window.tell({ clock }), 25 * HOUR);
    const ended = await until("the end of all tasks", async () => {
      await page.evaluate(() => window.client.syncNow());
      const { tasks } = await run();
      return tasks.length === 4 && tasks.every((task) => task.endedAt) && tasks;
    });
    assert.deepEqual(
      ended.map(({ task, error }) => [task, error]),
      [
        ["cleanup", undefined],
        ["drain", undefined],
        ["refresh pages", undefined],
        ["handler", undefined],
      ],
    );
    assert.equal(await page.evaluate(async () => (await caches.match("/api/sink/page")).text()), "new");
    await page.evaluate(() => window.client.syncNow());
    assert.equal(await page.evaluate(() => window.heard.sync.filter((event) => event.periodic === "daily-sync").length), 1);
  });
});

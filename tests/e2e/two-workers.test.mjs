// Two workers of one name, in two scopes, on one database: they share a queue, and take turns by a Web Lock (Q7).

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { numbered, world } from "./harness/world.mjs";

const w = world();

const name = "shearwater";
/** A page of each of two workers. */
async function two(config) {
  const script = (more) => `/sw.js?${new URLSearchParams({ config: JSON.stringify({ name, ...config }), ...more })}`;
  return [
    await w.open({ options: { name, worker: script({}) } }),
    await w.open({ options: { name, worker: script({ second: "" }), scope: "/second/" } }),
  ];
}
const many = (page, path, count, options) => w.enqueueAll(page, numbered(count, `/api/sink/${path}`), options);

test("together they send no more at a time than the queue says, and each job once", async () => {
  const pages = await two({ queues: { default: { concurrency: 2 } } });
  await w.server.faults([{ path: "/api/sink", action: { hold: true } }]);
  const ids = [];
  for (const [at, page] of pages.entries()) ids.push(...(await many(page, `${at}`, 10)));
  const nows = pages.map((page) => page.evaluate(() => client.syncNow()));
  for (let sent = 0; sent < ids.length; sent = (await w.server.sink()).length) {
    await until("two held, or the last", async () => (await w.server.stats()).held >= Math.min(2, ids.length - sent));
    for (const page of pages) {
      await page.evaluate(async () => {
        for (const event of ["online", "focus"]) window.dispatchEvent(new Event(event));
        await client.list();
      });
    }
    assert.ok((await w.server.stats()).held <= 2);
    await w.server.release();
    await until("their replies", async () => (await w.server.sink()).length > sent);
  }
  await Promise.all(nows);
  assert.equal((await w.server.stats()).maxInFlight, 2);
  assert.deepEqual((await w.server.arrivals("/api/sink")).map((arrival) => arrival.idempotencyKey).sort(), ids.sort());
});

test("jobs of a key keep their order, whichever of them stores and sends", async () => {
  const pages = await two({});
  await pages[0].evaluate(() => client.pause());
  for (let at = 0; at < 10; at += 1) await w.enqueue(pages[at % 2], { url: `/api/sink/${at}`, body: `${at}` }, { key: "k" });
  await Promise.all([pages[1].evaluate(() => client.resume()), ...pages.map((page) => page.evaluate(() => client.syncNow()))]);
  await until("all", async () => (await w.server.sink()).length === 10);
  assert.deepEqual(
    (await w.server.sink()).map((entry) => entry.body),
    Array.from({ length: 10 }, (_, at) => `${at}`),
  );
});

test("a purge stops the sends of both", async () => {
  const pages = await two({ queues: { default: { concurrency: 2 } } });
  await pages[0].evaluate(() => client.setOwner("A"));
  await w.server.faults([{ path: "/api/sink/a", action: { hold: true } }]);
  await many(pages[0], "a", 10);
  await w.held(2);
  await pages[1].evaluate(() => client.setOwner("B", { purge: true }));
  const id = await w.enqueue(pages[1], { url: "/api/sink/b", body: "x" });
  await w.server.faults([]);
  await w.server.release();
  await w.becomes(pages[1], id, "delivered");
  await until(
    "the end of all sends",
    async () => (await w.server.stats()).inFlight === 0 && !(await w.snapshot(pages[0])).isRunning,
  );
  await pages[0].evaluate(() => client.syncNow());
  assert.equal((await w.server.arrivals("/api/sink/a")).length, 2, "what was on its way, and nothing more");
  assert.deepEqual(
    (await pages[0].evaluate(() => rows("jobs"))).filter((row) => row.owner === "A"),
    [],
  );
});

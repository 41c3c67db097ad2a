// A client lives until it is closed, whether or not the app keeps a reference to it.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

/** Has the page's garbage collected, and lets what is called after that run; says whether an unreferenced object went. */
async function collectGarbage(page) {
  const session = await page.createCDPSession();
  await page.evaluate(() => {
    window.collected = false;
    window.registry = new FinalizationRegistry(() => {
      window.collected = true;
    });
    registry.register({}, 0);
  });
  await until("the garbage collection", async () => {
    await session.send("HeapProfiler.collectGarbage");
    return page.evaluate(() => window.collected);
  });
  await session.detach();
}

test("a page that keeps nothing of its client but a subscription goes on hearing", async () => {
  const page = await w.visit("/");
  await page.evaluate(async () => {
    window.heard = [];
    const client = await connect();
    client.subscribe(() => heard.push("snapshot"));
    client.on("delivered", () => heard.push("delivered"));
  });
  for (let round = 0; round < 3; round += 1) await collectGarbage(page);
  const other = await w.open();
  const id = await w.enqueue(other, { url: "/api/sink/x", body: "x" });
  await w.becomes(other, id, "delivered");
  await until("the subscription to be told", () =>
    page.evaluate(() => heard.includes("snapshot") && heard.includes("delivered")),
  );
});

test("a client that is closed hears nothing more", async () => {
  const page = await w.visit("/");
  await page.evaluate(async () => {
    window.heard = [];
    const client = await connect();
    client.on("delivered", () => heard.push("delivered"));
    client.close();
  });
  const other = await w.open();
  await w.becomes(other, await w.enqueue(other, { url: "/api/sink/x", body: "x" }), "delivered");
  assert.deepEqual(await page.evaluate(() => heard), []);
});

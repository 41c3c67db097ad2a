// Collections in Firefox and WebKit.

import assert from "node:assert/strict";
import test from "node:test";

import { others } from "../e2e/harness/engines.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { onEngines } from "../e2e/harness/world.mjs";

const config = {
  collections: { notes: { url: "/api/records/notes", version: "version", pull: { every: 0 } } },
  queues: { notes: { backoff: { base: 50, max: 100 } } },
};
const worker = `/sw.js?${new URLSearchParams({ config: JSON.stringify(config) })}`;

onEngines(others, (w) => {
  test(`${w.engine}: a record is written without a network, pushed once, and merged with what another client wrote`, async () => {
    const page = await w.open({ options: { worker } });
    await w.server.down(true);
    const id = await page.evaluate(() => window.client.collection("notes").put({ title: "a", tags: [] }));
    await page.evaluate((id) => window.client.collection("notes").update(id, { title: "b" }), id);
    const read = () => page.evaluate((id) => window.client.collection("notes").get(id), id);
    assert.equal((await read()).title, "b");
    await w.server.down(false);
    const sync = () => page.evaluate(() => window.client.collection("notes").sync());
    await until("the record", async () => {
      await sync();
      return (await w.server.records("notes")).map(({ title }) => title).join() === "b";
    });
    // What may have arrived went first, as it was: in one request or in two.
    assert.equal((await w.server.recordLog("notes")).filter(({ op }) => op === "create").length, 1);
    await w.server.writeRecord("notes", { id, data: { title: "b", tags: [], mood: "there" } });
    await page.evaluate((id) => window.client.collection("notes").update(id, { title: "here" }), id);
    await until("both", async () => {
      await sync();
      const [row] = await w.server.records("notes");
      return row.title === "here" && row.mood === "there";
    });
    await until("the same here", async () => (await read())?.mood === "there");
  });
});

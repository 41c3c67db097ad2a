// Collections in Firefox and WebKit.

import assert from "node:assert/strict";
import test from "node:test";

import { others } from "../e2e/harness/engines.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { onEngines } from "../e2e/harness/world.mjs";

const config = {
  collections: {
    notes: {
      url: "/api/records/notes",
      version: "version",
      pull: { every: 0 },
      indexes: { byTitle: "title", byTag: { path: "tags", multi: true } },
    },
  },
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

  test(`${w.engine}: records are found by an index, in its order and page by page, as in memory`, async () => {
    const page = await w.open({ options: { worker } });
    const records = [7, "", "b", "a", "\u{1f426}", "\ue000", "ab", true, null].map((title, number) => ({
      id: `n-${number}`,
      title,
      tags: number % 2 ? ["odd", "any", "odd"] : ["any"],
    }));
    await page.evaluate(
      (records) => Promise.all(records.map((record) => window.client.collection("notes").put(record))),
      records,
    );
    const look = () =>
      page.evaluate(async () => {
        const notes = window.client.collection("notes");
        const titles = async (query) => (await notes.query({ index: "byTitle", ...query })).map(({ title }) => title);
        const first = await notes.query({ index: "byTitle", order: "-byTitle", limit: 3 });
        const last = first[first.length - 1];
        return [
          await titles(),
          await titles({ range: { prefix: "a" } }),
          await titles({ range: { from: "a", to: "b", toOpen: true }, order: "-byTitle" }),
          await titles({ order: "-byTitle", limit: 3, after: last }),
          (await notes.query({ index: "byTag", limit: 20 })).length,
          await notes.count({ index: "byTag", range: { only: "odd" } }),
          await notes.count({ index: "byTitle" }),
        ];
      });
    const expected = [[true, 7, "", "a", "ab", "b", "\u{1f426}", "\ue000"], ["a", "ab"], ["ab", "a"], ["ab", "a", ""], 9, 4, 8];
    assert.deepEqual(await look(), expected);
    await until("the indexes to be complete", () =>
      page.evaluate(async () => {
        await window.client.metrics();
        const [state] = await window.rows("collections");
        return state.indexes.pending === undefined;
      }),
    );
    assert.deepEqual(await look(), expected);
  });
});

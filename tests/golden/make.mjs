// Writes tests/golden/v<version>.json: a database as this release leaves it, for later releases to open.
// Run once for each version of the schema, by the release that has it: node tests/golden/make.mjs

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { startChromium } from "../e2e/harness/chromium.mjs";
import { root, startServer } from "../e2e/harness/server.mjs";
import { until } from "../e2e/harness/wait.mjs";

// The same port whenever it is made or read: rows carry whole URLs.
const server = await startServer({ listen: "127.0.0.1:47831" });
const chromium = await startChromium();
try {
  const page = await chromium.open(server.origin, { config: { queues: { photos: { onFailure: "continue" } } } });
  await server.faults([
    { path: "/api/sink/refused", action: { status: 422 } },
    { path: "/api/sink/conflict", action: { status: 409 } },
    { path: "/api/sink/secret", action: { status: 401 } },
  ]);
  const ended = await page.evaluate(() =>
    Promise.all(
      ["delivered", "refused", "conflict", "secret"].map((name) =>
        // One that is blocked still ages.
        window.client.enqueue({ url: `/api/sink/${name}`, body: name }, { maxAge: 315_360_000_000 }),
      ),
    ),
  );
  await until("four that ended", async () =>
    (await page.evaluate((ids) => Promise.all(ids.map((id) => window.client.get(id))), ended)).every(
      ({ state }) => !["pending", "syncing"].includes(state),
    ),
  );
  await server.down(true);
  await page.evaluate(async () => {
    // Years from now they are still to be delivered.
    const maxAge = 315_360_000_000;
    await window.client.enqueue(
      { url: "/api/sink/json", body: { a: [1, null] } },
      { key: "line", metadata: { note: 1 }, priority: "high", maxAge },
    );
    await window.client.enqueue({ url: "/api/sink/second", body: "second" }, { key: "line", maxAge });
    await window.client.enqueue(
      { url: "/api/sink/photo", method: "PUT", body: new Blob([new Uint8Array([0, 1, 255])], { type: "image/png" }) },
      { queue: "photos", maxAge },
    );
    await window.client.enqueue({ url: "/api/sink/get" }, { notBefore: 1_000, maxAge });
    await window.client.enqueueAll(
      ["a", "bb", "ccc"].map((body) => ({ url: `/api/sink/pack/${body}`, body })),
      { maxAge },
    );
    await window.client.pause("photos");
    // As forms.js does.
    const { ask } = window.client[Symbol.for("shearwater.internal")];
    const id = "00000001-0000-4000-8000-000000000000";
    const fields = '[{"n":"text","k":"text","i":0,"v":"typed"}]';
    await ask({ "draft-save": { id, form: "/#note", seq: 3, fields, files: [id] } }, [new Blob([new Uint8Array([0, 1, 255])])]);
  });
  await until("tries without a response", async () =>
    (await page.evaluate(() => window.client.list({ state: "pending" }))).some((job) => job.unreachable > 0),
  );
  await until("rest", async () => !(await page.evaluate(() => window.client.getSnapshot())).isRunning);
  const dump = await page.evaluate(async () => {
    const request = (asked) =>
      new Promise((resolve, reject) => {
        asked.onsuccess = () => resolve(asked.result);
        asked.onerror = () => reject(asked.error);
      });
    const database = await request(indexedDB.open("shearwater"));
    const base64 = async (body) => btoa(String.fromCharCode(...new Uint8Array(await new Response(body).arrayBuffer())));
    const stores = {};
    for (const name of database.objectStoreNames) {
      const store = database.transaction(name).objectStore(name);
      const [keys, values] = await Promise.all([request(store.getAllKeys()), request(store.getAll())]);
      const indexes = [...store.indexNames].map((index) => ({
        name: index,
        keyPath: store.index(index).keyPath,
        multiEntry: store.index(index).multiEntry,
      }));
      const rows = [];
      for (const [at, value] of values.entries()) {
        // Random bytes, laid in anew by whoever finds none.
        if (keys[at] === "reserve") continue;
        const binary = value instanceof Blob || value instanceof ArrayBuffer;
        rows.push({ key: keys[at], ...(binary ? { base64: await base64(value), type: value.type } : { value }) });
      }
      stores[name] = { keyPath: store.keyPath, autoIncrement: store.autoIncrement, indexes, rows };
    }
    return { version: database.version, stores };
  });
  const path = join(root, `tests/golden/v${dump.version}.json`);
  writeFileSync(path, `${JSON.stringify(dump, null, 1)}\n`);
  console.log(path, Object.fromEntries(Object.entries(dump.stores).map(([name, { rows }]) => [name, rows.length])));
} finally {
  await chromium.kill();
  await server.stop();
}

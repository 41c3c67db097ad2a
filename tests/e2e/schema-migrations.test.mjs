// Databases as earlier releases left them, one for each version of the schema: opened, read, delivered.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { root } from "./harness/server.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const folder = join(root, "tests/golden");
const goldens = readdirSync(folder).filter((name) => name.endsWith(".json"));
const w = world();

/**
 * A golden database as if it had been left a minute ago: its jobs age, and those of an old release would expire before the
 * test sees them. Instants are told from other numbers by their size.
 */
function reread(name) {
  // Rows carry whole URLs; the server is where it finds a free port.
  const text = readFileSync(join(folder, name), "utf8").replaceAll("http://localhost:47831", w.server.origin);
  const { clock } = JSON.parse(text).stores.meta.rows.find(({ key }) => key === "ledger").value;
  const since = Date.now() - 60_000 - clock;
  const isInstant = (value) => typeof value === "number" && value > 1e12 && value < 3e12;
  return JSON.parse(text, (_, value) => (isInstant(value) ? value + since : value));
}

/** Makes the database in the page's origin, row for row as it was written down. */
const restore = (page, dump) =>
  page.evaluate(async ({ version, stores }) => {
    const opening = indexedDB.open("shearwater", version);
    opening.onupgradeneeded = () => {
      for (const [name, { keyPath, autoIncrement, indexes }] of Object.entries(stores)) {
        const store = opening.result.createObjectStore(name, { keyPath, autoIncrement });
        for (const index of indexes) store.createIndex(index.name, index.keyPath);
      }
    };
    await new Promise((resolve, reject) => {
      opening.onsuccess = resolve;
      opening.onerror = () => reject(opening.error);
    });
    const database = opening.result;
    const transaction = database.transaction(Object.keys(stores), "readwrite");
    for (const [name, { keyPath, rows }] of Object.entries(stores)) {
      for (const { key, value, base64 } of rows) {
        const bytes = base64 === undefined ? value : Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0)).buffer;
        transaction.objectStore(name).put(bytes, ...(keyPath === null ? [key] : []));
      }
    }
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    database.close();
  }, dump);

for (const name of goldens) {
  test(`a database of ${name}: what waited is delivered, what ended is listed`, async () => {
    const dump = reread(name);
    const page = await w.visit();
    await restore(page, dump);
    const config = encodeURIComponent(JSON.stringify({ queues: { photos: { onFailure: "continue" } } }));
    const before = await page.evaluate(async (worker) => {
      window.client = await window.connect({ worker });
      return window.client.getSnapshot();
    }, `/sw.js?config=${config}`);
    assert.deepEqual([before.failed, before.conflicts, before.blocked, before.pausedQueues], [1, 1, 1, ["photos"]]);
    await page.evaluate(() => window.client.syncNow());
    assert.equal((await w.server.sink("/api/sink/photo")).length, 0, "a pause survives");
    await page.evaluate(() => window.client.resume());
    const waited = dump.stores.jobs.rows.map(({ value }) => value).filter(({ state }) => state === "pending");
    const sink = await until("what waited", async () => {
      const sink = await w.server.sink();
      return sink.length >= waited.length && sink;
    });
    assert.deepEqual(
      sink.map(({ idempotencyKey }) => idempotencyKey).sort(),
      waited.map(({ idempotencyKey }) => idempotencyKey).sort(),
    );
    const bodies = Object.fromEntries(sink.map(({ path, body }) => [path.split("/").at(-1), body]));
    assert.deepEqual([bodies.json, bodies.second], ['{"a":[1,null]}', "second"]);
    for (const { path, body } of sink.filter(({ path }) => path.includes("/pack/"))) assert.equal(body, path.split("/").at(-1));
    assert.ok(
      sink.findIndex(({ path }) => path.endsWith("json")) < sink.findIndex(({ path }) => path.endsWith("second")),
      "the order of their key",
    );
    const left = await until("their outcomes", async () => {
      const left = await page.evaluate(() => window.client.list());
      return left.length <= 3 && left;
    });
    assert.deepEqual(left.map(({ state }) => state).sort(), ["blocked", "conflict", "failed"]);
    assert.equal(left.find(({ state }) => state === "failed").error.status, 422);
    const { quarantined } = await page.evaluate(() => window.client.repair());
    assert.equal(quarantined, 0);
  });
}

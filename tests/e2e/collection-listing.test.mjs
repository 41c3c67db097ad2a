// Collections that are compared with the whole of the server's rows, downloaded by scope, and synced with all else (D3, D5).

import assert from "node:assert/strict";
import test from "node:test";
import { notes } from "./harness/collection.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const { call } = notes(w);
const path = "/api/records/notes";
const configOf = (more = {}) => ({
  collections: { notes: { url: path, version: "version", pull: { every: 0, pageSize: 2 }, ...more } },
  queues: { notes: { backoff: { base: 50, max: 100 } } },
});
const open = (more) => w.open({ config: configOf(more) });
const titles = async (page) => (await call(page, "all")).map(({ title }) => title).sort();
const elsewhere = (id, title) => w.server.writeRecord("notes", title ? { id, data: { title } } : { id, deleted: true });
const fill = async (...names) => {
  for (const name of names) await elsewhere(name, name);
};
const report = (answer) => {
  const { syncedAt, ...counts } = answer;
  return { ...counts, ended: syncedAt !== null };
};
const none = { added: 0, updated: 0, expired: 0, unchanged: 0, errors: [], ended: true };

test("reconcile tells what was added, updated, expired and unchanged, and keeps what expired until it is cleaned up", async () => {
  await fill("a", "b", "c", "d", "e");
  const page = await open();
  assert.deepEqual(report(await call(page, "reconcile")), { ...none, added: 5 });
  assert.deepEqual(report(await call(page, "reconcile")), { ...none, unchanged: 5 });
  await w.server.forgetRecord("notes", "b");
  await elsewhere("c", "c2");
  await elsewhere("d");
  await fill("f");
  const before = Date.now();
  const found = await call(page, "reconcile");
  assert.deepEqual(report(found), { ...none, added: 1, updated: 2, expired: 1, unchanged: 2 });
  assert.ok(found.syncedAt >= before - 1 && found.syncedAt <= Date.now() + 1);
  assert.deepEqual(await titles(page), ["a", "c2", "e", "f"]);
  assert.equal(await call(page, "count"), 4);
  const [expired, ...others] = await call(page, "expired");
  assert.deepEqual([expired.id, expired.record.title, others], ["b", "b", []]);
  assert.ok(expired.at >= before - 1);
  assert.equal((await call(page, "get", "b")).title, "b");
  const status = await call(page, "status");
  assert.equal(status.lastReconcileAt, found.syncedAt);
  // The server has it again.
  await fill("b");
  assert.deepEqual(report(await call(page, "reconcile")), { ...none, updated: 1, unchanged: 4 });
  assert.deepEqual(await call(page, "expired"), []);
  await w.server.forgetRecord("notes", "e");
  await call(page, "reconcile");
  assert.equal(await call(page, "cleanUp", { olderThan: 3_600_000 }), 0);
  assert.equal(await call(page, "cleanUp"), 1);
  assert.deepEqual([await call(page, "expired"), await call(page, "get", "e")], [[], null]);
  // Nothing of this was pushed.
  assert.deepEqual(
    (await w.server.arrivals(path)).filter(({ method }) => method !== "GET"),
    [],
  );
});

test("what is dirty does not expire, and an expired record that is written to comes back", async () => {
  await fill("a", "b", "c");
  const page = await open();
  await call(page, "reconcile");
  await page.evaluate(() => client.pause("notes"));
  await call(page, "update", "a", { title: "mine" });
  await call(page, "put", { id: "new", title: "new" });
  for (const id of ["a", "b"]) await w.server.forgetRecord("notes", id);
  assert.deepEqual(report(await call(page, "reconcile")), { ...none, expired: 1, unchanged: 1 });
  assert.deepEqual(await titles(page), ["c", "mine", "new"]);
  assert.equal(await call(page, "update", "b", { title: "b2" }), true);
  assert.deepEqual(await titles(page), ["b2", "c", "mine", "new"]);
  assert.equal(await call(page, "undo", "b"), true);
  assert.deepEqual(await titles(page), ["c", "mine", "new"]);
  await call(page, "update", "b", { title: "b2" });
  await page.evaluate(() => client.resume("notes"));
  await until("all at the server", async () => {
    await call(page, "sync");
    return (await call(page, "pendingChanges")).length === 0;
  });
  const rows = await w.server.records("notes");
  assert.deepEqual(rows.map(({ title }) => title).sort(), ["b2", "c", "mine", "new"]);
  assert.deepEqual(await call(page, "expired"), []);
});

test("a listing that fails, is cut, holds what is no row, or is empty expires nothing", async () => {
  await fill("a", "b", "c");
  const page = await open();
  await call(page, "reconcile");
  // The second page does not come.
  await w.server.forgetRecord("notes", "a");
  await w.server.faults([{ method: "GET", path, skip: 1, action: { status: 503 } }]);
  const failed = await call(page, "reconcile");
  assert.equal(failed.errors.length, 1);
  assert.deepEqual([failed.expired, failed.syncedAt, await titles(page)], [0, null, ["a", "b", "c"]]);
  await w.server.faults([]);
  // A row that cannot be read may be any.
  await w.server.writeRecord("notes", { raw: { nothing: true, updatedAt: "2026-01-01T00:00:00Z" } });
  const odd = await call(page, "reconcile");
  assert.match(odd.errors[0], /a row has no "id"/);
  assert.deepEqual([odd.expired, odd.syncedAt, await titles(page)], [0, null, ["a", "b", "c"]]);
  await w.server.reset();
  const empty = await call(page, "reconcile");
  assert.match(empty.errors[0], /lists no row/);
  assert.deepEqual([empty.expired, await titles(page)], [0, ["a", "b", "c"]]);
  assert.match((await call(page, "status")).error, /lists no row/);
});

test("an empty list expires all where the app says that it may be empty", async () => {
  await fill("a", "b");
  const page = await open({ reconcile: { allowEmpty: true } });
  await call(page, "reconcile");
  for (const id of ["a", "b"]) await w.server.forgetRecord("notes", id);
  assert.deepEqual(report(await call(page, "reconcile")), { ...none, expired: 2 });
});

test("one runs at a time: another call says so, with zeros", async () => {
  await fill("a");
  const page = await open();
  await w.server.faults([{ method: "GET", path, action: { hold: true }, times: 1 }]);
  const first = call(page, "reconcile");
  await w.held(1);
  const second = await call(page, "reconcile");
  await w.server.release();
  const answers = [await first, second];
  assert.deepEqual(
    answers.map(report).sort((a, b) => a.errors.length - b.errors.length),
    [
      { ...none, added: 1 },
      { ...none, errors: ["Sync already in progress"], ended: false },
    ],
  );
});

test("a server that lists all rows at once, without times, is reconciled when due, the less often the less it changes", async () => {
  await w.server.writeRecord("notes", { raw: { id: "a", title: "a" } });
  await w.server.writeRecord("notes", { raw: { id: "b", title: "b" } });
  const page = await open({ version: undefined, reconcile: { every: 1_000, atMost: 2_000, paged: false } });
  await until("all rows", async () => {
    await page.evaluate(() => client.syncNow());
    return (await titles(page)).join() === "a,b";
  });
  for (const arrival of await w.server.arrivals(path)) assert.equal(arrival.path, path);
  await w.server.forgetRecord("notes", "a");
  await until("the next", async () => {
    await page.evaluate(() => client.syncNow());
    return (await titles(page)).join() === "b";
  });
  const { lastReconcileAt, nextSyncAt } = await call(page, "status");
  assert.equal(nextSyncAt - lastReconcileAt, 1_000);
  await until("a quiet one", async () => {
    await page.evaluate(() => client.syncNow());
    const { lastReconcileAt, nextSyncAt } = await call(page, "status");
    return nextSyncAt - lastReconcileAt === 2_000;
  });
});

test("download fetches a scope and expires nothing; fullSync pushes, pulls and drains, once for all who ask", async () => {
  await fill("a", "b", "c");
  const page = await open();
  await call(page, "reconcile");
  await w.server.forgetRecord("notes", "a");
  const scoped = await page.evaluate(() => client.download("notes", { project: "x y&z", open: true }));
  assert.deepEqual(report(scoped), { ...none, unchanged: 2 });
  assert.match((await w.server.arrivals(path)).at(-1).path, /&project=x%20y%26z&open=true$/);
  assert.deepEqual(await titles(page), ["a", "b", "c"]);
  await w.server.down(true);
  await page.evaluate(async () => {
    await client.queueMutation("create", "notes", "d", { title: "d" });
    await client.queueMutation("update", "notes", "b", { title: "b2" });
    await client.queueMutation("delete", "notes", "c");
    await client.enqueue({ url: "/api/sink/other", method: "POST", body: "x" });
  });
  await elsewhere("e", "e");
  await w.server.down(false);
  const same = await page.evaluate(async () => {
    const [first, second] = [client.fullSync(), client.fullSync()];
    return { shared: first === second, ...(await first) };
  });
  assert.equal(same.shared, true);
  assert.deepEqual(
    same.collections.map(({ collection, error }) => [collection, error ?? null]),
    [["notes", null]],
  );
  await until("all of it", async () => (await w.server.arrivals("/api/sink/other")).length === 1);
  await until("all pushed", async () => (await call(page, "pendingChanges")).length === 0);
  assert.deepEqual(
    (await w.server.records("notes"))
      .filter(({ deletedAt }) => !deletedAt)
      .map(({ title }) => title)
      .sort(),
    ["b2", "d", "e"],
  );
});

test("bad input is refused by name", async () => {
  const page = await open();
  const refused = await page.evaluate(async () => {
    const notes = client.collection("notes");
    const calls = [
      () => client.download("notes", {}),
      () => client.download("notes", { a: {} }),
      () => client.download("none", { a: 1 }),
      () => client.collection("none").reconcile(),
      () => client.collection("none").cleanUp(),
      () => notes.cleanUp({ olderThan: -1 }),
      () => notes.cleanUp({ older: 1 }),
      () => client.queueMutation("upsert", "notes", "a", {}),
      () => client.queueMutation("create", "notes", "a", null),
    ];
    return Promise.all(
      calls.map(async (call) => {
        try {
          return `resolved: ${JSON.stringify(await call())}`;
        } catch (error) {
          return `${error.code}: ${error.message}`;
        }
      }),
    );
  });
  for (const [number, text] of refused.entries()) assert.match(text, /^invalid-request: ./, `call ${number}`);
});

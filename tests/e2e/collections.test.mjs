// Collections: records that are read and written without a network, in all tabs, and converge with the server's (D1–D6, D8,
// D10, P7).

import assert from "node:assert/strict";
import test from "node:test";
import { notes } from "./harness/collection.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const { call, settle } = notes(w);
const path = "/api/records/notes";
/** Nothing is pulled but by `sync()`. */
const configOf = (more = {}) => ({
  collections: { notes: { url: path, version: "version", pull: { every: 0 }, ...more } },
  queues: { notes: { backoff: { base: 50, max: 100 } } },
});
const open = (more) => w.open({ config: configOf(more) });

/** Ids that the server takes as they are. */
const uuid = (number) => `${String(number).padStart(8, "0")}-0000-4000-8000-000000000000`;
const [one, two, three] = [1, 2, 3].map(uuid);
const titles = (records) => records.map(({ title }) => title).sort();
const rows = () => w.server.records("notes");
const log = async (id) => (await w.server.recordLog("notes")).filter((effect) => id === undefined || effect.id === id);
const pushes = async (method) =>
  (await w.server.arrivals(path)).filter((arrival) => (method ? arrival.method === method : arrival.method !== "GET"));
/** What another client does. */
const elsewhere = (id, data) => w.server.writeRecord("notes", data ? { id, data } : { id, deleted: true });
/** A subscription in the page; what it was told is `heard`. */
const listen = (page, query) =>
  page.evaluate((query) => {
    window.heardOf = [];
    window.unsubscribe = client.collection("notes").subscribe(query, (records) => window.heardOf.push(records));
  }, query);
const heardOf = (page) => page.evaluate(() => window.heardOf);
const hears = (page, expected) =>
  until(`to hear of ${expected}`, async () => {
    const last = (await heardOf(page)).at(-1);
    return (
      JSON.stringify(last && titles(last)) === JSON.stringify([...expected].sort()) ||
      Promise.reject(new Error(JSON.stringify(last)))
    );
  });

test("records are written, read and heard of without a network, and each arrives once", async () => {
  const page = await open();
  await listen(page);
  await hears(page, []);
  await w.server.down(true);
  const made = await page.evaluate(async (id) => {
    const notes = client.collection("notes");
    const own = await notes.put({ title: "a", rank: 1, at: { place: "x", room: 1 } });
    await notes.put({ id, title: "b", rank: 2 });
    await notes.update(own, { title: "c", at: { room: 2 } });
    await notes.update(own, (note) => ({ ...note, rank: note.rank + 2 }));
    const [got, none, all, count] = await Promise.all([notes.get(own), notes.get("none"), notes.all(), notes.count()]);
    return { own, got, none, all, count, same: client.collection("notes") === notes };
  }, two);
  assert.match(made.own, /^[\da-f]{8}-[\da-f]{4}-4/);
  assert.deepEqual(made.got, { id: made.own, title: "c", rank: 3, at: { place: "x", room: 2 } });
  assert.deepEqual([made.none, made.count, made.same], [null, 2, true]);
  assert.deepEqual(
    made.all.map(({ id }) => id),
    [made.own, two],
  );
  await hears(page, ["b", "c"]);
  const pending = await call(page, "pendingChanges");
  assert.deepEqual(
    pending.map(({ id, change, base }) => [id, change, base]).sort(),
    [
      [made.own, "create", null],
      [two, "create", null],
    ].sort(),
  );
  for (const { since, job, record } of pending) {
    assert.ok(since > 1e12 && record.title);
    assert.equal((await w.get(page, job)).queue, "notes");
  }
  await w.server.down(false);
  await settle(page);
  const stored = await rows();
  assert.deepEqual(titles(stored), ["b", "c"]);
  assert.deepEqual(
    await call(page, "get", made.own),
    stored.find(({ id }) => id === made.own),
  );
  const created = (await log()).filter(({ op }) => op === "create").map(({ id }) => id);
  assert.deepEqual(created.sort(), [made.own, two].sort());
});

test("what is written before anything is sent goes as one request: create and update, update and update", async () => {
  const page = await open();
  await page.evaluate(() => client.pause("notes"));
  await call(page, "put", { id: one, title: "a", extra: 1 });
  await call(page, "update", one, { title: "b", extra: null });
  await page.evaluate(() => client.resume("notes"));
  await settle(page);
  assert.deepEqual(
    (await log()).map(({ op, data }) => [op, data]),
    [["create", { title: "b" }]],
  );
  await page.evaluate(() => client.pause("notes"));
  await call(page, "update", one, { title: "c" });
  await call(page, "update", one, { body: "d" });
  await page.evaluate(() => client.resume("notes"));
  await settle(page);
  assert.deepEqual((await log()).at(-1).data, { title: "c", body: "d" });
  assert.equal((await log()).length, 2);
  // Written, and written back.
  await page.evaluate(() => client.pause("notes"));
  await call(page, "update", one, { title: "x" });
  await call(page, "update", one, { title: "c" });
  assert.deepEqual(await call(page, "pendingChanges"), []);
  await page.evaluate(() => client.resume("notes"));
  await settle(page);
  assert.equal((await pushes()).length, 2);
});

test("a record that is made and deleted before anything is sent sends nothing", async () => {
  const page = await open();
  await page.evaluate(() => client.pause("notes"));
  await call(page, "put", { id: one, title: "a" });
  assert.equal(await call(page, "delete", one), true);
  assert.deepEqual(
    [await call(page, "get", one), await call(page, "count"), await call(page, "pendingChanges"), await w.list(page)],
    [null, 0, [], []],
  );
  assert.equal(await call(page, "delete", one), false);
  assert.equal(await call(page, "update", one, { title: "b" }), false);
  await page.evaluate(() => client.resume("notes"));
  await settle(page);
  assert.deepEqual([await log(), await pushes()], [[], []]);
});

test("a record that is deleted without a network is gone here at once, and at the server later", async () => {
  const page = await open();
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await listen(page);
  await w.server.down(true);
  assert.equal(await call(page, "delete", one), true);
  assert.equal(await call(page, "get", one), null);
  await hears(page, []);
  const [{ id, change, record, base }] = await call(page, "pendingChanges");
  assert.deepEqual([id, change, record, base.title], [one, "delete", null, "a"]);
  await w.server.down(false);
  await settle(page);
  assert.notEqual((await rows())[0].deletedAt, null);
  await settle(page);
  assert.deepEqual([await call(page, "all"), (await log()).map(({ op }) => op)], [[], ["create", "delete"]]);
  assert.equal((await pushes("DELETE")).at(-1).headers["if-match"], '"1"');
});

test("an edit in one tab is seen in another, and edits by functions in both lose nothing", async () => {
  const [first, second] = [await open(), await open()];
  await listen(second);
  await call(first, "put", { id: one, title: "a", count: 0 });
  assert.equal((await call(second, "get", one)).title, "a");
  await hears(second, ["a"]);
  await listen(first);
  await call(second, "update", one, { title: "b" });
  await hears(first, ["b"]);
  const count = (page) =>
    page.evaluate(async (id) => {
      const notes = client.collection("notes");
      await Promise.all(Array.from({ length: 20 }, () => notes.update(id, (note) => ({ ...note, count: note.count + 1 }))));
    }, one);
  await Promise.all([count(first), count(second)]);
  assert.equal((await call(first, "get", one)).count, 40);
  await settle(first);
  assert.equal((await rows())[0].count, 40);
});

test("a subscription is told what changes its result and nothing else, in spite of nonsense on the channel", async () => {
  const page = await open();
  await listen(page, { where: { kind: "x" }, order: "title" });
  await call(page, "put", { id: one, title: "a", kind: "x" });
  await call(page, "put", { id: two, title: "b", kind: "y" });
  await hears(page, ["a"]);
  await settle(page);
  const before = (await heardOf(page)).length;
  await page.evaluate(() => {
    const channel = new BroadcastChannel("shearwater:shearwater:records");
    for (const data of [
      null,
      7,
      {},
      { shearwater: 2, collections: null },
      { shearwater: 1 },
      { shearwater: 1, collections: 7 },
    ])
      channel.postMessage(data);
    channel.postMessage({ shearwater: 1, collections: ["others", null] });
    channel.postMessage({ shearwater: 1, collections: ["notes"] });
    channel.close();
  });
  await call(page, "update", two, { title: "c" });
  await call(page, "put", { id: three, title: "d", kind: "x" });
  await hears(page, ["a", "d"]);
  const heard = (await heardOf(page)).slice(before).map(titles);
  // What the server adds to the new record is one more change.
  assert.ok(heard.every((records) => records.join() === "a,d") && heard.length <= 2, JSON.stringify(heard));
  await page.evaluate(() => window.unsubscribe());
  await settle(page);
  const last = (await heardOf(page)).length;
  await call(page, "delete", one);
  await call(page, "all");
  assert.equal((await heardOf(page)).length, last);
});

test("a query filters, sorts and cuts in memory", async () => {
  const page = await open();
  await page.evaluate(() => client.pause("notes"));
  const found = await page.evaluate(async () => {
    const notes = client.collection("notes", { key: "id" });
    for (const record of [
      { id: "a", rank: 10, tags: ["x", "y"], at: { p: 1, q: 2 } },
      { id: "b", rank: 9, done: false },
      { id: "c", rank: "9", done: true },
      { id: "d", done: true, rank: null },
      { id: "e", rank: 9 },
    ])
      await notes.put(record);
    const ids = async (query) => (await notes.query(query)).map(({ id }) => id).join("");
    return Promise.all([
      ids(),
      ids({ order: "rank" }),
      ids({ order: "-rank" }),
      ids({ where: { rank: 9 } }),
      ids({ where: { at: { q: 2, p: 1 }, tags: ["x", "y"] } }),
      ids({ where: { tags: ["y", "x"] } }),
      ids({ where: ({ done }) => done !== undefined, order: "-done" }),
      ids({ order: "id", offset: 1, limit: 2 }),
      ids({ limit: 0 }),
      ids({ offset: 9 }),
    ]);
  });
  assert.deepEqual(found, ["abcde", "beacd", "dcabe", "be", "a", "", "cdb", "bc", "", ""]);
});

test("what another client writes is pulled, also where many rows changed at one instant, and by itself when due", async () => {
  const page = await open({ pull: { every: 0, pageSize: 2 } });
  await listen(page);
  await w.server.recordOptions("notes", { clock: "2026-11-29T06:00:00.123Z" });
  for (let number = 1; number <= 5; number += 1) await elsewhere(uuid(number), { title: `${number}` });
  assert.deepEqual(await call(page, "sync"), { applied: 5 });
  await hears(page, ["1", "2", "3", "4", "5"]);
  assert.deepEqual(await call(page, "sync"), { applied: 0 });
  await w.server.recordOptions("notes", { clock: null });
  await elsewhere(one);
  await elsewhere(two, { title: "two" });
  assert.deepEqual(await call(page, "sync"), { applied: 2 });
  await hears(page, ["3", "4", "5", "two"]);
  assert.equal(await call(page, "get", one), null);
  assert.deepEqual([await pushes(), await call(page, "pendingChanges")], [[], []]);

  await w.serve();
  await elsewhere(one, { title: "due" });
  const other = await open({ pull: {} });
  await listen(other);
  await hears(other, ["due"]);
});

test("what is written while a push is on its way goes next, for the version that the push made", async () => {
  const page = await open();
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await w.server.faults([{ method: "PATCH", path, action: { hold: true, delayMs: 100 }, times: 1 }]);
  await call(page, "update", one, { title: "b" });
  await w.held(1);
  await call(page, "update", one, { body: "x" });
  assert.equal(await call(page, "undo", one), false, "it may have arrived");
  const { title, body } = await call(page, "get", one);
  assert.deepEqual([title, body], ["b", "x"]);
  await w.server.release();
  await settle(page);
  assert.deepEqual(
    (await log()).map(({ op, data, version }) => [op, data, version]),
    [
      ["create", { title: "a" }, 1],
      ["patch", { title: "b" }, 2],
      ["patch", { body: "x" }, 3],
    ],
  );
  assert.deepEqual(
    (await pushes("PATCH")).map(({ headers }) => headers["if-match"]),
    ['"1"', '"2"'],
  );
  const keys = (await pushes()).map(({ idempotencyKey }) => idempotencyKey);
  assert.equal(new Set(keys).size, 3);

  // While the record is being made.
  await w.server.faults([{ method: "POST", path, action: { hold: true }, times: 1 }]);
  await call(page, "put", { id: two, title: "c" });
  await w.held(1);
  await call(page, "update", two, { title: "d" });
  await w.server.release();
  await settle(page);
  assert.deepEqual(
    (await log(two)).map(({ op, data }) => [op, data]),
    [
      ["create", { title: "c" }],
      ["patch", { title: "d" }],
    ],
  );
  // And deleted while it is being changed.
  await w.server.faults([{ method: "PATCH", path, action: { hold: true }, times: 1 }]);
  await call(page, "update", two, { title: "e" });
  await w.held(1);
  await call(page, "delete", two);
  await w.server.release();
  await settle(page);
  assert.deepEqual([(await log(two)).at(-1).op, (await pushes("DELETE")).at(-1).headers["if-match"]], ["delete", '"3"']);
});

test("merge: what both sides changed survives a 412, member by member", async () => {
  const page = await open({ conflict: { strategy: "merge", merge: { union: ["tags"], local: ["mine"] } } });
  await call(page, "put", { id: one, title: "a", body: "a", tags: ["a"], mine: 1 });
  await settle(page);
  await elsewhere(one, { title: "theirs", body: "a", tags: ["a", "theirs"], mine: 2 });
  await call(page, "update", one, { body: "ours", tags: ["a", "ours"], mine: 3 });
  await settle(page);
  const [row] = await rows();
  assert.deepEqual([row.title, row.body, [...row.tags].sort(), row.mine], ["theirs", "ours", ["a", "ours", "theirs"], 3]);
  assert.deepEqual(await call(page, "get", one), row);
  assert.deepEqual(
    (await pushes("PATCH")).map(({ status, headers }) => [status, headers["if-match"]]),
    [
      [412, '"1"'],
      [200, '"2"'],
    ],
  );
  assert.deepEqual(await call(page, "conflicts"), []);
});

for (const [strategy, title] of [
  ["local-wins", "here"],
  ["remote-wins", "there"],
]) {
  test(`${strategy}: both sides end with what was written ${title}`, async () => {
    const page = await open({ conflict: { strategy } });
    await call(page, "put", { id: one, title: "a" });
    await settle(page);
    await elsewhere(one, { title: "there" });
    await call(page, "update", one, { title: "here" });
    await settle(page);
    assert.deepEqual([(await rows())[0].title, (await call(page, "get", one)).title], [title, title]);
  });
}

test("ask-user: a conflict has three sides and waits for a person, who may choose either or write a third", async () => {
  const page = await open({ conflict: { strategy: "ask-user" } });
  const all = [one, two, three];
  for (const id of all) await call(page, "put", { id, title: "base" });
  await settle(page);
  for (const id of all) {
    await elsewhere(id, { title: "remote" });
    await call(page, "update", id, { title: "local" });
  }
  const conflicts = await until("three conflicts", async () => {
    const conflicts = await call(page, "conflicts");
    return conflicts.length === 3 && conflicts;
  });
  for (const { id, base, local, remote } of conflicts) {
    assert.ok(all.includes(id));
    assert.deepEqual([base.title, local.title, remote.title, remote.version], ["base", "local", "remote", 2]);
  }
  assert.equal((await call(page, "pendingChanges")).length, 3);
  assert.equal((await call(page, "get", one)).title, "local");
  await call(page, "sync");
  assert.deepEqual(titles(await rows()), ["remote", "remote", "remote"]);

  assert.equal(await call(page, "resolve", one, "local"), true);
  assert.equal(await call(page, "resolve", two, "remote"), true);
  assert.equal(await call(page, "resolve", three, { title: "both" }), true);
  assert.equal(await call(page, "resolve", two, "local"), false);
  assert.equal((await call(page, "get", two)).title, "remote");
  await settle(page);
  assert.deepEqual(await call(page, "conflicts"), []);
  const byId = (records) => Object.fromEntries(records.map(({ id, title }) => [id, title]));
  const expected = { [one]: "local", [two]: "remote", [three]: "both" };
  assert.deepEqual([byId(await rows()), byId(await call(page, "all"))], [expected, expected]);
  assert.deepEqual(
    (await log(two)).map(({ op }) => op),
    ["create", "control"],
  );
});

test("undo takes back what was not sent", async () => {
  const page = await open();
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await page.evaluate(() => client.pause("notes"));
  await listen(page);
  await call(page, "update", one, { title: "b" });
  await call(page, "put", { id: two, title: "new" });
  await call(page, "undo", two);
  await hears(page, ["b"]);
  assert.equal(await call(page, "undo", one), true);
  await hears(page, ["a"]);
  assert.equal(await call(page, "undo", one), false);
  await call(page, "delete", one);
  assert.equal(await call(page, "undo", one), true);
  assert.deepEqual([titles(await call(page, "all")), await call(page, "pendingChanges"), await w.list(page)], [["a"], [], []]);
  await page.evaluate(() => client.resume("notes"));
  await settle(page);
  assert.equal((await pushes()).length, 1);
});

test("a reply that is lost after the commit makes one row, and so it does where the server gives the ids", async () => {
  for (const assignIds of [false, true]) {
    await w.serve();
    await w.server.recordOptions("notes", { assignIds });
    const page = await open();
    await w.server.faults([{ method: "POST", path, action: { drop: "after" }, times: 1 }]);
    await call(page, "put", { id: one, title: "a" });
    await settle(page);
    const [first, second, ...more] = await pushes("POST");
    assert.deepEqual([first.idempotencyKey, second.replayed, more], [second.idempotencyKey, true, []]);
    assert.deepEqual([(await rows()).length, titles(await call(page, "all"))], [1, ["a"]]);
  }
});

test("a create that was accepted without a row, and whose row is not there, waits for a person", async () => {
  const page = await open();
  await w.server.faults([{ method: "POST", path, action: { status: 201 }, times: 1 }]);
  await call(page, "put", { id: one, title: "a" });
  const [pending] = await until("the failure", async () => {
    const pending = await call(page, "pendingChanges");
    return (await w.get(page, pending[0]?.job))?.state === "failed" && pending;
  });
  assert.match((await w.get(page, pending.job)).error.message, /accepted the record, and has no row of its id/);
  assert.deepEqual(
    (await pushes()).map(({ method }) => method),
    ["POST"],
  );
  assert.deepEqual(await rows(), []);
  await page.evaluate((id) => client.retry(id), pending.job);
  await settle(page);
  assert.deepEqual(titles(await rows()), ["a"]);
});

test("a record that the server gives another id is found by both", async () => {
  const page = await open();
  await w.server.recordOptions("notes", { assignIds: true });
  await listen(page);
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  const [{ id }] = await rows();
  assert.equal(id, "srv-1");
  for (const name of [one, id]) assert.equal((await call(page, "get", name)).id, id);
  assert.equal(await call(page, "count"), 1);
  assert.equal(await call(page, "update", one, { title: "b" }), true);
  assert.equal(await call(page, "update", id, { body: "c" }), true);
  assert.equal(await page.evaluate((id) => client.collection("notes").update(id, (note) => ({ ...note, more: 1 })), one), true);
  await settle(page);
  const [row] = await rows();
  assert.deepEqual([row.title, row.body, row.more], ["b", "c", 1]);
  await hears(page, ["b"]);
  assert.equal(await call(page, "delete", one), true);
  await settle(page);
  assert.deepEqual([await call(page, "all"), await call(page, "get", id), await call(page, "get", one)], [[], null, null]);
});

test("a worker that is stopped again and again loses and doubles nothing, and reads do not start it", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config: configOf() });
  const workers = await chromium.workers(page);
  await w.server.faults([
    { method: "POST", path, action: { drop: "after" }, times: 2 },
    { method: "PATCH", path, action: { status: 503 }, times: 2 },
  ]);
  for (let number = 1; number <= 4; number += 1) {
    const before = (await pushes()).length;
    await call(page, "put", { id: uuid(number), title: "a" });
    await call(page, "update", uuid(number), { title: `${number}` });
    await until("a request", async () => (await pushes()).length > before);
    await workers.stop();
    assert.equal((await call(page, "all")).length, number);
    assert.equal(workers.running(), 0);
  }
  await settle(page);
  assert.deepEqual(titles(await rows()), ["1", "2", "3", "4"]);
  assert.deepEqual(titles(await call(page, "all")), ["1", "2", "3", "4"]);
  assert.equal((await log()).filter(({ op }) => op === "create").length, 4);
});

test("nobody sees what another user has, in no tab, and a purge removes it", async () => {
  const [page, other] = [await open(), await open()];
  await page.evaluate(() => client.setOwner("ada"));
  await page.evaluate(() => client.pause());
  await listen(other);
  await call(page, "put", { id: one, title: "of ada" });
  await hears(other, ["of ada"]);
  // As soon as the sign-in is asked for.
  const seen = await page.evaluate(() => {
    const signedIn = client.setOwner("bob");
    const notes = client.collection("notes");
    return Promise.all([notes.all(), notes.count(), notes.pendingChanges(), signedIn]);
  });
  assert.deepEqual(seen.slice(0, 3), [[], 0, []]);
  for (const tab of [page, other]) {
    assert.deepEqual([await call(tab, "get", one), await call(tab, "all"), await call(tab, "conflicts")], [null, [], []]);
    assert.equal(await call(tab, "undo", one), false);
    assert.equal(await call(tab, "delete", one), false);
    assert.equal(await tab.evaluate((id) => client.collection("notes").update(id, () => ({})), one), false);
  }
  await hears(other, []);
  await page.evaluate(() => client.pause());
  await call(page, "put", { id: one, title: "of bob" });
  await page.evaluate(() => client.setOwner("ada"));
  assert.equal((await call(other, "get", one)).title, "of ada");
  await hears(other, ["of ada"]);
  await page.evaluate(() => client.setOwner("bob", { purge: "ada" }));
  await hears(other, ["of bob"]);
  assert.deepEqual(
    (await page.evaluate(() => window.rows("records"))).map(({ owner }) => owner),
    ["bob"],
  );
  await page.evaluate(() => client.setOwner("ada"));
  assert.deepEqual([await call(page, "all"), await call(other, "all"), await w.list(page)], [[], [], []]);
  assert.deepEqual(await pushes(), []);
});

test("bad input is refused, by name where there is one, and stores nothing", async () => {
  const page = await open();
  const refused = await page.evaluate(async () => {
    const notes = client.collection("notes");
    const cyclic = {};
    cyclic.self = cyclic;
    const calls = [
      () => notes.put(),
      () => notes.put("text"),
      () => notes.put([]),
      () => notes.put(null),
      () => notes.put(new Map()),
      () => notes.put(new Date()),
      () => notes.put(cyclic),
      () => notes.put({ big: 1n }),
      () => notes.put({ id: 7.5 }),
      () => notes.put({ id: null }),
      () => notes.put({ id: "" }),
      () => notes.put({ id: "a\nb" }),
      () => notes.put({ id: "a\u0085b" }),
      () => notes.put({ id: "\ud800" }),
      () => notes.put({ id: "ä".repeat(257) }),
      () => notes.put({ id: "." }),
      () => notes.put({ id: ".." }),
      () => notes.get(),
      () => notes.get(7),
      () => notes.get(".."),
      () => notes.update("a", null),
      () => notes.update("a", cyclic),
      () => notes.update(7, {}),
      () => notes.delete(),
      () => notes.undo(""),
      () => notes.resolve("a", "mine"),
      () => notes.resolve("a"),
      () => notes.query({ filter: {} }),
      () => notes.query([]),
      () => notes.query({ where: "x" }),
      () => notes.query({ order: "-" }),
      () => notes.query({ order: 1 }),
      () => notes.query({ limit: -1 }),
      () => notes.query({ offset: 0.5 }),
      async () => notes.subscribe({ wher: {} }, () => {}),
      async () => notes.subscribe({}),
      async () => client.collection(),
      async () => client.collection(""),
      async () => client.collection("a\nb"),
      async () => client.collection("notes", { keys: "id" }),
      async () => client.collection("notes", { key: "slug" }),
      async () => client.collection("more", { key: 7 }),
      () => client.collection("unnamed").put({ title: "a" }),
      () => client.collection("unnamed").sync(),
    ];
    return Promise.all(
      calls.map((call) =>
        call().then(
          () => ["resolved", String(call)],
          ({ name, code, message }) => [`${name} ${code}`, message, String(call)],
        ),
      ),
    );
  });
  for (const [code, ...told] of refused) assert.equal(code, "ShearwaterError invalid-request", told.join());
  const messages = refused.map(([, message]) => message).join("\n");
  for (const named of ['"filter"', '"wher"', '"keys"', '"slug"|key of', "unnamed"]) assert.match(messages, new RegExp(named));
  assert.deepEqual([await page.evaluate(() => window.rows("records")), await pushes()], [[], []]);
  // The record's own id is not changed, by whichever way.
  await call(page, "put", { id: "x".repeat(512), title: "a" });
  await call(page, "put", { id: one, title: "a" });
  const codes = await page.evaluate((id) => {
    const notes = client.collection("notes");
    const code = (promise) =>
      promise.then(
        () => "resolved",
        ({ code }) => code,
      );
    return Promise.all([code(notes.update(id, { id: "other" })), code(notes.update(id, () => ({ id: "other" })))]);
  }, one);
  assert.deepEqual(codes, ["invalid-request", "invalid-request"]);
  assert.equal((await call(page, "get", one)).title, "a");
});

test("a server that does not go by the cursor, or sends no page, ends the pull with an error and stops no push", async () => {
  const page = await open();
  const row = { id: one, title: "again", version: 1, updatedAt: "2026-11-29T06:00:00.000Z", deletedAt: null };
  const earlier = { ...row, id: two, updatedAt: "2026-11-29T05:00:00.000Z" };
  const answered = (body, headers = { "content-type": "application/json" }, status = 200) =>
    w.server.faults([{ method: "GET", path, action: { status, headers, body } }]);
  for (const [body, error, ...more] of [
    [JSON.stringify({ items: [row] }), /same page again/],
    [JSON.stringify([row, earlier]), /order of "updatedAt"/],
    [JSON.stringify({ rows: [row] }), /items/],
    ["<!doctype html><title>Sign in</title>", /no JSON/, { "content-type": "text/html" }],
    ["{}", /500/, undefined, 500],
  ]) {
    await answered(body, ...more);
    const synced = await call(page, "sync");
    assert.match(String(synced.error), error);
  }
  assert.equal((await call(page, "get", one)).title, "again", "what came before is there");
  await call(page, "put", { id: three, title: "pushed" });
  await until("the push", async () => (await log(three)).length === 1);
  // A row that says too little.
  await w.serve();
  const fresh = await open();
  await w.server.writeRecord("notes", { raw: { title: "no id", updatedAt: "2026-11-29T06:00:00.000Z" } });
  assert.match(String((await call(fresh, "sync")).error), /has no "id"/);
});

test("the page holds up no deletion of the database, makes none, and reads nothing once it is closed", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config: configOf() });
  const workers = await chromium.workers(page);
  await call(page, "put", { id: one, title: "a" });
  await workers.stop();
  const after = await page.evaluate(async () => {
    const notes = client.collection("notes");
    const before = await notes.count();
    await new Promise((resolve, reject) => {
      const deleting = indexedDB.deleteDatabase("shearwater");
      deleting.onsuccess = resolve;
      deleting.onerror = deleting.onblocked = reject;
    });
    const all = await notes.all();
    const names = (await indexedDB.databases()).map(({ name }) => name);
    client.close();
    const codes = await Promise.all(
      [notes.all(), notes.put({ title: "b" })].map((promise) =>
        promise.then(
          () => "resolved",
          ({ code }) => code,
        ),
      ),
    );
    return { before, all, made: names.includes("shearwater"), codes };
  });
  assert.deepEqual(after, { before: 1, all: [], made: false, codes: ["worker-unavailable", "worker-unavailable"] });
});

// What breaks collections: each test states a promise of docs/collections.md (P7, P2, P4) in a state that the simulator does not
// reach. Those that fail are faults that are not mended yet.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const path = "/api/records/notes";
/** Nothing is pulled but by `sync()`; mutations go one by one. */
const configOf = ({ backoff = { base: 50, max: 100 }, timeout = 10_000, maxAttempts = 10, ...more } = {}) => ({
  collections: { notes: { url: path, version: "version", pull: { every: 0 }, ...more } },
  queues: { notes: { backoff, timeout, maxAttempts, concurrency: 1 } },
});
const open = (more) => w.open({ config: configOf(more) });
/** Retries nothing by itself within a test. */
const patient = { backoff: { base: 60_000, max: 60_000 } };

const call = (page, method, ...given) =>
  page.evaluate((method, given) => client.collection("notes")[method](...given), method, given);
const uuid = (number) => `${String(number).padStart(8, "0")}-0000-4000-8000-000000000000`;
const [one, two] = [1, 2].map(uuid);
const rows = () => w.server.records("notes");
const row = async (id) => (await rows()).find((row) => row.id === id);
const elsewhere = (id, data) => w.server.writeRecord("notes", data ? { id, data } : { id, deleted: true });
const pause = (page) => page.evaluate(() => client.pause("notes"));
const resume = (page) => page.evaluate(() => client.resume("notes"));
const arrivals = async (method) => (await w.server.arrivals(path)).filter((arrival) => arrival.method === method);
const arrive = (method, count) => until(`${count} ${method}`, async () => (await arrivals(method)).length >= count);
const json = { "content-type": "application/json" };
const settle = (page) =>
  until("all at the server", async () => {
    const { error } = await call(page, "sync");
    const pending = await call(page, "pendingChanges");
    return (pending.length === 0 && error === undefined) || Promise.reject(new Error(JSON.stringify({ pending, error })));
  });
/** Waits until nothing is left to be pushed, or a person is to look at what is. */
const quiet = (page) =>
  until("quiet", async () => {
    const [pending, conflicts, jobs] = [await call(page, "pendingChanges"), await call(page, "conflicts"), await w.list(page)];
    const isStuck = jobs.length > 0 && jobs.every(({ state }) => ["failed", "conflict", "blocked"].includes(state));
    return (
      pending.length === 0 || conflicts.length > 0 || isStuck || Promise.reject(new Error(JSON.stringify({ pending, jobs })))
    );
  });
/** Answers requests for a page with these, one after another, then with empty ones. */
const pages = (...bodies) =>
  w.server.faults([
    ...bodies.map((body) => ({
      method: "GET",
      path,
      action: { status: 200, headers: json, body: typeof body === "string" ? body : JSON.stringify(body) },
      times: 1,
    })),
    { method: "GET", path, action: { status: 200, headers: json, body: "[]" } },
  ]);
const at = (time, id, more = {}) => ({ id, title: String(id), version: 1, updatedAt: time, deletedAt: null, ...more });

// What was written here is lost.

test("a member that is removed within a nested object is removed at the server", async () => {
  const page = await open();
  await call(page, "put", { id: one, at: { place: "x", room: 1 } });
  await settle(page);
  await call(page, "put", { id: one, at: { place: "x" } });
  await settle(page);
  assert.deepEqual([(await row(one)).at, (await call(page, "get", one)).at], [{ place: "x" }, { place: "x" }]);
});

test("an object that takes another's place does not keep the other's members", async () => {
  const page = await open();
  await call(page, "put", { id: one, kind: { circle: 1 } });
  await settle(page);
  await page.evaluate((id) => client.collection("notes").update(id, (note) => ({ ...note, kind: { square: 2 } })), one);
  await settle(page);
  assert.deepEqual((await row(one)).kind, { square: 2 });
});

test("a record that is made again under the id of a deleted one survives a pull of the tombstone", async () => {
  const page = await open();
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await call(page, "delete", one);
  await settle(page);
  await pause(page);
  await call(page, "put", { id: one, title: "again" });
  await call(page, "sync");
  const [kept, pending] = [await call(page, "get", one), await call(page, "pendingChanges")];
  assert.deepEqual([kept?.title, pending.length], ["again", 1]);
});

test("a new record survives a pull of a tombstone of its id that another device left", async () => {
  const page = await open();
  await pause(page);
  await elsewhere("settings", { title: "theirs" });
  await elsewhere("settings");
  await call(page, "put", { id: "settings", title: "ours" });
  await call(page, "sync");
  assert.equal((await call(page, "get", "settings"))?.title, "ours");
});

test("a new record that the server refuses by a 409 without a row is kept, and listed", async () => {
  const page = await open();
  await w.server.faults([
    { method: "POST", path, action: { status: 409, headers: json, body: '{"error":"this title is taken"}' }, times: 1 },
  ]);
  await call(page, "put", { id: one, title: "a" });
  await arrive("POST", 1);
  await quiet(page);
  assert.equal((await call(page, "get", one))?.title, "a");
});

for (const [what, action] of [
  ["a sign-in page with status 200", { status: 200, headers: { "content-type": "text/html" }, body: "<!doctype html>Sign in" }],
  ["a redirect to a page", { status: 302, headers: { location: "/" } }],
]) {
  test(`a new record that is answered by ${what} is kept`, async () => {
    const page = await open();
    await w.server.faults([{ method: "POST", path, action, times: 1 }]);
    await call(page, "put", { id: one, title: "a" });
    await arrive("POST", 1);
    await quiet(page);
    assert.equal((await call(page, "get", one))?.title, "a");
  });

  test(`a change that is answered by ${what} is kept`, async () => {
    const page = await open();
    await call(page, "put", { id: one, title: "a" });
    await settle(page);
    await w.server.faults([{ method: "PATCH", path, action, times: 1 }]);
    await call(page, "update", one, { title: "b" });
    await arrive("PATCH", 1);
    await quiet(page);
    assert.equal((await call(page, "get", one)).title, "b");
  });
}

test("what is written to a pulled row before the reply that says whose it is, is kept", async () => {
  const page = await open(patient);
  await w.server.recordOptions("notes", { assignIds: true });
  await w.server.faults([{ method: "POST", path, action: { drop: "after" }, times: 1 }]);
  await call(page, "put", { id: one, title: "a" });
  await arrive("POST", 1);
  await pause(page);
  await call(page, "sync");
  // Its own mutation does not get through before the reply comes.
  await w.server.faults([{ method: "PATCH", path, action: { status: 503 }, times: 1 }]);
  assert.equal(await call(page, "update", "srv-1", { body: "x" }), true);
  await resume(page);
  await arrive("PATCH", 1);
  await settle(page);
  assert.deepEqual([(await row("srv-1")).body, (await call(page, "get", one)).body], ["x", "x"]);
});

test("what is written by a function keeps what a pull brings meanwhile, whatever words are in it", async () => {
  for (const word of ["cancelled", "annulled"]) {
    await w.serve();
    const page = await open();
    await call(page, "put", { id: one, title: "a", body: "a" });
    await settle(page);
    await page.evaluate(() => {
      const post = ServiceWorker.prototype.postMessage;
      window.passing = new Promise((resolve) => {
        window.pass = resolve;
      });
      ServiceWorker.prototype.postMessage = function (message, ...more) {
        if (!JSON.stringify(message?.op ?? "").includes("record-write")) return post.call(this, message, ...more);
        window.isHeld = true;
        window.passing.then(() => post.call(this, message, ...more));
      };
    });
    await page.evaluate(
      (id, word) => {
        window.updated = client.collection("notes").update(id, (note) => ({ ...note, body: word }));
      },
      one,
      word,
    );
    await page.waitForFunction("window.isHeld");
    await elsewhere(one, { title: "theirs", body: "a" });
    assert.deepEqual(await call(page, "sync"), { applied: 1 });
    await page.evaluate(() => {
      window.pass();
      return window.updated;
    });
    await settle(page);
    const { title, body } = await row(one);
    assert.deepEqual([title, body], ["theirs", word]);
  }
});

test("a member named __proto__ or constructor is written as any other", async () => {
  const page = await open();
  await page.evaluate((id) => client.collection("notes").put({ id, title: "a" }), one);
  const kept = await page.evaluate(async (id) => {
    const notes = client.collection("notes");
    await notes.update(id, (note) => Object.defineProperty({ ...note }, "__proto__", { value: "x", enumerable: true }));
    await notes.update(id, (note) => ({ ...note, constructor: "y" }));
    return Object.entries(await notes.get(id)).sort();
  }, one);
  assert.deepEqual(
    kept.filter(([name]) => name === "__proto__" || name === "constructor"),
    [
      ["__proto__", "x"],
      ["constructor", "y"],
    ],
  );
});

// It is done twice.

test("a create of which the server says that it still runs is not made anew by a write", async () => {
  const page = await open();
  await w.server.recordOptions("notes", { assignIds: true });
  await w.server.faults([
    { method: "POST", path, action: { drop: "after" }, times: 1 },
    { method: "POST", path, action: { status: 409, headers: { "retry-after": "1" } }, times: 1 },
  ]);
  await call(page, "put", { id: one, title: "a" });
  await until("the 409", async () => (await w.list(page))[0]?.error?.status === 409);
  await call(page, "update", one, { title: "b" });
  await settle(page);
  assert.deepEqual(
    (await rows()).map(({ id, title }) => [id, title]),
    [["srv-1", "b"]],
  );
});

test("a create that may have arrived is not made anew after two 401s and a sign-in", async () => {
  const page = await open();
  await page.evaluate(() => client.setOwner("ada"));
  await w.server.recordOptions("notes", { assignIds: true });
  await w.server.faults([
    { method: "POST", path, action: { drop: "after" }, times: 1 },
    { method: "POST", path, action: { status: 401 }, times: 2 },
  ]);
  await call(page, "put", { id: one, title: "a" });
  const blocked = () => until("blocked", async () => (await w.list(page))[0]?.state === "blocked");
  await blocked();
  assert.equal((await arrivals("POST")).length, 2);
  await page.evaluate(() => client.setOwner("ada"));
  await arrive("POST", 3);
  await blocked();
  await call(page, "update", one, { title: "b" });
  await page.evaluate(() => client.setOwner("ada"));
  await settle(page);
  assert.deepEqual(
    (await rows()).map(({ id, title }) => [id, title]),
    [["srv-1", "b"]],
  );
});

test("a create that was refused, retried, and cut off by the end of the worker is not made anew", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config: configOf() });
  const workers = await chromium.workers(page);
  await w.server.recordOptions("notes", { assignIds: true });
  await w.server.faults([
    { method: "POST", path, action: { status: 422 }, times: 1 },
    { method: "POST", path, action: { handle: true, status: 201, headers: json, body: "{", stall: true }, times: 1 },
  ]);
  await call(page, "put", { id: one, title: "a" });
  const state = async () => (await w.list(page))[0]?.state;
  await until("failed", async () => (await state()) === "failed");
  const [{ id: job }] = await w.list(page);
  await page.evaluate((job) => client.retry(job), job);
  await until("the row", async () => (await rows()).length === 1);
  await pause(page);
  await workers.stop();
  await until("pending", async () => (await state()) === "pending");
  await call(page, "update", one, { title: "b" });
  await resume(page);
  await settle(page);
  assert.equal((await rows()).length, 1);
});

// Replicas differ for good.

test("a reply that has another row than the request was for leaves the record its id", async () => {
  const page = await open();
  await call(page, "put", { id: one, title: "one" });
  await call(page, "put", { id: two, title: "two" });
  await settle(page);
  const other = await row(two);
  await w.server.faults([
    { method: "PATCH", path, action: { handle: true, status: 200, headers: json, body: JSON.stringify(other) }, times: 1 },
  ]);
  await call(page, "update", one, { body: "x" });
  await settle(page);
  await elsewhere(one, { title: "later" });
  await call(page, "sync");
  assert.deepEqual([(await call(page, "get", one))?.title, (await call(page, "all")).length], ["later", 2]);
});

test("a receipt with an id of its own is not taken for the row", async () => {
  const page = await open();
  await call(page, "put", { id: one, title: "one" });
  await settle(page);
  await w.server.faults([
    { method: "PATCH", path, action: { handle: true, status: 200, headers: json, body: '{"id":17,"ok":true}' }, times: 1 },
  ]);
  await call(page, "update", one, { title: "b" });
  await settle(page);
  const { id, title } = await call(page, "get", one);
  assert.deepEqual([id, title], [one, "b"]);
});

test("a reply that names no more than the id leaves the record's members, here and at the server", async () => {
  const page = await open({ push: { update: "put" } });
  await call(page, "put", { id: one, title: "a", body: "b" });
  await settle(page);
  await w.server.faults([
    {
      method: "PUT",
      path,
      action: { handle: true, status: 200, headers: json, body: JSON.stringify({ id: one, version: 2 }) },
      times: 1,
    },
  ]);
  await call(page, "update", one, { title: "c" });
  await settle(page);
  await call(page, "update", one, { more: 1 });
  await settle(page);
  const { title, body, more } = await row(one);
  assert.deepEqual({ title, body, more }, { title: "c", body: "b", more: 1 });
});

test("undo of a record whose row is yet to be read leaves no old row", async () => {
  const page = await open({ ...patient, pull: { every: 0, overlap: 0 } });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await w.server.faults([
    { method: "PATCH", path, action: { drop: "after" }, times: 1 },
    { method: "GET", path: `${path}/`, action: { status: 429, headers: { "retry-after": "60" } }, times: 1 },
  ]);
  await call(page, "update", one, { title: "b" });
  await arrive("PATCH", 1);
  await pause(page);
  await elsewhere(one, { title: "c" });
  await call(page, "sync");
  await resume(page);
  await page.evaluate(async () => client.retry((await client.list())[0].id));
  await until("the read is refused", async () => (await w.list(page))[0]?.error?.status === 429);
  assert.equal(await call(page, "undo", one), true);
  await settle(page);
  assert.equal((await call(page, "get", one)).title, (await row(one)).title);
});

test("a 412 with an older row than a pull has seen leaves no old row", async () => {
  const page = await open({ ...patient, conflict: { strategy: "remote-wins" }, pull: { every: 0, overlap: 0 } });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await w.server.faults([{ method: "PATCH", path, action: { drop: "before" }, times: 1 }]);
  await call(page, "update", one, { title: "b" });
  await until("unreachable", async () => (await w.list(page))[0]?.error);
  await pause(page);
  await elsewhere(one, { title: "c" });
  const older = await row(one);
  await elsewhere(one, { title: "d" });
  await call(page, "sync");
  // Computed before the page, and late.
  await w.server.faults([
    { method: "PATCH", path, action: { status: 412, headers: json, body: JSON.stringify(older) }, times: 1 },
  ]);
  await resume(page);
  await page.evaluate(async () => client.retry((await client.list())[0].id));
  await settle(page);
  assert.equal((await call(page, "get", one)).title, "d");
});

test("without versions, a row that changed twice at one instant is pulled as it is", async () => {
  const page = await open({ version: undefined });
  await w.server.recordOptions("notes", { clock: "2026-11-29T06:00:00.000Z" });
  const raw = (title) =>
    w.server.writeRecord("notes", { raw: { id: one, title, updatedAt: "2026-11-29T06:00:00.000Z", deletedAt: null } });
  await raw("a");
  await call(page, "sync");
  await raw("b");
  await call(page, "sync");
  assert.equal((await call(page, "get", one)).title, "b");
});

test("what is equal to the server's row keeps what the server owns", async () => {
  const page = await open();
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  assert.deepEqual(await call(page, "get", one), await row(one));
  await call(page, "update", one, { updatedAt: "never" });
  await settle(page);
  assert.deepEqual(await call(page, "get", one), await row(one));
});

test("a number is stored as it was written", async () => {
  const page = await open();
  await pause(page);
  const changed = await page.evaluate(async (id) => {
    const notes = client.collection("notes");
    const numbers = [];
    for (let at = 0; at < 2_000; at += 1) numbers.push(Math.random() * 10 ** (at % 30), Math.random() / 10 ** (at % 20));
    await notes.put({ id, numbers });
    const { numbers: read } = await notes.get(id);
    return numbers.filter((number, at) => number !== read[at]).map(String);
  }, one);
  assert.deepEqual(changed, []);
});

test("the row of an id that was taken, and is back, is pulled", async () => {
  const page = await open();
  await elsewhere(one, { title: "theirs" });
  await elsewhere(one);
  await call(page, "put", { id: one, title: "ours" });
  await settle(page);
  await elsewhere(one, { title: "back" });
  await settle(page);
  const titles = (await call(page, "all")).map(({ title }) => title).sort();
  assert.deepEqual(titles, ["back", "ours"]);
});

test("a collection that moves to another address is pulled from its beginning", async () => {
  await elsewhere(one, { title: "a" });
  const page = await open();
  await settle(page);
  await w.closeTab(page);
  await w.server.recordOptions("others", { clock: "2020-01-01T00:00:00.000Z" });
  await w.server.writeRecord("others", { id: two, data: { title: "b" } });
  // The new worker waits for the tabs of the former.
  await w.closeTab(await open({ url: "/api/records/others" }));
  const moved = await open({ url: "/api/records/others" });
  await call(moved, "sync");
  assert.equal((await call(moved, "get", two))?.title, "b");
});

// Conflicts.

test("ask-user: a conflict of a mutation that was refused is settled by resolve", async () => {
  const page = await open({ conflict: { strategy: "ask-user" } });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await w.server.faults([{ method: "PATCH", path, action: { status: 422 }, times: 1 }]);
  await call(page, "update", one, { title: "ours" });
  await until("failed", async () => (await w.list(page))[0]?.state === "failed");
  await elsewhere(one, { title: "theirs" });
  await call(page, "sync");
  assert.equal((await call(page, "conflicts")).length, 1);
  assert.equal(await call(page, "resolve", one, "local"), true);
  await quiet(page);
  assert.deepEqual([(await row(one)).title, await call(page, "pendingChanges")], ["ours", []]);
});

test("ask-user: a conflict by a 412 has its job in the state conflict", async () => {
  const page = await open({ conflict: { strategy: "ask-user" } });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await elsewhere(one, { title: "theirs" });
  await call(page, "update", one, { title: "ours" });
  await until("a conflict", async () => (await call(page, "conflicts")).length === 1);
  assert.deepEqual(
    (await w.list(page)).map(({ state }) => state),
    ["conflict"],
  );
});

test("ask-user: a mutation in conflict that is retried and accepted leaves no conflict", async () => {
  const page = await open({ conflict: { strategy: "ask-user" } });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await pause(page);
  await call(page, "update", one, { title: "ours" });
  await elsewhere(one, { title: "theirs" });
  await call(page, "sync");
  assert.equal((await call(page, "conflicts")).length, 1);
  // A server that does not go by If-Match.
  const accepted = { ...(await row(one)), title: "ours", version: 3 };
  await w.server.faults([
    { method: "PATCH", path, action: { status: 200, headers: json, body: JSON.stringify(accepted) }, times: 1 },
    { method: "GET", path: `${path}/`, action: { status: 200, headers: json, body: JSON.stringify(accepted) } },
  ]);
  await resume(page);
  await page.evaluate(async () => client.retry((await client.list())[0].id));
  await arrive("PATCH", 1);
  await until("no job", async () => (await w.list(page)).length === 0);
  assert.deepEqual(await call(page, "conflicts"), []);
});

// Pulls that end, or do not.

test("rows of one time come in the server's order of ids, whichever that is", async () => {
  const page = await open();
  const time = "2026-11-29T06:00:00.000Z";
  await pages([at(time, 9), at(time, 10)]);
  assert.deepEqual(await call(page, "sync"), { applied: 2 });
});

test("times of which the fraction has no fixed length are in their order", async () => {
  const page = await open();
  await pages([at("2026-11-29T06:00:00.123Z", one), at("2026-11-29T06:00:00.1234Z", two)]);
  assert.deepEqual(await call(page, "sync"), { applied: 2 });
});

test("a row that cannot be taken is told of, also where others can", async () => {
  const page = await open();
  await pages([{ title: "no id", updatedAt: "2026-11-29T06:00:00.000Z" }, at("2026-11-29T06:00:01.000Z", one)]);
  const synced = await call(page, "sync");
  assert.match(String(synced.error), /has no "id"/);
});

test("a flag that is 0 does not mean that a row is deleted", async () => {
  const page = await open({ deletedAt: "deleted" });
  await pages([at("2026-11-29T06:00:00.000Z", one, { deleted: 0 })]);
  await call(page, "sync");
  assert.equal((await call(page, "all")).length, 1);
});

test("a row that is no valid text does not hold up the others", { todo: "the page is refused whole" }, async () => {
  const page = await open();
  const time = "2026-11-29T06:00:00.000Z";
  await pages(`[{"id":"a","title":"\\ud83d","updatedAt":"${time}"},{"id":"b","title":"b","updatedAt":"${time}"}]`);
  await call(page, "sync");
  assert.equal((await call(page, "get", "b"))?.title, "b");
});

test("a lone surrogate in a record is refused by name, or stored", async () => {
  const page = await open();
  await pause(page);
  const told = await page.evaluate(
    (id) =>
      client
        .collection("notes")
        .put({ id, title: "\ud83d" })
        .then(
          () => "stored",
          ({ message }) => message,
        ),
    one,
  );
  assert.match(told, /stored|surrogate|Unicode/i);
});

test("rows that are too large for one page are pulled in smaller ones", { todo: "the page is refused whole" }, async () => {
  const page = await open({ timeout: 60_000 });
  for (let number = 1; number <= 18; number += 1) await elsewhere(uuid(number), { title: "x".repeat(1 << 20) });
  assert.deepEqual(await call(page, "sync"), { applied: 18 });
});

test("a pull that was cut off by the end of the worker goes on with the next worker", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config: configOf() });
  const workers = await chromium.workers(page);
  await elsewhere(one, { title: "a" });
  await w.server.faults([{ method: "GET", path, action: { hold: true }, times: 1 }]);
  await page.evaluate(
    () =>
      void client
        .collection("notes")
        .sync()
        .catch(() => {}),
  );
  await w.held(1);
  await workers.stop();
  await w.server.faults([]);
  assert.deepEqual(await call(page, "sync"), { applied: 1 });
});

test("two syncs at once both succeed", async () => {
  const [page, other] = [await open(), await open()];
  await elsewhere(one, { title: "a" });
  const [first, second] = await Promise.all([call(page, "sync"), call(other, "sync")]);
  assert.deepEqual([first.error, second.error], [undefined, undefined]);
});

test("rows that are nested deeply do not hold up the others", { todo: "the page is refused whole" }, async () => {
  const page = await open();
  const time = "2026-11-29T06:00:00.000Z";
  await pages(`[${JSON.stringify(at(time, "a"))},{"id":"b","updatedAt":"${time}","at":${"[".repeat(200)}${"]".repeat(200)}}]`);
  await call(page, "sync");
  assert.equal((await call(page, "get", "a"))?.title, "a");
});

test("versions that are no numbers, but look like it, have no order", async () => {
  const page = await open();
  await pages([at("2026-11-29T06:00:00.000Z", one, { version: "90817263" })]);
  await call(page, "sync");
  await pages([at("2026-11-29T06:00:01.000Z", one, { version: "10293847", title: "later" })]);
  await call(page, "sync");
  assert.equal((await call(page, "get", one)).title, "later");
});

// A gateway speaks in the place of the server.

test("a gateway's 404 to an update makes no second row", async () => {
  const page = await open();
  await w.server.recordOptions("notes", { assignIds: true });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await w.server.faults([
    { method: "PATCH", path, action: { status: 404, headers: { "content-type": "text/html" }, body: "no route" }, times: 1 },
  ]);
  await call(page, "update", one, { title: "b" });
  await settle(page);
  assert.deepEqual(
    (await rows()).map(({ id, title }) => [id, title]),
    [["srv-1", "b"]],
  );
});

test("a gateway's 404 to a deletion leaves no row that is here unseen", async () => {
  const page = await open({ pull: { every: 0, overlap: 0 } });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await w.server.faults([
    { method: "DELETE", path, action: { status: 404, headers: { "content-type": "text/html" }, body: "no route" }, times: 1 },
  ]);
  await call(page, "delete", one);
  await settle(page);
  const living = (await rows()).filter(({ deletedAt }) => deletedAt === null).length;
  assert.equal((await call(page, "all")).length, living);
});

test("a create whose job is gone before it was sent is sent", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config: configOf() });
  const workers = await chromium.workers(page);
  await pause(page);
  await call(page, "put", { id: one, title: "a" });
  await workers.stop();
  await page.evaluate(() => window.onStore("jobs", "readwrite", (store) => store.clear()));
  await resume(page);
  await settle(page);
  assert.deepEqual([(await call(page, "get", one))?.title, (await row(one))?.title], ["a", "a"]);
});

// Users.

test("pages that come after another user signed in go to nobody else, and after a purge to nobody", async () => {
  for (const purge of [undefined, "ada"]) {
    await w.serve();
    const page = await open({ pull: { every: 0, pageSize: 1 } });
    await page.evaluate(() => client.setOwner("ada"));
    for (const id of [one, two]) await elsewhere(id, { title: "of ada" });
    await w.server.faults([{ method: "GET", path, action: { hold: true }, times: 1 }]);
    await page.evaluate(() => {
      window.synced = client.collection("notes").sync();
    });
    await w.held(1);
    await page.evaluate((purge) => client.setOwner("bob", purge && { purge }), purge);
    await w.server.release();
    await page.evaluate(() => window.synced);
    assert.deepEqual(await call(page, "all"), []);
    const owners = (await page.evaluate(() => window.rows("records"))).map(({ owner }) => owner);
    assert.ok(
      owners.every((owner) => owner === "ada" && !purge),
      owners.join(),
    );
  }
});

test("a write that comes after its user was purged stores nothing", {
  todo: "as an enqueue does: it is that user's, and nobody else sees it",
}, async () => {
  const page = await open();
  await page.evaluate(() => client.setOwner("ada"));
  await page.evaluate(() => {
    const post = ServiceWorker.prototype.postMessage;
    window.passing = new Promise((resolve) => {
      window.pass = resolve;
    });
    ServiceWorker.prototype.postMessage = function (message, ...more) {
      if (!JSON.stringify(message?.op ?? "").includes("record-write")) return post.call(this, message, ...more);
      window.isHeld = true;
      window.passing.then(() => post.call(this, message, ...more));
    };
  });
  await page.evaluate((id) => {
    window.put = client.collection("notes").put({ id, title: "of ada" });
  }, one);
  await page.waitForFunction("window.isHeld");
  const seen = await page.evaluate(async () => {
    await client.setOwner("bob", { purge: "ada" });
    window.pass();
    await window.put.catch(() => {});
    return client.collection("notes").all();
  });
  assert.deepEqual(seen, []);
  assert.deepEqual(await page.evaluate(() => window.rows("records")), []);
});

test("tabs that name another key than the worker do not add members to records", {
  todo: "the page does not know the worker's key",
}, async () => {
  const page = await open();
  await pause(page);
  const written = await page.evaluate(async () => {
    const notes = client.collection("notes", { key: "slug" });
    await notes.put({ slug: "x", title: "a" });
    return notes.get("x");
  });
  assert.deepEqual(written, { slug: "x", title: "a" });
});

// Odd data.

test("a mutation that could not be sent is made anew by a write", async () => {
  const page = await open();
  await pages([at("2026-11-29T06:00:00.000Z", one, { version: "版1" })]);
  await call(page, "sync");
  await call(page, "update", one, { title: "b" });
  await until("failed", async () => (await w.list(page))[0]?.state === "failed");
  await w.server.faults([]);
  await w.server.writeRecord("notes", { raw: at("2026-11-29T06:00:01.000Z", one, { version: 2, title: one }) });
  await call(page, "sync");
  await call(page, "update", one, { body: "c" });
  await quiet(page);
  assert.deepEqual([await call(page, "pendingChanges"), (await row(one)).body], [[], "c"]);
});

test("a member that is null is null at the server, and stays so here", {
  todo: "a merge patch has no null (RFC 7396)",
}, async () => {
  const page = await open();
  await call(page, "put", { id: one, due: 1 });
  await settle(page);
  await call(page, "put", { id: one, due: null });
  await settle(page);
  assert.equal((await call(page, "get", one)).due, null);
});

test("a record with a number for its id is put as it was read", async () => {
  const page = await open();
  await pages([at("2026-11-29T06:00:00.000Z", 7)]);
  await call(page, "sync");
  await pause(page);
  const title = await page.evaluate(async () => {
    const notes = client.collection("notes");
    await notes.put({ ...(await notes.get("7")), title: "b" });
    return (await notes.get("7")).title;
  });
  assert.equal(title, "b");
});

test("a weak version is sent so that the server can accept it", async () => {
  const page = await open();
  await w.server.writeRecord("notes", { raw: at("2026-11-29T06:00:00.000Z", one, { version: 'W/"1"' }) });
  await call(page, "sync");
  await call(page, "update", one, { title: "b" });
  await arrive("PATCH", 1);
  await quiet(page);
  assert.deepEqual(await call(page, "pendingChanges"), []);
});

test("what is no JSON is refused as such", async () => {
  const page = await open();
  const codes = await page.evaluate(() => {
    const notes = client.collection("notes");
    const told = (promise) =>
      promise.then(
        () => "resolved",
        ({ name, code }) => `${name} ${code}`,
      );
    return Promise.all([
      told(notes.put({ toJSON: () => undefined })),
      told(notes.put({ toJSON: () => 5 })),
      told(notes.put({ toJSON: () => ({ id: "other" }) })),
      told(notes.update("a", { toJSON: () => undefined })),
    ]);
  });
  assert.deepEqual(new Set(codes), new Set(["ShearwaterError invalid-request"]));
});

test("an update by a function that is async, throws, or returns nothing is refused and changes nothing", async () => {
  const page = await open();
  await pause(page);
  await call(page, "put", { id: one, title: "a" });
  const codes = await page.evaluate((id) => {
    const notes = client.collection("notes");
    const told = (promise) =>
      promise.then(
        () => "resolved",
        ({ message }) => message,
      );
    return Promise.all([
      told(notes.update(id, async (note) => ({ ...note, title: "b" }))),
      told(
        notes.update(id, () => {
          throw new Error("mine");
        }),
      ),
      told(
        notes.update(id, (note) => {
          note.title = "c";
        }),
      ),
    ]);
  }, one);
  assert.deepEqual(codes, ["a record is a plain object", "mine", "a record is a plain object"]);
  assert.equal((await call(page, "get", one)).title, "a");
});

test("a server that was restored is pulled, although its versions went back", async () => {
  const page = await open();
  await pages([at("2026-11-29T06:00:00.000Z", one, { version: 9 })]);
  await call(page, "sync");
  await pages([at("2026-11-29T06:00:01.000Z", one, { version: 3, title: "restored" })]);
  await call(page, "sync");
  assert.equal((await call(page, "get", one)).title, "restored");
});

test("a pull that is refused in the middle goes on where it stood", async () => {
  const page = await open({ pull: { every: 0, pageSize: 2 } });
  for (let number = 1; number <= 5; number += 1) await elsewhere(uuid(number), { title: `${number}` });
  await w.server.faults([
    { method: "GET", path, action: { delayMs: 1 }, times: 1 },
    { method: "GET", path, action: { status: 401 }, times: 1 },
  ]);
  const first = await call(page, "sync");
  assert.match(String(first.error), /401/);
  await call(page, "sync");
  assert.equal((await call(page, "all")).length, 5);
});

test("names of collections, queues and users may hold colons and each other", async () => {
  const collections = {
    "a:b": { url: path, pull: { every: 0 }, queue: "default" },
    default: { url: path, pull: { every: 0 } },
  };
  const page = await w.open({ config: { collections } });
  await page.evaluate(() => client.pause());
  const seen = await page.evaluate(async () => {
    await client.setOwner("a:b");
    await client.pause();
    await client.collection("a:b").put({ id: "x", of: 1 });
    await client.collection("default").put({ id: "x", of: 2 });
    await client.setOwner("b");
    await client.pause();
    await client.collection("a:b").put({ id: "x\u2028a", of: 3 });
    const now = [await client.collection("a:b").all(), await client.collection("default").all()];
    await client.setOwner("a:b");
    return [...now, await client.collection("a:b").all(), await client.collection("default").all()];
  });
  assert.deepEqual(
    seen.map((records) => records.map(({ of }) => of)),
    [[3], [], [1], [2]],
  );
});

test("a retried mutation of a conflict that both sides still have does not lose the choice", async () => {
  const page = await open({ conflict: { strategy: "ask-user" } });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await pause(page);
  await call(page, "update", one, { title: "ours" });
  await elsewhere(one, { title: "theirs" });
  await call(page, "sync");
  await resume(page);
  const accepted = { ...(await row(one)), title: "ours", version: 3 };
  await w.server.faults([
    { method: "PATCH", path, action: { status: 200, headers: json, body: JSON.stringify(accepted) }, times: 1 },
  ]);
  await page.evaluate(async () => client.retry((await client.list())[0].id));
  await arrive("PATCH", 1);
  await until("no job", async () => (await w.list(page)).length === 0);
  await call(page, "resolve", one, "remote");
  assert.notEqual(await call(page, "get", one), null);
});

test("ask-user: a record in conflict that is written, deleted, and undone, is what the server has", async () => {
  const page = await open({ conflict: { strategy: "ask-user" } });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await elsewhere(one, { title: "theirs" });
  await call(page, "update", one, { title: "ours" });
  await until("a conflict", async () => (await call(page, "conflicts")).length === 1);
  await call(page, "update", one, { body: "more" });
  await elsewhere(one, { title: "later" });
  await call(page, "sync");
  const [{ local, remote }] = await call(page, "conflicts");
  assert.deepEqual([local.title, local.body, remote.title], ["ours", "more", "later"]);
  await call(page, "delete", one);
  assert.equal((await call(page, "conflicts"))[0].local, null);
  assert.equal(await call(page, "undo", one), true);
  await settle(page);
  assert.deepEqual(await call(page, "get", one), await row(one));
});

// A server that says nothing of what it has written.

/** It has written the record and added to it, and tells only who asks. */
const terse = async (method, row) =>
  w.server.faults([
    { method, path, action: { handle: true, status: 204 }, times: 1 },
    {
      method: "GET",
      path: `${path}/`,
      action: { hold: true, status: 200, headers: json, body: JSON.stringify(row) },
      times: 1,
    },
  ]);

for (const strategy of ["merge", "remote-wins", "ask-user", "newest-wins"]) {
  test(`${strategy}: what is written before the own row is read is not overwritten by it`, async () => {
    const page = await open({ conflict: { strategy } });
    await terse("POST", at(new Date().toISOString(), one, { title: "a", slug: "a" }));
    await call(page, "put", { id: one, title: "a" });
    await w.held(1);
    await call(page, "update", one, { title: "b" });
    await w.server.release();
    await quiet(page);
    assert.deepEqual([(await call(page, "get", one)).title, await call(page, "conflicts")], ["b", []]);
  });

  test(`${strategy}: a deletion before the own row is read is not taken back by it`, async () => {
    const page = await open({ conflict: { strategy } });
    await terse("POST", at(new Date().toISOString(), one, { title: "a", slug: "a" }));
    await call(page, "put", { id: one, title: "a" });
    await w.held(1);
    await call(page, "delete", one);
    await w.server.release();
    await quiet(page);
    assert.deepEqual([await call(page, "get", one), await call(page, "conflicts")], [null, []]);
  });
}

test("records that are gone leave nothing", { todo: "ids that a record had are kept" }, async () => {
  const page = await open();
  await w.server.recordOptions("notes", { assignIds: true });
  for (let number = 1; number <= 3; number += 1) {
    await call(page, "put", { id: uuid(number), title: "a" });
    await settle(page);
    await call(page, "delete", uuid(number));
    await settle(page);
  }
  await settle(page);
  assert.deepEqual(
    (await page.evaluate(() => window.rows("records"))).map(({ id }) => id),
    [],
  );
});

// Attempts, and a full disk.

test("a write after refusals has all of its attempts", async () => {
  const page = await open({ maxAttempts: 2 });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  await w.server.faults([
    { method: "PATCH", path, action: { status: 422 }, times: 2 },
    { method: "PATCH", path, action: { status: 503 }, times: 1 },
  ]);
  for (const title of ["b", "c"]) {
    await call(page, "update", one, { title });
    await until(`${title} refused`, async () => {
      const [job] = await w.list(page);
      return (
        job?.state === "failed" && JSON.parse((await page.evaluate(() => window.rows("records")))[0].push.data).title === title
      );
    });
  }
  await call(page, "update", one, { title: "d" });
  await quiet(page);
  assert.deepEqual([(await row(one)).title, await w.list(page)], ["d", []]);
});

test("a pull that finds the disk full says so, each time", async () => {
  const first = await w.browser.newPage();
  await (await w.browser.workers(first)).fillQuota(w.server.origin, 1_000_000);
  const page = await open({ timeout: 60_000 });
  const noise = () => Array.from({ length: 30_000 }, () => Math.random().toString(36)).join("");
  for (let number = 1; number <= 10; number += 1) await elsewhere(uuid(number), { title: noise() });
  const told = () =>
    page.evaluate(() =>
      client
        .collection("notes")
        .sync()
        .then(
          ({ error }) => String(error),
          ({ code }) => code,
        ),
    );
  const both = [await told(), await told()];
  assert.match(both[0], /quota|disk/i);
  assert.match(both[1], /quota|disk/i);
});

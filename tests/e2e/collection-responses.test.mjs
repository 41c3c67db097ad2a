// Collections: what the response to a mutation means, whoever gives it, and whether it comes (D2, D6, P2, P7).

import assert from "node:assert/strict";
import test from "node:test";

import { at, configOf, json, notes, one, path, patient, two } from "./harness/collection.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const { open, call, rows, row, arrivals, arrive, elsewhere, pause, resume, settle, quiet, pages } = notes(w);

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
  await until("the read is refused", async () => {
    const [job] = await w.list(page);
    return job?.error?.status === 429 && job.state === "pending";
  });
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

test("a weak version is sent so that the server can accept it", async () => {
  const page = await open();
  await w.server.writeRecord("notes", { raw: at("2026-11-29T06:00:00.000Z", one, { version: 'W/"1"' }) });
  await call(page, "sync");
  await call(page, "update", one, { title: "b" });
  await arrive("PATCH", 1);
  await quiet(page);
  assert.deepEqual(await call(page, "pendingChanges"), []);
});

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

// Collections: what a server lists, however oddly, and who asks for it (D4, P4, P7).

import assert from "node:assert/strict";
import test from "node:test";

import { at, configOf, notes, one, path, two, uuid } from "./harness/collection.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const { open, call, elsewhere, settle, pages } = notes(w);

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

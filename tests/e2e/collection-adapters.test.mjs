// Collections whose server speaks otherwise: the app's own adapter stands between (D9).

import assert from "node:assert/strict";
import test from "node:test";

import { configOf, notes, one, path, two } from "./harness/collection.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const { call, rows, row, elsewhere, settle } = notes(w);

const open = ({ timeout = 10_000 } = {}) => {
  const config = configOf({ url: "/elsewhere/notes", timeout });
  return w.open({ options: { worker: `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), adapter: "" })}` } });
};
/** How the adapter fails from now on. */
const fail = (page, how) => page.evaluate((adapter) => window.tell({ adapter }), how);
const pending = async (page) => {
  const [change] = await call(page, "pendingChanges");
  return change?.job ? w.get(page, change.job) : undefined;
};
const refused = (page, message) =>
  until(String(message), async () => message.test((await pending(page))?.error?.message ?? ""));

test("records are pushed and pulled by the app's adapter, and by nothing else", async () => {
  const page = await open();
  await page.evaluate(() => {
    window.adapted = [];
    new BroadcastChannel("test:adapter").onmessage = ({ data }) => window.adapted.push(data);
  });
  await call(page, "put", { id: one, title: "a" });
  await settle(page);
  assert.deepEqual([(await row(one)).name, (await row(one)).title], ["a", undefined]);
  await call(page, "update", one, { title: "b" });
  await elsewhere(two, { name: "theirs" });
  await settle(page);
  assert.deepEqual((await call(page, "all")).map(({ title }) => title).sort(), ["b", "theirs"]);
  await call(page, "delete", one);
  await settle(page);
  const { expired, unchanged } = await call(page, "reconcile");
  assert.deepEqual([expired, unchanged], [0, 1]);
  assert.deepEqual(
    (await rows()).filter(({ deletedAt }) => !deletedAt).map(({ id, name }) => [id, name]),
    [[two, "theirs"]],
  );
  assert.deepEqual(await w.server.arrivals("/elsewhere/notes"), []);
  const adapted = await page.evaluate(() => window.adapted);
  assert.deepEqual([...new Set(adapted.map(({ collection, owner }) => `${collection} ${owner}`))], ["notes null"]);
  assert.deepEqual([...new Set(adapted.map(({ method }) => method))].sort(), ["DELETE", "GET", "PATCH", "POST"]);
});

test("an adapter that throws when the server has acted doubles nothing", async () => {
  const page = await open();
  await fail(page, "late");
  await call(page, "put", { id: one, title: "a" });
  await refused(page, /the app's adapter failed: after the server has acted/);
  await call(page, "update", one, { title: "b" });
  await until("another try", async () => (await w.server.arrivals(path)).filter(({ method }) => method === "POST").length > 1);
  await fail(page, undefined);
  await settle(page);
  assert.deepEqual(
    (await rows()).map(({ id, name }) => [id, name]),
    [[one, "b"]],
  );
  const posts = (await w.server.arrivals(path)).filter(({ method }) => method === "POST");
  assert.equal(new Set(posts.map(({ idempotencyKey }) => idempotencyKey)).size, 1);
});

for (const [how, message] of /** @type {Array<[string, RegExp]>} */ ([
  ["throws", /the app's adapter failed: of the app/],
  ["nonsense", /returns no Response, or one that cannot be read/],
  ["read", /returns no Response, or one that cannot be read/],
  ["hangs", /did not respond in time/],
  ["endless", /did not respond in time/],
])) {
  test(`an adapter that fails (${how}) holds its mutation up and loses none`, async () => {
    const page = await open({ timeout: 400 });
    await fail(page, how);
    await call(page, "put", { id: one, title: "a" });
    await refused(page, message);
    assert.equal((await call(page, "sync")).error === undefined, false);
    await fail(page, undefined);
    await settle(page);
    assert.deepEqual(
      (await rows()).map(({ id, name }) => [id, name]),
      [[one, "a"]],
    );
  });
}

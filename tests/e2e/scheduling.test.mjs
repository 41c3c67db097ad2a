// When a page syncs by itself, and what is sent over which network (C3, C5).

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

const script = (connection, config = {}) =>
  `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), connection: JSON.stringify(connection) })}`;
const open = (connection, config, options = {}) => w.open({ options: { worker: script(connection, config), ...options } });
const put = (page, path, options) => w.enqueue(page, { url: `/api/sink/${path}`, body: path }, options);
const arrived = async () => (await w.server.sink("/api/sink")).map(({ path }) => path.split("/").at(-1));
const restriction = async (page) => (await w.snapshot(page)).restriction;
const choose = (page, change) => page.evaluate((change) => window.client.setNetworkPolicy(change), change);

/** Another network; the page's own browser tells of it, too. */
const reconnect = async (page, connection) => {
  await page.evaluate((connection) => tell({ connection }), connection);
  await page.evaluate(() => {
    Object.defineProperty(navigator.connection, "type", { value: "other", configurable: true });
    navigator.connection.dispatchEvent(new Event("change"));
  });
};

for (const [connection, setting, reason] of [
  [{ type: "cellular" }, { syncOnMobileData: false }, "mobile-data"],
  [{ type: "cellular" }, { syncOnMeteredConnection: false }, "metered"],
  [{ type: "wifi", metered: true }, { syncOnMeteredConnection: false }, "metered"],
  [{ type: "wifi", saveData: true }, { saveData: true }, "save-data"],
]) {
  test(`${JSON.stringify(setting)} holds jobs over ${JSON.stringify(connection)}, but for critical ones, until the network is another`, async () => {
    const page = await open(connection, { network: setting });
    const held = await put(page, "held");
    const critical = await put(page, "critical", { priority: "critical" });
    await w.becomes(page, critical, "delivered");
    await w.resting(page);
    const { state, pending, nextSyncAt, network } = await w.snapshot(page);
    assert.deepEqual([state, pending, nextSyncAt, await restriction(page)], ["idle", 1, null, reason]);
    assert.equal(network[Object.keys(setting)[0]], Object.values(setting)[0]);
    assert.equal((await w.get(page, held)).state, "pending");
    assert.deepEqual(await arrived(), ["critical"]);
    await reconnect(page, { type: "wifi", metered: false, saveData: false });
    await w.becomes(page, held, "delivered");
    await until("no restriction", async () => (await restriction(page)) === null);
  });
}

test("a person's choice outlives the worker, belongs to its owner, and syncNow asks nobody", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { options: { worker: script({ type: "cellular" }) } });
  const workers = await chromium.workers(page);
  await choose(page, { syncOnMobileData: false, criticalOverride: false });
  assert.equal(await restriction(page), "mobile-data");
  await workers.stop();
  await put(page, "critical", { priority: "critical" });
  await w.resting(page);
  await workers.sync(w.server.origin, "default");
  await w.resting(page);
  assert.deepEqual(await arrived(), []);
  await page.evaluate(() => window.client.setOwner("bob"));
  assert.equal(await restriction(page), null);
  const other = await put(page, "of-bob");
  await w.becomes(page, other, "delivered");
  await page.evaluate(() => window.client.setOwner(null));
  assert.equal(await restriction(page), "mobile-data");
  assert.deepEqual(await arrived(), ["of-bob"]);
  assert.equal((await page.evaluate(() => window.client.syncNow())).delivered, 1);
  assert.deepEqual(await arrived(), ["of-bob", "critical"]);
});

test("autoSync: false holds everything, critical jobs too; what was held goes when it is on again", async () => {
  const page = await open({ type: "wifi" }, { network: { autoSync: false } });
  const id = await put(page, "one", { priority: "critical" });
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await w.resting(page);
  assert.deepEqual([await restriction(page), await arrived()], ["auto-sync", []]);
  await choose(page, { autoSync: true });
  await w.becomes(page, id, "delivered");
});

test("what a browser does not tell restricts nothing; what is no policy is refused", async () => {
  const page = await open({}, { network: { syncOnMobileData: false, syncOnMeteredConnection: false, saveData: true } });
  await w.becomes(page, await put(page, "one"), "delivered");
  for (const change of [{ wifiOnly: true }, { autoSync: "no" }, 7]) {
    assert.equal((await w.refused(page, "setNetworkPolicy", change)).code, "invalid-request", JSON.stringify(change));
  }
  const bad = await w.visit();
  for (const options of [
    { schedule: { active: 1 } },
    { schedule: { profile: "often" } },
    { schedule: { lowLevel: 2 } },
    { autoSyncInterval: 4e9 },
  ]) {
    const code = await bad.evaluate(async (options) => {
      const { connect } = await import("/shearwater/page.js");
      return connect(options).then(
        () => "connected",
        ({ code }) => code,
      );
    }, options);
    assert.equal(code, "invalid-config", JSON.stringify(options));
  }
});

test("a page wakes the worker by its schedule, and stops and starts by the app's word", async () => {
  const page = await open(
    { type: "wifi" },
    { queues: { default: { backoff: { base: 3_600_000, max: 3_600_000, jitter: "equal" } } } },
    {
      autoStart: false,
      syncOnMount: false,
      schedule: { active: 100, idle: 100 },
    },
  );
  await w.server.down(true);
  const id = await put(page, "one");
  await until("a try in vain", async () => (await w.get(page, id)).unreachable > 0);
  await w.resting(page);
  const asked = () => page.evaluate(() => window.wakes?.length ?? 0);
  await page.evaluate(() => {
    window.wakes = [];
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (message, ...rest) {
      if (message.op?.wake) window.wakes.push(message.op.wake);
      return postMessage.call(this, message, ...rest);
    };
  });
  await page.evaluate(() => window.client.startAutoSync());
  await until("three wakes", async () => (await asked()) >= 3);
  assert.ok((await page.evaluate(() => window.wakes)).every((reason) => reason === "interval"));
  await page.evaluate(() => window.client.stopAutoSync());
  const before = await asked();
  await page.evaluate(() => window.dispatchEvent(new Event("focus")));
  // Several intervals, in which nothing is to happen.
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500)));
  assert.equal(await asked(), before);
});

test("a prerendered page does nothing until it is shown", async () => {
  const page = await w.visit("/?prerendered");
  const seen = await page.evaluate(async () => {
    Object.defineProperty(document, "prerendering", { value: true, configurable: true });
    const { connect } = await import("/shearwater/page.js");
    const asked = [];
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (message, ...rest) {
      if (message.op?.wake) asked.push(message.op.wake);
      return postMessage.call(this, message, ...rest);
    };
    const client = await connect({ worker: "/sw.js" });
    await client.list();
    const before = [...asked];
    delete document.prerendering;
    document.dispatchEvent(new Event("prerenderingchange"));
    await client.list();
    client.close();
    return { before, after: asked };
  });
  assert.deepEqual(seen, { before: [], after: ["load"] });
});

test("over another network a drain that is under way claims nothing more", async () => {
  const config = { network: { syncOnMobileData: false }, queues: { default: { concurrency: 1 } } };
  const page = await open({ type: "wifi" }, config);
  await w.server.faults([{ path: "/api/sink", action: { hold: true } }]);
  await page.evaluate(() => window.client.pause());
  const requests = Array.from({ length: 10 }, (_, at) => ({ url: `/api/sink/${at}`, body: "x" }));
  await w.enqueueAll(page, requests);
  await page.evaluate(() => window.client.resume());
  await w.held(1);
  await page.evaluate(() => tell({ connection: { type: "cellular" } }));
  await w.server.faults([]);
  await w.server.release();
  await until("rest", async () => {
    const { isRunning, syncing, pending } = await w.snapshot(page);
    return !isRunning && syncing === 0 && pending > 0;
  });
  // The one on its way, and the one at hand.
  assert.ok((await arrived()).length <= 2);
  assert.equal(await restriction(page), "mobile-data");
});

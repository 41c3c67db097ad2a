// What wakes the worker if Background Sync is missing or never fires (P6, W3–W5), and what a wake costs.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

const wait = (base) => ({ queues: { default: { backoff: { base, max: base, jitter: "equal" } } } });
const HOUR = 3_600_000;
const script = (config, more) => `/sw.js?config=${encodeURIComponent(JSON.stringify(config))}${more}`;
const fire = (page, event) =>
  page.evaluate((event) => (event === "visibilitychange" ? document : window).dispatchEvent(new Event(event)), event);
const arrived = () => w.server.arrivals("/api/sink");

/** A job without a response, to be tried again in an hour although the server is up again. */
async function stranded(options = {}, { config = wait(HOUR), more = "&sync=silent" } = {}) {
  const page = await w.open({ options: { worker: script(config, more), syncOnMount: false, ...options } });
  await w.server.down(true);
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  await until("a try in vain", async () => {
    const { state, unreachable } = await w.get(page, id);
    return state === "pending" && unreachable > 0;
  });
  await until("rest", async () => !(await w.snapshot(page)).isRunning);
  await w.server.down(false);
  return { page, id };
}

for (const [name, more] of [
  ["registers and never fires", "&sync=silent"],
  ["is not there", "&sync=none"],
]) {
  for (const event of ["online", "focus", "visibilitychange"]) {
    test(`where Background Sync ${name}: "${event}"`, async () => {
      const { page, id } = await stranded({}, { more });
      if (more === "&sync=none") assert.equal(await page.evaluate(() => tell({}).then(({ sync }) => sync)), false);
      assert.equal((await arrived()).length, 0);
      await fire(page, event);
      await w.becomes(page, id, "delivered");
      assert.equal((await arrived()).length, 1);
    });
  }

  test(`where Background Sync ${name}: a page that is opened, and syncNow`, async () => {
    const { page, id } = await stranded({}, { more });
    const other = await w.visit();
    assert.equal((await arrived()).length, 0);
    await other.evaluate(
      async (worker) => {
        window.client = await connect({ worker });
      },
      script(wait(HOUR), more),
    );
    await w.becomes(page, id, "delivered");
    const { page: third, id: second } = await stranded({}, { more });
    assert.equal((await third.evaluate(() => client.syncNow())).delivered, 1);
    await w.becomes(third, second, "delivered");
    assert.equal((await arrived()).length, 2);
  });

  test(`where Background Sync ${name}: a worker that was stopped during a backoff is woken by the page when the job is due`, async () => {
    const { page, id } = await stranded({ autoSyncInterval: 0 }, { config: wait(2_500), more });
    const workers = await w.browser.workers(page);
    await workers.stop();
    assert.equal((await arrived()).length, 0);
    await until("the delivery", async () => (await w.server.sink()).length === 1);
    const job = await w.becomes(page, id, "delivered");
    assert.equal(job.attempts, 1);
  });
}

test("without Background Sync in the page's browser either, the client says so and delivers", async () => {
  const page = await w.browser.newPage();
  await page.evaluateOnNewDocument(() => {
    delete ServiceWorkerRegistration.prototype.sync;
    delete ServiceWorkerRegistration.prototype.periodicSync;
    delete window.SyncManager;
  });
  await page.goto(w.server.origin);
  await page.waitForFunction("window.ready");
  const told = await page.evaluate(
    async (worker) => {
      window.client = await connect({ worker });
      return [
        client.capabilities.backgroundSync,
        client.capabilities.periodicSync,
        await client.registerPeriodic("daily-sync", 86_400_000),
      ];
    },
    script(wait(HOUR), "&sync=none"),
  );
  assert.deepEqual(told, [false, false, "unsupported"]);
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/x", body: "x" }), "delivered");
});

test("what each wake is may be switched off", async () => {
  const { page, id } = await stranded({ syncOnOnline: false, syncOnVisibility: false, autoSyncInterval: 0 });
  await record(page);
  for (const event of ["online", "focus", "visibilitychange"]) await fire(page, event);
  await page.evaluate(() => client.list());
  assert.deepEqual(await page.evaluate(() => posted.filter((op) => op.wake)), []);
  assert.equal((await arrived()).length, 0);
  await page.evaluate(() => client.syncNow());
  await w.becomes(page, id, "delivered");
});

/** Notes what the page posts to its worker. */
const record = (page) =>
  page.evaluate(() => {
    window.posted = [];
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (message, ...more) {
      if (message.op) posted.push(message.op);
      return postMessage.call(this, message, ...more);
    };
  });

test("a visible page wakes the worker every autoSyncInterval while jobs wait, which sends nothing that is not due", async () => {
  const { page, id } = await stranded({ autoSyncInterval: 300 });
  await record(page);
  await until("three wakes", () => page.evaluate(() => posted.filter((op) => op.wake === "interval").length >= 3));
  assert.equal((await arrived()).length, 0);
  await page.evaluate(() => client.syncNow());
  await w.becomes(page, id, "delivered");
  await until("no job that waits", async () => (await w.snapshot(page)).pending === 0);
  const before = await page.evaluate(() => posted.length);
  // Five intervals, by this page's own clock.
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1_500)));
  assert.equal(await page.evaluate(() => posted.length), before, "nothing waits, no worker is woken");
});

test("timers start again after the browser was killed: what is due is sent without any call", async () => {
  const config = wait(6_000);
  const options = { worker: script(config, "&sync=silent"), syncOnMount: false, autoSyncInterval: 0 };
  const first = await w.start();
  await w.server.down(true);
  const page = await first.open(w.server.origin, { options });
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  const job = await until("a try in vain", async () => {
    const job = await w.get(page, id);
    return job.state === "pending" && job.unreachable > 0 && job;
  });
  await first.kill();
  await w.server.down(false);
  const second = await w.start({ profile: first.profile });
  const again = await second.open(w.server.origin, { options });
  const restored = await w.get(again, id);
  if (restored.state === "pending") assert.equal(restored.nextAttemptAt, job.nextAttemptAt);
  await (await second.workers(again)).stop();
  await until("the delivery", async () => (await w.server.sink()).length === 1);
  await w.becomes(again, id, "delivered");
  const [arrival] = await arrived();
  assert.ok(arrival.atMs >= job.nextAttemptAt - 50, "not before its time");
});

test("a page plans by the status it was given when it connected, even if no worker ever sends another message", async () => {
  const config = wait(6_000);
  const { page } = await stranded({ autoSyncInterval: 0 }, { config });
  const deaf = await w.visit();
  await page.close();
  await record(deaf);
  await deaf.evaluate(
    async (worker) => {
      Object.defineProperty(BroadcastChannel.prototype, "onmessage", { set() {} });
      window.client = await connect({ worker, syncOnMount: false, autoSyncInterval: 0 });
    },
    script(config, "&sync=silent"),
  );
  await until("a wake", () => deaf.evaluate(() => posted.some((op) => op.wake === "due" || op.wake === "watchdog")));
});

test("the next sync that the snapshot shows is that of what is stored: after syncNow, a hand that comes too late, and clear", async () => {
  const page = await w.open({ options: { autoSyncInterval: 0 } });
  await w.server.faults([{ path: "/api/sink", action: { status: 503, headers: { "retry-after": "3600" } } }]);
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  await until("an attempt", async () => (await w.get(page, id)).attempts === 1);
  const { nextAttemptAt } = await w.get(page, id);
  const shows = (at) => until(`next sync at ${at}`, async () => (await w.snapshot(page)).nextSyncAt === at, 10_000);
  await shows(nextAttemptAt);
  await page.evaluate(() => client.syncNow());
  await shows(nextAttemptAt);
  assert.equal(await page.evaluate(() => client.discard(crypto.randomUUID())), false);
  assert.equal((await w.snapshot(page)).nextSyncAt, nextAttemptAt);
  // A worker that has not sent any message yet.
  await (await w.browser.workers(page)).stop();
  assert.equal(await page.evaluate(() => client.discard(crypto.randomUUID())), false);
  assert.equal((await w.snapshot(page)).nextSyncAt, nextAttemptAt);
  await page.evaluate(() => client.clear());
  await shows(null);
});

const burst = async (page) => {
  await page.evaluate(async () => {
    for (let at = 0; at < 34; at += 1) {
      for (const [target, event] of [
        [window, "online"],
        [window, "focus"],
        [document, "visibilitychange"],
      ])
        target.dispatchEvent(new Event(event));
    }
    // Answered after those before it.
    await client.list();
  });
  await until("rest", async () => !(await w.snapshot(page)).isRunning);
  return page.evaluate(async () => ({ ...(await tell({})).begun, version: (await rows("meta"))[0]?.version }));
};

test("a hundred wakes with an empty queue write nothing, and send nothing", async () => {
  const page = await w.open({ options: { worker: script({}, "&count") } });
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/x", body: "x" }), "delivered");
  await until("rest", async () => !(await w.snapshot(page)).isRunning);
  const before = await page.evaluate(async () => ({ ...(await tell({})).begun, version: (await rows("meta"))[0].version }));
  const after = await burst(page);
  assert.equal(after.readwrite, before.readwrite);
  assert.equal(after.version, before.version);
  assert.ok(after.readonly > before.readonly, "they were heard");
  assert.equal((await arrived()).length, 1);
});

test("a hundred wakes while a server has asked to wait change nothing, and send nothing", async () => {
  const page = await w.open({ options: { worker: script({}, "&count") } });
  await w.server.faults([{ path: "/api/sink", action: { status: 503, headers: { "retry-after": "3600" } } }]);
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  await until("an attempt", async () => (await w.get(page, id)).attempts === 1);
  await until("rest", async () => !(await w.snapshot(page)).isRunning);
  const before = await page.evaluate(async () => ({ ...(await tell({})).begun, version: (await rows("meta"))[0].version }));
  const after = await burst(page);
  assert.equal((await arrived()).length, 1);
  assert.equal(after.version, before.version, "nothing was written");
  assert.ok(after.readwrite - before.readwrite <= 3, `${after.readwrite - before.readwrite} transactions to write in`);
});

test("a hundred wakes without a response are not a hundred attempts", async () => {
  const { page, id } = await stranded({}, { more: "&sync=silent&count" });
  await w.server.down(true);
  const { refused } = await w.server.stats();
  await burst(page);
  const { refused: after } = await w.server.stats();
  assert.ok(after - refused <= 40, `${after - refused} tries`);
  await w.server.down(false);
  await page.evaluate(() => client.syncNow());
  await w.becomes(page, id, "delivered");
  assert.equal((await arrived()).length, 1);
});

test("periodicsync sends what got no response before, and calls the app's handler", async () => {
  const { page, id } = await stranded();
  const cdp = await page.createCDPSession();
  const registrations = [];
  cdp.on("ServiceWorker.workerRegistrationUpdated", (updated) => registrations.push(...updated.registrations));
  await cdp.send("ServiceWorker.enable");
  const { registrationId } = await until("the registration", () =>
    registrations.find((one) => one.scopeURL === `${w.server.origin}/`),
  );
  assert.equal((await arrived()).length, 0);
  await cdp.send("ServiceWorker.dispatchPeriodicSyncEvent", { origin: w.server.origin, registrationId, tag: "daily-sync" });
  await w.becomes(page, id, "delivered");
  await until("the app's handler", () => page.evaluate(() => heard.sync.some((event) => event.periodic === "daily-sync")));
});

test("registerPeriodic returns what the browser says", async () => {
  const page = await w.open();
  assert.equal(await page.evaluate(() => client.capabilities.periodicSync), true);
  const cdp = await page.createCDPSession();
  for (const [setting, answer] of [
    ["denied", "denied"],
    ["granted", "registered"],
  ]) {
    await cdp.send("Browser.setPermission", {
      permission: { name: "periodic-background-sync" },
      setting,
      origin: w.server.origin,
    });
    assert.equal(await page.evaluate(() => client.registerPeriodic("daily-sync", 86_400_000)), answer);
  }
  assert.deepEqual(await page.evaluate(async () => (await navigator.serviceWorker.ready).periodicSync.getTags()), [
    "daily-sync",
  ]);
});

for (const tag of ["data-sync", "analytics-sync", "image-upload", "form-sync", "any other"]) {
  test(`the tag "${tag}" drains its queue once and calls its handler; without a queue it is the handler's alone`, async () => {
    const chromium = await w.start();
    const page = await chromium.open(w.server.origin, {
      options: { worker: `/sw.js?tags=${encodeURIComponent(JSON.stringify([tag]))}` },
    });
    const workers = await chromium.workers(page);
    await page.evaluate(() => {
      window.handled = [];
      new BroadcastChannel("test:sync").addEventListener(
        "message",
        ({ data }) => data.handled && window.handled.push(data.handled),
      );
    });
    await workers.sync(w.server.origin, tag);
    await until("the handler", () => page.evaluate(() => window.handled.length === 1));
    assert.deepEqual(await page.evaluate(() => window.handled), [{ tag, lastChance: false }]);
    assert.equal((await arrived()).length, 0);
    await page.evaluate((tag) => window.client.pause(tag).catch(() => {}), tag);
    await w.server.down(true);
    const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" }, { queue: tag });
    await w.resting(page);
    await w.server.down(false);
    await workers.sync(w.server.origin, tag);
    await w.becomes(page, id, "delivered");
    await until("the handler again", () => page.evaluate(() => window.handled.length >= 2));
    assert.equal((await w.server.sink("/api/sink/x")).length, 1);
  });
}

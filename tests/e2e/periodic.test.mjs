// Periodic tasks: on the browser's event, or on whatever wake finds them due; once, and each with its result (W3).

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const HOUR = 3_600_000;
const script = (config, more = {}) => `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), ...more })}`;
const tasks = [{ cleanup: { maxAge: 0 } }, "drain", { refresh: { cache: "pages", all: true } }, "handler"];
const daily = (tasks) => ({ periodic: { "daily-sync": { minInterval: 24 * HOUR, tasks } } });

/** Opens a page whose worker has these tasks. */
const open = (tasks, more = {}) => w.open({ options: { worker: script(daily(tasks), more) } });

/** Has the browser fire a tag. */
async function fire(page, tag = "daily-sync") {
  const cdp = await page.createCDPSession();
  const registrations = [];
  cdp.on("ServiceWorker.workerRegistrationUpdated", (updated) => registrations.push(...updated.registrations));
  await cdp.send("ServiceWorker.enable");
  const { registrationId } = await until("the registration", () =>
    registrations.find((one) => one.scopeURL === `${w.server.origin}/`),
  );
  await cdp.send("ServiceWorker.dispatchPeriodicSyncEvent", { origin: w.server.origin, registrationId, tag });
}

/** What became of the tag's tasks, once each has an end. */
const ended = (page) =>
  until("the end of all tasks", () =>
    page.evaluate(async () => {
      const [run] = (await client.metrics()).periodic;
      return run?.tasks.length > 0 && run.tasks.every((task) => task.endedAt) && run;
    }),
  );

const task = (run, name) => run.tasks.find((task) => task.task === name);

/** Puts what the server answers now into the cache. */
const cache = (page, urls) =>
  page.evaluate(async (urls) => {
    const cache = await caches.open("pages");
    await cache.addAll(urls);
  }, urls);

const cached = (page, url) => page.evaluate(async (url) => (await caches.match(url))?.text(), url);

test("the browser's event runs each task, and its result is stored and shown", async () => {
  const page = await open(tasks);
  await w.server.faults([{ path: "/api/sink/bad", action: { status: 422 } }]);
  const failed = await w.enqueue(page, { url: "/api/sink/bad", body: "x" });
  await w.becomes(page, failed, "failed");
  await w.server.faults([{ path: "/api/sink/page", action: { status: 200, headers: { etag: '"one"' }, body: "old" } }]);
  await cache(page, ["/api/sink/page"]);
  await w.server.faults([{ path: "/api/sink/page", action: { status: 304 } }]);
  await fire(page);
  const run = await ended(page);
  assert.deepEqual(
    run.tasks.map(({ task, result, error }) => [task, result, error]),
    [
      ["cleanup", "0 delivered and 1 failed jobs removed", undefined],
      ["drain", "sent what is due", undefined],
      ["refresh pages", "0 refreshed, 1 unchanged", undefined],
      ["handler", "called", undefined],
    ],
  );
  assert.equal(await w.get(page, failed), null);
  assert.equal(await cached(page, "/api/sink/page"), "old");
  assert.equal((await w.server.arrivals("/api/sink/page")).at(-1).headers["if-none-match"], '"one"');
  assert.ok(run.lastRunAt > 0 && run.nextRunAt === run.lastRunAt + 24 * HOUR && run.isRunning === false);
  assert.ok(await page.evaluate(() => heard.sync.some((event) => event.periodic === "daily-sync")));
});

test("an entry is replaced by a newer response, and by no error, redirect, portal or silence", async () => {
  const page = await open([{ refresh: { cache: "pages", all: true } }]);
  const kinds = {
    newer: { status: 200, headers: { "content-type": "application/json" }, body: "new" },
    broken: { status: 500, body: "no" },
    portal: { status: 200, headers: { "content-type": "text/html" }, body: "<h1>Log in</h1>" },
    moved: { status: 302, headers: { location: "/api/sink/login" } },
  };
  const urls = Object.keys(kinds).map((kind) => `/api/sink/${kind}`);
  const old = { status: 200, headers: { "content-type": "application/json" }, body: "old" };
  await w.server.faults(urls.map((path) => ({ path, action: old })));
  await cache(page, urls);
  await w.server.faults(Object.entries(kinds).map(([kind, action]) => ({ path: `/api/sink/${kind}`, action })));
  await fire(page);
  const { result, error } = task(await ended(page), "refresh pages");
  assert.equal(result, undefined);
  assert.match(error, /^1 refreshed, 0 unchanged, 3 kept as they are: /);
  for (const kind of Object.keys(kinds))
    assert.equal(await cached(page, `/api/sink/${kind}`), kind === "newer" ? "new" : "old");
});

test("where the browser fires nothing, a wake runs what is due: once, however many tabs", async () => {
  const page = await open(["handler"], { clock: 0 });
  const other = await open(["handler"], { clock: 0 });
  const calls = () => page.evaluate(() => heard.sync.filter((event) => event.periodic === "daily-sync").length);
  await until("the tag to be seen", () => page.evaluate(async () => (await client.metrics()).periodic[0]?.nextRunAt));
  await page.evaluate((clock) => tell({ clock }), 25 * HOUR);
  for (const tab of [page, other, page]) await tab.evaluate(() => window.dispatchEvent(new Event("online")));
  await ended(page);
  for (const tab of [page, other]) await tab.evaluate(() => client.syncNow());
  assert.equal(await calls(), 1);
  await page.evaluate((clock) => tell({ clock }), 60 * HOUR);
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await until("the next run", async () => (await calls()) === 2);
});

for (const conduct of ["hangs", "throws"]) {
  test(`a handler that ${conduct} is nothing to the other tasks, and an event that comes again runs nothing twice`, async () => {
    const page = await open(tasks, { periodic: conduct });
    await fire(page);
    const run = await until("the others", () =>
      page.evaluate(async () => {
        const [run] = (await client.metrics()).periodic;
        return run?.tasks.filter((task) => task.succeededAt).length === 3 && run;
      }),
    );
    for (const name of ["cleanup", "drain", "refresh pages"]) assert.ok(task(run, name).succeededAt, name);
    if (conduct === "throws")
      assert.match(task(await ended(page), "handler").error, /the app's "periodicsync" hook failed: no/);
    else assert.equal(task(run, "handler").endedAt, undefined);
    await fire(page);
    await page.evaluate(() => client.syncNow());
    assert.equal(await page.evaluate(() => heard.sync.filter((event) => event.periodic === "daily-sync").length), 1);
  });
}

test("without a server the local work is done all the same", async () => {
  const page = await open(tasks);
  await cache(page, ["/api/sink/page"]);
  await w.server.down(true);
  await fire(page);
  const run = await ended(page);
  assert.ok(task(run, "cleanup").succeededAt && task(run, "handler").succeededAt);
  assert.match(task(run, "refresh pages").error, /1 kept as they are/);
  await w.server.down(false);
  assert.notEqual(await cached(page, "/api/sink/page"), undefined);
});

test("collections are pulled; one that fails is named, and nothing to the others", async () => {
  const collections = Object.fromEntries(
    ["notes", "others"].map((name) => [name, { url: `/api/records/${name}`, version: "version", pull: { every: 0 } }]),
  );
  const page = await w.open({ options: { worker: script({ ...daily(["pull"]), collections }) } });
  const id = "00000001-0000-4000-8000-000000000000";
  for (const name of ["notes", "others"]) await w.server.writeRecord(name, { id, data: { title: name } });
  await w.server.faults([{ method: "GET", path: "/api/records/others", action: { status: 500 } }]);
  await fire(page);
  assert.match(task(await ended(page), "pull").error, /^others: .*500/);
  const all = (name) => page.evaluate((name) => client.collection(name).all(), name);
  assert.deepEqual([(await all("notes")).map(({ title }) => title), await all("others")], [["notes"], []]);
});

test("a configuration that cannot be is refused by name", async () => {
  for (const [periodic, name] of [
    [{ "daily-sync": { minInterval: 0, tasks: ["drain"] } }, /periodic\.daily-sync\.minInterval/],
    [{ "daily-sync": { minInterval: 10 * 365 * 24 * HOUR, tasks: ["drain"] } }, /periodic\.daily-sync\.minInterval/],
    [{ "daily-sync": { minInterval: HOUR, tasks: [] } }, /periodic\.daily-sync\.tasks/],
    [{ "daily-sync": { minInterval: HOUR, tasks: ["pull"] } }, /pull/],
    [{ "daily-sync": { minInterval: HOUR, tasks: ["dance"] } }, /periodic\.daily-sync\.tasks\.0: is none of/],
    [{ "daily-sync": { minInterval: HOUR, tasks: [{ refresh: { cache: "a" } }] } }, /urls or all: true/],
    [{ "daily-sync": { minInterval: HOUR, tasks: ["drain", "drain"] } }, /named once/],
  ]) {
    const error = await w.connectError({ worker: script({ periodic }) });
    assert.equal(error?.code, "invalid-config");
    assert.match(error.message, name);
  }
});

test("what a task told is shown to the owner who was signed in, and goes with a purge", async () => {
  const page = await open(["cleanup", "handler"], { periodic: "throws" });
  await page.evaluate(() => client.setOwner("ada"));
  await fire(page);
  assert.match(task(await ended(page), "handler").error, /hook failed: no/);
  await page.evaluate(() => client.setOwner("bob"));
  const hidden = await ended(page);
  assert.deepEqual(
    hidden.tasks.map(({ result, error }) => [result, error]),
    [
      [undefined, undefined],
      [undefined, undefined],
    ],
  );
  await page.evaluate(() => client.setOwner("ada"));
  assert.match(task(await ended(page), "handler").error, /hook failed: no/);
  await page.evaluate(() => client.setOwner("bob", { purge: true }));
  assert.doesNotMatch(JSON.stringify(await page.evaluate(() => rows("periodic"))), /hook failed/);
});

test("refresh of named addresses, without conditions where the app wants none, and by If-Modified-Since", async () => {
  const page = await open([
    { refresh: { cache: "pages", urls: ["/api/sink/dated"] } },
    { refresh: { cache: "others", urls: ["/api/sink/plain"], conditional: false } },
  ]);
  const at = "Wed, 25 Nov 2026 12:00:00 GMT";
  const old = (headers) => ({ status: 200, headers, body: "old" });
  await w.server.faults([
    { path: "/api/sink/dated", action: old({ "last-modified": at }) },
    { path: "/api/sink/plain", action: old({ etag: '"1"' }) },
    { path: "/api/sink/unnamed", action: old({ etag: '"1"' }) },
  ]);
  await cache(page, ["/api/sink/dated", "/api/sink/unnamed"]);
  await page.evaluate(async () => (await caches.open("others")).addAll(["/api/sink/plain"]));
  await w.server.faults([
    { path: "/api/sink/dated", action: { status: 304 } },
    { path: "/api/sink/plain", action: { status: 200, headers: { etag: '"2"' }, body: "new" } },
    { path: "/api/sink/unnamed", action: { status: 200, body: "new" } },
  ]);
  const before = (await w.server.arrivals("/api/sink/unnamed")).length;
  await fire(page);
  const run = await ended(page);
  assert.deepEqual(
    run.tasks.map(({ task, result }) => [task, result]),
    [
      ["refresh pages", "0 refreshed, 1 unchanged"],
      ["refresh others", "1 refreshed, 0 unchanged"],
    ],
  );
  assert.equal((await w.server.arrivals("/api/sink/dated")).at(-1).headers["if-modified-since"], at);
  assert.equal((await w.server.arrivals("/api/sink/plain")).at(-1).headers["if-none-match"], undefined);
  assert.equal((await w.server.arrivals("/api/sink/unnamed")).length, before);
  assert.deepEqual([await cached(page, "/api/sink/unnamed"), await cached(page, "/api/sink/plain")], ["old", "new"]);
});

test("a server that is silent holds up no other task, and takes nothing from the cache", async () => {
  const page = await open(["drain", { refresh: { cache: "pages", all: true } }, "handler"]);
  await w.server.faults([{ path: "/api/sink/page", action: { status: 200, body: "old" } }]);
  await cache(page, ["/api/sink/page"]);
  await w.server.faults([{ path: "/api/sink/page", action: { hold: true } }]);
  await fire(page);
  await w.held(1);
  const others = await until("the others", () =>
    page.evaluate(async () => {
      const [run] = (await client.metrics()).periodic;
      return run?.tasks.filter((task) => task.succeededAt).map(({ task }) => task).length === 2 && run.tasks;
    }),
  );
  assert.ok(["drain", "handler"].every((name) => task({ tasks: others }, name).succeededAt));
  assert.equal(await cached(page, "/api/sink/page"), "old");
});

test("a worker that is stopped in the middle of its tasks runs what is left at the next event, and the handler once more", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, {
    options: { worker: script(daily([{ refresh: { cache: "pages", all: true } }, "handler"]), { clock: "0" }) },
  });
  const workers = await chromium.workers(page);
  await w.server.faults([{ path: "/api/sink/page", action: { status: 200, body: "old" } }]);
  await cache(page, ["/api/sink/page"]);
  await w.server.faults([{ path: "/api/sink/page", action: { hold: true }, times: 1 }]);
  await fire(page);
  await w.held(1);
  await workers.stop();
  await w.server.faults([{ path: "/api/sink/page", action: { status: 200, body: "new" } }]);
  await w.server.release();
  assert.equal(await cached(page, "/api/sink/page"), "old");
  // Whoever held the tag may be alive until the time that it has is over.
  await page.evaluate((clock) => tell({ clock }), HOUR);
  await until("the tasks anew", async () => {
    await page.evaluate(() => client.syncNow());
    return (await cached(page, "/api/sink/page")) === "new";
  });
  const run = await ended(page);
  assert.ok(task(run, "refresh pages").succeededAt && task(run, "handler").succeededAt);
});

test("a handler of one tag is called for that tag alone", async () => {
  const page = await w.open({ options: { worker: `/sw.js?${new URLSearchParams({ tags: '["weekly"]' })}` } });
  await page.evaluate(() => {
    window.handled = [];
    new BroadcastChannel("test:sync").addEventListener(
      "message",
      ({ data }) => data.handledPeriodic && window.handled.push(data.handledPeriodic.tag),
    );
  });
  for (const tag of ["other", "weekly"]) await fire(page, tag);
  await until("the handler", () => page.evaluate(() => window.handled.length > 0));
  assert.deepEqual(await page.evaluate(() => window.handled), ["weekly"]);
});

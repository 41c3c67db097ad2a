// What may happen to a routed request while it is under way: kills, aborts, sign-ins, a full disk, others of its key.

import assert from "node:assert/strict";
import test from "node:test";

import { openRouted, routedSite, routedWorker } from "./harness/routed.mjs";
import { makeSite } from "./harness/site.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ site: makeSite(routedSite) });
const ROUTES = [{ match: "/api/sink/*" }];
const call = (page, url, init) => page.evaluate((url, init) => window.call(url, init), url, init);
const told = (page) => page.evaluate(() => window.tell());
const post = (body, more) => ({ method: "POST", body, ...more });
const keys = async () => (await w.server.sink()).map(({ idempotencyKey }) => idempotencyKey);
const arrived = async (path = "/api/sink") => (await w.server.arrivals(path)).map(({ bodyPreview }) => bodyPreview);
/** Begins a call whose outcome `window.outcome` is to be. */
const begin = (page, url, init) =>
  page.evaluate(
    (url, init) => {
      window.aborter = new AbortController();
      window.outcome = window.call(url, { ...init, signal: window.aborter.signal });
    },
    url,
    init,
  );
const outcome = (page) => page.evaluate(() => window.outcome);
/** Kills the worker. Chromium hands the request to a new one, which may be there before the old one is seen to be gone. */
const kill = async (page) => (await w.browser.workers(page)).cdp.send("ServiceWorker.stopAllWorkers");
const nothingStored = async (page) => assert.deepEqual(await w.list(page), []);

test("the worker is killed during the first try: the request is made again under the same key, and has one effect", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  await w.server.faults([{ path: "/api/sink", action: { hold: true }, times: 1 }]);
  await begin(page, "/api/sink/a", post("x"));
  await w.held(1);
  await kill(page);
  const { status, job } = await outcome(page);
  assert.equal(status, 202, "by Chromium itself; the server is still at the first one, and says so");
  await w.server.release();
  await w.becomes(page, job, "delivered");
  const sent = (await w.server.arrivals("/api/sink")).map(({ idempotencyKey }) => idempotencyKey);
  assert.ok(sent.length >= 2 && sent.every((key) => key === job), sent.join());
  assert.deepEqual(await keys(), [job]);
  assert.equal((await call(page, "/api/sink/a", post("x"))).status, 200);
  assert.equal((await keys()).length, 2, "the same again, once the first has ended, is another request");
});

for (const [point, what] of [
  ["enqueue-before", "between the first try and the commit"],
  ["enqueue-after", "between the commit and the 202"],
]) {
  test(`the worker is killed ${what}: one job, one effect`, async () => {
    await w.serve({ dist: "dist-test" });
    const page = await openRouted(w, { routes: ROUTES }, { query: { point } });
    await w.server.faults([
      { path: `/api/points/${point}`, action: { hold: true }, times: 1 },
      { path: "/api/sink", action: { drop: "after" } },
    ]);
    await begin(page, "/api/sink/a", post("x"));
    await w.held(1);
    await kill(page);
    const { status, job } = await outcome(page);
    assert.equal(status, 202);
    const stored = (await w.list(page)).map(({ id }) => id);
    assert.deepEqual(stored, [job]);
    await w.server.faults([]);
    await w.server.release();
    await page.evaluate(() => client.syncNow());
    await until("an empty queue", async () => (await w.list(page)).length === 0);
    assert.deepEqual(await keys(), [job]);
  });
}

test("an app that tries again under a key of its own is one request to the server", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  const request = post("x", { headers: { "idempotency-key": "mine" } });
  await w.server.faults([{ path: "/api/sink", action: { drop: "after" } }]);
  assert.equal((await call(page, "/api/sink/a", request)).status, 202);
  await w.server.faults([]);
  assert.equal((await call(page, "/api/sink/a", request)).status, 200);
  await page.evaluate(() => client.syncNow());
  await until("an empty queue", async () => (await w.list(page)).length === 0);
  assert.deepEqual(await keys(), ["mine"]);
});

test("the page is closed during the first try: it goes on, and is queued when it fails", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  const other = await openRouted(w, { routes: ROUTES });
  await other.evaluate(() => client.pause());
  await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" } }]);
  await begin(page, "/api/sink/a", post("x"));
  await w.held(1);
  await page.close();
  await w.server.faults([{ path: "/api/sink", action: { drop: "before" } }]);
  await w.server.release();
  await until("the job", async () => (await w.list(other)).length === 1);
  await w.server.faults([]);
  await other.evaluate(() => client.resume());
  await until("the delivery", async () => (await w.server.sink()).length === 1);
});

test("the app aborts its fetch: Chromium tells no worker of it, so the request goes on, and its job can be discarded", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" } }]);
  await begin(page, "/api/sink/a", post("x"));
  await w.held(1);
  await page.evaluate(() => window.aborter.abort());
  assert.equal((await outcome(page)).error, "AbortError");
  await w.server.down(true);
  await w.server.release();
  const [{ id }] = await until("the job", async () => {
    const jobs = await w.list(page);
    return jobs.length === 1 && jobs;
  });
  await page.evaluate(() => client.pause());
  await until("no send", async () => (await w.get(page, id))?.state === "pending");
  assert.equal(await page.evaluate((id) => client.discard(id), id), true);
  await nothingStored(page);
});

test("the reply that comes after the timeout, while the job is being stored, is the app's, and the job is gone", async () => {
  await w.serve({ dist: "dist-test" });
  const page = await openRouted(
    w,
    { routes: [{ ...ROUTES[0], on: { timeout: 200 } }] },
    { query: { point: "enqueue-before" } },
  );
  await w.server.faults([
    { path: "/api/points/enqueue-before", action: { hold: true }, times: 1 },
    { path: "/api/sink", action: { delayMs: 2_000 }, times: 1 },
  ]);
  await begin(page, "/api/sink/a", post("x"));
  await w.held(1);
  await until("the reply", async () => (await w.server.arrivals("/api/sink")).some(({ status }) => status === 200));
  // The worker has to hear of it, too.
  await until("a moment", async () => (await told(page)) && (await new Promise((resolve) => setTimeout(resolve, 300, true))));
  await w.server.release();
  assert.equal((await outcome(page)).status, 200);
  await until("nothing left", async () => (await w.list(page)).length === 0);
  assert.equal((await keys()).length, 1);
});

test("a full disk: the app gets the failure or the server's own reply, never a 202", async () => {
  const browser = await w.start();
  const first = await browser.newPage();
  await (await browser.workers(first)).fillQuota(w.server.origin, 2_000_000);
  const page = await openRouted(w, { routes: [{ ...ROUTES[0], on: { statuses: [503] } }] }, { browser });
  await page.evaluate(() => {
    window.large = new Uint8Array(4_000_000);
    for (let from = 0; from < large.length; from += 50_000) crypto.getRandomValues(large.subarray(from, from + 50_000));
  });
  const send = () => page.evaluate(() => call("/api/sink/large", { method: "POST", body: large }));
  assert.equal((await send()).status, 200, "online it goes");
  await w.server.faults([{ path: "/api/sink", action: { status: 503, body: "busy" } }]);
  const { status, text } = await send();
  assert.deepEqual([status, text], [503, "busy"]);
  await w.server.down(true);
  assert.deepEqual(await send(), { error: "TypeError" });
  await nothingStored(page);
  assert.match((await told(page)).said.join("\n"), /is not queued: /);
});

test("a worker whose wasm does not start passes failures and the server's replies on, never a 202", async () => {
  const config = { routes: [{ ...ROUTES[0], on: { statuses: [503] } }] };
  const page = await openRouted(w, config, { query: { broken: "1" } });
  await page.evaluate(() => client.close());
  const workers = await w.browser.workers(page);
  await workers.stop();
  assert.equal((await call(page, "/api/sink/a", post("x"))).status, 200);
  await w.server.faults([{ path: "/api/sink", action: { status: 503 } }]);
  assert.equal((await call(page, "/api/sink/a", post("x"))).status, 503);
  await w.server.down(true);
  assert.deepEqual(await call(page, "/api/sink/a", post("x")), { error: "TypeError" });
  assert.match((await told(page)).said.join("\n"), /is not queued: .*broken/);
});

test("a sign-in between the first try and the store: the request is not stored for the other user", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  await page.evaluate(() => client.setOwner("ada"));
  await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" } }]);
  await begin(page, "/api/sink/a", post("of ada"));
  await w.held(1);
  await page.evaluate(() => client.setOwner("bob"));
  await w.server.faults([{ path: "/api/sink", action: { drop: "before" } }]);
  await w.server.release();
  assert.deepEqual(await outcome(page), { error: "TypeError" });
  await nothingStored(page);
  await page.evaluate(() => client.setOwner("ada"));
  await nothingStored(page);
  assert.match((await told(page)).said.join("\n"), /not queued: another user may have signed in/);
  assert.equal((await call(page, "/api/sink/a", post("of ada"))).status, 202, "the next one is hers");
});

test("requests of one key keep their order: one at a time, and behind what is stored of the key", async () => {
  const config = { routes: [{ match: "/api/sink/notes/:id", key: "note-{id}" }] };
  const page = await openRouted(w, config);
  await w.server.faults([{ path: "/api/sink/notes/7", action: { hold: true }, times: 1 }]);
  await page.evaluate(() => {
    window.calls = [1, 2].map((at) => call("/api/sink/notes/7", { method: "PUT", body: `${at}` }));
  });
  await w.held(1);
  assert.equal((await call(page, "/api/sink/notes/8", post("other"))).status, 200, "another key passes");
  assert.deepEqual(await arrived("/api/sink/notes/7"), ["1"]);
  await w.server.release();
  assert.deepEqual(
    (await page.evaluate(() => Promise.all(window.calls))).map(({ status }) => status),
    [200, 200],
  );
  await w.server.down(true);
  const third = await call(page, "/api/sink/notes/7", post("3"));
  assert.equal((await w.get(page, third.job)).key, "note-7");
  await page.evaluate(() => client.pause());
  await w.server.down(false);
  const fourth = await call(page, "/api/sink/notes/7", post("4"));
  assert.equal(fourth.status, 202, "not sent past the third");
  assert.equal((await call(page, "/api/sink/notes/8", post("other"))).status, 200);
  await page.evaluate(() => client.resume());
  await w.becomes(page, fourth.job, "delivered");
  assert.deepEqual(
    (await w.server.sink("/api/sink/notes/7")).map(({ body }) => body),
    ["1", "2", "3", "4"],
  );
});

test("a routed hook that hangs is given up: the app gets the 202", async () => {
  const page = await openRouted(w, { routes: ROUTES }, { query: { routed: "hangs", impatient: "1" } });
  await w.server.down(true);
  assert.equal((await call(page, "/api/sink/a", post("x"))).status, 202);
  assert.match((await told(page)).said.join("\n"), /has not responded for 30000 ms/);
});

test("of two routes that match the first counts, which is said once", async () => {
  const routes = [
    { match: "/api/sink/a*", queue: "first" },
    { match: "/api/sink/*", queue: "second" },
  ];
  const page = await openRouted(w, { routes });
  await w.server.down(true);
  const ids = [];
  for (const path of ["a", "ab", "b"]) ids.push((await call(page, `/api/sink/${path}`, post("x"))).job);
  const queues = [];
  for (const id of ids) queues.push((await w.get(page, id)).queue);
  assert.deepEqual(queues, ["first", "first", "second"]);
  const { said } = await told(page);
  assert.equal(said.filter((text) => text.includes('"/api/sink/a*" and "/api/sink/*": the first one counts')).length, 1);
});

for (const [what, route, reason] of [
  ["a pattern that is none", { match: "/a/(" }, "routes.0.match is no URLPattern"],
  ["no pattern", {}, "routes.0.match: is missing"],
  ["a number for a pattern", { match: 7 }, "routes.0.match is a URLPattern or its text"],
  ["a pattern that matches everything", { match: "/*" }, "routes.0.match matches everything"],
  ["one that does so in other words", { match: "/:all*" }, "routes.0.match matches everything"],
  ["a key of a group that there is not", { match: "/a/:id", key: "note-{it}" }, 'routes.0.key: the pattern has no group "it"'],
  ["a misspelt option", { match: "/a", methds: ["PUT"] }, "routes.0.methds"],
  ["no method", { match: "/a", methods: [] }, "routes.0.methods"],
  ["a timeout of nothing", { match: "/a", on: { timeout: 0 } }, "routes.0.on.timeout"],
  ["a success to be queued", { match: "/a", on: { statuses: [200] } }, "routes.0.on.statuses"],
  ["a page of another site", { match: "/a", page: "https://other.example/" }, "routes.0.page"],
]) {
  test(`a route with ${what} fails the install`, async () => {
    const page = await w.visit();
    const error = await page.evaluate(
      (worker) =>
        window.start(worker).then(
          () => null,
          ({ code, message }) => ({ code, message }),
        ),
      routedWorker({ routes: [route] }),
    );
    assert.equal(error?.code, "invalid-config", JSON.stringify(error));
    assert.ok(error.message.includes(reason), error.message);
  });
}

test("allowAll lets a route match everything", async () => {
  const page = await openRouted(w, { routes: [{ match: "/*", allowAll: true }] });
  await w.server.down(true);
  assert.equal((await call(page, "/api/anything", post("x"))).status, 202);
});

test("a browser without URLPattern is told which package has it", async () => {
  const site = makeSite({
    "sw.js": `delete self.URLPattern; importScripts("/shearwater/worker.js"); shearwater.start({ routes: [{ match: "/api/*" }] });`,
  });
  await w.serve({ site });
  const page = await w.visit();
  const error = await page.evaluate(() =>
    window.connect().then(
      () => null,
      ({ code, message }) => ({ code, message }),
    ),
  );
  assert.equal(error?.code, "invalid-config");
  assert.match(error.message, /urlpattern-polyfill/);
});

// Replies that are not what they seem: redirects that are not followed or lead elsewhere, replies that CORS hides,
// captive portals, refusals of another origin (issue 8, G, H, J and 10).

import assert from "node:assert/strict";
import test, { afterEach, beforeEach } from "node:test";

import { startServer } from "./harness/server.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

let other;
beforeEach(async () => {
  other = await startServer();
});
afterEach(() => other.stop());

const quick = (more) => ({ queues: { default: { backoff: { base: 5, max: 20 }, ...more } } });
const script = (config, more = {}) => `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), ...more })}`;
const posts = async (server, path) =>
  (await server.arrivals(`/api/sink/${path}`)).filter((arrival) => arrival.method === "POST");
/** A job's row once it has an error that matches and is at rest. */
const stuck = (page, id, kind) =>
  until(
    `an error of kind "${kind}"`,
    async () => {
      const job = await w.get(page, id);
      return job?.error?.kind === kind && job.state !== "syncing" && job;
    },
    30_000,
  );
/** A job that has come to its end, whichever. */
const ended = (page, id) =>
  until(`the end of job ${id}`, async () => {
    const job = await w.get(page, id);
    return !["pending", "syncing"].includes(job?.state) && job;
  });
/** Servers that are spared; what has retried a job lately is remembered of others, too. */
const troubled = async (page) =>
  (await page.evaluate(() => client.metrics())).origins.filter(({ closures, opensAt }) => closures > 0 || opensAt);
/** Another origin's URL, as the tests' CSP allows it. */
const elsewhere = (path) => `${other.crossOrigin}/api/sink/${path}`;

test('with redirect: "manual", a redirect to a login page is no delivery', async () => {
  const page = await w.open();
  await w.server.faults([{ path: "/api/sink/moved", action: { status: 302, headers: { location: "/" } } }]);
  const id = await w.enqueue(page, { url: "/api/sink/moved", body: "x", redirect: "manual" });
  const job = await ended(page, id);
  assert.deepEqual([job.state, job.error?.kind, job.attempts], ["failed", "redirected", 1]);
  assert.equal((await posts(w.server, "moved")).length, 1);
  await w.server.faults([]);
  assert.equal(await page.evaluate((id) => client.retry(id), id), true);
  await w.becomes(page, id, "delivered");
});

for (const [meaning, state] of [
  ["block", "blocked"],
  ["deliver", "delivered"],
]) {
  test(`a queue may say that a redirect that is not followed means "${meaning}"`, async () => {
    const page = await w.open({ config: quick({ statuses: { 302: meaning } }) });
    await w.server.faults([{ path: "/api/sink/moved", action: { status: 302, headers: { location: "/" } } }]);
    assert.equal(
      (await ended(page, await w.enqueue(page, { url: "/api/sink/moved", body: "x", redirect: "manual" }))).state,
      state,
    );
  });
}

test('a redirect with redirect: "error" is not taken for an unreachable server', async () => {
  const page = await w.open({ config: quick() });
  await w.server.faults([{ path: "/api/sink/moved", action: { status: 302, headers: { location: "/" } } }]);
  const id = await w.enqueue(page, { url: "/api/sink/moved", body: "x", redirect: "error" }, { maxAttempts: 2 });
  const job = await w.becomes(page, id, "failed");
  assert.notEqual(job.error.kind, "network");
  // The app's own origin may be asked a few times before its redirect is told from no network.
  assert.ok((await posts(w.server, "moved")).length <= 6);
  assert.deepEqual(await troubled(page), []);
});

test("a loop of redirects is not taken for an unreachable server", async () => {
  const page = await w.open({ config: quick() });
  await w.server.faults([{ path: "/api/sink/loop", action: { status: 307, headers: { location: "/api/sink/loop" } } }]);
  const id = await w.enqueue(page, { url: "/api/sink/loop", body: "x" }, { maxAttempts: 2 });
  const job = await w.becomes(page, id, "failed");
  assert.equal(job.error.kind, "redirected");
  assert.deepEqual(await troubled(page), []);
});

for (const header of ["x-session", "authorization"]) {
  test(`a 307 to another origin does not take the auth hook's "${header}" along`, async () => {
    const page = await w.open({ options: { worker: script(quick(), { auth: "" }) } });
    await page.evaluate((header) => tell({ auth: { tokens: { "": "secret" }, header } }), header);
    await w.server.faults([{ path: "/api/sink/moved", action: { status: 307, headers: { location: elsewhere("there") } } }]);
    const id = await w.enqueue(page, { url: "/api/sink/moved", body: "x" }, { maxAttempts: 1 });
    const job = await ended(page, id);
    for (const arrival of await other.arrivals("/api/"))
      assert.equal(arrival.headers[header], undefined, `${arrival.method} ${arrival.path}`);
    assert.deepEqual(
      (await posts(w.server, "moved")).map((arrival) => arrival.headers[header]),
      ["Bearer secret"],
    );
    assert.deepEqual([job.state, job.error?.kind], ["failed", "redirected"]);
    assert.match(job.error.message, /redirect/);
    assert.deepEqual(await other.sink(), []);
  });
}

test("without headers of the hook, a 307 is followed as fetch does", async () => {
  const page = await w.open({ options: { worker: script(quick(), { auth: "" }) } });
  await w.server.faults([{ path: "/api/sink/moved", action: { status: 307, headers: { location: "/api/sink/there" } } }]);
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/moved", body: "x" }), "delivered");
  assert.equal((await w.server.sink("/api/sink/there"))[0].body, "x");
});

test("a reply that CORS hides counts as an attempt, and its side effect is not repeated for days", async () => {
  const page = await w.open({ config: quick({ maxAttempts: 3 }) });
  await other.faults([{ path: "/api/sink/hidden", action: { cors: false } }]);
  const id = await w.enqueue(page, { url: elsewhere("hidden"), body: "x" });
  const job = await w.becomes(page, id, "failed");
  assert.deepEqual([job.error.kind, job.attempts, job.unreachable], ["hidden", 3, 0]);
  assert.match(job.error.message, /CORS/);
  assert.equal((await posts(other, "hidden")).length, 3);
  assert.deepEqual(await troubled(page), [], "the server is well");
});

test("hidden replies of some jobs close no origin: others to it are delivered", async () => {
  const page = await w.open({ config: quick({ backoff: { base: 600_000, max: 600_000, jitter: "equal" } }) });
  await other.faults([{ path: "/api/sink/hidden", action: { cors: false } }]);
  const ids = await page.evaluate(
    (url) => client.enqueueAll(Array.from({ length: 8 }, (_, at) => ({ url: `${url}/${at}`, body: "x" }))),
    elsewhere("hidden"),
  );
  for (const id of ids) await stuck(page, id, "hidden");
  await w.becomes(page, await w.enqueue(page, { url: elsewhere("open"), body: "x" }), "delivered");
});

test("no network is still no attempt, for another origin as for the app's own", async () => {
  const page = await w.open({ config: quick() });
  await other.stop();
  const id = await w.enqueue(page, { url: elsewhere("down"), body: "x" }, { maxAttempts: 1 });
  const job = await until("two tries", async () => {
    const job = await w.get(page, id);
    return job.unreachable >= 2 && job;
  });
  assert.deepEqual([job.attempts, job.error.kind], [0, "network"]);
  other = await startServer({ listen: new URL(other.crossOrigin).host });
  await w.becomes(page, id, "delivered");
});

test("another origin's 401 neither calls the auth hook nor refreshes, and delays no other job", async () => {
  const page = await w.open({ options: { worker: script(quick(), { auth: "" }) } });
  await page.evaluate(() => tell({ auth: { tokens: { "": "stale" }, fresh: { "": "fresh" }, hold: false } }));
  await other.faults([{ path: "/api/sink", action: { status: 401 } }]);
  const foreign = await w.enqueue(page, { url: elsewhere("refused"), body: "x" });
  const job = await w.becomes(page, foreign, "blocked");
  assert.equal(job.error.status, 401);
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/own", body: "x" }), "delivered");
  const asked = await page.evaluate(() => heard.auth);
  assert.deepEqual(
    asked.filter(({ id }) => id === foreign),
    [],
  );
  assert.deepEqual(
    asked.filter(({ refresh }) => refresh),
    [],
  );
  for (const { headers } of await other.arrivals("/api/")) assert.equal(headers.authorization, undefined);
  assert.deepEqual(
    (await posts(w.server, "own")).map(({ headers }) => headers.authorization),
    ["Bearer stale"],
  );
});

test("the auth hook is for the origins that it names", async () => {
  const origins = JSON.stringify([other.crossOrigin]);
  const page = await w.open({ options: { worker: script(quick(), { auth: "", origins }) } });
  await page.evaluate(() => tell({ auth: { tokens: { "": "stale" }, fresh: { "": "fresh" } } }));
  await other.faults([{ method: "POST", path: "/api/sink", action: { status: 401 }, times: 1 }]);
  await w.becomes(page, await w.enqueue(page, { url: elsewhere("x"), body: "x" }), "delivered");
  assert.deepEqual(
    (await posts(other, "x")).map(({ headers }) => headers.authorization),
    ["Bearer stale", "Bearer fresh"],
  );
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/own", body: "x" }), "delivered");
  assert.deepEqual(
    (await posts(w.server, "own")).map(({ headers }) => headers.authorization),
    [undefined],
    "and not for the app's own, which it does not name",
  );
});

for (const [what, expect] of [
  ["not redirected", { redirected: false }],
  ["JSON", { contentType: "application/json" }],
]) {
  test(`a queue that expects a reply that is ${what}: a captive portal's page is no delivery and no attempt`, async () => {
    const page = await w.open({ config: quick({ expect, maxAttempts: 1 }) });
    await w.server.faults([{ path: "/api/sink/x", action: { status: 302, headers: { location: "/" } } }]);
    const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
    await until("a second try", async () => (await posts(w.server, "x")).length >= 2);
    const job = await stuck(page, id, "unexpected");
    assert.deepEqual([job.state, job.attempts], ["pending", 0]);
    await w.server.faults([]);
    await w.becomes(page, id, "delivered");
    assert.equal((await w.server.sink()).length, 1);
  });
}

test("a queue that expects a status: another success is an attempt, and in the end a dead letter", async () => {
  const page = await w.open({ config: quick({ expect: { status: [201, 202] }, maxAttempts: 2 }) });
  for (const [status, state] of [
    [201, "delivered"],
    [202, "delivered"],
    [200, "failed"],
    [422, "failed"],
  ]) {
    await w.server.faults([{ path: "/api/sink", action: { status, body: "ok" } }]);
    const id = await w.enqueue(page, { url: `/api/sink/${status}`, body: "x" });
    const job = await w.becomes(page, id, state);
    if (state === "failed")
      assert.deepEqual([job.error.kind, job.attempts], status === 200 ? ["unexpected", 2] : ["http", 1], `${status}`);
  }
});

test("a queue without expectations takes a redirect's 200 for a delivery, as fetch does", async () => {
  const page = await w.open();
  await w.server.faults([{ path: "/api/sink/x", action: { status: 302, headers: { location: "/" } } }]);
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/x", body: "x" }), "delivered");
});

test("a misspelt expectation fails the install, and says so", async () => {
  const page = await w.visit();
  for (const expect of [{ stauts: 201 }, { status: "201" }, { redirected: 1 }, { contentType: 5 }]) {
    const { code, message } = await page.evaluate(
      (worker) =>
        window.connect({ worker }).then(
          () => ({}),
          ({ code, message }) => ({ code, message }),
        ),
      script(quick({ expect })),
    );
    assert.equal(code, "invalid-config", JSON.stringify(expect));
    assert.match(message, new RegExp(Object.keys(expect)[0]));
  }
});

test("511 is a captive portal's word, and no attempt", async () => {
  const page = await w.open({ config: quick({ maxAttempts: 2 }) });
  await w.server.faults([{ path: "/api/sink", action: { status: 511 }, times: 4 }]);
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  const job = await w.becomes(page, id, "delivered");
  assert.equal(job.attempts, 1, "the one that came through");
  assert.equal((await posts(w.server, "x")).length, 5);
});

for (const [what, seconds, least, most] of [
  ["a date", 120, 60_000, 240_000],
  ["a date of years to come", 10 ** 9, 3_600_000, 86_500_000],
]) {
  test(`Retry-After with ${what} is heeded without a Date to compare it with`, async () => {
    const page = await w.open({ config: quick() });
    const date = new Date(Date.now() + seconds * 1_000).toUTCString();
    await other.faults([
      {
        path: "/api/sink/later",
        action: { status: 503, headers: { "retry-after": date, "access-control-expose-headers": "Retry-After" } },
        times: 1,
      },
    ]);
    const id = await w.enqueue(page, { url: elsewhere("later"), body: "x" });
    const job = await until("an attempt", async () => {
      const job = await w.get(page, id);
      return job.attempts > 0 && job;
    });
    assert.equal(job.state, "pending");
    const wait = job.nextAttemptAt - job.lastTriedAt;
    assert.ok(wait >= least && wait <= most, `${wait}`);
  });
}

test("a response that is not what integrity says counts as an attempt, and closes no origin", async () => {
  const page = await w.open({ config: { queues: { default: { maxAttempts: 2, backoff: { base: 50, max: 50 } } } } });
  const integrity = `sha256-${btoa("x".repeat(32))}`;
  const wrong = await w.enqueue(page, { url: "/api/sink/wrong", method: "POST", body: "x", integrity });
  const right = await w.enqueue(page, { url: "/api/sink/right", method: "POST", body: "x" });
  const failed = await w.becomes(page, wrong, "failed");
  assert.deepEqual([failed.error.kind, failed.attempts], ["hidden", 2]);
  assert.match(failed.error.message, /integrity/);
  await w.becomes(page, right, "delivered");
  assert.equal((await page.evaluate(() => window.client.metrics())).origins?.length ?? 0, 0);
});

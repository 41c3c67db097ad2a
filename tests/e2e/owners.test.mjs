// Owners (P4, Q14): a job is sent only while its owner is signed in, with the owner's credentials, which are never
// stored; and what a sign-out leaves behind.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";

import { siteData, traces } from "./harness/profile.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

const quick = { queues: { default: { backoff: { base: 5, max: 20 } } } };
const script = (config, more = "") => `/sw.js?config=${encodeURIComponent(JSON.stringify(config))}${more}`;
/** A page whose worker has an auth hook that is told what to return. */
const withHook = async (auth, config = quick, open = (more) => w.open(more)) => {
  const page = await open({ options: { worker: script(config, "&auth") } });
  await page.evaluate((auth) => tell({ auth }), auth);
  return page;
};
const setOwner = (page, owner, options) => page.evaluate((owner, options) => client.setOwner(owner, options), owner, options);
const tell = (page, test) => page.evaluate((test) => window.tell(test), test);
const asked = (page, refresh) =>
  page.evaluate((refresh) => heard.auth.filter((call) => refresh === null || call.refresh === refresh), refresh ?? null);
const sends = (path) => w.server.arrivals(`/api/sink/${path}`);
const bearers = async (path) => (await sends(path)).map((arrival) => arrival.headers.authorization);
const counts = async (page) => {
  const { pending, syncing, failed, conflicts, blocked } = await w.snapshot(page);
  return [pending, syncing, failed, conflicts, blocked];
};
const tokens = { A: "token-of-A", B: "token-of-B" };

/** Signs in by a cookie that scripts cannot see. */
async function logIn(page, user) {
  const path = `/api/sink/login/${user || "out"}`;
  await w.server.faults([
    {
      path,
      action: {
        status: 200,
        headers: { "set-cookie": user ? `session=${user}; Path=/; HttpOnly; SameSite=Strict` : "session=; Path=/; Max-Age=0" },
      },
    },
  ]);
  await page.evaluate((path) => fetch(path), path);
  await w.server.faults([]);
}

for (const kind of ["cookies", "bearer tokens"]) {
  const credential = (arrival) => (kind === "cookies" ? arrival.headers.cookie : arrival.headers.authorization);
  const of = (user) => (kind === "cookies" ? `session=${user}` : `Bearer token-of-${user}`);

  test(`two users with ${kind}: a job is listed, counted and sent only while its owner is signed in`, async () => {
    // Each waits long, so that nothing is on its way when the owner changes.
    const page = await withHook(
      { tokens: kind === "cookies" ? {} : tokens },
      { queues: { default: { backoff: { base: 600_000, max: 600_000, jitter: "equal" } } } },
    );
    if (kind === "cookies") await logIn(page, "A");
    await setOwner(page, "A");
    await w.server.down(true);
    const ofA = await page.evaluate(() =>
      client.enqueueAll([0, 1, 2].map((at) => ({ url: `/api/sink/a/${at}`, body: `secret of A ${at}` }))),
    );
    await until("tries in vain", async () =>
      (await w.list(page)).every((job) => job.state === "pending" && job.unreachable > 0),
    );

    await setOwner(page, "B");
    await w.server.down(false);
    if (kind === "cookies") await logIn(page, "B");
    assert.deepEqual([await w.list(page), await counts(page)], [[], [0, 0, 0, 0, 0]]);
    for (const id of ofA) {
      assert.equal(await w.get(page, id), null);
      for (const method of ["retry", "discard"])
        assert.equal(await page.evaluate((method, id) => client[method](id), method, id), false, method);
      assert.equal(await page.evaluate((id) => client.edit(id, { url: "/api/sink/stolen", body: "x" }), id), false);
    }
    const { queues, delivered } = await page.evaluate(() => client.metrics());
    assert.deepEqual([queues, delivered], [[], 0]);
    assert.equal(await page.evaluate(() => client.clear()), 0);
    assert.deepEqual(JSON.parse(await page.evaluate(() => client.exportFailed())), []);

    const ofB = await w.enqueue(page, { url: "/api/sink/b", body: "of B" });
    await w.becomes(page, ofB, "delivered");
    // Every kind of wake.
    await page.evaluate(async () => {
      for (const event of ["online", "focus"]) window.dispatchEvent(new Event(event));
      await client.syncNow();
    });
    await (await w.browser.workers(page)).sync(w.server.origin, "default");
    await page.evaluate(() => client.syncNow());
    assert.deepEqual([(await sends("b")).map(credential), await sends("a")], [[of("B")], []]);

    await setOwner(page, null);
    if (kind === "cookies") await logIn(page, "A");
    assert.equal((await sends("a")).length, 0, "nobody is not A");
    await setOwner(page, "A");
    await page.evaluate(() => client.syncNow());
    for (const id of ofA) await w.becomes(page, id, "delivered");
    assert.deepEqual((await sends("a")).map(credential), [of("A"), of("A"), of("A")]);
    assert.equal(await w.get(page, ofB), null, "nor is B's history A's");
  });
}

test("the owner changes while two of A's five are on their way: those end once, the others wait for A", async () => {
  const page = await withHook({ tokens }, { queues: { default: { ...quick.queues.default, concurrency: 2 } } });
  await setOwner(page, "A");
  await w.server.faults([{ path: "/api/sink/a", action: { hold: true } }]);
  const ofA = await page.evaluate(() =>
    client.enqueueAll([0, 1, 2, 3, 4].map((at) => ({ url: `/api/sink/a/${at}`, body: `${at}` }))),
  );
  await w.held(2);
  await setOwner(page, "B");
  const ofB = await page.evaluate(() =>
    client.enqueueAll([0, 1, 2].map((at) => ({ url: `/api/sink/b/${at}`, body: `${at}` }))),
  );
  await w.server.faults([]);
  await w.server.release();
  for (const id of ofB) await w.becomes(page, id, "delivered");
  await page.evaluate(() => client.syncNow());
  assert.equal((await sends("a")).length, 2);
  await setOwner(page, "A");
  for (const id of ofA) await w.becomes(page, id, "delivered");
  assert.deepEqual(await bearers("a"), Array(5).fill("Bearer token-of-A"));
  assert.deepEqual(await bearers("b"), Array(3).fill("Bearer token-of-B"));
  assert.equal((await w.server.sink()).length, 8);
});

test("the owner changes while the auth hook takes its time: the job is not sent for the other", async () => {
  const page = await withHook({ tokens, hold: true });
  await setOwner(page, "A");
  const ofA = await w.enqueue(page, { url: "/api/sink/a", body: "of A" });
  await until("the hook's call", async () => (await asked(page)).length === 1);
  await setOwner(page, "B");
  await tell(page, { auth: { hold: false }, release: true });
  const ofB = await w.enqueue(page, { url: "/api/sink/b", body: "of B" });
  await w.becomes(page, ofB, "delivered");
  assert.deepEqual(await sends("a"), []);
  await setOwner(page, "A");
  const job = await w.becomes(page, ofA, "delivered");
  assert.equal(job.attempts, 1);
  assert.deepEqual(await bearers("a"), ["Bearer token-of-A"]);
});

/** Leaves A with a delivered, a failed, a blocked and two waiting jobs, all saying `word`; B with one of each but blocked. */
async function fill(page, word) {
  await w.server.faults([
    { path: "/api/sink/failed", action: { status: 422 } },
    { path: "/api/sink/blocked", action: { status: 401 } },
    { path: "/api/sink/waiting", action: { status: 503, headers: { "retry-after": "3600" } } },
  ]);
  const add = async (owner, name, state, more = {}) => {
    const id = await w.enqueue(
      page,
      { url: `/api/sink/${name}/${owner}`, body: `${word} of ${owner}` },
      { metadata: { word: `${word} of ${owner}` }, ...more },
    );
    await until(
      name,
      async () => (await w.get(page, id))?.state === state && (state !== "pending" || (await w.get(page, id)).attempts > 0),
    );
    return id;
  };
  await setOwner(page, "B");
  const ofB = {
    delivered: await add("B", "delivered", "delivered"),
    failed: await add("B", "failed", "failed"),
    pending: await add("B", "waiting", "pending"),
  };
  await setOwner(page, "A");
  const ofA = {
    delivered: await add("A", "delivered", "delivered"),
    failed: await add("A", "failed", "failed"),
    blocked: await add("A", "blocked", "blocked"),
    pending: await add("A", "waiting", "pending"),
  };
  ofA.behind = await w.enqueue(
    page,
    { url: "/api/sink/large/A", body: `${word} of A`.padEnd(100_000, ".") },
    { notBefore: Date.now() + 3_600_000 },
  );
  return { ofA, ofB };
}

/** Everything in all stores, bodies as text. */
const everything = (page) =>
  page.evaluate(async () => {
    const stores = {};
    for (const name of ["jobs", "bodies", "history", "meta", "quarantine"]) {
      const values = await Promise.all(
        (await rows(name)).map((row) => (name === "bodies" ? new Response(row).text() : JSON.stringify(row))),
      );
      stores[name] = (await keys(name)).map((key, at) => [key, values[at]]);
    }
    return stores;
  });

test("a sign-out with purge leaves nothing of A, what is on its way included, and everything of B", async () => {
  const page = await withHook({ tokens });
  const { ofA, ofB } = await fill(page, "private");
  await w.server.faults([{ path: "/api/sink/held", action: { hold: true } }]);
  await w.enqueue(page, { url: "/api/sink/held/A", body: "private of A" });
  await w.held(1);
  await setOwner(page, "B", { purge: true });
  await w.server.release();
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/next/B", body: "private of B" }), "delivered");
  await until(
    "the end of all sends",
    async () => !(await w.snapshot(page)).isRunning && (await w.server.stats()).inFlight === 0,
  );

  const stored = await everything(page);
  for (const [name, rows] of Object.entries(stored)) {
    for (const [key, text] of rows) {
      assert.ok(!Object.values(ofA).includes(key), `${name}: ${key}`);
      assert.ok(!/of A|sink\/\w+\/A|"owner":"A"/.test(text), `${name}: ${text}`);
    }
  }
  assert.deepEqual(stored.jobs.map(([key]) => key).sort(), [ofB.failed, ofB.pending].sort());
  assert.deepEqual(
    stored.bodies.map(([, text]) => text),
    ["private of B", "private of B"],
  );
  assert.deepEqual(await counts(page), [1, 0, 1, 0, 0]);
  assert.equal((await w.get(page, ofB.delivered)).state, "delivered");
  await setOwner(page, "A");
  assert.deepEqual([await w.list(page), await counts(page)], [[], [0, 0, 0, 0, 0]]);
  for (const id of Object.values(ofA)) assert.equal(await w.get(page, id), null);
  const { recounted } = await page.evaluate(() => client.repair());
  assert.equal(recounted, false);
});

test("a purge takes along what of A's lies in quarantine", async () => {
  const page = await withHook({ tokens });
  const { ofA } = await fill(page, "private");
  await page.evaluate(
    async (id) => put("jobs", { ...(await rows("jobs")).find((row) => row.id === id), state: "confused" }),
    ofA.behind,
  );
  assert.equal((await page.evaluate(() => client.repair())).quarantined, 1);
  await setOwner(page, "B", { purge: true });
  const stored = await everything(page);
  for (const name of ["quarantine", "bodies"])
    assert.ok(!JSON.stringify(stored[name]).includes("of A"), `${name}: ${JSON.stringify(stored[name]).slice(0, 300)}`);
});

test("the hook may return whatever Headers takes; with anything else, the job is not sent", async () => {
  const page = await withHook({ tokens: { "": "token" } });
  for (const as of ["headers", "map", "pairs"]) {
    await tell(page, { auth: { as } });
    await w.becomes(page, await w.enqueue(page, { url: `/api/sink/${as}`, body: "x" }), "delivered");
    assert.deepEqual(await bearers(as), ["Bearer token"], as);
  }
  await tell(page, { auth: { as: "nonsense" } });
  const id = await w.enqueue(page, { url: "/api/sink/nonsense", body: "x" });
  const job = await until("an error", async () => {
    const job = await w.get(page, id);
    return job.state === "pending" && job.error && job;
  });
  assert.equal(job.error.kind, "withheld");
  assert.match(job.error.message, /"auth" hook/);
  assert.deepEqual(await bearers("nonsense"), []);
});

test("a sign-out without purge keeps all of A's until A is back", async () => {
  const page = await withHook({ tokens });
  const { ofA, ofB } = await fill(page, "private");
  const before = await counts(page);
  assert.deepEqual(before, [2, 0, 1, 0, 1]);
  await setOwner(page, "B");
  assert.deepEqual((await w.list(page)).map((job) => job.id).sort(), [ofB.failed, ofB.pending].sort());
  await setOwner(page, null);
  assert.deepEqual(await w.list(page), []);
  // A sign-in frees what was blocked.
  await w.server.faults([{ path: "/api/sink/waiting", action: { status: 503, headers: { "retry-after": "3600" } } }]);
  await setOwner(page, "A");
  await w.becomes(page, ofA.blocked, "delivered");
  assert.deepEqual(await counts(page), [2, 0, 1, 0, 0]);
  assert.equal((await w.get(page, ofA.delivered)).state, "delivered");
});

test("credentials are in no request as stored, and in no byte of the profile", async () => {
  const names = [
    "Authorization",
    "Cookie",
    "Proxy-Authorization",
    "X-CSRF-Token",
    "X-CSRFToken",
    "X-XSRF-Token",
    "CSRF-Token",
    "XSRF-Token",
    "RequestVerificationToken",
  ];
  const secret = () => randomBytes(24).toString("base64url");
  const secrets = Object.fromEntries([...names, "of the hook", "after a 401", "of the cookie"].map((name) => [name, secret()]));
  const canaries = { header: secret(), body: secret() };
  const browser = await w.start();
  const page = await withHook(
    { tokens: { "": secrets["of the hook"] }, fresh: { "": secrets["after a 401"] } },
    quick,
    (more) => browser.open(w.server.origin, more),
  );
  await page.evaluate((value) => {
    // biome-ignore lint/suspicious/noDocumentCookie: WebKitGTK has no cookieStore, and an app's cookie is set like this.
    document.cookie = `session=${value}`;
  }, secrets["of the cookie"]);
  await w.server.faults([
    { path: "/api/sink/refused", action: { status: 401 } },
    { path: "/api/sink/waiting", action: { status: 503, headers: { "retry-after": "3600" } } },
  ]);
  const headers = { ...Object.fromEntries(names.map((name) => [name, secrets[name]])), "X-Kept": canaries.header };
  const ids = {};
  for (const path of ["sent", "refused", "waiting"])
    ids[path] = await w.enqueue(page, { url: `/api/sink/${path}`, headers, body: canaries.body });
  await w.becomes(page, ids.sent, "delivered");
  await w.becomes(page, ids.refused, "blocked");
  await until("an attempt", async () => (await w.get(page, ids.waiting)).attempts > 0);
  assert.equal(
    await page.evaluate(
      (id, headers) => client.edit(id, { url: "/api/sink/waiting", method: "POST", headers }),
      ids.waiting,
      headers,
    ),
    true,
  );
  const stored = await everything(page);
  for (const [name, value] of Object.entries(secrets)) assert.ok(!JSON.stringify(stored).includes(value), `${name} is stored`);
  for (const arrival of await sends("")) {
    assert.equal(arrival.headers["x-kept"], canaries.header);
    assert.equal(arrival.headers.cookie, `session=${secrets["of the cookie"]}`, "the browser's own");
    assert.ok(
      [secrets["of the hook"], secrets["after a 401"]].some((value) => arrival.headers.authorization === `Bearer ${value}`),
      "the hook's own",
    );
    for (const name of names.slice(2)) assert.equal(arrival.headers[name.toLowerCase()], undefined, name);
  }
  await browser.close();
  const bytes = siteData(browser.profile);
  // That the search can find anything at all.
  for (const canary of Object.values(canaries)) assert.ok(traces(bytes, canary).length > 0);
  for (const [name, value] of Object.entries(secrets)) assert.deepEqual(traces(bytes, value), [], name);
});

test("six meet a 401 at once: one refresh, and the stale token is not sent after it", async () => {
  const page = await withHook({ tokens: { "": "stale" }, fresh: { "": "fresh" } });
  await w.server.faults([{ path: "/api/sink/auth", action: { hold: true, status: 401 }, times: 6 }]);
  const ids = await page.evaluate(() =>
    client.enqueueAll(Array.from({ length: 10 }, (_, at) => ({ url: `/api/sink/auth/${at}`, body: `${at}` }))),
  );
  await w.held(6);
  await w.server.release();
  for (const id of ids) await w.becomes(page, id, "delivered");
  assert.equal((await asked(page, true)).length, 1);
  assert.deepEqual(await bearers("auth"), [...Array(6).fill("Bearer stale"), ...Array(10).fill("Bearer fresh")]);
  assert.equal((await w.server.sink()).length, 10);
  for (const id of ids) assert.equal((await w.get(page, id)).attempts, 1, "a refusal that a refresh mended is no attempt");
});

test("what the hook answered before a refresh is not sent after it", async () => {
  const page = await withHook({ tokens: { "": "stale" }, fresh: { "": "fresh" } });
  await w.server.faults([{ path: "/api/sink/auth/first", action: { hold: true, status: 401 }, times: 1 }]);
  const first = await w.enqueue(page, { url: "/api/sink/auth/first", body: "1" });
  await w.held(1);
  // The second asks while the stale token is the token, and is answered after the refresh.
  await tell(page, { auth: { hold: true } });
  const second = await w.enqueue(page, { url: "/api/sink/auth/second", body: "2" });
  await until("the hook's call", async () => (await asked(page)).some((call) => call.id === second));
  await tell(page, { auth: { hold: false } });
  await w.server.release();
  await w.becomes(page, first, "delivered");
  await tell(page, { release: true });
  await w.becomes(page, second, "delivered");
  assert.deepEqual(await bearers("auth"), ["Bearer stale", "Bearer fresh", "Bearer fresh"]);
});

test("rejected all the same: three sends a job at most, then blocked, until a user signs in", async () => {
  const page = await withHook({ tokens: { "": "stale", A: "stale" }, fresh: { "": "no-better", A: "no-better" } });
  await setOwner(page, "A");
  await w.server.faults([{ path: "/api/sink/auth", action: { status: 401 } }]);
  const ids = await page.evaluate(() =>
    client.enqueueAll(Array.from({ length: 8 }, (_, at) => ({ url: `/api/sink/auth/${at}`, body: `${at}` }))),
  );
  for (const id of ids) {
    const job = await w.becomes(page, id, "blocked");
    assert.deepEqual([job.error.kind, job.error.status, job.nextAttemptAt], ["http", 401, undefined]);
  }
  await page.evaluate(() => client.syncNow());
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  const before = await sends("auth");
  for (const id of ids) {
    const own = before.filter((arrival) => arrival.idempotencyKey === id).length;
    assert.ok(own >= 2 && own <= 3, `${own} sends`);
  }
  assert.deepEqual(await counts(page), [0, 0, 0, 0, 8]);
  await w.server.faults([]);
  await tell(page, { auth: { tokens: { A: "good" } } });
  assert.equal((await page.evaluate(() => client.syncNow())).delivered, 0, "only a sign-in frees them");
  await setOwner(page, "A");
  for (const id of ids) await w.becomes(page, id, "delivered");
  assert.deepEqual((await bearers("auth")).slice(before.length), Array(8).fill("Bearer good"));
});

for (const thrown of ["text", "number", "undefined", "null", "object", "error"]) {
  test(`a hook that throws ${thrown === "error" ? "an error" : thrown}: nothing is sent, and nothing is held against the job`, async () => {
    const page = await withHook({ tokens: { "": "good" }, throws: thrown });
    const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" }, { maxAttempts: 1 });
    const job = await until("two calls", async () => {
      const job = await w.get(page, id);
      return job.unreachable >= 2 && job;
    });
    assert.ok(["pending", "syncing"].includes(job.state));
    assert.deepEqual([job.attempts, job.error.kind], [0, "withheld"]);
    assert.deepEqual(
      [await sends("x"), (await page.evaluate(() => client.metrics())).origins],
      [[], []],
      "nor against the server",
    );
    await tell(page, { auth: { throws: null } });
    await w.becomes(page, id, "delivered");
    assert.deepEqual(await bearers("x"), ["Bearer good"]);
  });
}

test("a hook that never settles times out with the queue's timeout: nothing is sent, and the queue goes on", async () => {
  const page = await withHook(
    { tokens: { "": "good" }, hold: true },
    { queues: { default: { ...quick.queues.default, timeout: 1_000, concurrency: 1 } } },
  );
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  const job = await until(
    "a second call",
    async () => {
      const job = await w.get(page, id);
      return job.unreachable >= 1 && job;
    },
    20_000,
  );
  assert.deepEqual([job.attempts, job.error.kind, await sends("x")], [0, "withheld", []]);
  await tell(page, { auth: { hold: false } });
  await page.evaluate(() => client.syncNow());
  await w.becomes(page, id, "delivered");
  assert.deepEqual(await bearers("x"), ["Bearer good"]);
});

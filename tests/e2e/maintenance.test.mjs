// Metrics, repair, compaction, export, the log and edits (M1–M3, Q11).

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { numbered, world } from "./harness/world.mjs";

const w = world();

const wait = (base) => ({ queues: { default: { backoff: { base, max: base, jitter: "equal" } } } });
const metrics = (page) => page.evaluate(() => client.metrics());
const many = (page, count, path, options) => w.enqueueAll(page, numbered(count, `/api/sink/${path}`), options);

test("a queue that was never used has no figures", async () => {
  const page = await w.open();
  const { storage, ...figures } = await metrics(page);
  assert.deepEqual(figures, { queues: [], delivered: 0, syncCount: 0, origins: [], quarantine: [], periodic: [] });
  assert.ok(storage.quota > 0 && storage.usage >= 0 && typeof storage.persisted === "boolean");
});

test("the figures match what was done", async () => {
  const page = await w.open();
  await w.server.faults([
    { path: "/api/sink/failed", action: { status: 422 } },
    { path: "/api/sink/conflict", action: { status: 409 } },
    { path: "/api/sink/blocked", action: { status: 401 } },
    { path: "/api/sink/slow", action: { delayMs: 400 } },
    { path: "/api/sink/waiting", action: { status: 503, headers: { "retry-after": "3600" } } },
  ]);
  const before = Date.now();
  for (const id of await many(page, 11, "good", { queue: "good" })) await w.becomes(page, id, "delivered");
  const [slow] = await many(page, 1, "slow", { queue: "good" });
  const { queuedAt, deliveredAt } = await w.becomes(page, slow, "delivered");
  for (const id of await many(page, 3, "failed")) await w.becomes(page, id, "failed");
  for (const id of await many(page, 1, "conflict")) await w.becomes(page, id, "conflict");
  for (const id of await many(page, 1, "blocked")) await w.becomes(page, id, "blocked");
  const [waiting] = await many(page, 1, "waiting");
  await until("an attempt", async () => (await w.get(page, waiting)).attempts === 1);
  await w.resting(page);
  const after = Date.now();

  const figures = await metrics(page);
  assert.deepEqual(figures.queues, [
    { queue: "default", counts: { pending: 1, syncing: 0, failed: 3, conflict: 1, blocked: 1 } },
  ]);
  assert.equal(figures.delivered, 12);
  assert.equal(figures.successRate, 12 / 16);
  const history = await page.evaluate(() => rows("history"));
  const times = history.map((row) => row.deliveredAt - row.queuedAt).sort((a, b) => a - b);
  assert.equal(figures.meanTime, Math.floor(times.reduce((sum, time) => sum + time) / 12));
  assert.equal(figures.p95Time, times[11], "of twelve the twelfth");
  assert.ok(deliveredAt - queuedAt >= 400 && figures.p95Time >= 400 && figures.p95Time <= after - before);
  const { lastSyncAt, nextSyncAt, syncCount } = await w.snapshot(page);
  assert.deepEqual([figures.lastSyncAt, figures.nextSyncAt, figures.syncCount], [lastSyncAt, nextSyncAt, syncCount]);
  assert.ok(figures.lastSyncAt >= before && figures.lastSyncAt <= after);
  assert.equal(figures.nextSyncAt, (await w.get(page, waiting)).nextAttemptAt);
  assert.deepEqual(
    [figures.origins.length, figures.origins[0].origin, figures.origins[0].closures, figures.quarantine],
    [1, w.server.origin, 0, []],
  );
});

test("while the server is down, the origin is in trouble and says when it is tried; then it is forgotten", async () => {
  const page = await w.open({ config: wait(600) });
  await w.server.down(true);
  const before = Date.now();
  const ids = await many(page, 8, "x");
  const [origin] = await until("a closed origin", async () => {
    const { origins } = await metrics(page);
    return origins[0]?.closures > 0 && origins;
  });
  assert.equal(origin.origin, w.server.origin);
  assert.ok(origin.opensAt > before && origin.opensAt < Date.now() + 10_000, `${origin.opensAt}`);
  await w.server.down(false);
  for (const id of ids) await w.becomes(page, id, "delivered");
  await until("a well origin", async () => (await metrics(page)).origins.length === 0);
});

test("repair quarantines garbage, recounts, reports both, and the rest is delivered", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const ids = await many(page, 6, "x", { key: "line" });
  const broken = await page.evaluate(async () => {
    const jobs = await rows("jobs");
    await put("jobs", { ...jobs[0], attempts: "many" });
    await put("jobs", { id: jobs[1].id });
    await put("jobs", { id: "not-an-id", xState: ["", "default", "pending", 3] });
    // The counters are wrong besides.
    const [ledger] = await rows("meta");
    ledger.queues[0].counts.pending = 77;
    await put("meta", ledger, "ledger");
    return [jobs[0].id, jobs[1].id];
  });
  const report = await page.evaluate(() => client.repair());
  assert.deepEqual([report.jobs, report.quarantined, report.recounted], [4, 3, true]);
  assert.deepEqual(
    report.quarantine.map(({ store, id }) => [store, id]).sort(),
    [...broken, "not-an-id"].map((id) => ["jobs", id]).sort(),
  );
  for (const { reason, at } of report.quarantine) assert.ok(reason.length > 5 && Math.abs(at - Date.now()) < 60_000);
  assert.deepEqual((await metrics(page)).quarantine, report.quarantine);
  assert.equal((await w.snapshot(page)).pending, 4);
  const again = await page.evaluate(() => client.repair());
  assert.deepEqual([again.jobs, again.quarantined, again.recounted], [4, 0, false]);
  await page.evaluate(() => client.resume());
  await w.settled(page);
  const left = ids.filter((id) => !broken.includes(id));
  assert.deepEqual(
    (await w.server.sink()).map((entry) => entry.idempotencyKey),
    left,
    "in the order of the key",
  );
});

test("repair frees a job that a broken row left without a place, and one whose lease has no holder", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const [lost, held] = await many(page, 2, "x");
  await page.evaluate(
    async (lost, held) => {
      for (const row of await rows("jobs")) {
        const { xReady, xDue, ...rest } = row;
        if (row.id === lost) await put("jobs", { ...rest, place: "out" });
        const state = row.xState.with(2, "syncing");
        if (row.id === held)
          await put("jobs", {
            ...rest,
            state: "syncing",
            place: "out",
            xState: state,
            lease: { holder: "nobody", until: Date.now() + 3_600_000 },
            lastTriedAt: Date.now(),
          });
      }
    },
    lost,
    held,
  );
  const report = await page.evaluate(() => client.repair());
  assert.deepEqual([report.jobs, report.quarantined, report.recounted], [2, 0, true]);
  await page.evaluate(() => client.resume());
  for (const id of [lost, held]) await w.becomes(page, id, "delivered");
  assert.equal((await w.server.sink()).length, 2);
});

test("compact forgets failed jobs that are old enough, and the history beyond its bounds; nothing else", async () => {
  const page = await w.open({ config: { history: { max: 3 } } });
  await w.server.faults([
    { path: "/api/sink/failed", action: { status: 422 } },
    { path: "/api/sink/conflict", action: { status: 409 } },
  ]);
  const old = await many(page, 2, "failed/old");
  for (const id of old) await w.becomes(page, id, "failed");
  const [conflict] = await many(page, 1, "conflict");
  await w.becomes(page, conflict, "conflict");
  for (const id of await many(page, 5, "good")) await w.becomes(page, id, "delivered");
  await w.resting(page);
  assert.deepEqual(await page.evaluate(() => client.compact({ failed: 3_600_000 })), { history: 2, failed: 0 });
  const { lastTriedAt } = await w.get(page, old[1]);
  await until("some age", () => Date.now() > lastTriedAt + 300);
  const [young] = await many(page, 1, "failed/young", { notBefore: undefined });
  await w.becomes(page, young, "failed");
  const age = Date.now() - (await w.get(page, young)).lastTriedAt;
  const bound = Date.now() - lastTriedAt - 1;
  assert.ok(age < bound);
  assert.deepEqual(await page.evaluate((failed) => client.compact({ failed }), bound), { history: 0, failed: 2 });
  assert.deepEqual((await w.list(page)).map((job) => job.id).sort(), [conflict, young].sort());
  assert.equal((await page.evaluate(() => keys("bodies"))).length, 2);
  assert.deepEqual(await page.evaluate(() => client.compact()), { history: 0, failed: 0 });
});

test("exportFailed is JSON of failed, conflicting and blocked jobs, with headers and bodies as text or base64", async () => {
  const page = await w.open();
  await w.server.faults(
    [
      [422, "text"],
      [409, "bytes"],
      [401, "none"],
      [422, "large"],
      [422, "form"],
    ].map(([status, name]) => ({ path: `/api/sink/${name}`, action: { status } })),
  );
  const ids = await page.evaluate(async () => {
    const form = new FormData();
    form.append("field", "valué");
    form.append("file", new File([new Uint8Array([0xff, 0xfe])], "two.bin"));
    const add = (name, body, more) =>
      client.enqueue({ url: `/api/sink/${name}`, method: "POST", headers: { "X-Kept": "käpt" }, body }, more);
    return {
      text: await add("text", "tëxt \u{1f426}", { metadata: { draft: 7 }, key: "k" }),
      bytes: await add("bytes", new Uint8Array([0, 255, 128, 10])),
      none: await add("none"),
      large: await add("large", new Blob(["ä".repeat(100_000)])),
      form: await add("form", form),
    };
  });
  for (const [name, state] of [
    ["text", "failed"],
    ["bytes", "conflict"],
    ["none", "blocked"],
    ["large", "failed"],
    ["form", "failed"],
  ])
    await w.becomes(page, ids[name], state);
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/good", body: "x" }), "delivered");
  const text = await page.evaluate(() => client.exportFailed());
  const jobs = Object.fromEntries(JSON.parse(text).map((job) => [job.id, job]));
  assert.deepEqual(Object.keys(jobs).sort(), Object.values(ids).sort());
  const of = (name) => jobs[ids[name]];
  assert.deepEqual(
    [of("text").body, of("text").bodyEncoding, of("text").error.status, of("text").key],
    ["tëxt \u{1f426}", undefined, 422, "k"],
  );
  assert.deepEqual(
    [of("bytes").body, of("bytes").bodyEncoding, of("bytes").state],
    [Buffer.from([0, 255, 128, 10]).toString("base64"), "base64", "conflict"],
  );
  assert.deepEqual([of("none").body ?? null, of("none").state], [null, "blocked"]);
  assert.equal(of("large").body, "ä".repeat(100_000));
  assert.equal(of("form").bodyEncoding, "base64");
  assert.ok(Buffer.from(of("form").body, "base64").includes(Buffer.from([0xff, 0xfe])));
  assert.deepEqual(of("text").metadata, { draft: 7 }, "the app's own data, as get() and list() show it");
  assert.equal(Object.fromEntries(of("text").headers)["x-kept"], "käpt");
  const conflicts = JSON.parse(await page.evaluate(() => client.exportFailed({ state: "conflict" })));
  assert.deepEqual(
    conflicts.map((job) => job.id),
    [ids.bytes],
  );
  assert.equal(
    JSON.parse(await page.evaluate(() => client.exportFailed({ limit: 1 }))).filter((job) => job.state === "failed").length,
    1,
  );
  assert.deepEqual(JSON.parse(await page.evaluate(() => client.exportFailed({ queue: "other" }))), []);
});

/** A day's work that is full of personal data; returns what was logged. */
async function logged(logLevel) {
  const config = { logLevel, queues: { default: { backoff: { base: 5, max: 10 } } } };
  const page = await w.open({ options: { worker: `/sw.js?config=${encodeURIComponent(JSON.stringify(config))}&log&auth` } });
  await page.evaluate(() => tell({ auth: { tokens: { "jane@private.example": "private-token" } } }));
  await page.evaluate(() => client.setOwner("jane@private.example"));
  await w.server.faults([
    { path: "/api/sink/private/failed", action: { status: 422, body: "private reply about jane@private.example" } },
    { path: "/api/sink/private/retried", action: { status: 503, body: "private reply" }, times: 1 },
  ]);
  const ids = {};
  for (const name of ["good", "retried", "failed"]) {
    ids[name] = await w.enqueue(
      page,
      {
        url: `/api/sink/private/${name}?email=jane@private.example`,
        body: "private body",
        headers: { Authorization: "private-header", "X-Name": "private-name" },
      },
      { metadata: { of: "private metadata" }, key: `private-key-${name}` },
    );
    await w.becomes(page, ids[name], name === "failed" ? "failed" : "delivered");
  }
  await page.evaluate(
    async (id) => put("jobs", { ...(await rows("jobs")).find((row) => row.id === id), state: "private state" }),
    ids.failed,
  );
  await page.evaluate(() => client.repair());
  await w.resting(page);
  await until("the log's end", () => page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100, true))));
  const lines = (await page.evaluate(() => heard.log)).filter((line) => line.text.includes("[shearwater]"));
  await page.close();
  return { ids, lines };
}

test("the log: by level, with job ids, and nothing personal at any", async () => {
  const levels = {};
  for (const level of ["off", "error", "info", "debug"]) {
    levels[level] = await logged(level);
    for (const line of levels[level].lines) assert.ok(!/private|jane/i.test(line.text), `${level}: ${line.text}`);
    await w.serve();
  }
  const errors = ({ lines }) => lines.filter((line) => line.level === "error").map((line) => line.text);
  assert.deepEqual(levels.off.lines, []);
  assert.equal(errors(levels.error).length, 1, `the row that was put aside: ${JSON.stringify(levels.error.lines)}`);
  assert.equal(levels.error.lines.length, 1);
  assert.ok(levels.info.lines.length > levels.error.lines.length);
  assert.ok(levels.debug.lines.length > levels.info.lines.length);
  for (const id of Object.values(levels.debug.ids))
    assert.ok(
      levels.debug.lines.some((line) => line.text.includes(id)),
      `${id} is not in the log`,
    );
});

test("edit changes what it names and keeps the rest; a new body brings its content type, a new key goes with it", async () => {
  const page = await w.open();
  await w.server.faults([{ path: "/api/sink", action: { status: 422 }, times: 4 }]);
  const failed = async (path) => {
    const id = await w.enqueue(page, {
      url: `/api/sink/${path}`,
      method: "PUT",
      headers: { "x-thing": "kept" },
      body: "text",
      credentials: "include",
    });
    await w.becomes(page, id, "failed");
    return id;
  };
  const jobs = {
    headers: await failed("headers"),
    url: await failed("url"),
    body: await failed("body"),
    none: await failed("none"),
  };
  const edit = (id, change) => page.evaluate((id, change) => client.edit(id, change), id, change);
  assert.equal(await edit(jobs.headers, { headers: { "x-thing": "new" } }), true);
  assert.equal(await edit(jobs.url, { url: "/api/sink/elsewhere" }), true);
  assert.equal(await edit(jobs.body, { body: { a: 1 } }), true);
  assert.equal(await edit(jobs.none, { method: "DELETE", body: null }), true);
  for (const id of Object.values(jobs)) await w.becomes(page, id, "delivered");
  const accepted = (await w.server.arrivals("/api/sink")).filter(({ status }) => status === 200);
  const of = (path) => {
    const { method, headers, bodyPreview } = accepted.find((arrival) => arrival.path === `/api/sink/${path}`);
    return [method, headers["x-thing"], headers["content-type"] ?? null, bodyPreview ?? ""];
  };
  assert.deepEqual(of("headers"), ["PUT", "new", "text/plain;charset=UTF-8", "text"]);
  assert.deepEqual(of("elsewhere"), ["PUT", "kept", "text/plain;charset=UTF-8", "text"]);
  assert.deepEqual(of("body"), ["PUT", "kept", "application/json", '{"a":1}']);
  assert.deepEqual(of("none"), ["DELETE", "kept", null, ""]);
  const keys = new Set(accepted.map(({ idempotencyKey }) => idempotencyKey));
  assert.equal(keys.size, 4);
  for (const id of Object.values(jobs)) assert.ok(!keys.has(id), "a new payload, a new key");
  assert.equal((await w.refused(page, "edit", jobs.url, { bogus: 1 })).code, "invalid-request");
});

// Bugs reported for other queues that no other file covers; docs/reported-cases.md lists all of them.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

const quick = { queues: { default: { backoff: { base: 5, max: 20 } } } };

// workbox#1984
test("a request whose body was used before is refused, and its copy arrives byte for byte", async () => {
  const page = await w.open();
  const { refused, id } = await page.evaluate(async () => {
    const request = new Request("/api/sink/used", { method: "POST", body: new Uint8Array([0, 255, 13, 10, 0]) });
    const copy = request.clone();
    await request.arrayBuffer();
    const refused = await client.enqueue(request).then(
      () => "taken",
      ({ code, message }) => ({ code, message }),
    );
    return { refused, id: await client.enqueue(copy) };
  });
  assert.equal(refused.code, "invalid-request", JSON.stringify(refused));
  await w.becomes(page, id, "delivered");
  const [{ bodySize, bodySha256 }] = await w.server.arrivals("/api/sink/used");
  const expected = await page.evaluate(async () =>
    Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array([0, 255, 13, 10, 0]))), (byte) =>
      byte.toString(16).padStart(2, "0"),
    ).join(""),
  );
  assert.deepEqual([bodySize, bodySha256, (await w.list(page)).length], [5, expected, 0]);
});

// workbox#2599
test("500 and a timeout on every replay but the last: the job is kept, and delivered once", async () => {
  const page = await w.open({ config: { queues: { default: { timeout: 500, backoff: { base: 5, max: 20 } } } } });
  await w.server.faults([
    { path: "/api/sink", times: 2, action: { status: 500 } },
    { path: "/api/sink", times: 1, action: { hold: true, drop: "before" } },
    { path: "/api/sink", times: 1, action: { status: 500 } },
  ]);
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  const job = await w.becomes(page, id, "delivered");
  assert.deepEqual(
    [
      job.attempts,
      (await w.server.sink()).length,
      new Set((await w.server.arrivals("/api/sink")).map((arrival) => arrival.idempotencyKey)).size,
    ],
    [5, 1, 1],
  );
});

// workbox#210
test("requests from three tabs at the same instant are all stored", async () => {
  const pages = [await w.open(), await w.open(), await w.open()];
  await pages[0].evaluate(() => client.pause());
  const at = await pages[0].evaluate(() => Date.now() + 500);
  const ids = await Promise.all(
    pages.map((page, n) =>
      page.evaluate(
        async (at, n) => {
          while (Date.now() < at);
          return Promise.all(
            Array.from({ length: 50 }, (_, one) => client.enqueue({ url: `/api/sink/${n}/${one}`, body: `${one}` })),
          );
        },
        at,
        n,
      ),
    ),
  );
  assert.equal(new Set(ids.flat()).size, 150);
  await until("150 in every tab", async () =>
    (await Promise.all(pages.map(w.snapshot))).every(({ pending }) => pending === 150),
  );
  await pages[1].evaluate(() => client.resume());
  await w.settled(pages[2]);
  assert.deepEqual((await w.server.sink()).map((entry) => entry.idempotencyKey).sort(), ids.flat().sort());
});

// redux-offline#266
test("what waits for a sign-in survives the browser's end: blocked still, not sent, and delivered after setOwner", async () => {
  const first = await w.start();
  const page = await first.open(w.server.origin, { config: quick });
  await page.evaluate(() => client.setOwner("A"));
  await w.server.faults([{ path: "/api/sink", action: { status: 401 } }]);
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" }, { key: "k" });
  const behind = await w.enqueue(page, { url: "/api/sink/behind", body: "x" }, { key: "k" });
  await w.becomes(page, id, "blocked");
  await first.kill();
  await w.server.faults([]);
  const before = (await w.server.arrivals("/api/sink")).length;

  const second = await w.start({ profile: first.profile });
  const again = await second.open(w.server.origin, { config: quick });
  await again.evaluate(() => client.syncNow());
  assert.deepEqual(
    [(await w.get(again, id)).state, (await w.get(again, behind)).state, (await w.snapshot(again)).blocked],
    ["blocked", "pending", 1],
  );
  assert.equal((await w.server.arrivals("/api/sink")).length, before);
  await again.evaluate(() => client.setOwner("A"));
  for (const one of [id, behind]) await w.becomes(again, one, "delivered");
  assert.equal((await w.server.sink()).length, 2);
});

// query#6238
test("a page that is reloaded while its job is on the way: one effect, one key, and the new page hears of it", async () => {
  const page = await w.open({ config: quick });
  await w.server.faults([{ path: "/api/sink", action: { hold: true }, times: 1 }]);
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  await w.held(1);
  await page.reload();
  await page.waitForFunction("window.ready");
  await page.evaluate(
    async (worker) => {
      window.client = await connect({ worker });
    },
    `/sw.js?config=${encodeURIComponent(JSON.stringify(quick))}`,
  );
  assert.equal((await w.get(page, id)).state, "syncing");
  await w.server.release();
  await w.becomes(page, id, "delivered");
  assert.deepEqual(
    (await w.server.sink()).map((entry) => entry.idempotencyKey),
    [id],
  );
});

// query#4896
test("focus, visibility and the network's return in one instant, in two tabs: each job goes once", async () => {
  const pages = [await w.open({ config: quick }), await w.open({ config: quick })];
  await w.server.down(true);
  const ids = await pages[0].evaluate(() =>
    client.enqueueAll(Array.from({ length: 30 }, (_, at) => ({ url: `/api/sink/${at}`, body: `${at}` }))),
  );
  await until("a try in vain", async () => (await w.list(pages[0])).some((job) => job.unreachable > 0));
  await w.server.down(false);
  await Promise.all(
    pages.map((page) =>
      page.evaluate(() => {
        for (const [target, event] of [
          [window, "focus"],
          [document, "visibilitychange"],
          [window, "online"],
        ])
          target.dispatchEvent(new Event(event));
      }),
    ),
  );
  for (const id of ids) await w.becomes(pages[1], id, "delivered");
  assert.equal((await w.server.arrivals("/api/sink")).length, 30);
});

// posthog-js#4140
test("a body beyond what the browser allows with keepalive is stored and sent all the same", async () => {
  const page = await w.open();
  const id = await page.evaluate(() =>
    client.enqueue(new Request("/api/sink/x", { method: "POST", body: "x".repeat(200_000), keepalive: true })),
  );
  await w.becomes(page, id, "delivered");
  assert.equal((await w.server.sink())[0].bodySize, 200_000);
});

// snowplow-javascript-tracker#1356
test("413 is final: one send, a listed job that says so, and the others go on", async () => {
  const page = await w.open({ config: quick });
  await w.server.faults([{ path: "/api/sink/large", action: { status: 413, body: "at most 1 MB" } }]);
  const ids = await page.evaluate(() =>
    client.enqueueAll(["large", "small"].map((name) => ({ url: `/api/sink/${name}`, body: name }))),
  );
  const job = await w.becomes(page, ids[0], "failed");
  await w.becomes(page, ids[1], "delivered");
  assert.deepEqual([job.attempts, job.error.status, (await w.server.arrivals("/api/sink/large")).length], [1, 413, 1]);
  assert.match(job.error.message, /at most 1 MB/);
});

// react#35550
test("a snapshot that changed before a subscription is a new object, and stays the same until the next change", async () => {
  const [page, other] = [await w.open(), await w.open()];
  await page.evaluate(() => client.pause());
  await until("the pause in the other tab", () => other.evaluate(() => client.getSnapshot().state === "paused"));
  // As `useSyncExternalStore` does: render, subscribe, compare, render.
  await other.evaluate(() => {
    window.rendered = client.getSnapshot();
  });
  await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  await until("the news", () => other.evaluate(() => client.getSnapshot() !== rendered));
  const seen = await other.evaluate(() => {
    window.calls = 0;
    client.subscribe(() => (calls += 1));
    const after = client.getSnapshot();
    return {
      changed: after !== rendered,
      stable: after === client.getSnapshot(),
      pending: after.pending,
      frozen: Object.isFrozen(after),
    };
  });
  assert.deepEqual([seen.changed, seen.stable, seen.pending], [true, true, 1]);
  await w.enqueue(page, { url: "/api/sink/y", body: "y" });
  await until("a call for the next change", () => other.evaluate(() => calls > 0 && client.getSnapshot().pending === 2));
});

// What is read of a response is bounded in bytes and time (issue 8, E and 1): the headers settle a job, only an excerpt
// of an error's body is read, and no response holds a connection.

import assert from "node:assert/strict";
import test from "node:test";
import { brotliCompressSync, constants } from "node:zlib";

import { growth, peaks } from "./harness/memory.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

const MIB = 1024 * 1024;
/** Far above what buffers on the way take, far below the bodies here. */
const LITTLE = 40 * MIB;
const GROWTH = 150;
/** Generous for a busy machine; a request is given up after a minute. */
const SOON = 30_000;

const one = (page, path, options) => w.enqueue(page, { url: `/api/sink/${path}`, body: "x" }, options);
const becomes = (page, id, state) =>
  until(
    `job ${id} to be ${state}`,
    async () => {
      const job = await w.get(page, id);
      return job?.state === state && job;
    },
    SOON,
  );
/** Waits until no body is on its way; returns what was sent of all of them. */
const bodies = () =>
  until(
    "the end of all bodies",
    async () => {
      const { openBodies, bodyBytes, cancelledBodies } = await w.server.stats();
      return openBodies === 0 && { bodyBytes, cancelledBodies };
    },
    SOON,
  );
/** Short replies to the page's own requests: whether the browser has a connection left for them. */
const fetches = (page) =>
  page.evaluate(() =>
    fetch("/api/sink/of-the-page", { signal: AbortSignal.timeout(20_000) }).then(({ status }) => status, String),
  );

for (const [status, state, type] of [
  [500, "failed", "text/plain"],
  [500, "failed", "application/octet-stream"],
  [422, "failed", "application/json"],
  [200, "delivered", "text/plain"],
  [409, "conflict", "text/plain"],
]) {
  test(`an endless ${status} of ${type} is cut off after its beginning`, async () => {
    const page = await w.open();
    await w.becomes(page, await one(page, "warm"), "delivered");
    const before = peaks(w.browser);
    await w.server.faults([
      {
        path: "/api/sink/endless",
        action: { status, headers: { "content-type": type }, body: "the beginning", flood: 400 * MIB },
      },
    ]);
    const job = await becomes(page, await one(page, "endless", { maxAttempts: 1 }), state);
    const { bodyBytes, cancelledBodies } = await bodies();
    assert.ok(bodyBytes < LITTLE, `${bodyBytes} bytes were sent`);
    assert.equal(cancelledBodies, 1);
    const grown = growth(w.browser, before);
    assert.ok(grown < GROWTH, `${grown} MiB`);
    if (state !== "delivered" && type !== "application/octet-stream") assert.match(job.error.message, /the beginning/);
    if (job.error) assert.ok(job.error.message.length < 1_000, "an excerpt");
  });
}

test("a refusal of 150 MB, with its length told, is not downloaded for its first words", async () => {
  const page = await w.open();
  await w.server.faults([
    {
      path: "/api/sink/large",
      action: { status: 422, headers: { "content-length": String(150_000_013) }, body: "the beginning", flood: 150_000_000 },
    },
  ]);
  const job = await becomes(page, await one(page, "large"), "failed");
  assert.match(job.error.message, /the beginning/);
  const { bodyBytes } = await bodies();
  assert.ok(bodyBytes < LITTLE, `${bodyBytes} bytes were sent`);
});

test("two replies that unpack to 300 MB each take no memory to speak of", async () => {
  const bomb = brotliCompressSync(Buffer.alloc(300 * MIB, "boom "), {
    params: { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_LGWIN]: 24 },
  });
  assert.ok(bomb.length < 10_000, `${bomb.length} bytes`);
  const page = await w.open();
  await w.becomes(page, await one(page, "warm"), "delivered");
  const before = peaks(w.browser);
  const bombs = [
    [422, "text/plain"],
    [500, "application/problem+json"],
  ].map(([status, type]) => ({
    path: `/api/sink/${status}`,
    action: { status, headers: { "content-encoding": "br", "content-type": type }, bodyBase64: bomb.toString("base64") },
  }));
  await w.server.faults(bombs);
  const ids = [await one(page, "422"), await one(page, "500", { maxAttempts: 1 })];
  const jobs = await Promise.all(ids.map((id) => becomes(page, id, "failed")));
  const grown = growth(w.browser, before);
  assert.ok(grown < GROWTH, `${grown} MiB`);
  for (const job of jobs) assert.match(job.error.message, /boom/);
});

test("twenty replies whose head came and whose short body never does: each job is delivered once, and connections are left", async () => {
  const page = await w.open();
  const stall = { status: 200, headers: { "content-length": "20" }, body: "hello", stall: true, handle: true };
  await w.server.faults([{ path: "/api/sink/stalled", action: stall }]);
  const ids = await page.evaluate(() =>
    client.enqueueAll(Array.from({ length: 20 }, (_, at) => ({ url: `/api/sink/stalled/${at}`, body: `${at}` }))),
  );
  for (const id of ids) {
    const job = await becomes(page, id, "delivered");
    assert.deepEqual([job.attempts, job.status], [1, 200]);
  }
  assert.equal(await fetches(page), 200);
  assert.equal((await w.server.arrivals("/api/sink/stalled")).length, 20);
  assert.equal((await w.server.sink("/api/sink/stalled")).length, 20);
  await until("no connection to be held", async () => (await w.server.stats()).openBodies === 0, SOON);
});

for (const [what, headers] of [
  ["with a length", { "content-length": "20" }],
  ["chunked", {}],
]) {
  test(`an error whose text stalls, ${what}: the job is settled soon, with what came of the text`, async () => {
    const page = await w.open();
    await w.server.faults([
      { path: "/api/sink/refused", action: { status: 422, headers, body: "because", stall: true } },
      { path: "/api/sink/failed", action: { status: 503, headers: { ...headers, "retry-after": "3600" }, stall: true } },
    ]);
    const ids = await page.evaluate(() =>
      client.enqueueAll(Array.from({ length: 12 }, (_, at) => ({ url: `/api/sink/refused/${at}`, body: `${at}` }))),
    );
    for (const id of ids) {
      const job = await becomes(page, id, "failed");
      assert.deepEqual([job.attempts, job.error.kind, job.error.status], [1, "http", 422]);
      assert.match(job.error.message, /because/);
    }
    const waiting = await one(page, "failed");
    const job = await until(
      "the first attempt",
      async () => {
        const job = await w.get(page, waiting);
        return job.attempts === 1 && job;
      },
      SOON,
    );
    assert.deepEqual([job.error.kind, job.error.status], ["http", 503]);
    assert.ok(job.nextAttemptAt - job.lastTriedAt >= 3_600_000, "Retry-After is in the head");
    assert.equal(await fetches(page), 200);
    await until("no connection to be held", async () => (await w.server.stats()).openBodies === 0, SOON);
  });
}

test("a short reason is shown whole", async () => {
  const page = await w.open();
  await w.server.faults([{ path: "/api/sink/refused", action: { status: 422, body: "a reason of a few words" } }]);
  const job = await becomes(page, await one(page, "refused"), "failed");
  assert.match(job.error.message, /a reason of a few words/);
});

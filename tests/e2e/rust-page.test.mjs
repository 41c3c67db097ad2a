// A Rust page: the typed client of crates/page, in a real browser (C7). tests/rust-page is the page.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { root } from "./harness/server.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ site: "tests/rust-page/site", args: ["--static-mount", `/rust=${join(root, "target/xtask/rust-page")}`] });
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** A page whose Rust client is connected, as `window.rust`. */
async function open(worker = "/sw.js") {
  const page = await w.browser.newPage();
  await page.goto(w.server.origin);
  await page.waitForFunction("window.ready");
  await page.evaluate(async (worker) => (window.rust = await window.openClient(worker, 30_000)), worker);
  return page;
}

const call = (page, method, ...args) => page.evaluate((method, args) => window.rust[method](...args), method, args);
const json = async (...of) => JSON.parse(await call(...of));
const seen = (page) => json(page, "seen");

test("what a Rust page enqueues arrives, and its streams follow it", async () => {
  const page = await open();
  await call(page, "pause");
  const first = await call(page, "save", "note-7", "Tern, two eggs");
  const second = await call(page, "save", "note-7", "Tern, three eggs");
  assert.equal(await call(page, "pending"), 2, "it reads its own writes");
  const jobs = await json(page, "jobs", "notes");
  assert.deepEqual(
    jobs.map(({ id, state }) => [id, state]),
    [
      [first, "Pending"],
      [second, "Pending"],
    ],
  );
  assert.deepEqual(await json(page, "jobs", "other"), []);
  assert.equal((await w.server.arrivals()).length, 0);
  const arrived = call(page, "arrived", second);
  await call(page, "resume");
  assert.equal(await arrived, true);
  const arrivals = await w.server.arrivals("/api/sink/notes");
  assert.deepEqual(
    arrivals.map(({ method, contentType, bodyPreview }) => [method, contentType, JSON.parse(bodyPreview)]),
    ["Tern, two eggs", "Tern, three eggs"].map((text) => ["POST", "application/json", { id: "note-7", text }]),
    "in their order",
  );
  assert.deepEqual(
    arrivals.map(({ idempotencyKey }) => idempotencyKey),
    [first, second],
  );
  assert.equal((await json(page, "job", first)).state, "Delivered");
  assert.equal(await json(page, "job", crypto.randomUUID()), null);
  await until("the streams to have ended in rest", async () => {
    const { snapshots, events } = await seen(page);
    return snapshots.at(-1) === "Idle 0" && events.includes("complete notes 2");
  });
  const { snapshots, events, ended } = await seen(page);
  assert.ok(snapshots.length >= 3 && snapshots.includes("Paused 2"), snapshots.join());
  assert.equal(events.filter((event) => event === "Delivered").length, 2, events.join());
  assert.ok(events.includes("start notes"), events.join());
  assert.equal(ended, 0);
});

test("a stream that is subscribed to late begins with what is", async () => {
  const page = await open();
  const id = await call(page, "save", "late", "x");
  await until("delivery", async () => (await json(page, "job", id)).state === "Delivered");
  assert.equal(await call(page, "arrived", id), true);
  assert.equal(await call(page, "arrived", crypto.randomUUID()), false);
});

test("every kind of body arrives byte for byte, all in one transaction", async () => {
  const page = await open();
  await call(page, "pause");
  const ids = await page.evaluate(() => window.rust.save_kinds(new Blob(["a blob"], { type: "text/x-blob" })));
  assert.equal(new Set(ids).size, 6);
  assert.equal(JSON.parse((await json(page, "jobs", "kinds")).at(-1).metadata).of, "json");
  await call(page, "resume");
  assert.equal(await call(page, "sync_now"), 6);
  const arrivals = await w.server.arrivals("/api/sink/");
  const expected = {
    none: ["GET", null, ""],
    text: ["PUT", "text/plain;charset=UTF-8", "grüße"],
    bytes: ["PUT", null, Buffer.from([0, 1, 255])],
    large: ["PUT", null, Buffer.alloc(70_000, 7)],
    blob: ["PUT", "text/x-blob", "a blob"],
    json: ["PUT", "application/json", '{"a":[1,null]}'],
  };
  assert.deepEqual(
    Object.fromEntries(
      arrivals.map(({ path, method, contentType, bodySha256 }) => [
        path.split("/").at(-1),
        [method, contentType ?? null, bodySha256],
      ]),
    ),
    Object.fromEntries(
      Object.entries(expected).map(([kind, [method, type, body]]) => [kind, [method, type, sha256(Buffer.from(body))]]),
    ),
  );
  assert.deepEqual(
    arrivals
      .filter(({ method }) => method === "PUT")
      .map(({ path, headers }) => `${headers["x-kind"]} ${path}`)
      .sort(),
    ["blob", "bytes", "json", "large", "text"].map((kind) => `${kind} /api/sink/${kind}`),
  );
});

test("errors have their code, and a page without a worker is told so", async () => {
  const page = await open();
  assert.equal(await call(page, "refused", "http://[", "x-a"), "invalid-request");
  assert.equal(await call(page, "refused", "ftp://example.org/x", "x-a"), "invalid-request");
  assert.equal(await call(page, "refused", "/api/sink/x", "host"), "invalid-request");
  assert.deepEqual(await json(page, "jobs", undefined), []);
  const opening = (worker, timeout = 30_000) =>
    page.evaluate(
      (worker, timeout) =>
        window.openClient(worker, timeout).then(
          () => null,
          (code) => code,
        ),
      worker,
      timeout,
    );
  assert.equal(await opening("/nothing.js"), "worker-unavailable");
  await call(page, "close");
  const closed = await page.evaluate(() => window.rust.save("a", "b").catch((code) => code));
  assert.equal(closed, "worker-unavailable");
  assert.equal((await seen(page)).ended, 2, "its streams end");
});

test("jobs are edited, retried, discarded, exported and cleared", async () => {
  const page = await open();
  await w.server.faults([{ path: "/api/sink/notes", action: { status: 400 } }]);
  const [failed, other] = [await call(page, "save", "a", "1"), await call(page, "save", "b", "2")];
  await until("both to have failed", async () =>
    (await json(page, "jobs", undefined)).every(({ state }) => state === "Failed"),
  );
  assert.equal(await call(page, "arrived", failed), false);
  assert.equal((await json(page, "job", failed)).error, 400);
  const { exported, jobs, storage, cleared } = await json(page, "maintain");
  const size = JSON.stringify({ id: "a", text: "1" }).length;
  assert.deepEqual(
    exported.map(({ job, headers, size }) => [job.id, headers, size]),
    [failed, other].map((id) => [id, [["content-type", "application/json"]], size]),
  );
  assert.deepEqual([jobs, storage, cleared], [2, true, 2]);
  assert.deepEqual(await json(page, "jobs", undefined), [], "cleared");
  const [again, gone] = [await call(page, "save", "c", "3"), await call(page, "save", "d", "4")];
  await until("both to have failed", async () =>
    (await json(page, "jobs", undefined)).every(({ state }) => state === "Failed"),
  );
  await w.server.faults([]);
  await call(page, "pause");
  assert.deepEqual(await json(page, "manage", again, gone), [true, true, true, false]);
  await call(page, "resume");
  assert.equal(await call(page, "arrived", again), true);
  const last = (await w.server.arrivals("/api/sink/notes")).at(-1);
  assert.deepEqual(
    [last.method, last.bodyPreview, last.contentType, last.headers["x-edited"]],
    ["PATCH", "edited", "text/plain;charset=UTF-8", "yes"],
  );
});

test("a consumer that panics, or takes nothing, or drops its call, harms nothing", async () => {
  const page = await open();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await call(page, "misuse");
  await call(page, "abandon", "note-1");
  const ids = [];
  for (let at = 0; at < 3; at += 1) ids.push(await call(page, "save", "note-1", `${at}`));
  for (const id of ids) assert.equal(await call(page, "arrived", id), true);
  await until("the panic", () => errors.length > 0);
  await call(page, "save", "note-1", "after the panic");
  await until("the status to be seen at rest", async () => (await seen(page)).snapshots.at(-1) === "Idle 0");
  const texts = (await w.server.arrivals("/api/sink/notes")).map(({ bodyPreview }) => JSON.parse(bodyPreview).text);
  assert.deepEqual(texts, ["0", "1", "2", "after the panic"]);
  await call(page, "flood", 1_050);
  await until(
    "all to be delivered",
    async () => (await seen(page)).events.filter((event) => event === "Delivered").length >= 1_050,
  );
  assert.equal(await call(page, "waiting"), 1_024, "it has lost the oldest");
});

test("a call that is dropped while it waits for its turn lets nobody overtake, and holds up nobody", async () => {
  const page = await open();
  const order = await page.evaluate(async () => {
    let posts = 0;
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (message, ...rest) {
      if (message.op?.enqueue && posts++ === 0) return undefined; // lost on its way
      return postMessage.call(this, message, ...rest);
    };
    const order = [];
    const first = window.rust.save("line", "1").then(() => order.push("1"));
    await Promise.resolve();
    window.rust.abandon("line");
    const second = window.rust.save("line", "2").then(() => order.push("2"));
    await Promise.all([first, second]);
    return order;
  });
  assert.deepEqual(order, ["1", "2"]);
  await until("delivery", async () => (await w.server.arrivals("/api/sink/notes")).length === 2);
  const texts = (await w.server.arrivals("/api/sink/notes")).map(({ bodyPreview }) => JSON.parse(bodyPreview).text);
  assert.deepEqual(texts, ["1", "2"]);
});

test("the README's example is the one that is tested", () => {
  const example = readFileSync(join(root, "tests/rust-page/src/notes.rs"), "utf8");
  assert.ok(readFileSync(join(root, "README.md"), "utf8").includes(`\`\`\`rust\n${example}\`\`\`\n`));
});

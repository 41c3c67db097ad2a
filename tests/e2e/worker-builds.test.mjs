// The builds of the worker: start() picks one, either goes on with what the other has stored, and that in debug/ says where
// it panics.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, afterEach, before } from "node:test";

import { wasmFor } from "../../sw/worker/build.js";
import { startChromium } from "./harness/chromium.mjs";
import { startProxy } from "./harness/proxy.mjs";
import { root, startServer } from "./harness/server.mjs";
import { until } from "./harness/wait.mjs";

const page = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.mjs"></script>';
const script =
  'import { connect } from "/shearwater/page.js"; window.heard = []; new BroadcastChannel("log").onmessage = ({ data }) => heard.push(data); Object.assign(window, { connect, ready: true });';
/** A worker that tells pages what it writes to the console, and takes over when it is told to. */
const worker = (config) => `
  const log = new BroadcastChannel("log");
  for (const level of ["info", "error"]) {
    const write = console[level];
    console[level] = (...given) => (log.postMessage({ level, text: given.map(String).join(" ") }), write.apply(console, given));
  }
  self.addEventListener("message", ({ data }) => data === "take over" && self.skipWaiting());
  importScripts("/shearwater/worker.js");
  shearwater.start(${JSON.stringify(config)});`;

let chromium;
const opened = [];
before(async () => (chromium = await startChromium()));
after(() => chromium.close());
afterEach(async () => {
  for (const page of (await chromium.browser.pages()).slice(1)) await page.close();
  for (const close of opened.splice(0).reverse()) await close();
});

/** A site with an origin of its own, whose worker is `put` there and replaced by another. */
async function site(config, { dist = "dist" } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "shearwater-builds-"));
  const put = (config) => writeFileSync(join(folder, "sw.js"), worker(config));
  writeFileSync(join(folder, "index.html"), page);
  writeFileSync(join(folder, "page.mjs"), script);
  put(config);
  const server = await startServer({ site: folder, dist });
  const proxy = await startProxy(server.origin);
  opened.push(
    () => rmSync(folder, { recursive: true }),
    () => server.stop(),
    () => proxy.stop(),
  );
  return { server, proxy, put };
}

async function visit({ proxy }, options = {}) {
  const page = await chromium.browser.newPage();
  await page.goto(proxy.origin);
  await page.waitForFunction("window.ready");
  const refused = await page.evaluate(
    (options) =>
      connect(options).then(
        (client) => {
          window.client = client;
        },
        ({ code, message }) => ({ code, message }),
      ),
    options,
  );
  return { page, refused };
}

const enqueue = (page, path, options) =>
  page.evaluate((url, options) => client.enqueue({ url, body: "x" }, options), `/api/sink/${path}`, options);
const asked = ({ proxy }) => [...new Set(proxy.seen.filter((path) => /worker.*wasm$/.test(path)))];
const log = (page) => page.evaluate(() => heard);
const caches = (page) =>
  page.evaluate(async () =>
    (
      await Promise.all(
        (
          await window.caches.keys()
        ).map(async (name) => (await (await window.caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)),
      )
    ).flat(),
  );
const copies = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open("shearwater:wasm");
        opening.onsuccess = () => {
          const reading = opening.result.transaction("copies").objectStore("copies").getAllKeys();
          reading.onsuccess = () => {
            opening.result.close();
            resolve(reading.result);
          };
        };
      }),
  );

/** Checks that the server has taken each job once. */
async function once({ server }, ids) {
  const sink = await until("the deliveries", async () => {
    const sink = await server.sink();
    return sink.length >= ids.length && sink;
  });
  assert.deepEqual(sink.map((entry) => entry.idempotencyKey).sort(), [...ids].sort());
}

/** Puts another worker where the one that runs came from, and waits until it is installed and waits. */
async function update({ put }, page, config) {
  put(config);
  await page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
  await until("it to wait", () =>
    page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).waiting?.state === "installed"),
  );
}

/** Takes the network from a worker, as far as its wasm goes, and stops it. */
async function stop({ proxy }, page) {
  for (const name of ["worker.wasm", "worker-full.wasm", "debug/worker.wasm", "debug/worker-full.wasm"])
    proxy.rule(`/shearwater/${name}`, { drop: true });
  const workers = await chromium.workers(page);
  await workers.stop();
  await workers.cdp.send("Network.clearBrowserCache");
}

test("the choice: by what only the full build knows, unless the build is named", () => {
  for (const config of [
    undefined,
    null,
    7,
    "x",
    {},
    { queues: {} },
    { collections: undefined },
    { build: "queue", uploads: {} },
    { cacheUploads: {} },
  ])
    assert.equal(wasmFor(config), "worker.wasm");
  for (const config of [{ collections: {} }, { uploads: {} }, { build: "full" }])
    assert.equal(wasmFor(config), "worker-full.wasm");
  for (const build of ["", "Full", 1, {}]) assert.throws(() => wasmFor({ build }), { code: "invalid-config" });
});

test("a configuration of queues loads worker.wasm, and nothing asks for the full one", async () => {
  const world = await site({ queues: { notes: {} }, logLevel: "info" });
  const { page } = await visit(world);
  await once(world, [await enqueue(page, "a", { queue: "notes" })]);
  assert.deepEqual(asked(world), ["/shearwater/worker.wasm"]);
  assert.ok(
    (await log(page)).some(({ text }) => text.includes("started: worker.wasm")),
    JSON.stringify(await log(page)),
  );
});

test("the full build, where it is asked for, is a queue from end to end, and starts again without network", async () => {
  const world = await site({ build: "full", logLevel: "info" });
  const { page } = await visit(world, { build: "full" });
  const ids = [await enqueue(page, "a", { key: "k" }), await enqueue(page, "b", { key: "k" })];
  await once(world, ids);
  assert.deepEqual(asked(world), ["/shearwater/worker-full.wasm"]);
  assert.ok(
    (await log(page)).some(({ text }) => text.includes("started: worker-full.wasm")),
    JSON.stringify(await log(page)),
  );
  await stop(world, page);
  await once(world, [...ids, await enqueue(page, "c")]);
});

test("uploads in the configuration load the full build, which says that it has none yet", async () => {
  const world = await site({ uploads: {} });
  const { refused } = await visit(world, { build: "full" });
  assert.equal(refused.code, "invalid-config");
  assert.match(refused.message, /uploads/);
  assert.deepEqual(asked(world), ["/shearwater/worker-full.wasm"]);
});

test("collections in the configuration load the full build, and the queue's build refuses them", async () => {
  const collections = { notes: { url: "/api/records/notes" } };
  const world = await site({ collections });
  const { page } = await visit(world, { build: "full" });
  await page.evaluate(() => client.collection("notes").put({ title: "a" }));
  assert.deepEqual(asked(world), ["/shearwater/worker-full.wasm"]);
  const { refused } = await visit(await site({ build: "queue", collections }));
  assert.equal(refused.code, "invalid-config");
  assert.match(refused.message, /collections/);
});

test("a build that there is not is refused, by worker and page", async () => {
  const world = await site({ build: "fuller" });
  for (const options of [{}, { build: "fuller" }]) {
    const { refused } = await visit(world, options);
    assert.equal(refused.code, "invalid-config");
    assert.match(refused.message, /build is "queue" or "full"/);
  }
});

for (const [from, to] of [
  ["queue", "full"],
  ["full", "queue"],
]) {
  test(`an update from ${from} to ${to} keeps the jobs, and each is delivered once, also without network for the wasm`, async () => {
    const file = { queue: "/shearwater/worker.wasm", full: "/shearwater/worker-full.wasm" };
    const config = (build) => ({ build, queues: { default: { backoff: { base: 10, max: 50 }, maxAttempts: 100 } } });
    const world = await site(config(from));
    const first = (await visit(world, { build: from })).page;
    await first.evaluate(() => client.pause());
    const ids = [];
    for (let at = 0; at < 20; at += 1) ids.push(await enqueue(first, `${at}`, { key: `k${at % 3}` }));
    await until("the copy", async () => (await caches(first)).includes(file[from]));
    // One is being sent while the new worker installs.
    await world.server.faults([{ path: "/api/sink", action: { hold: true }, times: 1 }]);
    await first.evaluate(() => client.resume());
    await until("one in flight", async () => (await world.server.stats()).held === 1);
    await update(world, first, config(to));
    const both = await caches(first);
    assert.ok(both.includes(file[from]) && both.includes(file[to]), both.join());
    await first.evaluate(async () => (await navigator.serviceWorker.getRegistration()).waiting.postMessage("take over"));
    await world.server.release();
    await until("the new worker", () =>
      first.evaluate(async () => (await navigator.serviceWorker.getRegistration()).waiting === null),
    );
    await first.close();
    const second = (await visit(world, { build: to })).page;
    await until(
      "the old copies to be gone",
      async () => !(await caches(second)).includes(file[from]) && (await copies(second)).length === 1,
    );
    await stop(world, second);
    ids.push(await enqueue(second, "after"));
    await once(world, ids);
  });
}

test("a worker that was updated and waits does not take the active one's copies", async () => {
  const world = await site({});
  const { page } = await visit(world);
  await page.reload();
  await page.waitForFunction("window.ready");
  await page.evaluate(async () => (window.client = await connect()));
  await update(world, page, { build: "full" });
  await stop(world, page);
  await once(world, [await enqueue(page, "a")]);
});

const panic = (page) =>
  page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    return new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => resolve(data);
      active.postMessage({ shearwater: 1, re: crypto.randomUUID(), op: "panic" }, [port2]);
    });
  });

test("a debug build writes message, place and named stack of a panic to the console, and goes on", async () => {
  const world = await site({ logLevel: "debug" }, { dist: "dist-test" });
  const { page } = await visit(world);
  assert.equal((await panic(page)).error.code, "internal");
  assert.deepEqual(
    asked(world).filter((path) => path.includes("debug")),
    ["/shearwater/debug/worker.wasm"],
  );
  const told = await until("the panic", async () =>
    (await log(page)).find(({ level, text }) => level === "error" && text.includes("panicked at")),
  );
  assert.match(told.text, /panicked at worker\/[\w/]+\.rs:\d+:\d+:\s+asked to/);
  assert.match(told.text, /shearwater_worker::/);
  await once(world, [await enqueue(page, "after")]);
});

test("what is not a debug build names no function, and has none of what prints them", async () => {
  const world = await site({ logLevel: "info" }, { dist: "dist-test" });
  const { page } = await visit(world);
  await panic(page);
  const told = await until("the panic", async () =>
    (await log(page)).find(({ level, text }) => level === "error" && text.includes("asked to")),
  );
  assert.doesNotMatch(told.text, /Stack|shearwater_worker::/);
  assert.deepEqual(asked(world), ["/shearwater/worker.wasm"]);
  const has = (file, text) => readFileSync(join(root, "dist", file)).includes(text);
  for (const file of ["worker.wasm", "worker-full.wasm"]) {
    assert.ok(has(`debug/${file}`, "panicked") && !has(file, "shearwater_worker::") && !has(file, "\n\nStack:\n\n"), file);
    assert.ok(has(`debug/${file}`, "\n\nStack:\n\n"), file);
  }
});

test("where debug/ is not deployed, the usual build is loaded, with a line on the console; no later start asks for it", async () => {
  const world = await site({ logLevel: "debug" });
  for (const name of ["worker.wasm", "worker-full.wasm"])
    world.proxy.rule(`/shearwater/debug/${name}`, { status: 404, body: "" });
  const { page } = await visit(world);
  await once(world, [await enqueue(page, "a")]);
  const lines = (await log(page)).filter(({ text }) => text.includes("debug/"));
  assert.equal(lines.length, 1, JSON.stringify(lines));
  assert.match(lines[0].text, /goes on without debug\/worker\.wasm: .*answered 404/);
  assert.equal(world.proxy.seen.filter((path) => path.includes("debug/")).length, 1);
  world.proxy.seen.length = 0;
  await stop(world, page);
  await enqueue(page, "b");
  assert.deepEqual(asked(world), []);
});

test("a debug build that was kept starts again without network", async () => {
  const world = await site({ logLevel: "debug", build: "full" });
  const { page } = await visit(world, { build: "full" });
  await stop(world, page);
  await enqueue(page, "a");
  await until(
    "the second start",
    async () => (await log(page)).filter(({ text }) => text.includes("started: debug/worker-full.wasm")).length === 2,
  );
});

// A start needs no network once the app was installed, waits for nothing that may never come, and works in parallel.

import assert from "node:assert/strict";
import test from "node:test";

import { makeSite } from "./harness/site.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const site = makeSite({
  "plain.html": '<!doctype html><link rel="icon" href="data:,">',
  "sw.js": 'importScripts("/shearwater/worker.js"); shearwater.start();',
});
const w = world({ site, proxy: true });

const connect = (page, options = {}) =>
  page.evaluate(
    (options) =>
      window.connect(options).then(
        (client) => {
          window.client = client;
          return null;
        },
        ({ code, message }) => ({ code, message }),
      ),
    options,
  );

const enqueue = (page) =>
  page.evaluate(() =>
    client.enqueue({ url: "/api/sink/x", body: "x" }).then(
      () => null,
      ({ code, message }) => ({ code, message }),
    ),
  );

/** Runs `act` while the worker is stopped, and its wasm cannot be had from the network. */
async function stopped(page, act) {
  const workers = await w.browser.workers(page);
  w.proxy.rule("/shearwater/worker.wasm", { drop: true });
  await workers.stop();
  // The browser's HTTP cache would have it still.
  await workers.cdp.send("Network.clearBrowserCache");
  await act();
}

const deleteCaches = (page) => page.evaluate(async () => Promise.all((await caches.keys()).map((name) => caches.delete(name))));
const cached = (page, part) =>
  page.evaluate(async (part) => {
    for (const name of await caches.keys())
      for (const { url } of await (await caches.open(name)).keys()) if (url.includes(part)) return url;
    return null;
  }, part);

test("an app that deletes all caches it does not know starts again without network, and the cache is made good", async () => {
  const page = await w.visit();
  await connect(page);
  await stopped(page, () => deleteCaches(page));
  assert.equal(await enqueue(page), null);
  await until("the delivery", async () => (await w.server.sink()).length === 1);
  await until("the copy in Cache Storage", () => cached(page, "worker.wasm"));
});

test("where every copy is gone, the error says what happened, and the next call works once the network is back", async () => {
  const page = await w.visit();
  await connect(page);
  const lose = () =>
    page.evaluate(
      () =>
        new Promise((resolve) => {
          const deleting = indexedDB.deleteDatabase("shearwater:wasm");
          deleting.onsuccess = deleting.onerror = resolve;
        }),
    );
  await stopped(page, async () => {
    await deleteCaches(page);
    await lose();
  });
  const error = await enqueue(page);
  assert.equal(error?.code, "worker-unavailable", JSON.stringify(error));
  assert.match(error.message, /no copy is left in Cache Storage \(deleted by an activate handler.*cannot be fetched/);
  w.proxy.rule("/shearwater/worker.wasm");
  assert.equal(await enqueue(page), null);
  await until("both copies", async () => {
    const databases = await page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name));
    return databases.includes("shearwater:wasm") && (await cached(page, "worker.wasm"));
  });
});

test("a server that has another release's worker.wasm by now takes nothing from a worker that runs", async () => {
  const page = await w.visit();
  await connect(page);
  await stopped(page, () => deleteCaches(page));
  w.proxy.rule("/shearwater/worker.wasm", {
    body: new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]),
    headers: { "content-type": "application/wasm" },
  });
  assert.equal(await enqueue(page), null);
});

test("a page that was here before needs no page.wasm from the server", async () => {
  const first = await w.visit();
  await connect(first);
  await until("the copy", () => cached(first, "page.wasm"));
  await first.close();
  w.proxy.rule("/shearwater/page.wasm", { drop: true });
  const page = await w.visit();
  await (await w.browser.workers(page)).cdp.send("Network.clearBrowserCache");
  assert.equal(await connect(page), null);
});

test("the worker keeps page.wasm for a page that has not loaded it yet", async () => {
  const plain = await w.visit("/plain.html", { ready: false });
  await plain.evaluate(() => navigator.serviceWorker.register("/sw.js").then(() => navigator.serviceWorker.ready));
  await until("the copy", () => cached(plain, "page.wasm"));
  w.proxy.rule("/shearwater/page.wasm", { drop: true });
  const page = await w.visit();
  assert.equal(await connect(page), null);
});

test("the worker is registered while page.wasm is on its way, and installs meanwhile", async () => {
  let go;
  w.proxy.rule("/shearwater/page.wasm", { until: new Promise((resolve) => (go = resolve)) });
  const page = await w.visit();
  const connecting = connect(page);
  await until("the worker to be installed", async () =>
    page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.active?.state === "activated"),
  );
  go();
  assert.equal(await connecting, null);
});

test("a warm connect() asks the server for neither page.wasm, worker.wasm nor the worker", async () => {
  const first = await w.visit();
  await connect(first);
  await until("the copy", () => cached(first, "page.wasm"));
  const page = await w.visit();
  w.proxy.seen.length = 0;
  assert.equal(await connect(page), null);
  assert.deepEqual(
    w.proxy.seen.filter((path) => /wasm|sw\.js/.test(path)),
    [],
  );
});

test("a database that cannot be deleted does not block the start for ever", async () => {
  const page = await w.visit();
  // Renewing Chromium's log deletes a database, which waits for this connection.
  await page.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open("shearwater:log", 1);
        opening.onsuccess = () => {
          window.held = opening.result;
          resolve();
        };
      }),
  );
  const began = Date.now();
  assert.equal(await connect(page, { timeout: 20_000 }), null);
  assert.equal(await enqueue(page), null);
  assert.ok(Date.now() - began < 10_000, `took ${Date.now() - began} ms`);
});

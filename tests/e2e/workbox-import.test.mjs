// What the real workbox-background-sync left behind is taken over: each request once, whole and in order.

import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";

import { build } from "esbuild";

import { startChromium } from "./harness/chromium.mjs";
import { root, startServer } from "./harness/server.mjs";
import { until } from "./harness/wait.mjs";

const site = mkdtempSync(join(tmpdir(), "shearwater-workbox-"));
writeFileSync(
  join(site, "index.html"),
  '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.mjs"></script>',
);
writeFileSync(
  join(site, "page.mjs"),
  'import { connect } from "/shearwater/page.js"; window.connect = connect; window.ready = true;',
);
writeFileSync(
  join(site, "new.js"),
  `importScripts("/shearwater/worker.js", "/shearwater/import-workbox.js");
   shearwater.adopt(shearwater.workboxQueues({ notes: "mine" }));
   shearwater.start({ strict: true, queues: { mine: {}, photos: {} } });
   self.addEventListener("install", () => self.skipWaiting());
   self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));`,
);
await build({
  stdin: {
    contents: `import { Queue } from "workbox-background-sync";
      const queues = {};
      self.addEventListener("install", () => self.skipWaiting());
      self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));
      self.addEventListener("message", (event) => event.data.queue && event.waitUntil((async () => {
        const { queue, url, init, metadata } = event.data;
        // Whatever wakes it, it sends nothing: that is for the one that comes after it.
        queues[queue] ??= new Queue(queue, { onSync: async () => { throw new Error("not now"); } });
        await queues[queue].pushRequest({ request: new Request(url, init), metadata });
        event.ports[0].postMessage("kept");
      })()));`,
    resolveDir: root,
  },
  bundle: true,
  define: { "process.env.NODE_ENV": '"production"' },
  outfile: join(site, "old.js"),
  logLevel: "error",
});

const open = [];
after(async () => {
  for (const close of open.splice(0)) await close();
});

test("an app moves from Workbox to Shearwater with requests in the queue", async () => {
  const server = await startServer({ site });
  open.push(() => server.stop());
  const chromium = await startChromium();
  open.push(() => chromium.kill());
  const page = await chromium.browser.newPage();
  await page.goto(server.origin);
  await page.evaluate(async () => {
    await navigator.serviceWorker.register("/old.js");
    await navigator.serviceWorker.ready;
    const push = (message) =>
      new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = resolve;
        navigator.serviceWorker.ready.then(({ active }) => active.postMessage(message, [port2]));
      });
    for (let at = 0; at < 10; at += 1) {
      await push({
        queue: "notes",
        url: `/api/sink/notes/${at}`,
        init: { method: "POST", body: `note ${at}`, headers: { "content-type": "text/plain", authorization: "Bearer secret" } },
        metadata: { at },
      });
    }
    await push({ queue: "photos", url: "/api/sink/photo", init: { method: "PUT", body: new Uint8Array([0, 255, 128, 7]) } });
    await push({ queue: "photos", url: "/api/sink/head", init: { method: "HEAD" } });
    // A queue that the new configuration does not know.
    await push({ queue: "unknown", url: "/api/sink/unknown", init: { method: "POST", body: "x" } });
  });
  assert.equal((await server.arrivals("/api/sink")).length, 0, "Workbox has sent nothing");

  await page.evaluate(async () => {
    window.client = await window.connect({ worker: "/new.js" });
  });
  const sink = await until("all that can be queued", async () => {
    const sink = await server.sink();
    return sink.length >= 12 && sink;
  });
  const notes = sink.filter(({ path }) => path.startsWith("/api/sink/notes/"));
  assert.deepEqual(
    notes.map(({ body }) => body),
    Array.from({ length: 10 }, (_, at) => `note ${at}`),
    "in order, whole",
  );
  assert.equal(sink.length, 12);
  const arrivals = await server.arrivals("/api/sink");
  assert.ok(
    arrivals.every(({ headers }) => headers.authorization === undefined),
    "a credential is not replayed",
  );
  const photo = arrivals.find(({ path }) => path === "/api/sink/photo");
  assert.equal(photo.bodySize, 4);
  assert.ok(arrivals.some(({ method, path }) => method === "HEAD" && path === "/api/sink/head"));

  const left = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open("workbox-background-sync");
        opening.onsuccess = () => {
          const all = opening.result.transaction("requests").objectStore("requests").getAll();
          all.onsuccess = () => resolve(all.result.map(({ queueName }) => queueName));
        };
      }),
  );
  assert.deepEqual(left, ["unknown"], "what cannot be queued stays where it was");
  await until("an empty queue", async () => (await page.evaluate(() => window.client.list())).length === 0);
});

test("killed between storing and forgetting, nothing is sent twice", async () => {
  const server = await startServer({ site });
  open.push(() => server.stop());
  const chromium = await startChromium();
  open.push(() => chromium.kill());
  const page = await chromium.browser.newPage();
  await page.goto(server.origin);
  // The same entry, found again at the next start: as after a kill before it was deleted.
  const put = () =>
    page.evaluate(
      (origin) =>
        new Promise((resolve) => {
          const opening = indexedDB.open("workbox-background-sync", 3);
          opening.onupgradeneeded = () =>
            opening.result
              .createObjectStore("requests", { autoIncrement: true, keyPath: "id" })
              .createIndex("queueName", "queueName");
          opening.onsuccess = () => {
            const transaction = opening.result.transaction("requests", "readwrite");
            transaction.objectStore("requests").put({
              id: 1,
              queueName: "photos",
              timestamp: 1_790_000_000_000,
              requestData: { url: `${origin}/api/sink/once`, method: "POST", headers: {}, body: new Uint8Array([1]).buffer },
            });
            transaction.oncomplete = () => {
              opening.result.close();
              resolve();
            };
          };
        }),
      server.origin,
    );
  await put();
  await page.evaluate(async () => {
    window.client = await window.connect({ worker: "/new.js" });
  });
  await until("the delivery", async () => (await server.sink()).length === 1);
  // Its outcome too: stopped before that, the worker would rightly send it again.
  await until("the outcome", () => page.evaluate(() => window.client.metrics().then(({ delivered }) => delivered === 1)));
  await put();
  const workers = await chromium.workers(page);
  await workers.stop();
  await page.evaluate(() => window.client.list());
  await until("the entry to be forgotten", () =>
    page.evaluate(
      () =>
        new Promise((resolve) => {
          const opening = indexedDB.open("workbox-background-sync");
          opening.onsuccess = () => {
            const count = opening.result.transaction("requests").objectStore("requests").count();
            count.onsuccess = () => {
              opening.result.close();
              resolve(count.result === 0);
            };
          };
        }),
    ),
  );
  await page.evaluate(() => window.client.syncNow());
  assert.equal((await server.arrivals("/api/sink")).length, 1);
});

/** A fresh origin and a page on it; `left` is put where Workbox keeps its entries, by a database of this version. */
async function withEntries(left, { version = 3, close = true } = {}) {
  const server = await startServer({ site });
  open.push(() => server.stop());
  const chromium = await startChromium();
  open.push(() => chromium.kill());
  const page = await chromium.browser.newPage();
  await page.goto(server.origin);
  await page.waitForFunction("window.ready");
  const entry = ({ url = `/api/sink/${left.length}`, ...more } = {}) => ({
    queueName: "photos",
    timestamp: 1_790_000_000_000,
    requestData: { url: url.startsWith("/") ? server.origin + url : url, method: "POST", headers: {} },
    ...more,
  });
  await page.evaluate(
    (entries, version, close) =>
      new Promise((resolve) => {
        const opening = indexedDB.open("workbox-background-sync", version);
        opening.onupgradeneeded = () =>
          opening.result
            .createObjectStore("requests", { autoIncrement: true, keyPath: "id" })
            .createIndex("queueName", "queueName");
        opening.onsuccess = () => {
          window.held = opening.result;
          const transaction = opening.result.transaction("requests", "readwrite");
          for (const entry of entries) transaction.objectStore("requests").put(entry);
          transaction.oncomplete = () => {
            if (close) opening.result.close();
            resolve();
          };
        };
      }),
    left.map(entry),
    version,
    close,
  );
  const remaining = () =>
    page.evaluate(
      () =>
        new Promise((resolve) => {
          const opening = indexedDB.open("workbox-background-sync");
          opening.onsuccess = () => {
            const keys = opening.result.transaction("requests").objectStore("requests").getAllKeys();
            keys.onsuccess = () => {
              opening.result.close();
              resolve(keys.result);
            };
          };
        }),
    );
  return { server, page, remaining };
}

test("one entry that cannot be converted stays where it is; the others are taken over", async () => {
  const { server, page, remaining } = await withEntries([
    { url: "/api/sink/1" },
    { requestData: undefined },
    { url: "/api/sink/3" },
    { url: "http://[" },
    { url: "/api/sink/5" },
    { url: "ftp://example.org/" },
  ]);
  await page.evaluate(async () => (window.client = await window.connect({ worker: "/new.js" })));
  await until("what can be queued", async () => (await server.sink()).length === 3);
  assert.deepEqual(
    (await server.sink()).map(({ path }) => path),
    ["/api/sink/1", "/api/sink/3", "/api/sink/5"],
  );
  await until("them to be forgotten there", async () => JSON.stringify(await remaining()) === "[2,4,6]");
});

test("an older database that a page holds open is left alone, and holds up nothing", async () => {
  const { server, page } = await withEntries([{ url: "/api/sink/old" }], { version: 2, close: false });
  const took = await page.evaluate(async () => {
    const began = performance.now();
    window.client = await window.connect({ worker: "/new.js", timeout: 20_000 });
    return performance.now() - began;
  });
  assert.ok(took < 5_000, `connect() took ${took} ms`);
  const id = await page.evaluate(() => client.enqueue({ url: "/api/sink/new", body: "x" }, { queue: "mine" }));
  await until("the delivery", async () => (await server.sink()).length === 1);
  assert.equal((await server.sink())[0].idempotencyKey, id);
  assert.equal(await page.evaluate(() => window.held.version), 2);
});

test("a database whose deletion is held up holds up connect() for seconds, not for ever", async () => {
  const { server, page } = await withEntries([{ url: "/api/sink/old" }], { close: false });
  // A deletion waits for this page's connection, and every opening after it for the deletion.
  await page.evaluate(() => void indexedDB.deleteDatabase("workbox-background-sync"));
  const took = await page.evaluate(async () => {
    const began = performance.now();
    window.client = await window.connect({ worker: "/new.js", timeout: 20_000 });
    return performance.now() - began;
  });
  assert.ok(took < 8_000, `connect() took ${took} ms`);
  const id = await page.evaluate(() => client.enqueue({ url: "/api/sink/new", body: "x" }, { queue: "mine" }));
  await until("the delivery", async () => (await server.sink()).length === 1);
  assert.equal((await server.sink())[0].idempotencyKey, id);
});

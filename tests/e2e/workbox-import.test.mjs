// What the real workbox-background-sync left behind is taken over: each request once, whole and in order.

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";

import { build } from "esbuild";

import { root } from "./harness/server.mjs";
import { makeSite } from "./harness/site.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const site = makeSite({
  "new.js": `importScripts("/shearwater/worker.js", "/shearwater/import-workbox.js");
   shearwater.adopt(shearwater.workboxQueues({ notes: "mine" }));
   shearwater.start({ strict: true, queues: { mine: {}, photos: {} } });
   self.addEventListener("install", () => self.skipWaiting());
   self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));`,
});
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

const w = world({ site });

/** What `act` asks of the store in which Workbox keeps its entries; the database is made where it is missing. */
const onEntries = (page, mode, act, given, { version, close = true } = {}) =>
  page.evaluate(
    (mode, act, given, version, close) =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open("workbox-background-sync", version);
        opening.onupgradeneeded = () =>
          opening.result
            .createObjectStore("requests", { autoIncrement: true, keyPath: "id" })
            .createIndex("queueName", "queueName");
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
          window.held = opening.result;
          const transaction = opening.result.transaction("requests", mode);
          const store = transaction.objectStore("requests");
          for (const { requestData } of given ?? [])
            if (requestData?.body) requestData.body = Uint8Array.from(requestData.body).buffer;
          const requests = act === "put" ? given.map((entry) => store.put(entry)) : [store[act]()];
          transaction.oncomplete = () => {
            if (close) opening.result.close();
            resolve(requests.at(-1)?.result);
          };
          transaction.onabort = () => reject(transaction.error);
        };
      }),
    mode,
    act,
    given,
    version,
    close,
  );

test("an app moves from Workbox to Shearwater with requests in the queue", async () => {
  const page = await w.visit();
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
  assert.equal((await w.server.arrivals("/api/sink")).length, 0, "Workbox has sent nothing");

  await page.evaluate(async () => {
    window.client = await window.connect({ worker: "/new.js" });
  });
  const sink = await until("all that can be queued", async () => {
    const sink = await w.server.sink();
    return sink.length >= 12 && sink;
  });
  const notes = sink.filter(({ path }) => path.startsWith("/api/sink/notes/"));
  assert.deepEqual(
    notes.map(({ body }) => body),
    Array.from({ length: 10 }, (_, at) => `note ${at}`),
    "in order, whole",
  );
  assert.equal(sink.length, 12);
  const arrivals = await w.server.arrivals("/api/sink");
  assert.ok(
    arrivals.every(({ headers }) => headers.authorization === undefined),
    "a credential is not replayed",
  );
  const photo = arrivals.find(({ path }) => path === "/api/sink/photo");
  assert.equal(photo.bodySize, 4);
  assert.ok(arrivals.some(({ method, path }) => method === "HEAD" && path === "/api/sink/head"));

  const left = (await onEntries(page, "readonly", "getAll")).map(({ queueName }) => queueName);
  assert.deepEqual(left, ["unknown"], "what cannot be queued stays where it was");
  await until("an empty queue", async () => (await page.evaluate(() => window.client.list())).length === 0);
});

test("killed between storing and forgetting, nothing is sent twice", async () => {
  const page = await w.visit();
  // The same entry, found again at the next start: as after a kill before it was deleted.
  const put = () =>
    onEntries(
      page,
      "readwrite",
      "put",
      [
        {
          id: 1,
          queueName: "photos",
          timestamp: 1_790_000_000_000,
          requestData: { url: `${w.server.origin}/api/sink/once`, method: "POST", headers: {}, body: [1] },
        },
      ],
      { version: 3 },
    );
  await put();
  await page.evaluate(async () => {
    window.client = await window.connect({ worker: "/new.js" });
  });
  await until("the delivery", async () => (await w.server.sink()).length === 1);
  // Its outcome too: stopped before that, the worker would rightly send it again.
  await until("the outcome", () => page.evaluate(() => window.client.metrics().then(({ delivered }) => delivered === 1)));
  await put();
  const workers = await w.browser.workers(page);
  await workers.stop();
  await page.evaluate(() => window.client.list());
  await until("the entry to be forgotten", async () => (await onEntries(page, "readonly", "count")) === 0);
  await page.evaluate(() => window.client.syncNow());
  assert.equal((await w.server.arrivals("/api/sink")).length, 1);
});

/** A fresh origin and a page on it; `left` is put where Workbox keeps its entries, by a database of this version. */
async function withEntries(left, { version = 3, close = true } = {}) {
  const page = await w.visit();
  const entry = ({ url = `/api/sink/${left.length}`, ...more } = {}) => ({
    queueName: "photos",
    timestamp: 1_790_000_000_000,
    requestData: { url: url.startsWith("/") ? w.server.origin + url : url, method: "POST", headers: {} },
    ...more,
  });
  await onEntries(page, "readwrite", "put", left.map(entry), { version, close });
  return page;
}

/** The new release connects within this time, and delivers. */
async function works(page, within) {
  const took = await page.evaluate(async () => {
    const began = performance.now();
    window.client = await window.connect({ worker: "/new.js", timeout: 20_000 });
    return performance.now() - began;
  });
  assert.ok(took < within, `connect() took ${took} ms`);
  const id = await page.evaluate(() => client.enqueue({ url: "/api/sink/new", body: "x" }, { queue: "mine" }));
  await until("the delivery", async () => (await w.server.sink()).length === 1);
  assert.equal((await w.server.sink())[0].idempotencyKey, id);
}

test("one entry that cannot be converted stays where it is; the others are taken over", async () => {
  const page = await withEntries([
    { url: "/api/sink/1" },
    { requestData: undefined },
    { url: "/api/sink/3" },
    { url: "http://[" },
    { url: "/api/sink/5" },
    { url: "ftp://example.org/" },
  ]);
  await page.evaluate(async () => (window.client = await window.connect({ worker: "/new.js" })));
  await until("what can be queued", async () => (await w.server.sink()).length === 3);
  assert.deepEqual(
    (await w.server.sink()).map(({ path }) => path),
    ["/api/sink/1", "/api/sink/3", "/api/sink/5"],
  );
  await until(
    "them to be forgotten there",
    async () => JSON.stringify(await onEntries(page, "readonly", "getAllKeys")) === "[2,4,6]",
  );
});

test("an older database that a page holds open is left alone, and holds up nothing", async () => {
  const page = await withEntries([{ url: "/api/sink/old" }], { version: 2, close: false });
  await works(page, 5_000);
  assert.equal(await page.evaluate(() => window.held.version), 2);
});

test("a database whose deletion is held up holds up connect() for seconds, not for ever", async () => {
  const page = await withEntries([{ url: "/api/sink/old" }], { close: false });
  // A deletion waits for this page's connection, and every opening after it for the deletion.
  await page.evaluate(() => void indexedDB.deleteDatabase("workbox-background-sync"));
  await works(page, 8_000);
});

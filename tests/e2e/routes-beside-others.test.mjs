// Routes beside the real service-worker libraries (W10): theirs is what no route matches, and nothing is sent twice.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { build } from "esbuild";

import { routedSite } from "./harness/routed.mjs";
import { root } from "./harness/server.mjs";
import { makeSite } from "./harness/site.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const SHELL = "<!doctype html><p>the shell";
const ours = 'importScripts("/shearwater/worker.js"); shearwater.start({ routes: [{ match: "/api/sink/*" }] });';
const claim = `
  self.addEventListener("install", () => self.skipWaiting());
  self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));`;
const theirs = (file) => `importScripts("/${file}");`;
const site = makeSite({
  ...routedSite,
  "shell.html": SHELL,
  "workbox-after.js": `${claim} ${ours} ${theirs("workbox.js")}`,
  "workbox-before.js": `${claim} ${theirs("workbox.js")} ${ours}`,
  "serwist-after.js": `${claim} ${ours} ${theirs("serwist.js")}`,
  "ngsw-after.js": `${claim} ${ours} ${theirs("ngsw-worker.js")}`,
});

/** Bundles a script of an app that uses these libraries. */
const bundle = (contents, file) =>
  build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    format: "iife",
    define: { "process.env.NODE_ENV": '"production"' },
    outfile: join(site, file),
    logLevel: "error",
  });
await bundle(
  `import { precacheAndRoute } from "workbox-precaching";
   import { registerRoute } from "workbox-routing";
   import { NetworkOnly } from "workbox-strategies";
   precacheAndRoute([{ url: "/shell.html", revision: "1" }]);
   registerRoute(({ url }) => url.pathname.startsWith("/api/"), new NetworkOnly(), "POST");`,
  "workbox.js",
);
await bundle(
  `import { NetworkOnly, Serwist } from "serwist";
   new Serwist({
     precacheEntries: [{ url: "/shell.html", revision: "1" }],
     skipWaiting: true,
     clientsClaim: true,
     runtimeCaching: [{ matcher: ({ url }) => url.pathname.startsWith("/api/"), method: "POST", handler: new NetworkOnly() }],
   }).addEventListeners();`,
  "serwist.js",
);
cpSync(join(root, "node_modules/@angular/service-worker/ngsw-worker.js"), join(site, "ngsw-worker.js"));
const sha1 = (file) =>
  createHash("sha1")
    .update(readFileSync(join(site, file)))
    .digest("hex");
writeFileSync(
  join(site, "ngsw.json"),
  JSON.stringify({
    configVersion: 1,
    timestamp: 1,
    index: "/index.html",
    assetGroups: [
      {
        name: "app",
        installMode: "prefetch",
        updateMode: "prefetch",
        urls: ["/index.html", "/shell.html"],
        patterns: [],
        cacheQueryOptions: { ignoreVary: true },
      },
    ],
    dataGroups: [],
    hashTable: { "/index.html": sha1("index.html"), "/shell.html": sha1("shell.html") },
    navigationUrls: [],
    navigationRequestStrategy: "performance",
  }),
);

const w = world({ site });

async function open(worker) {
  writeFileSync(join(site, "shell.html"), SHELL);
  const page = await w.visit();
  await page.evaluate((worker) => window.start(worker), worker);
  // Angular's takes its pages over only after it has filled its cache.
  await until("the precached shell", () =>
    page.evaluate(async () => {
      for (const name of await caches.keys()) {
        const cache = await caches.open(name);
        if ((await cache.keys()).some(({ url }) => url.includes("/shell.html"))) return true;
      }
      return false;
    }),
  );
  return page;
}
const call = (page, url, init) => page.evaluate((url, init) => window.call(url, init), url, init);
const post = { method: "POST", body: "x" };

for (const worker of ["/workbox-after.js", "/serwist-after.js", "/ngsw-after.js"]) {
  test(`${worker}: the library serves what it has cached, routes are queued, nothing is sent twice`, async () => {
    const page = await open(worker);
    writeFileSync(join(site, "shell.html"), "<!doctype html><p>deployed since");
    await until("the shell from the cache", async () => (await call(page, "/shell.html")).text === SHELL);
    assert.equal((await call(page, "/api/sink/online", post)).status, 200);
    assert.equal((await call(page, "/api/other", post)).status, 404, "the library's");
    await w.server.down(true);
    const { status, job } = await call(page, "/api/sink/offline", post);
    assert.equal(status, 202);
    assert.equal((await call(page, "/shell.html")).text, SHELL);
    await w.server.down(false);
    await page.evaluate(() => client.syncNow());
    await w.becomes(page, job, "delivered");
    const arrivals = (await w.server.arrivals()).map(({ method, path }) => `${method} ${path}`);
    assert.deepEqual(arrivals, ["POST /api/sink/online", "POST /api/other", "POST /api/sink/offline"]);
  });
}

test("a library that was there first and responds keeps the request, and nothing is sent twice", async () => {
  const page = await open("/workbox-before.js");
  assert.equal((await call(page, "/api/sink/online", post)).status, 200);
  const arrivals = await w.server.arrivals("/api/sink");
  assert.deepEqual([arrivals.length, arrivals[0].headers["idempotency-key"]], [1, undefined]);
  await w.server.down(true);
  assert.deepEqual(await call(page, "/api/sink/offline", post), { error: "TypeError" });
});

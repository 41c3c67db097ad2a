// Unnamed apps of one origin are distinguished by their scopes; what an older release stored stays with its app.

import assert from "node:assert/strict";
import test from "node:test";

import { makeSite, PAGE } from "./harness/site.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const files = {};
for (const folder of ["", "a/", "b/", "c/"]) {
  const auth = `shearwater.on("auth", () => ({ "x-app": "${folder || "root"}" }));`;
  files[`${folder}index.html`] = PAGE;
  files[`${folder}sw.js`] =
    `importScripts("/shearwater/worker.js"); shearwater.start(); ${auth} self.addEventListener("install", () => self.skipWaiting());`;
  // What a release before the rule was: the same name everywhere.
  files[`${folder}old.js`] = `importScripts("/shearwater/worker.js"); shearwater.start({ name: "shearwater" }); ${auth}`;
}
const w = world({ site: makeSite(files) });

/** A page of this folder, connected to its worker; `held`: nothing is sent. */
async function open(folder, { worker = "sw.js", held = true } = {}) {
  const page = await w.visit(`/${folder}index.html`);
  await page.evaluate(
    async (worker, held) => {
      window.client = await window.connect({ worker });
      if (held) await client.pause();
    },
    `/${folder}${worker}`,
    held,
  );
  return page;
}
const enqueue = (page, path) => page.evaluate((path) => client.enqueue({ url: `/api/sink/${path}`, body: "x" }), path);
const urls = (page) => page.evaluate(async () => (await client.list()).map(({ url }) => new URL(url).pathname));
const databases = (page) =>
  page.evaluate(async () =>
    (await indexedDB.databases())
      .map(({ name }) => name)
      .filter((name) => !name.includes(":"))
      .sort(),
  );

/** What the old release left behind: its database, in use, and its cache. */
async function olden(folder) {
  const page = await open(folder, { worker: "old.js" });
  await enqueue(page, `of/${folder}`);
  await page.evaluate(
    async (name) => void (await caches.open(name)),
    `shearwater ${w.server.origin}/${folder} ${"0".repeat(64)}`,
  );
  await (await w.browser.workers(page)).stop();
  return page;
}

/** Connects again, to the new release, once it has taken the old one's place. */
async function update(folder, page) {
  await page.evaluate(async (worker) => {
    const registration = await navigator.serviceWorker.register(worker);
    while (!registration.active?.scriptURL.endsWith(worker)) await new Promise((resolve) => setTimeout(resolve, 20));
  }, `/${folder}sw.js`);
  return open(folder);
}

test("two apps without names share neither database nor jobs nor credentials", async () => {
  const [a, b] = [await open("a/"), await open("b/")];
  await enqueue(a, "of/a");
  assert.deepEqual(await urls(b), []);
  await enqueue(b, "of/b");
  assert.deepEqual([await urls(a), await urls(b)], [["/api/sink/of/a"], ["/api/sink/of/b"]]);
  assert.deepEqual(await databases(a), ["shearwater /a/", "shearwater /b/"]);
  for (const page of [a, b]) await page.evaluate(() => client.resume());
  await until("both", async () => (await w.server.sink()).length === 2);
  const arrivals = await w.server.arrivals("/api/sink");
  assert.deepEqual(arrivals.map(({ path, headers }) => [path, headers["x-app"]]).sort(), [
    ["/api/sink/of/a", "a/"],
    ["/api/sink/of/b", "b/"],
  ]);
});

test("the app at the root keeps the name that it had", async () => {
  const page = await open("");
  await enqueue(page, "x");
  assert.deepEqual(await databases(page), ["shearwater"]);
});

test("an app in a folder goes on with what an older release of it stored, at every later start; no other takes it", async () => {
  const old = await olden("a/");
  const page = await update("a/", old);
  assert.deepEqual(await urls(page), ["/api/sink/of/a/"]);
  // Another that has run the older release, and one that has not.
  await page.evaluate(async (name) => void (await caches.open(name)), `shearwater ${w.server.origin}/b/ ${"0".repeat(64)}`);
  for (const folder of ["b/", "c/", ""]) assert.deepEqual(await urls(await open(folder)), [], folder);
  await (await w.browser.workers(page)).stop();
  await enqueue(page, "later");
  assert.deepEqual(await urls(page), ["/api/sink/of/a/", "/api/sink/later"]);
  assert.deepEqual(
    (await databases(page)).filter((name) => name.includes("/a/")),
    [],
  );
});

test("an app in a folder takes nothing of the app at the root", async () => {
  const root = await open("");
  await enqueue(root, "of/root");
  const page = await open("a/", { held: false });
  await page.evaluate(async (name) => void (await caches.open(name)), `shearwater ${w.server.origin}/a/ ${"0".repeat(64)}`);
  await (await w.browser.workers(page)).stop();
  assert.deepEqual(await urls(page), []);
  await enqueue(page, "of/a");
  await until("the delivery", async () => (await w.server.sink()).length === 1);
  assert.equal((await w.server.sink())[0].path, "/api/sink/of/a");
  assert.deepEqual(await urls(root), ["/api/sink/of/root"]);
});

// The database is deleted under a worker and pages that live on: the app's own sign-out does that, or the person in the
// browser's settings. What was in it is gone; nothing of it steers what comes next.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ dist: "dist-test" });

const quick = { queues: { default: { backoff: { base: 5, max: 20 } } } };
const tokens = { A: "token-of-A", B: "token-of-B" };
const script = `/sw.js?${new URLSearchParams({ config: JSON.stringify(quick), auth: "" })}`;
const open = () => w.open({ options: { worker: script } });
const setOwner = (page, owner) => page.evaluate((owner) => client.setOwner(owner), owner);
const bearers = async () => (await w.server.arrivals("/api/sink")).map(({ headers }) => headers.authorization);

const deleteDatabase = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const deleting = indexedDB.deleteDatabase("shearwater");
        deleting.onsuccess = () => resolve();
        deleting.onerror = () => reject(deleting.error);
      }),
  );

/** Two pages in which A has signed in, delivered something, and raised the version of what pages are told. */
async function signedIn() {
  const pages = [await open(), await open()];
  await pages[0].evaluate((tokens) => window.tell({ auth: { tokens } }), tokens);
  await setOwner(pages[0], "A");
  for (let n = 0; n < 3; n += 1)
    await w.becomes(pages[0], await w.enqueue(pages[0], { url: "/api/sink/a", body: "of A" }), "delivered");
  return pages;
}

test("who signs in after it gets their own jobs sent with their own credentials, in every page", async () => {
  const [one, two] = await signedIn();
  await deleteDatabase(one);
  await setOwner(one, "B");
  for (const page of [one, two]) {
    const id = await w.enqueue(page, { url: "/api/sink/b", body: "of B" });
    await w.becomes(page, id, "delivered");
    assert.equal((await w.get(one, id)).id, id);
  }
  assert.deepEqual((await bearers()).slice(3), ["Bearer token-of-B", "Bearer token-of-B"]);
});

test("a page that does not know of it queues for the one who was signed in, and nobody else's credentials go along", async () => {
  const [one, two] = await signedIn();
  await deleteDatabase(one);
  const id = await w.enqueue(two, { url: "/api/sink/late", body: "of A" });
  await until("the page to know that nobody is signed in", async () => (await w.list(two)).length === 0);
  await setOwner(one, "B");
  await one.evaluate(() => client.syncNow());
  assert.deepEqual((await bearers()).slice(3), []);
  await setOwner(one, "A");
  await w.becomes(one, id, "delivered");
  assert.deepEqual((await bearers()).slice(3), ["Bearer token-of-A"]);
});

test("a pause that was in it is over, and pages are told so", async () => {
  const [one, two] = await signedIn();
  await one.evaluate(() => client.pause());
  await until("the other page to hear of the pause", async () => (await w.snapshot(two)).state === "paused");
  await deleteDatabase(one);
  await setOwner(one, "A");
  const id = await w.enqueue(two, { url: "/api/sink/after", body: "x" });
  await w.becomes(two, id, "delivered");
  for (const page of [one, two]) await until("the pause to be over", async () => (await w.snapshot(page)).state === "idle");
});

test("what was claimed before it went does not leave after it, with whoever's credentials the hook has by then", async () => {
  const [one] = await signedIn();
  await one.evaluate((tokens) => window.tell({ auth: { tokens, hold: true } }), { A: tokens.B });
  await w.enqueue(one, { url: "/api/sink/claimed", body: "of A" });
  await until("the hook to be asked", async () => (await one.evaluate(() => rows("jobs")))[0]?.state === "syncing");
  await deleteDatabase(one);
  await one.evaluate((tokens) => window.tell({ auth: { tokens, hold: false }, release: true }), tokens);
  await setOwner(one, "A");
  await w.becomes(one, await w.enqueue(one, { url: "/api/sink/next", body: "x" }), "delivered");
  assert.equal((await w.server.arrivals("/api/sink/claimed")).length, 0);
});

test("jobs that were being sent when it went are not heard of again, and what follows is delivered once", async () => {
  const [one] = await signedIn();
  await w.server.faults([{ path: "/api/sink/held", action: { hold: true } }]);
  await w.enqueue(one, { url: "/api/sink/held", body: "x" });
  await until("the request", async () => (await w.server.arrivals("/api/sink/held")).length === 1);
  await deleteDatabase(one);
  await setOwner(one, "B");
  const id = await w.enqueue(one, { url: "/api/sink/next", body: "x" });
  await w.becomes(one, id, "delivered");
  await w.server.faults([]);
  await w.server.release();
  await w.settled(one);
  assert.deepEqual((await w.list(one)).length, 0);
  assert.equal((await w.server.arrivals("/api/sink/held")).length, 1);
  assert.equal((await w.server.arrivals("/api/sink/next")).length, 1);
});

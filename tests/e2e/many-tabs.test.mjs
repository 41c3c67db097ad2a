// Every reason to send at once, from ten tabs, and another version of the worker in the middle (P2, Q7, W9).

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";

import { dice } from "../torture/dice.mjs";
import { judge } from "../torture/verdict.mjs";
import { root } from "./harness/server.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ args: ["--static-mount", `/torture=${join(root, "tests/torture/page")}`] });

const JOBS = "/api/sink/j/";

/** Calls a function of ../torture/page/work.mjs in a page. */
const ask = (page, name, ...args) =>
  page.evaluate(
    async (name, args) => {
      window.work ??= await import("/torture/work.mjs");
      return window.work[name](...args);
    },
    name,
    args,
  );

/** The browser's name for the registration, by which a periodic sync can be fired. */
async function registrationId(page, origin) {
  const cdp = await page.createCDPSession();
  let id;
  cdp.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
    id ??= registrations.find((registration) => registration.scopeURL === `${origin}/`)?.registrationId;
  });
  await cdp.send("ServiceWorker.enable");
  return until("the registration", () => id);
}

let n = 0;
/** A call of so many jobs. */
function call(size, key = null) {
  n += 1;
  return {
    n,
    key,
    jobs: Array.from({ length: size }, (_, at) => ({ path: `${JOBS}${n}/${at}/`, kind: "text", text: `${n}/${at}` })),
  };
}

/** Waits for the end of all work as this page sees it, and judges all that happened. */
async function verdict(page, calls) {
  await until("the end of all work", async () => (await ask(page, "look")).quiet);
  const acks = new Map(
    (await w.server.sink("/api/sink/ack/")).map((entry) => [Number(entry.path.split("/").at(-1)), JSON.parse(entry.body)]),
  );
  const { jobs, snapshot } = await ask(page, "look");
  const story = {
    calls,
    acks,
    jobs,
    snapshot,
    kills: [],
    sink: await w.server.sink(JOBS),
    arrivals: await w.server.arrivals(JOBS),
    states: await ask(page, "states", [...acks.values()].flat()),
  };
  return { story, findings: judge(story) };
}

test("ten tabs, sync events, syncNow and online from each at once, and a new worker in the middle: 400 jobs, 400 arrivals, each key in order", async () => {
  const tabs = [];
  for (let at = 0; at < 10; at += 1) tabs.push(await w.open());
  const workers = await w.browser.workers(tabs[0]);
  await w.server.faults([{ path: JOBS, action: { delayMs: 20 } }]);

  // Each tab has a key of its own, and hands over others without a key beside it.
  const calls = tabs.map((_, at) => [
    call(5, `key-${at}`),
    call(15),
    call(5, `key-${at}`),
    ...Array.from({ length: 15 }, () => call(1)),
  ]);
  await Promise.all(tabs.map((tab, at) => ask(tab, "handOver", calls[at])));

  const everywhere = (run) => Promise.all(tabs.map((tab) => tab.evaluate(run)));
  const scope = { origin: w.server.origin, registrationId: await registrationId(tabs[0], w.server.origin) };
  const wakes = [
    () => workers.sync(w.server.origin, "default"),
    () => workers.sync(w.server.origin, "default", true),
    () => workers.cdp.send("ServiceWorker.dispatchPeriodicSyncEvent", { ...scope, tag: "daily-sync" }),
    () => everywhere(() => void client.syncNow()),
    () => everywhere(() => void client.syncNow("default")),
    () =>
      everywhere(() => {
        for (let at = 0; at < 5; at += 1) window.dispatchEvent(new Event("online"));
      }),
  ];
  const arrived = async () => (await w.server.arrivals(JOBS)).length;
  let rounds = 0;
  /** All wakes at once, again and again as the jobs arrive, until so many have. */
  const stormUntil = async (count) => {
    for (let seen = await arrived(); seen < count; seen = await arrived()) {
      await Promise.all(wakes.map((wake) => wake()));
      rounds += 1;
      await until("more to arrive", async () => (await arrived()) > seen);
    }
  };

  await stormUntil(130);
  // In the middle of it: an update that takes over as soon as it may, while the old worker still drains.
  await tabs[3].evaluate(() => void navigator.serviceWorker.register("/sw.js?update"));
  await until("the update to be installed", () =>
    tabs[3].evaluate(async () => Boolean((await navigator.serviceWorker.ready).waiting)),
  );
  await workers.cdp.send("ServiceWorker.skipWaiting", { scopeURL: `${w.server.origin}/` });
  await stormUntil(400);

  const { story, findings } = await verdict(tabs[9], calls.flat());
  assert.deepEqual(findings, []);
  assert.equal(story.acks.size, calls.flat().length, "every call resolved");
  assert.equal(story.arrivals.length, 400);
  assert.ok(rounds > 10, `${rounds} rounds are no storm`);
  await until("the new worker", () =>
    tabs[0].evaluate(async () => (await navigator.serviceWorker.ready).active.scriptURL.endsWith("?update")),
  );
  assert.deepEqual(await w.snapshot(tabs[0]), await w.snapshot(tabs[9]), "every tab shows the same");
});

test("twenty tabs are closed in the middle of enqueueAll: each call is stored whole or not at all, and nothing twice", async () => {
  const roll = dice("tabs");
  const calls = [];
  let usual = 0;
  for (let round = 0; round < 5; round += 1) {
    const tabs = [];
    for (let at = 0; at < 5; at += 1) tabs.push(await w.open({ options: { syncOnMount: false } }));
    // Loading the module is not what is to be met.
    await Promise.all(tabs.map((tab) => ask(tab, "told")));
    const started = Date.now();
    await Promise.all(
      tabs.map(async (tab) => {
        const many = call(40);
        calls.push(many);
        await ask(tab, "handOver", [many]);
        // The one place for a sleep: the moment is the point. The first five tell how long it takes.
        if (round > 0) await new Promise((resolve) => setTimeout(resolve, roll.from(0, usual)));
        else await until("it to be stored", async () => (await ask(tab, "look")).open === 0);
        await tab.close();
      }),
    );
    usual ||= Date.now() - started;
  }
  const page = await w.open();
  const { story, findings } = await verdict(page, calls);
  assert.deepEqual(findings, []);
  const whole = new Set(story.sink.map((entry) => entry.path.split("/")[4])).size;
  console.log(`  of ${calls.length} calls ${story.acks.size} resolved and ${whole} were stored`);
});

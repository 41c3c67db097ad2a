// The engines under test, with one face, and what a test wants of each: a server, browsers, connected pages.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, afterEach, beforeEach, describe } from "node:test";

import { startChromium } from "./chromium.mjs";
import { startFirefox } from "./firefox.mjs";
import { startServer } from "./server.mjs";
import { until } from "./wait.mjs";
import { startWebKit, webkitServerArgs } from "./webkit.mjs";

// A worker that is the tests' own, but for not waiting to be the active one.
const folder = mkdtempSync(join(tmpdir(), "shearwater-engines-"));
writeFileSync(
  join(folder, "skips-waiting.js"),
  'importScripts("/sw.js");\nself.addEventListener("install", () => self.skipWaiting());\n',
);
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

export const chromium = { name: "Chromium", start: startChromium, serverArgs: () => [] };
export const firefox = { name: "Firefox", start: startFirefox, serverArgs: () => [] };
export const webkit = { name: "WebKitGTK", start: startWebKit, serverArgs: webkitServerArgs };

/** Those that have no Background Sync, of which `ENGINES=Firefox` picks one. */
export const others = [firefox, webkit];

/**
 * Defines the same tests for several engines; `define` gets the world of one. Each test has a server of its
 * own, so a new origin; browsers that it starts end with it, and one is shared by those that kill none.
 */
export function onEngines(engines, define) {
  const wanted = process.env.ENGINES?.split(",");
  for (const engine of engines.filter(({ name }) => !wanted || wanted.includes(name))) {
    describe(engine.name, () => define(engineWorld(engine)));
  }
}

function engineWorld(engine) {
  const profiles = new Set();
  let shared;
  const own = [];
  let pages = [];

  const start = async (options) => {
    const browser = await engine.start(options);
    profiles.add(browser.profile);
    return browser;
  };

  const stopServer = async () => {
    if (!world.server) return;
    await world.server.stop();
    rmSync(dirname(world.server.db), { recursive: true, force: true });
    world.server = null;
  };

  const world = {
    engine: engine.name,
    server: null,

    /** Starts the test's server, in the place of the one before. `strict`: with no CSP but the tests' own. `dist`: another build. */
    async serve({ strict, dist } = {}) {
      await stopServer();
      world.server = await startServer({
        dist,
        args: ["--static-mount", `/engines=${folder}`, ...engine.serverArgs({ strict })],
      });
    },

    /** A browser that the test may kill; `profile` starts one again where it was killed. */
    async start(options) {
      const browser = await start(options);
      own.push(browser);
      return browser;
    },

    /** A tab with a connected `window.client`, in the browser that the tests share. */
    async open(options) {
      shared ??= await start();
      const page = await shared.open(world.server.origin, options);
      pages.push(page);
      return page;
    },

    async closeTab(page) {
      pages = pages.filter((other) => other !== page);
      await page.close();
    },

    enqueue: (page, request, options) =>
      page.evaluate((request, options) => window.client.enqueue(request, options), request, options),
    enqueueAll: (page, requests, options) =>
      page.evaluate((requests, options) => window.client.enqueueAll(requests, options), requests, options),
    list: (page, filter) => page.evaluate((filter) => window.client.list(filter), filter),
    get: (page, id) => page.evaluate((id) => window.client.get(id), id),
    snapshot: (page) => page.evaluate(() => window.client.getSnapshot()),

    /** Waits until a job is in this state. */
    becomes: (page, id, state) =>
      until(`job ${id} to be ${state}`, async () => {
        const job = await world.get(page, id);
        return job?.state === state ? job : Promise.reject(new Error(JSON.stringify(job)));
      }),

    /** Waits until the page shows an empty queue at rest. */
    idle: (page) =>
      until("an idle status", async () => {
        const status = await world.snapshot(page);
        const { state, isRunning, pending, syncing, failed } = status;
        return state === "idle" && !isRunning && pending + syncing + failed === 0
          ? status
          : Promise.reject(new Error(JSON.stringify(status)));
      }),

    /** Waits until the server has accepted every job, and checks that it did so once, by its key. */
    async acceptedOnce(ids, page) {
      let sink = [];
      try {
        await until(`${ids.length} jobs at the server`, async () => {
          sink = await world.server.sink();
          return sink.length >= ids.length;
        });
      } catch (error) {
        const arrived = new Set(sink.map((entry) => entry.idempotencyKey));
        const missing = ids.filter((id) => !arrived.has(id));
        const known = await page
          ?.evaluate(
            async (ids) => ({
              jobs: await Promise.all(ids.map((id) => window.client.get(id))),
              snapshot: window.client.getSnapshot(),
            }),
            missing,
          )
          .catch(String);
        throw new Error(
          `${error.message}\nmissing: ${JSON.stringify(missing)}\nthe client says: ${JSON.stringify(known)}\narrived: ${JSON.stringify((await world.server.arrivals()).slice(-20))}`,
        );
      }
      const keys = sink.map((entry) => entry.idempotencyKey);
      const expected = [...ids].sort();
      if (JSON.stringify(keys.sort()) !== JSON.stringify(expected)) {
        throw new Error(
          `the server accepted ${keys.length} of ${ids.length} jobs, or others: ${JSON.stringify({ keys, expected })}`,
        );
      }
      return sink;
    },
  };

  beforeEach(() => world.serve());
  afterEach(async () => {
    for (const page of pages.splice(0)) await page.close().catch(() => {});
    for (const browser of own.splice(0)) await browser.kill().catch(() => {});
    await stopServer();
  });
  after(async () => {
    await shared?.kill();
    for (const profile of profiles) {
      try {
        rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
      } catch {
        // A killed browser's last process may still write into it. It lies where temporary files do.
      }
    }
  });
  return world;
}

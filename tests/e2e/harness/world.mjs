// What a test needs of an engine: a server, a browser, connected pages, and the conditions that tests wait for.

import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { after, afterEach, before, beforeEach, describe } from "node:test";

import { chromium } from "./engines.mjs";
import { removeProfile } from "./profile.mjs";
import { startProxy } from "./proxy.mjs";
import { startServer } from "./server.mjs";
import { until } from "./wait.mjs";

/** This many small requests, each with its number as its body. */
export const numbered = (count, path = "/api/sink") =>
  Array.from({ length: count }, (_, at) => ({ url: `${path}/${at}`, body: `${at}` }));

/**
 * One of engines.mjs. The pages of puppeteer and of WebKitGTK share `evaluate` and `close`; only Chromium's browser has
 * `workers`. A test knows its engine, so browsers and pages are not typed further.
 *
 * @typedef {{name: string, start: (options?: any) => Promise<any>, serverArgs: (options: {strict?: boolean}) => string[]}} Engine
 */

/**
 * Defines the same tests for several engines, of which `ENGINES=Firefox` picks one; `define` gets the world of one.
 *
 * @param {Engine[]} engines
 * @param {(w: ReturnType<typeof world>) => void} define
 */
export function onEngines(engines, define) {
  const wanted = process.env.ENGINES?.split(",");
  for (const engine of engines.filter(({ name }) => !wanted || wanted.includes(name))) {
    describe(engine.name, () => define(world({ engine })));
  }
}

/**
 * Call at the top of a test file, or in `onEngines`. Each test has a server of its own, so a new origin, and nothing is
 * left of the test before. One browser is shared by the tests that kill none; those that a test starts end with it.
 * `proxy`: the pages see the server through a proxy. The other options are those of `startServer`.
 *
 * @param {{engine?: Engine, proxy?: boolean} & import("./server.mjs").ServerOptions} [options]
 */
export function world({ engine = chromium, proxy = false, ...serverOptions } = {}) {
  const profiles = new Set();
  /** @type {Array<{kill(): Promise<void>}>} */
  const own = [];
  /** @type {Array<{close(): Promise<void>}>} */
  let pages = [];

  const start = async (options) => {
    const browser = await engine.start(options);
    profiles.add(browser.profile);
    return browser;
  };

  const stopServer = async () => {
    await world.proxy?.stop();
    await world.server?.stop();
    if (world.server) rmSync(dirname(world.server.db), { recursive: true, force: true });
    world.proxy = world.server = null;
  };

  const world = {
    engine: engine.name,
    /** The browser that the tests share. @type {any} */
    browser: null,
    /** @type {any} */
    server: null,
    /** @type {any} */
    proxy: null,

    /**
     * Starts the test's server, in the place of the one before. `strict`: with no CSP but the tests' own. `dist`: another build.
     *
     * @param {{strict?: boolean} & import("./server.mjs").ServerOptions} [options]
     */
    async serve({ strict, ...options } = {}) {
      await stopServer();
      const args = [...(serverOptions.args ?? []), ...engine.serverArgs({ strict })];
      world.server = await startServer({ ...serverOptions, ...options, args });
      if (proxy) world.proxy = await startProxy(world.server.origin);
    },

    /** Where pages find the server. */
    origin: () => (world.proxy ?? world.server).origin,

    /** A browser that the test may kill; `profile` starts one again where it was killed. */
    async start(options) {
      const browser = await start(options);
      own.push(browser);
      return browser;
    },

    /** A tab with a connected `window.client`. */
    async open(options) {
      world.browser ??= await start();
      const page = await world.browser.open(world.origin(), options);
      pages.push(page);
      return page;
    },

    /** A tab on this page of the site, connected to nothing; `ready`: its script is to have run. Not in WebKit. */
    async visit(path = "/", { ready = true } = {}) {
      const page = await world.browser.newPage();
      await page.goto(world.origin() + path);
      if (ready) await page.waitForFunction("window.ready");
      return page;
    },

    /** Why `connect` fails with these options, as {code, message}; null if it does not. */
    async connectError(options) {
      const page = await world.visit();
      const error = await page.evaluate(
        (options) =>
          window.connect(options).then(
            () => null,
            ({ code, message }) => ({ code, message }),
          ),
        options,
      );
      await page.close();
      return error;
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

    /** Posts an operation to the active worker, past the client; resolves with the response. */
    post: (page, op) =>
      page.evaluate(async (op) => {
        const { active } = await navigator.serviceWorker.ready;
        return new Promise((resolve) => {
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = ({ data }) => resolve(data);
          active?.postMessage({ shearwater: 1, re: crypto.randomUUID(), op }, [port2]);
        });
      }, op),

    /** What a method of the client throws, as {name, code, message}; or {resolved}. */
    refused: (page, method, ...args) =>
      page.evaluate(
        (method, args) =>
          window.client[method](...args).then(
            (resolved) => ({ resolved }),
            ({ name, code, message }) => ({ name, code, message }),
          ),
        method,
        args,
      ),

    /** Waits until the server holds back this many responses. */
    held: (count) => until(`${count} held`, async () => (await world.server.stats()).held >= count),

    /** Waits until a job is in this state. */
    becomes: (page, id, state) =>
      until(`job ${id} to be ${state}`, async () => {
        const job = await world.get(page, id);
        return job?.state === state ? job : Promise.reject(new Error(JSON.stringify(job)));
      }),

    /** Waits until no drain runs. */
    resting: (page) => until("no drain", async () => !(await world.snapshot(page)).isRunning),

    /** Waits until the store, as the page sees it, has nothing left to send. */
    settled: (page) =>
      until("nothing pending or syncing", async () => {
        const { pending, syncing, isRunning } = await world.snapshot(page);
        return pending + syncing === 0 && !isRunning;
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
          `${/** @type {Error} */ (error).message}\nmissing: ${JSON.stringify(missing)}\nthe client says: ${JSON.stringify(known)}\narrived: ${JSON.stringify((await world.server.arrivals()).slice(-20))}`,
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

  // The other engines start with the first page that is opened: many of their tests need browsers of their own only.
  before(async () => {
    if (engine === chromium) world.browser = await start();
  });
  beforeEach(() => world.serve());
  afterEach(async () => {
    for (const page of pages.splice(0)) await page.close().catch(() => {});
    await world.browser?.closePages?.();
    for (const browser of own.splice(0)) await browser.kill().catch(() => {});
    await stopServer();
  });
  after(async () => {
    await world.browser?.kill();
    for (const profile of profiles) removeProfile(profile);
  });
  return world;
}

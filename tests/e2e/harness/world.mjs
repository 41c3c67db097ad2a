// What most test files want: one server, one Chromium, a fresh page and an empty store for each test.

import { after, afterEach, before, beforeEach } from "node:test";

import { startChromium } from "./chromium.mjs";
import { startServer } from "./server.mjs";
import { until } from "./wait.mjs";

/** Call at the top of a test file. Each test gets a new origin (port), so that nothing is left of the one before. */
export function world(options = {}) {
  const world = { server: null, chromium: null, page: null };

  before(async () => {
    world.chromium = await startChromium();
  });
  beforeEach(async () => {
    world.server = await startServer(options);
  });
  afterEach(async () => {
    for (const page of await world.chromium.browser.pages()) {
      if ((await world.chromium.browser.pages()).length > 1) await page.close().catch(() => {});
    }
    await world.server.stop();
  });
  after(async () => {
    await world.chromium.close();
  });

  /** A page with a connected `window.client`. */
  world.open = (more) => world.chromium.open(world.server.origin, more);

  /** Enqueues one request from a page. */
  world.enqueue = (page, request, options) =>
    page.evaluate((request, options) => window.client.enqueue(request, options), request, options);

  world.list = (page, filter) => page.evaluate((filter) => window.client.list(filter), filter);
  world.get = (page, id) => page.evaluate((id) => window.client.get(id), id);
  world.snapshot = (page) => page.evaluate(() => window.client.getSnapshot());

  /** Waits until the store, as the page sees it, has nothing left to send. */
  world.settled = (page) =>
    until("nothing pending or syncing", async () => {
      const { pending, syncing, isRunning } = await world.snapshot(page);
      return pending + syncing === 0 && !isRunning;
    });

  /** Waits until a job is in this state. */
  world.becomes = (page, id, state) =>
    until(`job ${id} to be ${state}`, async () => {
      const job = await world.get(page, id);
      return job?.state === state && job;
    });

  /** What a method of the client throws, as {name, code, message}; or {resolved}. */
  world.refused = (page, method, ...args) =>
    page.evaluate(
      (method, args) =>
        window.client[method](...args).then(
          (resolved) => ({ resolved }),
          ({ name, code, message }) => ({ name, code, message }),
        ),
      method,
      args,
    );

  return world;
}

// How puppeteer opens a page of the tests, in whichever browser.

/**
 * Opens the test page and connects a client as `window.client`.
 *
 * @typedef {object} PageOptions
 * @property {import("../../../sw/types/worker.js").WorkerConfig} [config]  of the worker of the tests
 * @property {import("../../../sw/types/index.js").ConnectOptions} [options]
 * @property {string} [path]
 *
 * @param {import("puppeteer-core").Browser} browser
 * @param {string} origin
 * @param {PageOptions} [more]
 */
export async function openPage(browser, origin, { config, options = {}, path = "/" } = {}) {
  const page = await browser.newPage();
  page.on("console", (message) => {
    if (process.env.VERBOSE) console.log("  [page]", message.text());
  });
  await page.goto(origin + path);
  await page.waitForFunction("window.ready");
  await page.evaluate(
    async (options) => {
      window.client = await window.connect(options);
    },
    { worker: workerUrl(config), ...options },
  );
  return page;
}

/**
 * The worker of the tests with this configuration.
 *
 * @param {PageOptions["config"]} config
 */
export const workerUrl = (config) => (config ? `/sw.js?config=${encodeURIComponent(JSON.stringify(config))}` : "/sw.js");

// A real Firefox on a profile of its own, driven by WebDriver BiDi.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const executablePath = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

/** Starts Firefox; give `profile` to start it again where it was killed, and `prefs` as in about:config. */
export async function startFirefox({ profile = mkdtempSync(join(tmpdir(), "shearwater-firefox-")), prefs } = {}) {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath,
    userDataDir: profile,
    extraPrefsFirefox: prefs,
    headless: true,
    protocolTimeout: 120_000,
  });
  const child = browser.process();
  const gone = new Promise((resolve) => child.once("exit", resolve));

  return {
    profile,

    /** Opens the test page and connects a client as `window.client`. */
    async open(origin, { config, options = {}, path = "/" } = {}) {
      const page = await browser.newPage();
      page.on("console", (message) => {
        if (process.env.VERBOSE) console.log("  [page]", message.text());
      });
      await page.goto(origin + path);
      await page.waitForFunction("window.ready");
      const worker = config ? `/sw.js?config=${encodeURIComponent(JSON.stringify(config))}` : "/sw.js";
      await page.evaluate(async (options) => {
        window.client = await window.connect(options);
      }, { worker, ...options });
      return page;
    },

    /** The hard crash: puppeteer makes Firefox the leader of a process group, and all of it goes at once. */
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      process.kill(-child.pid, "SIGKILL");
      await gone;
    },

    /** Ends it and removes its profile. */
    async close() {
      await this.kill();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

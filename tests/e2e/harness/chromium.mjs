// A real Chromium on a profile of its own, and what the devtools protocol can do to its workers.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

import { openPage } from "./pages.mjs";
import { until } from "./wait.mjs";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Starts Chromium; give `profile` to start it again where it was killed. */
export async function startChromium({ profile = mkdtempSync(join(tmpdir(), "shearwater-chromium-")) } = {}) {
  const browser = await puppeteer.launch({
    executablePath,
    userDataDir: profile,
    headless: true,
    protocolTimeout: 120_000,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-dev-shm-usage",
    ],
  });
  return {
    browser,
    profile,

    /** Opens the test page and connects a client as `window.client`. */
    open: (origin, more) => openPage(browser, origin, more),
    newPage: () => browser.newPage(),

    /** Closes all tabs but one, without which the browser would end. */
    async closePages() {
      for (const page of (await browser.pages()).slice(1)) await page.close().catch(() => {});
    },

    /** A devtools session in which the service workers of this browser can be driven. */
    async workers(page) {
      const cdp = await page.createCDPSession();
      const registrations = new Map();
      const versions = new Map();
      cdp.on("ServiceWorker.workerRegistrationUpdated", ({ registrations: updated }) => {
        for (const registration of updated) registrations.set(registration.scopeURL, registration);
      });
      cdp.on("ServiceWorker.workerVersionUpdated", ({ versions: updated }) => {
        for (const version of updated) versions.set(version.versionId, version);
      });
      await cdp.send("ServiceWorker.enable");
      const registration = (origin) => until("the registration", () => registrations.get(`${origin}/`));
      return {
        cdp,
        running: () => [...versions.values()].filter((version) => version.runningStatus === "running").length,
        async sync(origin, tag, lastChance = false) {
          const { registrationId } = await registration(origin);
          await cdp.send("ServiceWorker.dispatchSyncEvent", { origin, registrationId, tag, lastChance });
        },
        /** Stops it, and stops it again where an event has started it meanwhile: by itself it would end after 30 s. */
        async stop() {
          await until("the worker to stop", async () => {
            await cdp.send("ServiceWorker.stopAllWorkers");
            return ![...versions.values()].some((version) => version.runningStatus !== "stopped");
          });
        },
        async fillQuota(origin, quotaSize) {
          await cdp.send("Storage.overrideQuotaForOrigin", { origin, quotaSize });
        },
      };
    },

    /** The hard crash: no page, worker or database gets a word in. */
    async kill() {
      const child = browser.process();
      if (!child) throw new Error("puppeteer has not started this browser");
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    },

    close: () => browser.close(),
  };
}

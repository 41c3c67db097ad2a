// One browser on one profile, killed and started again as often as wanted.

import { rmSync } from "node:fs";

import { startChromium } from "../e2e/harness/chromium.mjs";
import { until } from "../e2e/harness/wait.mjs";

const ENGINES = {
  chromium: async () => ({ start: startChromium }),
  firefox: async () => ({ start: (await import("../e2e/harness/firefox.mjs")).startFirefox }),
  webkit: async () => {
    const { startWebKit, webkitServerArgs } = await import("../e2e/harness/webkit.mjs");
    return { start: startWebKit, serverArgs: webkitServerArgs() };
  },
};

/** So many trials share a profile: databases of other origins lie beside, as they do with people. */
const TRIALS_A_PROFILE = 25;

/** A browser that trials share, each on an origin of its own. */
export async function startRig(engine) {
  const { start, serverArgs = [] } = await ENGINES[engine]();
  let browser = await start();
  let trials = 0;
  const forget = async () => {
    await browser.kill();
    // Its processes outlive the first of them by a little, and write.
    await until("the profile to be gone", () => {
      rmSync(browser.profile, { recursive: true, force: true });
      return true;
    });
  };
  return {
    engine,
    serverArgs,
    canStop: engine === "chromium",
    get profile() {
      return browser.profile;
    },
    open: (origin, worker) => browser.open(origin, { options: { worker } }),

    /** Kills the browser. */
    kill: () => browser.kill(),
    /** Starts it again where it was killed. */
    async restart() {
      browser = await start({ profile: browser.profile });
    },

    /** Stops the service workers, and nothing else; false if none was running. */
    async stop(page) {
      const { cdp, running } = await browser.workers(page);
      // What runs is told a moment after it was asked for; a worker may also have gone by itself.
      const alive = await until("a running worker", running, 2_000).catch(() => false);
      if (!alive) return cdp.detach().then(() => false);
      let stopped = false;
      cdp.on("ServiceWorker.workerVersionUpdated", ({ versions }) => {
        // One that is asked something starts again at once.
        stopped ||= versions.some((version) => version.runningStatus === "stopping" || version.runningStatus === "stopped");
      });
      await cdp.send("ServiceWorker.stopAllWorkers");
      await until("the worker to stop", () => stopped);
      await cdp.detach();
      return true;
    },
    async sync(page, origin, tag) {
      const workers = await browser.workers(page);
      await workers.sync(origin, tag);
      await workers.cdp.detach();
    },

    /** Before each trial: a fresh profile now and then, or when the last one is kept as evidence. */
    async prepare({ keep = false } = {}) {
      trials += 1;
      if (!keep && trials <= TRIALS_A_PROFILE) return;
      if (keep) await browser.kill();
      else await forget();
      browser = await start();
      trials = 1;
    },
    end: forget,
  };
}

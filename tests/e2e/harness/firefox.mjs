// A real Firefox on a profile of its own, driven by WebDriver BiDi.
//
// Started here and not by puppeteer, which after each end puts a profile's files back as they were, in the
// middle of the next start.

import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import puppeteer from "puppeteer-core";

import { openPage } from "./pages.mjs";
import { processGroup } from "./processes.mjs";
import { removeProfile } from "./profile.mjs";

const executablePath = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

/** Besides what Firefox itself sets when it is driven. */
const PREFS = {
  "app.update.disabledForTesting": true,
  "browser.sessionstore.resume_from_crash": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "toolkit.startup.max_resumed_crashes": -1,
};

/** Starts Firefox; give `profile` to start it again where it was killed, and `prefs` as in about:config. */
export async function startFirefox({ profile = mkdtempSync(join(tmpdir(), "shearwater-firefox-")), prefs = {} } = {}) {
  const lines = Object.entries({ ...PREFS, ...prefs }).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
  );
  writeFileSync(join(profile, "user.js"), lines.join(""));
  const child = spawn(
    executablePath,
    ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank"],
    {
      // Of a process group of its own, with its content processes.
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, HOME: profile, MOZ_CRASHREPORTER_DISABLE: "1" },
    },
  );
  const { gone, kill } = processGroup(child);

  let browser;
  try {
    const said = [];
    const endpoint = await new Promise((resolve, reject) => {
      createInterface(child.stderr).on("line", (line) => {
        if (process.env.VERBOSE) console.log("  [firefox]", line);
        said.push(line);
        const [, url] = /WebDriver BiDi listening on (ws:\S+)/.exec(line) ?? [];
        if (url) resolve(`${url}/session`);
      });
      void gone.then((end) => reject(new Error(`Firefox ended as it began: ${end}\n${said.join("\n")}`)));
    });
    browser = await puppeteer.connect({ browserWSEndpoint: endpoint, protocol: "webDriverBiDi", protocolTimeout: 120_000 });
  } catch (error) {
    await kill();
    throw error;
  }

  return {
    profile,

    /** Opens the test page and connects a client as `window.client`. */
    open: (origin, more) => openPage(browser, origin, more),
    newPage: () => browser.newPage(),

    kill,

    /** Ends it and removes its profile. */
    async close() {
      await kill();
      removeProfile(profile);
    },
  };
}

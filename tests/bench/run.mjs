// How fast it is, beside workbox-background-sync and beside nothing at all; see docs/benchmarks.md.
//
//   node tests/bench/run.mjs               everything, about ten minutes; writes docs/benchmarks.{md,svg}
//   … --rows F1,F3                         some rows; prints, writes nothing
//   … --quick                              few runs and few jobs, to see that it works; writes nothing
//   … --runs 9 --jobs 500 --no-firefox     as it says
//   … --lengths 100,1000 --blobs 40        for F6 and F7
//   … --out /tmp                           writes there, whatever was run

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { startChromium } from "../e2e/harness/chromium.mjs";
import { root } from "../e2e/harness/server.mjs";
import { buildSite } from "./arena.mjs";
import { print, write } from "./report.mjs";
import { coldStart } from "./rows/cold.mjs";
import { drain } from "./rows/drain.mjs";
import { enqueueMany, enqueueOne } from "./rows/enqueue.mjs";
import { growth } from "./rows/growth.mjs";
import { memory } from "./rows/memory.mjs";
import { bytes, pageCost } from "./rows/page.mjs";
import { records } from "./rows/records.mjs";
import { routes } from "./rows/routes.mjs";

const { values: given } = parseArgs({
  options: {
    rows: { type: "string" },
    quick: { type: "boolean" },
    runs: { type: "string" },
    jobs: { type: "string" },
    lengths: { type: "string" },
    blobs: { type: "string" },
    out: { type: "string" },
    firefox: { type: "boolean", default: true },
  },
  allowNegative: true,
});

const quick = given.quick ?? false;
const bench = {
  quick,
  mark: "",
  site: await buildSite(),
  runs: Number(given.runs ?? (quick ? 2 : 5)),
  jobs: Number(given.jobs ?? (quick ? 200 : 1_000)),
  lengths: (given.lengths ?? (quick ? "100,1000" : "100,1000,10000,100000")).split(",").map(Number),
  memory: { blobs: Number(given.blobs ?? (quick ? 10 : 200)), blobBytes: 5 * 1_048_576, rounds: quick ? 2 : 10 },
};

const rows = {
  F1: enqueueOne,
  F2: enqueueMany,
  F3: drain,
  F5: coldStart,
  F6: growth,
  F7: memory,
  F8: pageCost,
  F9: bytes,
  F10: routes,
  F12: records,
};
const inFirefox = { F1: enqueueOne, F2: enqueueMany, F3: drain };
const wanted = given.rows?.split(",");
const began = Date.now();
const measures = [];
const failures = [];
const versions = {};

async function run(name, start, rows, label, how) {
  const chosen = Object.entries(rows).filter(
    ([row]) => !wanted || wanted.includes(label ?? row) || (label && wanted.includes(`${label}:${row}`)),
  );
  if (chosen.length === 0) return;
  const browser = await start();
  try {
    versions[name] = browser.browser
      ? await browser.browser.version()
      : spawnSync("firefox-esr", ["--version"], { encoding: "utf8" }).stdout?.trim();
    for (const [row, measure] of chosen) {
      const since = Date.now();
      try {
        measures.push(...(await measure({ ...bench, ...how, browser })));
      } catch (error) {
        failures.push(`${name}, ${row}: ${process.env.VERBOSE ? error.stack : error.message}`);
      }
      process.stderr.write(`${name}  ${row}: ${((Date.now() - since) / 1_000).toFixed(0)} s\n`);
    }
  } finally {
    await browser.close();
  }
}

await run("Chromium", startChromium, rows);
const firefox = join(root, "tests/e2e/harness/firefox.mjs");
if (given.firefox && existsSync(firefox)) {
  const { startFirefox } = await import(firefox);
  await run("Firefox", startFirefox, inFirefox, "F11", { mark: " Firefox" });
}

print(measures);
for (const failure of failures) console.log(`FAILED  ${failure}`);
const complete = !quick && !wanted && failures.length === 0;
if (complete || given.out)
  write(given.out ?? join(root, "docs"), measures, { versions, bench, seconds: (Date.now() - began) / 1_000 });
console.log(`${((Date.now() - began) / 1_000).toFixed(0)} s`);
process.exitCode = failures.length > 0 ? 1 : 0;

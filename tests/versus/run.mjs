// Head to head with workbox-background-sync, as counted by the server.
//
//   node tests/versus/run.mjs             three runs of what is racy; writes docs/versus.md
//   node tests/versus/run.mjs --quick     one run of each row; fails if Shearwater lost, doubled or reordered
//   … --only=killed --runs=10             rows whose title has this in it; so many runs; writes nothing
//   … --who=shearwater                    one contender only; writes nothing

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { startChromium } from "../e2e/harness/chromium.mjs";
import { root } from "../e2e/harness/server.mjs";
import { Arena } from "./arena.mjs";
import { contenders as all, buildSite, control, versions } from "./contenders.mjs";
import { defects, findingsOf, page, print } from "./report.mjs";
import { controlRow, rows } from "./rows.mjs";

const { values: options } = parseArgs({
  options: { quick: { type: "boolean" }, only: { type: "string" }, runs: { type: "string" }, who: { type: "string" } },
});
const contenders = all.filter(({ id }) => id === (options.who ?? id));
const started = Date.now();
const site = await buildSite();

async function once(row, contender, chromium) {
  let arena;
  try {
    arena = await Arena.open({ row, contender, site, chromium: row.ownBrowser ? undefined : chromium });
    await row.run(arena);
    await arena.everyChance();
    const verdict = await arena.verdict();
    await row.afterwards?.(arena);
    return verdict;
  } catch (error) {
    if (process.env.VERBOSE) console.error(error);
    return {
      error: String(error.message ?? error)
        .split("\n")[0]
        .slice(0, 300),
    };
  } finally {
    await arena?.close();
  }
}

/** The counting is worth something only if it notices. */
async function mustNotice(chromium) {
  const { lost, doubled, disordered, error } = await once(controlRow, control, chromium);
  if (error || lost !== 1 || doubled !== 1 || disordered !== 1) {
    throw new Error(
      `the control lost, doubled and swapped one each; counted were ${JSON.stringify({ lost, doubled, disordered, error })}`,
    );
  }
}

const chosen = rows.filter(({ title }) => title.includes(options.only ?? ""));
const results = chosen.map((row) => ({ row, runs: Object.fromEntries(contenders.map(({ id }) => [id, []])) }));

/** All rows for one contender, in a browser of its own; the contenders run side by side. */
async function compete(contender, chromium) {
  for (const { row, runs } of results) {
    const since = Date.now();
    const times = options.runs ? Number(options.runs) : row.racy && !options.quick ? (row.runs ?? 3) : 1;
    for (let at = 0; at < times; at += 1) runs[contender.id].push(await once(row, contender, chromium));
    process.stderr.write(`${contender.short}  ${row.title}: ${((Date.now() - since) / 1_000).toFixed(0)} s\n`);
  }
}

const browsers = await Promise.all(contenders.map(() => startChromium()));
let failed = false;
try {
  await mustNotice(browsers[0]);
  await Promise.all(contenders.map((contender, at) => compete(contender, browsers[at])));
  const product = await browsers[0].browser.version();
  console.log(`${print(results, contenders)}\n\n${findingsOf(results, contenders)}\n`);
  const found = defects(results);
  for (const line of found) console.log(`DEFECT of Shearwater: ${line}`);
  for (const { row, runs } of results) {
    for (const { id } of contenders)
      for (const run of runs[id]) if (run.error) console.log(`${id}, ${row.title}: ${run.error}`);
  }
  if (!options.quick && !options.only && !options.who) {
    writeFileSync(
      join(root, "docs/versus.md"),
      page({
        results,
        contenders,
        versions: versions(),
        chromium: product.replace(/.*\//, "Chromium "),
        command: "make versus",
      }),
    );
    console.log("docs/versus.md is written.");
  }
  console.log(`${((Date.now() - started) / 1_000).toFixed(0)} s`);
  failed = found.length > 0;
} finally {
  await Promise.all(browsers.map((chromium) => chromium.kill()));
}
process.exitCode = failed ? 1 : 0;

// The crash matrix in its long form: kills at every point of a job's life, and at random.
//
//   node tests/torture/run.mjs --kills 200 [--engine chromium|firefox|webkit] [--seed 1] [--point claim-after] [--way stop|kill]
//
// Prints a table and the seed of each trial that went wrong; repeat one by `--only <its seed>` with its
// --point and --way. Ends with 1 if there was any finding.

import { parseArgs } from "node:util";

import { POINTS, plan } from "./plan.mjs";
import { startRig } from "./rig.mjs";
import { runTrial } from "./trial.mjs";

const { values: options } = parseArgs({
  options: {
    kills: { type: "string", default: "200" },
    engine: { type: "string", default: "chromium" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    point: { type: "string", multiple: true },
    way: { type: "string", multiple: true },
    only: { type: "string" },
  },
});

const rig = await startRig(options.engine);
const ways = (options.way ?? ["stop", "kill"]).filter((way) => way === "kill" || rig.canStop);
const rows = (options.point ?? [...POINTS, "random"]).flatMap((point) =>
  ways.map((way) => ({ point, way, trials: 0, kills: 0, missed: 0, found: {} })),
);
const wanted = Number(options.kills);
const started = Date.now();
let kills = 0;
let bad = 0;
let said = started;

console.log(`${options.engine}, ${wanted} kills, seed ${options.seed}`);
try {
  for (let round = 0; kills < wanted; round += 1) {
    for (const row of rows) {
      if (kills >= wanted) break;
      const seed = options.only ?? `${options.seed}.${round}`;
      const outcome = await runTrial(rig, plan(row.point, row.way, seed));
      row.trials += 1;
      row.kills += outcome.deaths;
      row.missed += outcome.missed;
      kills += outcome.deaths;
      for (const { what, detail } of outcome.findings) {
        row.found[what] = (row.found[what] ?? 0) + 1;
        console.log(`!! ${row.point} by ${row.way}, seed ${seed}: ${what}: ${detail}`);
      }
      if (outcome.evidence) {
        bad += 1;
        console.log(`!! kept: ${outcome.evidence}, profile ${rig.profile}`);
      }
      await rig.prepare({ keep: Boolean(outcome.evidence) });
      if (Date.now() - said > 20_000) {
        said = Date.now();
        console.log(`${kills} kills after ${Math.round((said - started) / 1000)} s, ${bad} trials with findings`);
      }
    }
    if (options.only) break;
  }
} finally {
  await rig.end();
}
print();
process.exit(bad > 0 ? 1 : 0);

function print() {
  const sum = (row, kinds) => kinds.reduce((total, kind) => total + (row.found[kind] ?? 0), 0);
  const other = ["half", "leased", "resent", "altered", "unrecorded", "stray", "stuck"];
  const columns = [
    ["point", (row) => row.point],
    ["killed", (row) => (row.way === "stop" ? "worker" : "browser")],
    ["trials", (row) => row.trials],
    ["kills", (row) => row.kills],
    ["missed", (row) => row.missed],
    ["lost", (row) => sum(row, ["lost"])],
    ["doubled", (row) => sum(row, ["doubled"])],
    ["out of order", (row) => sum(row, ["disordered"])],
    ["counters wrong", (row) => sum(row, ["miscounted"])],
    ["other", (row) => sum(row, other)],
  ];
  const total = { point: "total", way: "", trials: 0, kills: 0, missed: 0, found: {} };
  for (const row of rows) {
    for (const name of ["trials", "kills", "missed"]) total[name] += row[name];
    for (const [kind, count] of Object.entries(row.found)) total.found[kind] = (total.found[kind] ?? 0) + count;
  }
  const lines = [
    columns.map(([title]) => title),
    ...[...rows, total].map((row) =>
      columns.map(([, value]) => String(row === total && value === columns[1][1] ? "" : value(row))),
    ),
  ];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at].length)));
  for (const line of lines)
    console.log(line.map((cell, at) => (at < 2 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join("  "));
  console.log(`${Math.round((Date.now() - started) / 1000)} s`);
}

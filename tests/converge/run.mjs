// Browsers that edit the same records at once, with lines that are cut and workers and browsers that are killed.
//
//   node tests/converge/run.mjs --seconds 60 --seed 7 --clients chromium,firefox,webkit
//   … --clients chromium,chromium2    two profiles of one engine
//   … --ids server                    the server gives the ids
//   … --records 1 --pace 5            so many shared records, and at most so many ms between two steps
//   … --sabotage drop                 breaks something on purpose: the run must end with 1
//   … --spare pulls,edits             keeps away from known defects (docs/converge.md), to see what else there is
//   … --check .cache/converge/7.json  judges a history again
//
// Prints figures, and of each class of violation the shortest piece of history that shows it. Keeps the history of a run with
// violations, and with --keep of any. Ends with 1 if there was a violation.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";

import { root, startServer } from "../e2e/harness/server.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { dice } from "../torture/dice.mjs";
import { check } from "./checker.mjs";
import { COLLECTION, ENGINES, startClient } from "./client.mjs";
import { Recorder } from "./history.mjs";
import { startLine } from "./line.mjs";
import { planOf, shared } from "./plan.mjs";
import { print } from "./report.mjs";

/** What may be broken on purpose. */
const SABOTAGES = {
  drop: "a write that the server accepted is put back there, behind everybody's back",
  blind: "lines take If-Match away, so that the server accepts what it should refuse",
  forget: "a write is recorded as acknowledged and never made",
};

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    clients: { type: "string", default: "chromium,firefox,webkit" },
    records: { type: "string", default: "4" },
    sabotage: { type: "string" },
    ids: { type: "string", default: "client" },
    pace: { type: "string", default: "50" },
    spare: { type: "string", default: "" },
    keep: { type: "boolean" },
    check: { type: "string" },
  },
});
if (options.sabotage && !(options.sabotage in SABOTAGES)) throw new Error(`--sabotage: ${Object.keys(SABOTAGES).join(", ")}`);

/** Where a run may keep away from: kills during a pull; edits by a function while a reply may come. */
const spare = new Set(options.spare.split(","));

/** Milliseconds in which everything is to come to rest once all lines are mended. */
const PATIENCE = 60_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Infinity has no JSON. */
const read = (text) =>
  JSON.parse(text, (member, value) => (member === "completedAt" && value === null ? Number.POSITIVE_INFINITY : value));

if (options.check) {
  const history = read(readFileSync(options.check, "utf8"));
  const violations = check(history);
  print({ history, violations, figures: [] });
  process.exit(violations.length > 0 ? 1 : 0);
}

const started = Date.now();
const run = await carryOut();
const violations = [...run.stuck, ...check(run.history)];
print({ ...run, violations });
if (options.keep || violations.length > 0) {
  const file = join(root, ".cache/converge", `${options.seed}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify({ ...run.history, violations }, null, 1));
  console.log(`history: .cache/converge/${options.seed}.json`);
}
console.log(
  `seed ${options.seed}, ${options.clients}: ${violations.length} violations, ${Math.round((Date.now() - started) / 1_000)} s`,
);
process.exit(violations.length > 0 ? 1 : 0);

async function carryOut() {
  const names = options.clients.split(",");
  const engines = new Set(names.map((name) => ENGINES[name.replace(/\d+$/, "")]));
  const server = await startServer({ args: [...engines].flatMap((engine) => engine.serverArgs({})) });
  const recorder = new Recorder();
  const records = shared(Number(options.records));
  const clients = [];
  // Rows are visible some time after the time that they bear.
  const commitDelay = dice(`${options.seed} server`).pick([0, 0, 20, 120]);
  await server.recordOptions(COLLECTION, { assignIds: options.ids === "server", commitDelay });
  try {
    for (const [at, name] of names.entries()) {
      const plan = planOf(options.seed, at + 1, records);
      const line = await startLine(server.origin, { latency: plan.latency, blind: options.sabotage === "blind" });
      clients.push({ ...(await startClient(name, { line, recorder })), plan, created: 0 });
    }
    for (const name of records) await clients[0].act(clients[0].plan.create(name));
    for (const client of clients) {
      await until(`${client.name} to have the records`, async () => {
        const { result } = await client.act({ what: "sync" });
        return result && result.error === undefined && result.pending.length === 0;
      });
    }
    const seen = new Set();
    const end = Date.now() + Number(options.seconds) * 1_000;
    await Promise.all([...clients.map((client) => live(client, { end, seen })), sabotage({ server, recorder, end, records })]);
    const stuck = await quiesce(clients, server);
    return { stuck, ...(await account({ clients, server, recorder })) };
  } finally {
    for (const client of clients) await client.end();
    await server.stop();
    rmSync(dirname(server.db), { recursive: true, force: true });
  }
}

/** One client's part: one step after the other, with the faults of the plan in between. `seen`: names of records that came up. */
async function live(client, { end, seen }) {
  const { plan, line } = client;
  let mendAfter = 0;
  while (Date.now() < end) {
    const step = plan.next([...seen]);
    if (mendAfter > 0 && --mendAfter === 0) {
      line.cut(null);
      client.note("its line is mended");
    }
    if (step.what === "cut") {
      if (mendAfter > 0) continue;
      line.cut(step.how);
      client.note(`its line is cut: ${step.how}`);
      mendAfter = step.steps;
    } else if (step.what === "kill" || step.what === "stop") {
      await injectFault(client, step, seen);
    } else if (step.what !== "add" || !spare.has("edits") || (await isUndisturbed(client))) {
      await client.act(step);
      if (step.what === "create") seen.add(step.name);
    }
    // The one place for sleeps: other clients are to come in between, and pushes to be on their way.
    await pause(plan.roll.from(0, Number(options.pace)));
  }
  line.cut(null);
}

/** Whether nothing comes from the server: the line is cut, or there is nothing to come. */
async function isUndisturbed(client) {
  if (client.line.isCut) return true;
  const { result } = await client.act({ what: "sync" });
  return result?.error === undefined && result?.pending.length === 0;
}

/** The worker or the browser dies some milliseconds after a step has begun. */
async function injectFault(client, { what, after }, seen) {
  let step = client.plan.next([...seen]);
  const isOther = ({ what }) => ["cut", "kill", "stop"].includes(what);
  const isSpared = ({ what }) => (what === "sync" && spare.has("pulls")) || (what === "add" && spare.has("edits"));
  while (isOther(step) || isSpared(step)) step = client.plan.next([...seen]);
  const acting = client.act(step);
  if (step.what === "create") seen.add(step.name);
  await pause(after);
  if (what === "stop" && client.canStop) {
    await client.stop();
    await acting;
    return;
  }
  await client.kill();
  await acting;
  await client.restart();
}

/** What `--sabotage` does, in the middle of the run. */
async function sabotage({ server, recorder, end, records }) {
  await pause(Math.max(0, (end - Date.now()) / 2));
  if (options.sabotage === "forget") {
    const op = recorder.begin(options.clients.split(",")[0], { what: "write", name: records[0], data: { a: "a0.0" } });
    recorder.end(op, true);
  }
  if (options.sabotage !== "drop") return;
  // A register's last accepted value, back to the one before; its version and time stay.
  const row = (await server.records(COLLECTION)).find(({ name }) => name === records[0]);
  const log = (await server.recordLog(COLLECTION)).filter(({ id, data }) => id === row.id && data?.a);
  await server.writeRecord(COLLECTION, { raw: { ...row, a: log.at(-2).data.a } });
}

/** Has all clients sync until nothing is left to be pushed and a whole round has brought nothing new to the server. */
async function quiesce(clients, server) {
  let told = [];
  try {
    await until(
      "all clients at rest",
      async () => {
        const before = (await server.recordLog(COLLECTION)).length;
        told = await Promise.all(clients.map(async (client) => [client.name, (await client.act({ what: "sync" })).result]));
        const isQuiet = told.every(([, result]) => result && result.error === undefined && result.pending.length === 0);
        return isQuiet && (await server.recordLog(COLLECTION)).length === before;
      },
      PATIENCE,
    );
    return [];
  } catch {
    const what = `not at rest ${PATIENCE / 1_000} s after all lines were mended: ${JSON.stringify(Object.fromEntries(told))}`;
    return [{ class: "stuck", what, shown: [] }];
  }
}

async function account({ clients, server, recorder }) {
  const replicas = Object.fromEntries(await Promise.all(clients.map(async ({ name, replica }) => [name, await replica()])));
  const senders = new Map(
    clients.flatMap(({ name, line }) => [...line.effects].map(([key, effect]) => [key, { client: name, ...effect }])),
  );
  const log = (await server.recordLog(COLLECTION)).map((entry) => ({
    ...{ client: null, at: null, seenAt: null },
    ...senders.get(entry.idempotencyKey),
    ...entry,
  }));
  const figures = clients.map(({ name, line, counts }) => ({ client: name, ...counts, ...line.counts }));
  const history = {
    seed: options.seed,
    clients: clients.map(({ name }) => name),
    ops: recorder.ops,
    log,
    rows: await server.records(COLLECTION),
    replicas,
  };
  return { history, figures };
}

// What is to happen in one trial: what is enqueued, what the server does, and where and how often is killed.

import { dice } from "./dice.mjs";

/** Points at which the worker itself stops; see crates/worker/src/failpoints.rs. */
const STOPPING = [
  "enqueue-before",
  "enqueue-after",
  "claim-before",
  "claim-after",
  "send-before",
  "reply-after",
  "outcome-before",
  "outcome-after",
  "status-before",
  "status-after",
];

/** Points of a job's life, in their order; `arrived` and `handled` are of the server's making. */
export const POINTS = [...STOPPING.slice(0, 5), "arrived", "handled", ...STOPPING.slice(5)];

export const isStopping = (point) => STOPPING.includes(point);

/** Waits short enough for a test; attempts enough that only a permanent error makes a dead letter; a history that holds all. */
export const CONFIG = { queues: { default: { maxAttempts: 60, backoff: { base: 20, max: 150 } } }, history: { max: 10_000 } };

export const JOBS = "/api/sink/j/";

/** A trial of one row of the matrix: `point` is one of [`POINTS`] or `random`, `way` is `stop` or `kill`. */
export function plan(point, way, seed) {
  const roll = dice(`${seed} ${point} ${way}`);
  const random = point === "random";
  // Some die again while they recover.
  const deaths = random ? roll.from(2, 4) : roll.chance(0.25) ? 2 : 1;
  const phases = Array.from({ length: deaths + 1 }, () => []);
  let n = 0;
  phases.forEach((phase, at) => {
    // The last phase only recovers, but for some jobs now and then.
    const jobs = at === deaths ? roll.pick([0, 0, 3]) : random ? roll.from(40, 100) : roll.from(1, 30);
    const keys = roll.from(1, 4);
    for (let left = jobs; left > 0; n += 1) {
      // At random moments there is to be something that is being written.
      const size = Math.min(left, roll.pick(random ? [1, 1, 1, 5] : [1, 1, 2, 5, 12, 30]));
      left -= size;
      const key = roll.chance(0.6) ? `key-${roll.from(1, keys)}` : null;
      phase.push({ n, key, jobs: Array.from({ length: size }, (_, index) => job(roll, `${JOBS}${n}/${index}/`, random)) });
    }
  });
  const total = phases.flat().flatMap((call) => call.jobs).length;
  return {
    point,
    way,
    seed,
    phases,
    deaths: Array.from({ length: deaths }, (_, at) => ({
      skip: random ? 0 : skipped(roll, point, phases[at]),
      // How many requests the server holds at its own points.
      width: roll.from(1, 6),
      // A random moment: when this part of the calls has resolved, and so many milliseconds later.
      share: roll.from(0, 100) / 100,
      after: roll.from(0, 60),
      // Who brings the worker back after it was stopped.
      wake: roll.pick(["sync", "sync", "syncNow", "reload", "tab"]),
      // Whether what the server still holds is let go before the next worker sends, or after.
      late: roll.chance(0.3),
      // Whether the page comes back with another version of the worker.
      update: roll.chance(0.3),
    })),
    rules: rules(roll, phases, total, random),
  };
}

function job(roll, path, large) {
  const refused = roll.chance(0.03);
  if (large && roll.chance(0.6))
    return { path, refused, kind: "bytes", seed: roll.from(1, 1e9), size: roll.from(1_000, 60_000) };
  if (roll.chance(0.7)) return { path, refused, kind: "text", text: `${path} ${"x".repeat(roll.from(0, 200))}` };
  return { path, refused, kind: "blob", seed: roll.from(1, 1e9), size: roll.pick([0, 1, 1_000, 40_000, 200_000]) };
}

/** How often the point is passed before it is stopped at. */
function skipped(roll, point, phase) {
  const jobs = phase.flatMap((call) => call.jobs).length;
  const most = {
    "enqueue-before": phase.length - 1,
    "enqueue-after": phase.length - 1,
    "send-before": jobs - 1,
    "reply-after": jobs - 1,
    arrived: jobs - 1,
    handled: jobs - 1,
    "claim-after": Math.floor(jobs / 8),
    "outcome-before": Math.floor(jobs / 8),
    "outcome-after": Math.floor(jobs / 8),
  };
  return roll.from(0, Math.max(0, most[point] ?? 0));
}

/** The server's faults beside the kills. */
function rules(roll, phases, total, random) {
  const rules = phases
    .flat()
    .flatMap((call) => call.jobs)
    .filter((job) => job.refused)
    .map((job) => ({ path: job.path, action: { status: 422, body: "refused for good" } }));
  const some = (action, most) => {
    for (let left = roll.from(0, most); left > 0; left -= 1)
      rules.push({ path: JOBS, skip: roll.from(0, total), times: 1, action });
  };
  some({ status: 503 }, random ? 6 : 3);
  some({ drop: "after" }, random ? 4 : 2);
  some({ drop: "before" }, random ? 4 : 1);
  rules.push({ path: JOBS, action: { delayMs: roll.from(0, random ? 80 : 30) } });
  return rules;
}

// A sample of the crash matrix: one death at each point of a job's life, and some at random moments (P1, P2, P3, P5).
// The long form is `make torture`.

import assert from "node:assert/strict";
import test, { after, before } from "node:test";

import { dice } from "../torture/dice.mjs";
import { JOBS, POINTS, plan } from "../torture/plan.mjs";
import { startRig } from "../torture/rig.mjs";
import { runTrial, trialOn } from "../torture/trial.mjs";
import { judge, KINDS } from "../torture/verdict.mjs";
import { until } from "./harness/wait.mjs";

const SEED = process.env.SEED ?? "sample";

let rig;
before(async () => {
  rig = await startRig("chromium");
});
after(() => rig.end());

/** Runs one trial of a row; a finding fails the test, and is told with the seed that repeats it. */
async function dies(point, way) {
  const { findings, deaths, evidence } = await runTrial(rig, plan(point, way, SEED));
  await rig.prepare({ keep: Boolean(evidence) });
  assert.deepEqual(
    findings,
    [],
    `repeat: node tests/torture/run.mjs --point ${point} --way ${way} --only ${SEED}; kept: ${evidence}`,
  );
  assert.ok(deaths > 0, "the point was never reached");
}

for (const [at, point] of POINTS.entries()) {
  const way = at % 2 === 0 ? "kill" : "stop";
  test(`${point}: ${way === "kill" ? "the browser is killed" : "the worker is stopped"} there`, () => dies(point, way));
}
test("the browser is killed at random moments of a stream of enqueues, and again while it recovers", () =>
  dies("random", "kill"));
test("the worker is stopped at random moments of a stream of enqueues, and again while it recovers", () =>
  dies("random", "stop"));

test("the worker is stopped again and again while enqueueAll stores 500: a call that resolves is stored whole, and nothing twice", async () => {
  const calls = [1, 2, 3].map((n) => ({
    n,
    key: null,
    jobs: Array.from({ length: 500 }, (_, at) => ({ path: `${JOBS}${n}/${at}/`, kind: "text", text: `${n}/${at}` })),
  }));
  const roll = dice(SEED);
  const trial = await trialOn(rig, { point: "random", way: "stop", rules: [] });
  try {
    await trial.open();
    for (const call of calls) {
      await trial.handOver([call]);
      for (let stops = 0; stops < 4 && (await trial.ask("open")) > 0; stops += 1) {
        // The one place for a sleep: the moment is the point. The page wakes the worker by asking again.
        await new Promise((resolve) => setTimeout(resolve, roll.from(0, 400)));
        await trial.die({ share: 0, after: 0, wake: "syncNow" });
      }
      await until("the call to end", async () => (await trial.ask("open")) === 0);
    }
    const story = await trial.account();
    assert.deepEqual([...trial.findings, ...judge(story)], []);
    assert.deepEqual(story.refused, []);
    assert.equal(story.sink.length, 1_500);
    assert.ok(trial.deaths.length > 2, `${trial.deaths.length} stops`);
  } finally {
    await trial.end();
  }
});

test("the verdict finds each kind of fault", () => {
  const job = (path, more) => ({ path, kind: "text", text: path, ...more });
  const sha = "8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1"; // of "/"
  const sound = () => ({
    calls: [{ n: 1, key: "k", jobs: [job("/a", { text: "/" }), job("/b", { text: "/" })] }],
    acks: new Map([[1, ["id-a", "id-b"]]]),
    kills: [],
    sink: [
      { path: "/a", idempotencyKey: "id-a", bodySha256: sha },
      { path: "/b", idempotencyKey: "id-b", bodySha256: sha },
    ],
    arrivals: [
      { n: 1, atMs: 1, path: "/a", idempotencyKey: "id-a", status: 200 },
      { n: 2, atMs: 2, path: "/b", idempotencyKey: "id-b", status: 200 },
    ],
    jobs: [],
    snapshot: { pending: 0, syncing: 0, failed: 0, conflicts: 0, blocked: 0 },
    states: { "id-a": "delivered", "id-b": "delivered" },
  });
  const stored = (state) => ({ id: "id-b", state, url: "http://localhost/b", attempts: 0 });
  const faults = {
    lost: (story) => story.sink.pop(),
    doubled: (story) => story.sink.push({ ...story.sink[1], idempotencyKey: "id-c" }),
    disordered: (story) => story.sink.reverse(),
    miscounted: (story) => (story.snapshot.pending = 1),
    half: (story) => story.acks.clear() ?? story.sink.pop(),
    leased: (story) => story.jobs.push(stored("syncing")),
    resent: (story) => story.arrivals.push({ ...story.arrivals[0], n: 3, atMs: 9 }),
    altered: (story) => (story.sink[0].bodySha256 = "other"),
    unrecorded: (story) => (story.states["id-a"] = null),
    stray: (story) => story.sink.push({ path: "/c", idempotencyKey: "id-c" }),
  };
  assert.deepEqual(judge(sound()), []);
  for (const [kind, spoil] of Object.entries(faults)) {
    const story = sound();
    spoil(story);
    assert.ok(
      judge(story).some(({ what }) => what === kind),
      kind,
    );
  }
  assert.deepEqual(
    KINDS.filter((kind) => !(kind in faults)),
    ["stuck"],
  );
});

// Carries one plan out, against a server and an origin of its own, and judges what came of it.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { root, startServer } from "../e2e/harness/server.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { CONFIG, isStopping, JOBS } from "./plan.mjs";
import { judge } from "./verdict.mjs";

const ACKS = "/api/sink/ack/";

/** Long enough for a tab to notice by itself that its worker died. */
const PATIENCE = 90_000;

const workerUrl = (point, version) => `/sw.js?${new URLSearchParams({ config: JSON.stringify(CONFIG), point, version })}`;

/** A trial on a server of its own; `live` carries its plan out. */
export async function trialOn(rig, plan) {
  const args = ["--static-mount", `/torture=${join(root, "tests/torture/page")}`, ...rig.serverArgs];
  return new Trial(rig, plan, await startServer({ dist: "dist-test", args }));
}

/** Runs a plan; returns its findings, and how many deaths there were. `missed`: the point was never reached. */
export async function runTrial(rig, plan) {
  const trial = await trialOn(rig, plan);
  let findings;
  let story;
  try {
    await trial.live();
    story = await trial.account();
    findings = [...trial.findings, ...judge(story)];
  } catch (error) {
    findings = [...trial.findings, { what: "stuck", detail: error.stack }];
    story = await trial.remains().catch((more) => ({ error: String(more) }));
  }
  const evidence = findings.length > 0 ? keep(trial, findings, story) : undefined;
  await trial.end({ keep: Boolean(evidence) });
  return { findings, evidence, deaths: trial.deaths.length, missed: trial.missed };
}

/** Writes down all there is to know about a failed trial; returns where. */
function keep({ rig, plan, server }, findings, story) {
  const folder = join(tmpdir(), "shearwater-torture");
  mkdirSync(folder, { recursive: true });
  const evidence = join(folder, `${rig.engine}-${plan.point}-${plan.way}-${plan.seed}.json`.replaceAll(/[^\w.-]/g, "_"));
  const acks = story.acks && Object.fromEntries(story.acks);
  writeFileSync(
    evidence,
    JSON.stringify({ findings, plan, profile: rig.profile, db: server.db, origin: server.origin, ...story, acks }, null, 1),
  );
  return evidence;
}

class Trial {
  findings = [];
  deaths = [];
  handedOver = [];
  missed = 0;
  page = null;
  version = 0;

  constructor(rig, plan, server) {
    Object.assign(this, { rig, plan, server });
  }

  async live() {
    const { plan, server } = this;
    await server.faults(this.rules());
    await this.open();
    for (const [at, death] of plan.deaths.entries()) {
      await server.faults(this.rules(death));
      await this.handOver(plan.phases[at]);
      await this.die(death);
    }
    await this.handOver(plan.phases.at(-1));
  }

  /** The server's faults; with those that hold a request where this death is to come. */
  rules(death) {
    const { point, rules } = this.plan;
    // What is refused for good is never handled, wherever else a fault would have it.
    const refusals = rules.filter((rule) => rule.action.status === 422);
    const others = rules.filter((rule) => rule.action.status !== 422);
    const holds = [];
    if (death && isStopping(point)) {
      holds.push({ path: "/api/points/", skip: death.skip, times: 1, action: { hold: true, status: 204 } });
    } else if (death && point !== "random") {
      const drop = { arrived: "before", handled: "after" }[point];
      holds.push({ path: JOBS, skip: death.skip, times: death.width, action: { hold: true, drop } });
    }
    return [...refusals, ...holds, ...others];
  }

  async open() {
    const { rig, plan, server } = this;
    this.page = await rig.open(server.origin, workerUrl(isStopping(plan.point) ? plan.point : "", this.version));
    await this.ask("ready");
  }

  /** Calls a function of page/work.mjs. */
  ask(name, ...args) {
    return this.page.evaluate(
      async (name, args) => {
        // By its whole address: in WebKit this function is a module of another origin.
        window.work ??= await import(`${location.origin}/torture/work.mjs`);
        return window.work[name]?.(...args);
      },
      name,
      args,
    );
  }

  async handOver(calls) {
    this.handedOver.push(...calls);
    this.openCalls = calls.length;
    if (calls.length > 0) await this.ask("handOver", calls);
  }

  async die(death) {
    const { rig, plan, server } = this;
    if (plan.point === "random") {
      const open = this.openCalls * (1 - death.share);
      await until("its share of the calls", async () => (await this.ask("open")) <= open, PATIENCE);
      await new Promise((resolve) => setTimeout(resolve, death.after));
    } else {
      let quiet = 0;
      await until(
        `a request held at ${plan.point}`,
        async () => {
          const { held } = await server.stats();
          if (held > 0) return true;
          // Seen twice: the request may be under way.
          quiet = (await this.ask("look")).quiet ? quiet + 1 : 0;
          return quiet > 1;
        },
        PATIENCE,
      );
      if ((await server.stats()).held === 0) {
        this.missed += 1;
        await server.faults(this.rules());
        return;
      }
      await until("all that resolved to be told", () => this.ask("told"));
    }
    const from = Date.now();
    const killed = plan.way === "kill";
    const died = killed ? await rig.kill().then(() => true) : await rig.stop(this.page);
    await server.faults(this.rules());
    const before = (await server.arrivals(JOBS)).length;
    if (!death.late) await this.letGo();
    this.version += death.update ? 1 : 0;
    if (killed) await rig.restart();
    // Until here what the dead one had sent may still arrive: its network process outlives it by a little.
    if (died) this.deaths.push({ from, to: Date.now() });
    else this.missed += 1;
    if (killed) await this.open();
    else await this.wake(death.wake);
    if (death.late) {
      await until(
        "the next worker to send",
        async () => (await server.arrivals(JOBS)).length > before || (await this.ask("look")).quiet,
        PATIENCE,
      );
      await this.letGo();
    }
  }

  /** Lets the server go on with what it held, to its end. */
  async letGo() {
    await until("nothing held", async () => {
      await this.server.release();
      return (await this.server.stats()).held === 0;
    });
  }

  async wake(how) {
    const { rig, server } = this;
    if (how === "sync") await rig.sync(this.page, server.origin, "default");
    if (how === "syncNow") await this.page.evaluate(() => void client.syncNow().catch(() => {}));
    if (how === "reload") {
      await this.page.close();
      await this.open();
    }
  }

  /** Waits for the end, and gathers all that the verdict looks at. */
  async account() {
    const end = await until(
      "the end of all work",
      async () => {
        const seen = await this.ask("look");
        return seen.quiet && seen;
      },
      PATIENCE,
    ).catch((error) => {
      this.findings.push({ what: "stuck", detail: error.message });
      return null;
    });
    const story = await this.remains();
    if (!end) return story;
    // Counters are told a moment after the change they count.
    let [jobs, snapshot] = [end.jobs, end.snapshot];
    const count = (state) => jobs.filter((job) => job.state === state).length;
    await until(
      "the counters to be those of the list",
      async () => {
        ({ jobs, snapshot } = await this.ask("look"));
        return (
          snapshot.pending === count("pending") && snapshot.failed === count("failed") && snapshot.syncing === count("syncing")
        );
      },
      10_000,
    ).catch(() => {});
    return { ...story, jobs, snapshot };
  }

  async remains() {
    const { server } = this;
    const acks = new Map(
      (await server.sink(ACKS)).map((entry) => [Number(entry.path.slice(ACKS.length)), JSON.parse(entry.body)]),
    );
    const sink = await server.sink(JOBS);
    const arrivals = await server.arrivals(JOBS);
    const { jobs, snapshot, refused } = await this.ask("look");
    const states = await this.ask("states", [...acks.values()].flat());
    return { calls: this.handedOver, acks, kills: this.deaths, sink, arrivals, jobs, snapshot, states, refused };
  }

  async end({ keep = false } = {}) {
    await this.page?.close().catch(() => {});
    await this.server.stop();
    if (!keep) rmSync(dirname(this.server.db), { recursive: true, force: true });
  }
}

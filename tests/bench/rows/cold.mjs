// F5: a worker that is stopped, woken by a `sync` event: until the first byte reaches the server, and until
// the event is over where there is nothing to do.

import { until } from "../../e2e/harness/wait.mjs";
import { compete, once } from "../arena.mjs";
import { Measure, median } from "../stats.mjs";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const peers = [
  { who: "Shearwater", peer: "shearwater", options: { live: true } },
  { who: "Workbox", peer: "workbox" },
  { who: "plain worker", peer: "plain" },
];

/** One job is stored and its worker stopped; returns when the `sync` was dispatched and when the job arrived. */
async function wakeWithWork({ server, page, tag, workers }) {
  await server.down(true);
  await page.evaluate(() => window.client.one(window.requests(0, 1)[0]));
  // The browser fires the tag at once, in vain; its own next try is minutes away.
  if (tag !== "plain") await until("a first try", async () => (await server.stats()).refused > 0);
  await pause(200);
  const driven = await workers();
  // What the page would do by itself is not what is measured.
  await page.evaluate(() => window.shearwater?.close());
  await driven.stop();
  await server.faults([]);
  const dispatched = Date.now();
  await driven.sync(server.origin, tag);
  const [first] = await until("the job to arrive", async () => {
    const arrivals = await server.arrivals();
    return arrivals.length > 0 && arrivals;
  });
  return { dispatched, arrived: first.atMs };
}

async function wakeForNothing(arena) {
  const { server, page, tag } = arena;
  const driven = await arena.workers();
  await page.evaluate(() => window.shearwater?.close());
  await driven.stop();
  const before = await page.evaluate(() => window.told.length);
  const dispatched = Date.now();
  await driven.sync(server.origin, tag);
  return (await arena.told(before)).ended - dispatched;
}

export async function coldStart(bench) {
  const runs = Math.max(bench.runs, bench.quick ? 2 : 9);
  const withWork = await compete(bench, peers, runs, async (arena) => {
    const { dispatched, arrived } = await wakeWithWork(arena);
    return arrived - dispatched;
  });
  const without = await compete(bench, peers, runs, wakeForNothing);
  const steps = [];
  for (let at = 0; at < (bench.quick ? 1 : 5); at += 1) {
    steps.push(
      await once(bench, { ...peers[0], query: { steps: 1 } }, async (arena) => {
        const before = await arena.page.evaluate(() => window.told.length);
        const { dispatched, arrived } = await wakeWithWork(arena);
        const told = await arena.page.evaluate(async (before) => {
          while (!window.told.slice(before).some(({ steps }) => steps.some(([step]) => step === "compile begins")))
            await new Promise((resolve) => setTimeout(resolve, 20));
          return window.told.slice(before).find(({ steps }) => steps.some(([step]) => step === "compile begins")).steps;
        }, before);
        return { dispatched, arrived, told };
      }),
    );
  }
  return [
    new Measure("F5", "cold start, until the job reaches the server", "ms", withWork)
      .within("Shearwater", "Workbox", 1.5)
      .within("Shearwater", "plain worker"),
    new Measure("F5", "cold start for nothing, until the event is over", "ms", without)
      .within("Shearwater", "Workbox", 1.5)
      .within("Shearwater", "plain worker"),
    new Measure("F5", "where the time goes (a run of its own, instrumented)", "ms since the dispatch", spelled(steps)),
  ];
}

/** The medians of when each step of the start came, in milliseconds after the dispatch. */
function spelled(runs) {
  const names = new Map();
  for (const { dispatched, arrived, told } of runs) {
    const seen = new Map();
    for (const [step, at] of [...told.filter(([, at]) => at >= dispatched), ["arrives at the server", arrived]]) {
      const times = (seen.get(step) ?? 0) + 1;
      seen.set(step, times);
      const name = times > 1 ? `${step} (${times})` : step;
      if (at - dispatched > arrived - dispatched) continue;
      if (!names.has(name)) names.set(name, []);
      names.get(name).push(at - dispatched);
    }
  }
  return [...names]
    .filter(([, samples]) => samples.length * 2 > runs.length)
    .map(([who, samples]) => ({ who, samples }))
    .sort((a, b) => median(a.samples) - median(b.samples));
}

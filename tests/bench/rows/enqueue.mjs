// F1, F2: what it takes until a job is stored.

import { compete } from "../arena.mjs";
import { Measure } from "../stats.mjs";

/** The peers at one durability; each is forced to it but the one that has it of itself. */
const peers = (durability) => [
  { who: "Shearwater", peer: "shearwater", query: durability === "strict" ? {} : { durability } },
  { who: "Workbox", peer: "workbox", query: { hold: 1, ...(durability === "strict" && { durability }) } },
  { who: "plain IndexedDB", peer: "plain", query: { durability } },
  { who: "plain IndexedDB, our records", peer: "plain", query: { durability, records: 1 } },
];

export async function enqueueOne(bench) {
  const measures = [];
  const times = bench.quick ? 60 : 200;
  for (const durability of ["strict", "relaxed"]) {
    const spaced = new Map(peers(durability).map(({ who }) => [who, []]));
    const results = await compete(bench, peers(durability), bench.runs, async ({ page }, { who }) => {
      const average = await page.evaluate((times) => window.oneByOne(times, 30), times);
      spaced.get(who).push(await page.evaluate((times) => window.spaced(times, 30), times / 5));
      return average;
    });
    const aims = durability === "strict" && !bench.mark;
    measures.push(
      new Measure(`F1${bench.mark}`, `enqueue, one right after the other, ${durability}`, "ms", results)
        .faster("Shearwater", "Workbox", aims ? 2 : undefined)
        .within("Shearwater", "plain IndexedDB", aims ? 1.3 : undefined)
        .within("Shearwater", "plain IndexedDB, our records")
        .faster("plain IndexedDB", "Workbox"),
      new Measure(
        `F1${bench.mark}`,
        `enqueue, 30 ms between, ${durability}`,
        "ms",
        [...spaced].map(([who, samples]) => ({ who, samples })),
      )
        .faster("Shearwater", "Workbox")
        .within("Shearwater", "plain IndexedDB"),
    );
  }
  return measures;
}

export async function enqueueMany(bench) {
  const jobs = bench.jobs;
  const [shearwater, workbox, plain, records] = peers("strict");
  const all = [
    shearwater,
    workbox,
    { ...workbox, who: "Workbox, all at once", options: { atOnce: true } },
    { who: "Workbox, relaxed", peer: "workbox", query: { hold: 1 } },
    plain,
    records,
  ];
  const results = await compete(bench, all, bench.runs, ({ page }) => page.evaluate((jobs) => window.manyAtOnce(jobs), jobs));
  return [
    new Measure(`F2${bench.mark}`, `enqueue of ${jobs}, strict`, "ms", results)
      .faster("Shearwater", "Workbox", bench.mark ? undefined : 20)
      .faster("Shearwater", "Workbox, all at once")
      .faster("Shearwater", "Workbox, relaxed")
      .within("Shearwater", "plain IndexedDB", bench.mark ? undefined : 1.5)
      .within("Shearwater", "plain IndexedDB, our records")
      .within("plain IndexedDB, our records", "plain IndexedDB")
      .faster("plain IndexedDB", "Workbox"),
  ];
}

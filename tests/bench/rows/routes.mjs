// F10: what routes cost the app's fetches, those that match none above all.

import { compete } from "../arena.mjs";
import { Measure } from "../stats.mjs";

/** Each kind of fetch: its name, where to, how. The route is for POST to /api/sink/routed/*. */
const KINDS = [
  ["a GET, which no route is for", "/index.html", { cache: "no-store" }],
  ["a POST that no route matches", "/api/sink/other", { method: "POST", body: "x".repeat(250) }],
  ["a POST that is routed and succeeds", "/api/sink/routed/1", { method: "POST", body: "x".repeat(250) }],
];

export async function routes(bench) {
  const times = bench.quick ? 60 : 300;
  const peers = [
    { who: "without routes", peer: "shearwater" },
    { who: "with routes", peer: "shearwater", query: { routes: 1 } },
    { who: "without routes, but with a fetch listener that does nothing", peer: "shearwater", query: { listener: 1 } },
  ];
  const samples = new Map(KINDS.map(([kind]) => [kind, new Map(peers.map(({ who }) => [who, []]))]));
  await compete(bench, peers, bench.runs, async ({ page }, { who }) => {
    // The page that registers a worker is not controlled by it.
    await page.reload();
    await page.waitForFunction("window.ready && navigator.serviceWorker.controller");
    for (const [kind, url, init] of KINDS) {
      const took = await page.evaluate((url, init, times) => window.fetches(url, init, times), url, init, times);
      samples.get(kind).get(who).push(took);
    }
  });
  return KINDS.map(([kind]) =>
    new Measure(
      "F10",
      kind,
      "ms",
      [...samples.get(kind)].map(([who, samples]) => ({ who, samples })),
    ).within("with routes", "without routes"),
  );
}

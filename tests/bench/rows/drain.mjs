// F3: sending what is stored, against plain `fetch` with the same parallelism and nothing stored.

import { compete } from "../arena.mjs";
import { certificate } from "../server.mjs";
import { Measure } from "../stats.mjs";

async function measure(bench, { latency, jobs, runs, tls = false, parallel = 6, aim }) {
  const peers = [
    { who: "Shearwater", peer: "shearwater", query: { concurrency: parallel } },
    { who: "Workbox", peer: "workbox", query: { hold: 1 } },
    { who: "plain fetch", peer: "plain", options: { parallel } },
  ].map((peer) => ({ ...peer, tls }));
  const results = await compete(bench, peers, runs, async (arena) => {
    if (latency) await arena.server.faults([{ path: "/api/sink/", action: { delayMs: latency } }]);
    const took = await arena.page.evaluate((jobs) => window.drained(jobs), jobs);
    await arena.check(jobs);
    return took;
  });
  const protocol = tls ? "HTTP/2" : "HTTP/1.1";
  return new Measure(
    `F3${bench.mark}`,
    `drain of ${jobs}, ${latency} ms latency, ${protocol}, ${parallel} parallel`,
    "ms",
    results,
  )
    .faster("Shearwater", "Workbox", aim)
    .within("Shearwater", "plain fetch", aim && 1.15);
}

export async function drain(bench) {
  const jobs = bench.jobs;
  const few = Math.ceil(jobs / 5);
  if (bench.mark)
    return [
      await measure(bench, { latency: 0, jobs, runs: bench.runs }),
      await measure(bench, { latency: 20, jobs: few, runs: bench.runs }),
    ];
  const measures = [
    await measure(bench, { latency: 0, jobs, runs: bench.runs }),
    await measure(bench, { latency: 20, jobs, runs: bench.runs, aim: 5 }),
    // Workbox sends one after the other; 1,000 would take it 100 s, each time.
    await measure(bench, { latency: 100, jobs: Math.ceil(few / 2), runs: bench.runs }),
  ];
  if (certificate()) {
    const cdp = await bench.browser.browser.target().createCDPSession();
    await cdp.send("Security.setIgnoreCertificateErrors", { ignore: true });
    measures.push(await measure(bench, { latency: 20, jobs: few, runs: bench.runs, tls: true }));
    measures.push(await measure(bench, { latency: 20, jobs, runs: bench.runs, tls: true, parallel: 30, aim: 15 }));
  } else {
    console.log("HTTP/2 is not measured: there is no openssl to make a certificate with.");
  }
  return measures;
}

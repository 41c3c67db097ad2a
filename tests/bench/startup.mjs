// How long a page waits until its queue can be used, over a slow line, beside workbox-background-sync.
//
//   node tests/bench/startup.mjs [--runs 5] [--kbit 1600] [--rtt 150]
//
// From the navigation's start until the worker has answered: `connect()` here, a first message there. Cold: the first
// visit. Warm: another visit, in a browser that has everything and a worker that is stopped.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { build } from "esbuild";

import { startChromium } from "../e2e/harness/chromium.mjs";
import { startProxy } from "../e2e/harness/proxy.mjs";
import { root, startServer } from "../e2e/harness/server.mjs";
import { until } from "../e2e/harness/wait.mjs";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    kbit: { type: "string", default: "1600" },
    rtt: { type: "string", default: "150" },
    peers: { type: "string", default: "workbox,shearwater,preload,all" },
  },
});
const runs = Number(values.runs);
const line = { latency: Number(values.rtt), bytesPerSecond: (Number(values.kbit) * 1_000) / 8, files: true };

const site = mkdtempSync(join(tmpdir(), "shearwater-startup-"));
process.once("exit", () => rmSync(site, { recursive: true, force: true }));
const put = (name, text) => writeFileSync(join(site, name), text);
const html = (script, links = "") =>
  `<!doctype html><link rel="icon" href="data:,">${links}<script type="module" src="${script}"></script>`;
put("shearwater.html", html("/shearwater.mjs"));
put(
  "preload.html",
  html(
    "/shearwater.mjs",
    '<link rel="modulepreload" href="/shearwater/page.js"><link rel="preload" as="fetch" crossorigin href="/shearwater/page.wasm">',
  ),
);
put(
  "all.html",
  html(
    "/shearwater.mjs",
    '<link rel="modulepreload" href="/shearwater/page.js"><link rel="preload" as="fetch" crossorigin href="/shearwater/page.wasm"><link rel="prefetch" href="/shearwater/worker.wasm">',
  ),
);
put("workbox.html", html("/workbox.mjs"));
put(
  "shearwater.mjs",
  'import { connect } from "/shearwater/page.js"; await connect({ worker: "/shearwater.js" }); window.usable = performance.now();',
);
put("shearwater.js", 'importScripts("/shearwater/worker.js"); shearwater.start();');
put(
  "workbox.mjs",
  `await navigator.serviceWorker.register("/workbox.js");
   const { active } = await navigator.serviceWorker.ready;
   const { port1, port2 } = new MessageChannel();
   const answered = new Promise((resolve) => (port1.onmessage = resolve));
   active.postMessage("size", [port2]);
   await answered;
   window.usable = performance.now();`,
);
await build({
  stdin: {
    contents: `import { Queue } from "workbox-background-sync";
      const queue = new Queue("jobs");
      self.addEventListener("message", (event) => event.waitUntil(queue.size().then((size) => event.ports[0].postMessage(size))));`,
    resolveDir: root,
  },
  bundle: true,
  minify: true,
  define: { "process.env.NODE_ENV": '"production"' },
  outfile: join(site, "workbox.js"),
  logLevel: "error",
});

const median = (samples) => samples.toSorted((a, b) => a - b)[samples.length >> 1];
const chromium = await startChromium();

/** Milliseconds of a first and of a second visit, each to an origin of its own. */
async function visit(peer) {
  const server = await startServer({ site });
  const proxy = await startProxy(server.origin, line);
  const load = async () => {
    const page = await chromium.browser.newPage();
    await page.goto(`${proxy.origin}/${peer}.html`);
    const took = await until("it to be usable", () => page.evaluate(() => window.usable));
    return { page, took };
  };
  const first = await load();
  // What is done after it: copies for a start without network.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  await (await chromium.workers(first.page)).stop();
  const asked = proxy.seen.length;
  const second = await load();
  const seen = proxy.seen.slice(asked);
  for (const { page } of [first, second]) await page.close();
  await proxy.stop();
  await server.stop();
  if (process.env.VERBOSE) console.log(peer, Math.round(first.took), Math.round(second.took), seen);
  return [first.took, second.took];
}

const results = {};
for (const peer of values.peers.split(",")) {
  const samples = [];
  for (let run = 0; run < runs; run += 1) samples.push(await visit(peer));
  results[peer] = [0, 1].map((at) => median(samples.map((sample) => sample[at])));
}
await chromium.close();
console.log(`${values.kbit} kbit/s, ${values.rtt} ms round trip, medians of ${runs}; ms until usable, and beside Workbox`);
for (const [peer, times] of Object.entries(results)) {
  console.log(
    peer.padEnd(12),
    ...["cold", "warm"].map(
      (what, at) =>
        `${what} ${Math.round(times[at])} (${results.workbox ? (times[at] / results.workbox[at]).toFixed(2) : "–"} ×)`,
    ),
  );
}

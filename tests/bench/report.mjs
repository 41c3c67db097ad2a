// The table for the terminal, and docs/benchmarks.md with its plot.

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { join, resolve } from "node:path";

import { root } from "../e2e/harness/server.mjs";
import { plot } from "./plot.mjs";
import { explain } from "./reasons.mjs";
import { median, range, show } from "./stats.mjs";

const verdict = ({ met }) => (met === undefined ? "" : met ? "met" : "missed");
const value = ({ value, unit }) => `${show(value)}${unit}`;

export function print(measures) {
  for (const { row, title, unit, peers, ratios } of measures) {
    console.log(`\n${row}  ${title} [${unit}]`);
    const width = Math.max(...peers.map(({ who }) => who.length));
    for (const { who, samples } of peers.filter(({ samples }) => samples.length > 0)) {
      console.log(`    ${who.padEnd(width)}  ${show(median(samples)).padStart(9)}  ${range(samples)}`);
    }
    for (const ratio of ratios)
      console.log(`    ${ratio.what}: ${value(ratio)}${ratio.aim && ` (aim ${ratio.aim}: ${verdict(ratio)})`}`);
  }
  console.log("");
}

export function write(folder, measures, { versions, bench, seconds }) {
  writeFileSync(join(folder, "benchmarks.svg"), plot(measures));
  writeFileSync(join(folder, "benchmarks.md"), page(measures, { versions, bench, seconds }));
  console.log(`benchmarks.md and benchmarks.svg are written to ${folder}.`);
}

const versionIn = (path) => JSON.parse(readFileSync(path, "utf8")).version;

function page(measures, { versions, bench, seconds }) {
  const workbox = versionIn(createRequire(import.meta.url).resolve("workbox-background-sync/package.json"));
  const shearwater = versionIn(join(resolve(root, process.env.SHEARWATER_DIST ?? ""), "dist/package.json"));
  const commit = spawnSync("git", ["-C", root, "rev-parse", "--short", "HEAD"], { encoding: "utf8" }).stdout.trim();
  const aims = measures.flatMap(({ row, title, ratios }) =>
    ratios.filter(({ aim }) => aim).map((ratio) => ({ row, title, ...ratio })),
  );
  const lines = measures.flatMap(({ row, title, unit, peers, ratios }) =>
    peers
      .filter(({ samples }) => samples.length > 0)
      .map(({ who, samples }, at) => [
        at === 0 ? row : "",
        at === 0 ? `${title}, ${unit}` : "",
        who,
        show(median(samples)),
        range(samples),
        at === 0 ? ratios.map((ratio) => `${ratio.what}: ${value(ratio)}`).join("; ") : "",
      ]),
  );
  const table = (heading, align, rows) => [heading, align, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  const browsers = Object.entries(versions).map(([name, version]) => version?.replace(/^.*[/ ](?=[\d.])/, `${name} `) ?? name);
  const cold = measures.find(({ title }) => title.startsWith("where the time goes"));
  return `# Benchmarks

Written by \`make bench\` in ${(seconds / 60).toFixed(0)} minutes at ${commit}: Shearwater ${shearwater}, workbox-background-sync ${workbox} (npm),
${browsers.join(", ")}, ${cpus().length} × ${cpus()[0].model.trim()}. **Only ratios are claimed**: the milliseconds are this machine's.

![Medians beside Shearwater's](benchmarks.svg)

## Aims

${table(
  ["row", "measure", "ratio of medians", "is", "aim", ""],
  ["---", "---", "---", "--:", "--:", "---"],
  aims.map((aim) => [aim.row, aim.title, aim.what, value(aim), aim.aim, verdict(aim)]),
)}

${explain(measures) && `## Why some are missed, and what comes next\n\n${explain(measures)}\n\n`}## Medians

Of ${bench.runs} runs (F5: 9; F6: 9 or 27 samples in one run), each in a fresh origin; the spread is from the best to the worst.

${table(["row", "measure", "who", "median", "spread", "ratios"], ["---", "---", "---", "--:", "--:", "---"], lines)}

## How it is measured

One browser, one server of this repository (release build, keep-alive, SQLite without waiting for the disk), a fresh
origin for each run, the same payloads (POST, 250 bytes); who goes first alternates from run to run. Times are the
page's own, from the call to the promise, unless another is named. Each drain is checked against the server's count.

- **Peers.** *Workbox*: \`new Queue(name)\`; a message from the page, \`pushRequest\` in the worker, an answer; it registers a
  \`sync\` each time as it always does, and its \`onSync\` does nothing until the drain is measured (\`replayRequests\`).
  *Shearwater*: \`pause()\` in place of that; then \`enqueue\`, \`enqueueAll\`, \`resume\` + \`syncNow\`. *Plain IndexedDB*: the same message,
  one \`put\` a job into one store without an index; *our records*: the rows, index entries, packs and ledger that Shearwater
  writes for them, by forty lines of JavaScript that check nothing and read nothing. *Plain fetch*: the requests come by message and are sent from
  the worker, so many at once, replies read to the end, nothing stored.
- **Durability.** Shearwater acknowledges after a \`strict\` commit, Workbox after a \`relaxed\` one. Rows say at which
  durability all peers were: \`IDBDatabase.prototype.transaction\` is patched in the workers to that effect.
- **F1** One \`enqueue\` at a time in a warm worker: 200 right after one another (the mean of a run), then 40 with 30 ms between
  (the median of a run). **F2** \`enqueueAll\` of ${bench.jobs}; Workbox's one by one in one message, or all at once
  (\`Promise.all\`); plain: one transaction.
- **F3** \`delayMs\` of the server's fault rules is the latency. Where it would take Workbox minutes, fewer jobs. HTTP/2 is
  over TLS, which a small Node process ends in front of the server, for all peers alike; with 30 parallel sends (\`concurrency\`), too.
- **F5** A job is stored while the server is down; page client closed, worker stopped by the devtools protocol, server
  up, \`sync\` dispatched; until the server's timestamp of the first head. The wasm comes from Cache Storage. "For nothing":
  an empty queue, until the event's promise is settled. The steps are those of a worker with instrumented platform functions.
- **F6** One origin filled further and further by \`enqueueAll\` of 1,000. Deliveries: the time between the 12th and the 60th
  of a drain at latency 0. "Nothing due": all jobs have a \`notBefore\` of tomorrow, a hundred the same one; a sync event is
  measured to its end.
- **F7** Ten rounds: ${bench.memory.blobs} blobs of 5 MB in the first, a fifth of it in the others. \`Runtime.getHeapUsage\` (heap, embedder heap, array buffers) of the worker every 50 ms, after a collection at each
  round's end; wasm memory from \`WebAssembly.Memory\`. Blobs live in the browser's process and are not in it.
- **F8** The devtools' \`TaskDuration\` in thread time; \`longtask\` entries. The changes are the worker's own status message,
  repeated 167 times a second with other counts, with a subscriber that takes the snapshot.
- **F9** Brotli at its best, of the files of \`dist/\`.
- **F10** 300 fetches one after the other from a controlled page, replies read, the median of a run; the route is for POSTs to another path.
  The third peer tells what the browser takes to dispatch a \`fetch\` event at all.
- **F12** One server with 10,000 records of 300 bytes, pages of 1,000, an index on one member; an empty store in each run.
  *RxDB*: ${versionIn(createRequire(import.meta.url).resolve("rxdb/package.json"))}, free Dexie storage, replication by its own protocol with a pull handler for the same
  URLs, until it says it is in sync. *Plain IndexedDB*: the same pages, one relaxed transaction each. "Get": 200 different ids, no
  cache is warm; "write until heard": the median of 31, both writes durable as the library has it by default. PouchDB is not
  among them: it speaks to no server but CouchDB's.

${cold ? `In a cold start the medians of the steps, in ms since the dispatch: ${cold.peers.map(({ who, samples }) => `${who} ${show(median(samples))}`).join(", ")}.\n` : ""}
## What is not compared

Other queues than Workbox's (the two head to head for losses: [versus.md](versus.md)); WebKit; a phone; a real network
(loss, radio, TLS handshakes); HTTP/3; energy; Workbox's routing and caching; a disk under load, and what a \`strict\` commit costs
on other disks than this one's. Workbox sends one request after the other and stores no outcome: part of the difference
in F3 is that and nothing else. It is far smaller (F9), and takes no wasm to start (F5).
`;
}

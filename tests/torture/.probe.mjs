import { startChromium } from "/work/main/tests/e2e/harness/chromium.mjs";
import { startServer } from "/work/main/tests/e2e/harness/server.mjs";
const which = (process.argv[2] ?? "sync,sync-last,now,now-q,online").split(",");
const TABS = Number(process.argv[3] ?? 10);
const server = await startServer({ args: ["--static-mount", "/torture=/work/main/tests/torture/page"] });
const chromium = await startChromium();
const tabs = [];
for (let at = 0; at < TABS; at += 1) tabs.push(await chromium.open(server.origin));
const workers = await chromium.workers(tabs[0]);
await server.faults([{ path: "/api/sink/j/", action: { delayMs: 40 } }]);
const ask = (page, name, ...args) => page.evaluate(async (name, args) => { window.work ??= await import("/torture/work.mjs"); return window.work[name](...args); }, name, args);
let n = 0;
const call = (size, key = null) => { n += 1; return { n, key, jobs: Array.from({ length: size }, (_, at) => ({ path: `/api/sink/j/${n}/${at}/`, kind: "text", text: `${n}/${at}` })) }; };
const calls = tabs.map((_, at) => [call(5, `key-${at}`), call(20), call(5, `key-${at}`), ...Array.from({ length: 30 }, () => call(1))]);
const t0 = Date.now();
await Promise.all(tabs.map((tab, at) => ask(tab, "handOver", calls[at])));
console.log("handed over", Date.now() - t0);
const everywhere = (run, ...args) => Promise.all(tabs.map((tab) => tab.evaluate(run, ...args)));
const all = {
  sync: () => workers.sync(server.origin, "default"),
  "sync-last": () => workers.sync(server.origin, "default", true),
  now: () => everywhere(() => { window.nows = (window.nows ?? 0) + 1; client.syncNow().catch((e) => { (window.errs ??= []).push(e.message); }).finally(() => (window.nows -= 1)); }),
  "now-q": () => everywhere(() => { window.nows = (window.nows ?? 0) + 1; client.syncNow("default").catch(() => {}).finally(() => (window.nows -= 1)); }),
  online: () => everywhere(() => { for (let at = 0; at < 5; at += 1) window.dispatchEvent(new Event("online")); }),
};
let over = false, rounds = 0;
const storm = (async () => { while (!over && which[0] !== "none") { await Promise.all(which.map((name) => all[name]())); rounds += 1; if (process.env.ROUNDS && rounds >= +process.env.ROUNDS) break; } })();
for (let s = 0; s < 40; s++) {
  await new Promise((r) => setTimeout(r, 1000));
  const a = (await server.arrivals("/api/sink/j/")).length, k = (await server.sink("/api/sink/ack/")).length;
  const nows = await Promise.race([Promise.all(tabs.map((t) => t.evaluate(() => window.nows ?? 0))).then((x) => x.reduce((p, q) => p + q, 0)), new Promise((r) => setTimeout(() => r("?"), 3000))]);
  console.log(Date.now() - t0, "arrivals", a, "acks", k, "rounds", rounds, "open nows", nows, "inflight", (await server.stats()).inFlight);
  if (a >= 60 * TABS) break;
}
over = true;
await Promise.race([storm, new Promise((r) => setTimeout(r, 2000))]);
await chromium.kill(); await server.stop(); process.exit(0);

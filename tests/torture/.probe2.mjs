import { startChromium } from "/work/main/tests/e2e/harness/chromium.mjs";
import { startServer } from "/work/main/tests/e2e/harness/server.mjs";
const server = await startServer({ dist: "dist-test" });
const chromium = await startChromium();
// (ii) order of calls that are not awaited, without any kill
const page = await chromium.open(server.origin);
const out = await page.evaluate(async () => {
  await client.pause();
  const file = new Blob([new Uint8Array(300000)]);
  const form = new FormData(); form.append("f", file, "a.bin");
  const results = {};
  for (const [name, body] of Object.entries({ form, blob: file, buffer: new ArrayBuffer(300000), request: null })) {
    const first = name === "request" ? new Request("/api/sink/x/request-first", { method: "POST", body: file }) : { url: `/api/sink/x/${name}-first`, method: "POST", body };
    const ids = await Promise.all([client.enqueue(first, { key: name }), client.enqueue({ url: `/api/sink/x/${name}-second`, body: "b" }, { key: name })]);
    const jobs = (await client.list()).filter((job) => job.key === name);
    results[name] = jobs.map((job) => job.url.split("/").at(-1));
  }
  return results;
});
console.log(out);
// (i) the last word not told
await chromium.close().catch(()=>{}); 
const c2 = await startChromium();
const s2 = await startServer({ dist: "dist-test" });
await s2.faults([{ path: "/api/points/", times: 1, action: { hold: true, status: 204 } }]);
const p2 = await c2.open(s2.origin, { options: { worker: "/sw.js?point=status-before" } });
await p2.evaluate(() => client.enqueue({ url: "/api/sink/1", body: "x" }));
for (;;) { if ((await s2.stats()).held) break; await new Promise((r) => setTimeout(r, 50)); }
const w = await c2.workers(p2);
await new Promise((r) => setTimeout(r, 300));
await w.cdp.send("ServiceWorker.stopAllWorkers");
await s2.release();
const t = Date.now();
for (let i = 0; i < 8; i++) { await new Promise((r) => setTimeout(r, 5000)); console.log(Date.now() - t, await p2.evaluate(async () => { const { state, isRunning, pending, syncing, lastSyncAt } = client.getSnapshot(); return JSON.stringify({ state, isRunning, pending, syncing, lastSyncAt, listed: (await client.list()).length }); })); }
await c2.kill(); await s2.stop(); await server.stop(); process.exit(0);

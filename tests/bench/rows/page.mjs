// F8: what the page's main thread pays. F9: what is shipped.

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync } from "node:zlib";

import { root } from "../../e2e/harness/server.mjs";
import { once } from "../arena.mjs";
import { crates } from "../crates.mjs";
import { Measure } from "../stats.mjs";

const PER_SECOND = 10_000 / 60;

export async function pageCost(bench) {
  const [connects, enqueues, storms, longest] = [[], [], [], []];
  for (let at = 0; at < bench.runs; at += 1) {
    await once(bench, { peer: "shearwater", connect: false }, async (arena) => {
      const { page } = arena;
      const cdp = await page.createCDPSession();
      await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
      const busy = async (act) => {
        const spent = async () => {
          const { metrics } = await cdp.send("Performance.getMetrics");
          return metrics.find(({ name }) => name === "TaskDuration").value * 1_000;
        };
        const before = await spent();
        await act();
        return (await spent()) - before;
      };
      await page.evaluate(() => {
        window.long = [];
        new PerformanceObserver((list) => window.long.push(...list.getEntries().map(({ duration }) => duration))).observe({
          type: "longtask",
          buffered: true,
        });
      });
      connects.push(await busy(() => arena.connect()));
      await page.evaluate(() => window.oneByOne(20, 10));
      const times = 100;
      enqueues.push((await busy(() => page.evaluate((times) => window.oneByOne(times, 0), times))) / times);
      const seconds = bench.quick ? 2 : 6;
      const spent = await busy(async () => {
        const shown = await page.evaluate(
          async (perSecond, seconds) => {
            const { active } = await navigator.serviceWorker.ready;
            const { port1, port2 } = new MessageChannel();
            const over = new Promise((resolve) => (port1.onmessage = resolve));
            let shown = 0;
            window.shearwater.subscribe(() => (shown += window.shearwater.getSnapshot() ? 1 : 0));
            const message = await new Promise((resolve) => {
              const channel = new BroadcastChannel("shearwater:shearwater");
              channel.onmessage = ({ data }) => {
                channel.close();
                resolve(data);
              };
              window.shearwater.enqueue({ url: "/api/sink/last", method: "POST", body: "x" });
            });
            active.postMessage({ storm: { message, status: message.status, perSecond, times: perSecond * seconds } }, [port2]);
            await over;
            return shown;
          },
          PER_SECOND,
          seconds,
        );
        if (shown < (PER_SECOND * seconds) / 4) throw new Error(`the page saw ${shown} changes only`);
      });
      storms.push((100 * spent) / (seconds * 1_000));
      longest.push(await page.evaluate(() => Math.max(0, ...window.long)));
      await cdp.detach();
    });
  }
  return [
    new Measure("F8", "main thread of the page, CPU time", "ms", [
      { who: "connect", samples: connects },
      { who: "an enqueue", samples: enqueues },
    ]),
    new Measure("F8", "main thread with 10,000 status changes a minute", "% of one core", [
      { who: "share of the thread", samples: storms },
    ]),
    new Measure("F8", "longest task of all that", "ms, 0 for none over 50", [{ who: "longest task", samples: longest }]).ratio(
      "longest task",
      Math.max(...longest),
      { atMost: 50, unit: " ms" },
    ),
  ];
}

export function bytes(bench) {
  const size = (path) => brotliCompressSync(readFileSync(path)).length / 1_024;
  const dist = (...names) =>
    names.map((name) => size(join(resolve(root, process.env.SHEARWATER_DIST ?? ""), "dist", name))).reduce((a, b) => a + b);
  const [worker, page] = [dist("worker.js", "worker.wasm"), dist("page.js", "page.wasm")];
  // As the compiler left it: wasm-opt makes a tenth less of it, and takes the names away.
  const named = (part) => join(root, `target/xtask/release/shearwater_${part}_bg.wasm`);
  const costs = ["worker", "page"]
    .filter((part) => existsSync(named(part)))
    .map((part) => {
      const peers = crates(named(part))
        .slice(0, 10)
        .map(([who, size]) => ({ who, samples: [size / 1_024] }));
      return new Measure("F9", `code of the ${part}'s wasm by crate, before wasm-opt and brotli`, "KiB", peers);
    });
  return [
    ...costs,
    new Measure("F9", "bytes shipped, brotli", "KiB", [
      { who: "Shearwater, worker", samples: [worker] },
      { who: "Shearwater, page", samples: [page] },
      { who: "Workbox, worker (bundled, minified)", samples: [size(join(bench.site, "workbox.js"))] },
    ])
      .ratio("worker", worker, { atMost: 100, unit: " KiB" })
      .ratio("page", page, { atMost: 25, unit: " KiB" }),
  ];
}

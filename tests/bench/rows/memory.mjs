// F7: the worker's memory while it drains large blobs, and after.

import { until } from "../../e2e/harness/wait.mjs";
import { once } from "../arena.mjs";
import { Measure } from "../stats.mjs";

const MB = 1_048_576;

export async function memory(bench) {
  const { blobs, blobBytes, rounds } = bench.memory;
  return once(bench, { peer: "shearwater" }, async ({ page, server }) => {
    const target = await bench.browser.browser.waitForTarget(
      (target) => target.type() === "service_worker" && target.url().startsWith(server.origin),
    );
    const cdp = await target.createCDPSession();
    const sample = async () => {
      const { usedSize, backingStorageSize = 0, embedderHeapUsedSize = 0 } = await cdp.send("Runtime.getHeapUsage");
      const { result } = await cdp.send("Runtime.evaluate", { expression: "self.wasmMemory.buffer.byteLength" });
      return { heap: (usedSize + embedderHeapUsedSize + backingStorageSize) / MB, wasm: result.value / MB };
    };
    const [peaks, after, wasm] = [[], [], []];
    for (let round = 0; round < rounds; round += 1) {
      const count = round === 0 ? blobs : Math.ceil(blobs / 5);
      for (let at = 0; at < count; at += 10) {
        await page.evaluate(
          async (from, to, bytes) => {
            const buffer = new Uint8Array(bytes);
            for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(buffer.subarray(at, at + 65_536));
            const requests = Array.from({ length: to - from }, (_, at) => ({
              method: "POST",
              url: `/api/sink/blob-${from + at}`,
              body: new Blob([String(Math.random()), buffer]),
            }));
            await window.shearwater.enqueueAll(requests);
          },
          at,
          Math.min(at + 10, count),
          blobBytes,
        );
      }
      let over = false;
      const drained = page.evaluate(() => window.client.drain()).finally(() => (over = true));
      let peak = 0;
      while (!over) {
        peak = Math.max(peak, (await sample()).heap);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await drained;
      await page.evaluate(() => window.shearwater.pause());
      await until("the status to rest", () => page.evaluate(() => !window.shearwater.getSnapshot().isRunning));
      await cdp.send("HeapProfiler.collectGarbage");
      const rest = await sample();
      peaks.push(peak);
      after.push(rest.heap);
      wasm.push(rest.wasm);
    }
    await cdp.detach();
    const title = `${blobs} blobs of ${(blobBytes / MB).toFixed(0)} MB, then ${rounds - 1} rounds of a fifth`;
    const last = rounds - 1;
    return [
      new Measure("F7", `worker memory, ${title}`, "MB", [
        { who: "JS heap and buffers, peak of a round", samples: peaks },
        { who: "JS heap and buffers, after a round", samples: after },
        { who: "wasm memory, after a round", samples: wasm },
      ])
        .ratio("heap, last round − second", after[last] - after[Math.min(1, last)], { atMost: 0.5, unit: " MB" })
        .ratio("wasm, last round − second", wasm[last] - wasm[Math.min(1, last)], { atMost: 0.07, unit: " MB" })
        .ratio("peak above rest, in bodies of 5 MB", (Math.max(...peaks) - Math.min(...after)) / (blobBytes / MB), {
          unit: "",
        }),
    ];
  });
}

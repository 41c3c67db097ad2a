// One run for one peer: a server of its own, hence a fresh origin, and a page on it.

import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { until } from "../e2e/harness/wait.mjs";
import { startServer } from "./server.mjs";

const here = fileURLToPath(new URL("site", import.meta.url));

/** The folder to serve: Workbox and RxDB are bundled from their npm packages, as an app would. */
export async function buildSite() {
  const folder = mkdtempSync(join(tmpdir(), "shearwater-bench-site-"));
  cpSync(here, folder, { recursive: true });
  for (const [name, format] of [
    ["workbox.js", "iife"],
    ["records.js", "esm"],
  ]) {
    await build({
      entryPoints: [join(here, name)],
      outfile: join(folder, name),
      bundle: true,
      minify: true,
      format: /** @type {"iife" | "esm"} */ (format),
      define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
      external: ["/shearwater/page.js"],
      nodePaths: (process.env.NODE_PATH ?? "").split(delimiter).filter(Boolean),
      allowOverwrite: true,
      logLevel: "error",
    });
  }
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * @param bench   { browser, site }: what all runs share
 * @param peer    "shearwater", "workbox" or "plain"
 * @param query   of the worker's script, see site/tools.js
 * @param options of the page's `connect`
 */
export async function open(bench, { peer, query = {}, options = {}, tls = false, connect = true }) {
  const server = await startServer({ site: bench.site, tls });
  const given = { peer, worker: `/${peer}.js?${new URLSearchParams(query)}`, ...options };
  const page = connect ? await bench.browser.open(server.origin, { options: given }) : await bench.browser.browser.newPage();
  if (!connect) {
    await page.goto(`${server.origin}/`);
    await page.waitForFunction("window.ready");
  }
  const arena = {
    server,
    page,
    tag: { shearwater: "default", workbox: "workbox-background-sync:jobs", plain: "plain" }[peer],
    async connect() {
      await page.evaluate((given) => window.connect(given).then(() => {}), given);
    },
    /** What the server was sent is what was to be sent. */
    async check(number) {
      const arrived = await server.arrived();
      if (arrived !== number) throw new Error(`${peer}: ${arrived} arrivals in place of ${number}`);
    },
    /** The devtools' way to the workers (Chromium only). */
    workers: () => bench.browser.workers(page),
    /** Waits until a worker told how a `sync` event went, after that many before. */
    told: (before) => until("a sync event to be over", () => page.evaluate((before) => window.told[before], before)),
    async close() {
      // Nobody is left that could work during the next run.
      const gone = page.evaluate(async () => {
        for (const registration of await navigator.serviceWorker.getRegistrations()) await registration.unregister();
      });
      await Promise.race([gone.catch(() => {}), new Promise((resolve) => setTimeout(resolve, 2_000))]);
      if (bench.browser.workers) {
        const cdp = await page.createCDPSession();
        await cdp.send("ServiceWorker.enable");
        await cdp.send("ServiceWorker.stopAllWorkers").catch(() => {});
      }
      await page.close().catch(() => {});
      await server.stop();
    },
  };
  return arena;
}

/** Opens, measures, closes. */
export async function once(bench, given, measure) {
  const arena = await open(bench, given);
  try {
    return await measure(arena);
  } finally {
    await arena.close();
  }
}

/** Runs each peer `times` times; who goes first alternates. Answers the samples by peer. */
export async function compete(bench, peers, times, measure) {
  const samples = new Map(peers.map(({ who }) => [who, []]));
  for (let at = 0; at < times; at += 1) {
    for (const peer of at % 2 ? peers.toReversed() : peers) {
      if (peer.times !== undefined && at >= peer.times) continue;
      samples.get(peer.who).push(await once(bench, peer, (arena) => measure(arena, peer)));
    }
  }
  return peers.map(({ who }) => ({ who, samples: samples.get(who) }));
}

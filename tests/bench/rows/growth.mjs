// F6: what things cost by the length of the queue. One origin is filled further and further.

import { once } from "../arena.mjs";
import { Measure, median, show } from "../stats.mjs";

const CHUNK = 1_000;
const DAY = 86_400_000;
/** Milliseconds; what would take longer to fill is left out. */
const LONGEST_FILL = 180_000;

export async function growth(bench) {
  const lengths = bench.lengths;
  const found = new Map();
  const record = (what, length, samples) => {
    if (!found.has(what)) found.set(what, []);
    found.get(what).push({ who: `${length.toLocaleString("en")} jobs`, samples });
  };
  const sampled = async (times, look) => {
    const samples = [];
    await look();
    for (let at = 0; at < times; at += 1) samples.push(await look());
    return samples;
  };
  const times = bench.quick ? 3 : 9;

  // Jobs that may be sent, were the queue not paused.
  await once(bench, { peer: "shearwater" }, async ({ page }) => {
    let stored = 0;
    for (const length of lengths) {
      if (!(await fill(page, stored, length))) break;
      record(
        "enqueue of one",
        length,
        await sampled(times * 3, () => page.evaluate(() => window.timed(() => window.client.one(window.requests(0, 1)[0])))),
      );
      record(
        "for comparison: a strict put into a small database beside it",
        length,
        await sampled(times * 3, () => page.evaluate(() => window.putBeside())),
      );
      record(
        "list, the first 100",
        length,
        await sampled(times, () => page.evaluate(() => window.timed(() => window.shearwater.list()))),
      );
      record(
        "getSnapshot, 100,000 times",
        length,
        await sampled(times, () =>
          page.evaluate(() =>
            window.timed(() => {
              for (let at = 0; at < 100_000; at += 1) window.shearwater.getSnapshot();
            }),
          ),
        ),
      );
      record("delivery of one, in a drain", length, await sampled(times, () => page.evaluate(deliveries, 12, 48)));
      stored = await page.evaluate(() => window.shearwater.getSnapshot().pending);
    }
  });

  // Jobs that wait for tomorrow: a wake finds nothing to do.
  await once(bench, { peer: "shearwater", options: { live: true } }, async (arena) => {
    const { page, server, tag } = arena;
    const driven = await arena.workers();
    const tomorrow = Date.now() + DAY;
    let stored = 0;
    const wake = async (by) => {
      const before = await page.evaluate(() => window.told.length);
      await driven.sync(server.origin, by);
      const { began, ended } = await arena.told(before);
      return ended - began;
    };
    for (const length of lengths) {
      const filled = await fill(page, stored, length, (at) => ({ notBefore: tomorrow + at }), 100);
      if (!filled) break;
      stored = length;
      record("wake with nothing due, by a sync event", length, await sampled(times, () => wake(tag)));
      record(
        "wake with nothing due, by a page, until it is answered",
        length,
        await sampled(times, () => page.evaluate(() => window.timed(() => window.woken("interval")))),
      );
      record(
        "status, as a new page asks for it",
        length,
        await sampled(times, () => page.evaluate(() => window.timed(() => window.asked("status")))),
      );
    }
  });

  return [...found].map(([what, peers]) => {
    const [first, last] = [peers[0], peers.at(-1)];
    return new Measure("F6", what, "ms", peers).ratio(
      `${last.who} ÷ ${first.who}`,
      median(last.samples) / median(first.samples),
      { atMost: what.startsWith("for comparison") ? undefined : 1.3 },
    );
  });
}

/** `options` by the first job's number: jobs of one call share them. False when it would take too long. */
async function fill(page, from, upto, options = () => ({}), chunk = CHUNK) {
  const began = Date.now();
  for (let at = from; at < upto; at += chunk) {
    // In what it took so far to what is left.
    const expected = ((Date.now() - began) / (at - from)) * (upto - at);
    if (at >= from + 5 * chunk && expected > LONGEST_FILL) {
      process.stderr.write(`  ${upto} jobs are left out: to fill the queue would take ${show(expected / 1_000)} s more\n`);
      return false;
    }
    await page.evaluate(
      (from, to, options) => window.shearwater.enqueueAll(window.requests(from, to), options).then(() => {}),
      at,
      Math.min(at + chunk, upto),
      options(at),
    );
  }
  // What the browser's store has to tidy up after so much at once is not what is measured.
  await new Promise((resolve) => setTimeout(resolve, (Date.now() - began) / 10));
  process.stderr.write(`  filled up to ${upto} in ${show((Date.now() - began) / 1_000)} s\n`);
  return true;
}

/** In the page: milliseconds for each delivery after the first `skip`, in a drain that is stopped after `count`. */
function deliveries(skip, count) {
  return new Promise((resolve, reject) => {
    let seen = 0;
    let began;
    const off = window.shearwater.on("delivered", () => {
      seen += 1;
      if (seen === skip) began = performance.now();
      if (seen !== skip + count) return;
      off();
      const took = (performance.now() - began) / count;
      // Until nothing is in flight any more, so that the next one begins like this one.
      window.shearwater.pause().then(async () => {
        while (window.shearwater.getSnapshot().syncing || window.shearwater.getSnapshot().isRunning)
          await new Promise((resolve) => setTimeout(resolve, 10));
        const gone = seen;
        await window.shearwater.enqueueAll(window.requests(0, gone));
        resolve(took);
      }, reject);
    });
    window.shearwater.resume().catch(reject);
  });
}

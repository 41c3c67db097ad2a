// F12: records that are pulled, read and watched, beside RxDB (Dexie storage) and plain IndexedDB.

import { startServer } from "../server.mjs";
import { Measure } from "../stats.mjs";

const uuid = (number) => `${String(number).padStart(8, "0")}-0000-4000-8000-000000000000`;
const TOWNS = 100;
const TEXT = "The quick brown fox jumps over the lazy dog. ".repeat(5);
const rowOf = (number, title) => ({ id: uuid(number), data: { title, town: `town ${number % TOWNS}`, text: TEXT } });
const PEERS = [
  ["Shearwater", "shearwater"],
  ["RxDB", "rxdb"],
  ["plain IndexedDB", "plain"],
];

/** Writes rows as another client would. */
async function fill(server, from, upto, title) {
  const at = Array.from({ length: upto - from }, (_, at) => from + at);
  while (at.length > 0) await Promise.all(at.splice(0, 50).map((number) => server.writeRecord(rowOf(number, title))));
}

export async function records(bench) {
  const count = bench.quick ? 500 : 10_000;
  const changed = count / 10;
  const rounds = Math.max(2, bench.runs - 2);
  const server = await startServer({ site: bench.site });
  const what = {
    first: `first sync of ${count.toLocaleString("en")} records`,
    next: `sync of ${changed.toLocaleString("en")} changed`,
    get: "get by id, one after the other",
    query: "query of 20 by an index",
    heard: "from a local write until a subscriber has it",
  };
  const samples = Object.fromEntries(Object.keys(what).map((key) => [key, new Map(PEERS.map(([who]) => [who, []]))]));
  try {
    await fill(server, 0, count, "first");
    for (let round = 0; round < rounds; round += 1) {
      for (const [who, peer] of round % 2 ? PEERS.toReversed() : PEERS) {
        const note = (key, took) => samples[key].get(who).push(took);
        const page = await bench.browser.browser.newPage();
        await page.goto(`${server.origin}/`);
        const run = (name, ...given) =>
          page.evaluate(async (name, given) => (await import("/records.js"))[name](...given), name, given);
        await run("begin", peer);
        note("first", await run("pulled", count));
        const title = `${who} ${round}`;
        await fill(server, 0, changed, title);
        note("next", await run("pulled", count, title, uuid(changed - 1)));
        const ids = Array.from({ length: 200 }, (_, at) => uuid((at * 37) % count));
        note("get", await run("gets", ids));
        note(
          "query",
          await run(
            "queries",
            Array.from({ length: 50 }, (_, at) => `town ${at}`),
          ),
        );
        if (peer !== "plain") note("heard", await run("heard", 31, { id: uuid(1_000_000), town: "nowhere", text: TEXT }));
        await run("wipe");
        await page.close();
        // What was written here has reached the server, and is not among the rows of the next.
        await server.forgetRecord(uuid(1_000_000));
      }
    }
  } finally {
    await server.stop();
  }
  const measure = (key) =>
    new Measure(
      "F12",
      what[key],
      "ms",
      PEERS.map(([who]) => ({ who, samples: samples[key].get(who) })),
    );
  return [
    measure("first").faster("Shearwater", "RxDB", 2).within("Shearwater", "plain IndexedDB"),
    measure("next").faster("Shearwater", "RxDB", 2).within("Shearwater", "plain IndexedDB"),
    measure("get").faster("Shearwater", "RxDB").within("Shearwater", "plain IndexedDB", 1.3),
    measure("query").faster("Shearwater", "RxDB").within("Shearwater", "plain IndexedDB", 1.3),
    measure("heard").faster("Shearwater", "RxDB"),
  ];
}

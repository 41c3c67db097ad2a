// Why an aim is missed, from what the same run measured, and what would come next.

import { show } from "./stats.mjs";

/** `find(row, part of the title)` returns a measure; `of(who)` its median. */
const reasons = [
  {
    row: "F1",
    tell(find) {
      const one = find("F1", "one right after the other, strict");
      const [own, plain, records, workbox] = ["Shearwater", "plain IndexedDB", "plain IndexedDB, our records", "Workbox"].map(
        (who) => one.of(who),
      );
      return `The floor itself is only ${show(workbox / plain)} times as fast as Workbox here, and ours at ${show(own / plain)} × the floor. Of that,
${show(((records - plain) / (own - plain)) * 100)} % is what a browser takes to write our records in place of one (a row with three index entries, its body apart, the
ledger: ${show(records / plain)} × the floor with no line of ours), the rest one read of the ledger in the same transaction, the checks, and the
two crossings of the wasm border. Where a \`strict\` commit waits for a slower disk, both ratios come closer to 1. Next: the
ledger kept in memory and only compared by version inside the transaction (a round trip less); fewer index entries.`;
    },
  },
  {
    row: "F2",
    tell(find) {
      const many = find("F2", "enqueue of");
      const [own, plain, records, workbox] = ["Shearwater", "plain IndexedDB", "plain IndexedDB, our records", "Workbox"].map(
        (who) => many.of(who),
      );
      return `The same records written by plain IndexedDB take ${show(records / plain)} × what one put a job takes: a job is three index entries besides its row, by
which claiming, listing and expiring never scan (F6). Ours takes ${show(own / records)} × that: encoding in the page, checking and encoding again in
the worker. 20 × Workbox would be ${show(workbox / 20 / plain)} × the floor. Next: the expiry's index entry for a lower bound in the ledger; rows of a
call encoded in one text.`;
    },
  },
  {
    row: "F3",
    tell(find) {
      const many = find("F3", "30 parallel");
      if (!many) return "";
      const [own, plain] = ["Shearwater", "plain fetch"].map((who) => many.of(who));
      const jobs = Number(/of (\d+)/.exec(many.title)[1]);
      return `With 30 at once the machine's two cores are what limits: plain \`fetch\` takes ${show(plain / jobs)} ms a job where the latency alone would be
${show(20 / 30)}, and what is ours, ${show((own - plain) / jobs)} ms a job for a transaction that settles, forgets and claims, finds no idle core to be done on. Next:
larger turns while many jobs wait.`;
    },
  },
  {
    row: "F5",
    tell(find) {
      const steps = find("F5", "where the time goes");
      const [worked, plain] = ["Shearwater", "plain worker"].map((who) => find("F5", "until the job reaches").of(who));
      const span = (from, to) => show(steps.of(to) - steps.of(from));
      return `${show(plain)} ms of ${show(worked)} are the browser's, for any worker. What ours costs besides, as the instrumented steps have it: look into Cache Storage
${span("caches.open begins", "cache.match ends")} ms, compile ${span("compile begins", "compile ends")} ms, instantiate ${span("instantiate begins", "instantiate ends")} ms, first
words in wasm until the lock is asked for ${span("instantiate ends", "lock begins")} ms (functions are compiled when they are first called), look whether there is
work ${span("transaction begins", "transaction ends")} ms, claim ${span("transaction begins (2)", "transaction ends (2)")} ms (seven reads, one after the other, and the writes, before a byte leaves:
Workbox reads one row and deletes it), the rest the way to \`fetch\`. The database is opened meanwhile. Next: one transaction in
place of two; reads of the first turn side by side.`;
    },
  },
  {
    row: "F6",
    tell: () => `Nothing of ours looks at more rows or entries when there are more of them. What grows is the browser's own store: at 100 jobs all
of it lies in LevelDB's memory, at 100,000 each row comes out of one of its files, and they are being merged meanwhile.`,
  },
  { row: "F7", tell: () => "The peak is the browser's reading of the bodies that are in flight." },
  { row: "F8", tell: () => "" },
  {
    row: "F9",
    tell(find) {
      const by = (part) =>
        find("F9", `code of the ${part}`)
          ?.peers.slice(0, 4)
          .map(({ who, samples }) => `${who} ${show(samples[0])}`)
          .join(", ");
      return `By crate, KiB before wasm-opt and brotli: the worker ${by("worker")}; the page ${by("page")}. What could be taken away has been (link-time
optimisation, names, allocator, serde, dates, sorting, formatting of numbers: CHANGELOG); what is left is the engine itself,
as state machines of \`async\` functions. Next: what a person's hand or a repair needs (list, export, edit, compact, repair: by
the names of its functions about a fifth of the worker) as a second module, loaded when it is first asked for; the page's part without futures.`;
    },
  },
];

/** A paragraph for each row of which an aim was missed. */
export function explain(measures) {
  const find = (row, part) => measures.find((measure) => measure.row === row && measure.title.includes(part));
  const missed = reasons.filter(({ row }) =>
    measures.some((measure) => measure.row === row && measure.ratios.some(({ met }) => met === false)),
  );
  return missed.map(({ row, tell }) => `**${row}.** ${tell(find)}`).join("\n\n");
}

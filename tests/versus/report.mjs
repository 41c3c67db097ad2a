// Puts the runs' counts together: a table for the terminal, a page for docs/.

const COUNTS = ["lost", "doubled", "disordered"];
const HEADINGS = { lost: "lost", doubled: "doubled", disordered: "out of order" };
const BESIDES = {
  arrivals: "arrivals",
  listed: "listed as failed",
  waiting: "kept, but never sent with the server well",
  stale: "delivered, but still shown",
};

/** `2`, or `0–2` where the runs differ: the best and the worst. */
export function spread(values) {
  const numbers = values.filter((value) => typeof value === "number");
  if (numbers.length === 0) return "–";
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  return least === most ? String(most) : `${least}–${most}`;
}

const cell = (result, contender, name) => {
  const runs = result.runs[contender.id];
  return runs.some((run) => run.error) ? "error" : spread(runs.map((run) => run[name]));
};

/** What Shearwater must never do; empty when all is well. */
export function defects(results) {
  return results.flatMap(({ row, runs }) =>
    (runs.shearwater ?? []).flatMap((run, at) => {
      const of = (what) => `${row.title}, run ${at + 1}: ${what}`;
      if (run.error) return [of(run.error)];
      const counts = [...COUNTS, "waiting", "stale"]
        .filter((name) => run[name] > 0)
        .map((name) => `${run[name]} ${HEADINGS[name] ?? BESIDES[name]}`);
      return [...counts, row.broken?.(run.notes)].filter(Boolean).map(of);
    }),
  );
}

function table(results, contenders) {
  const heading = [
    "",
    "scenario",
    "jobs",
    "runs",
    ...COUNTS.flatMap((name) => contenders.map(({ short }) => `${HEADINGS[name]} ${short}`)),
  ];
  const lines = results.map((result, at) => [
    String(at + 1),
    result.row.title,
    spread(contenders.flatMap(({ id }) => result.runs[id].map((run) => run.queued))),
    String(result.runs[contenders[0].id].length),
    ...COUNTS.flatMap((name) => contenders.map((contender) => cell(result, contender, name))),
  ]);
  return [heading, ...lines];
}

export function print(results, contenders) {
  const lines = table(results, contenders);
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((text, column) => (column === 1 ? text.padEnd(widths[column]) : text.padStart(widths[column])))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** What was found besides the table's counts, per contender. */
function findings(result, contenders) {
  const notes = new Set(contenders.flatMap(({ id }) => result.runs[id].flatMap((run) => Object.keys(run.notes ?? {}))));
  const each = (value) => contenders.map((contender) => `${contender.short} ${value(result.runs[contender.id])}`).join(", ");
  const lines = [];
  for (const [name, words] of Object.entries(BESIDES)) {
    if (name === "arrivals" || contenders.some(({ id }) => result.runs[id].some((run) => run[name] > 0))) {
      lines.push(`${words}: ${each((runs) => spread(runs.map((run) => run[name])))}`);
    }
  }
  for (const note of notes) {
    lines.push(
      `${note}: ${each((runs) => {
        const values = runs.map((run) => run.notes?.[note]);
        if (values.every((value) => typeof value === "number")) return spread(values);
        return [
          ...new Set(values.map((value) => (value === true ? "yes" : value === false ? "no" : String(value || "–")))),
        ].join(" or ");
      })}`,
    );
  }
  return lines.join("; ");
}

export function findingsOf(results, contenders) {
  return results.map((result, at) => `${String(at + 1).padStart(2)}  ${findings(result, contenders)}`).join("\n");
}

export function page({ results, contenders, versions, chromium, command }) {
  const [heading, ...lines] = table(results, contenders);
  const row = (cells) => `| ${cells.join(" | ")} |`;
  const faulty = (result, id) => result.runs[id].some((run) => COUNTS.some((name) => run[name] > 0));
  const explained = results.map((result, at) => {
    const { row } = result;
    const why = row.why && (faulty(result, "workbox") || faulty(result, "careful")) ? ` Workbox: ${row.why}.` : "";
    return `${at + 1}. **${row.title[0].toUpperCase()}${row.title.slice(1)}.** ${row.did}${why} *${findings(result, contenders)}.*`;
  });
  const found = defects(results);
  return `# Shearwater and workbox-background-sync, head to head

Written by \`${command}\`; every number is counted by that run. Shearwater ${versions.shearwater},
workbox-background-sync ${versions.workbox} (npm), ${chromium}.

## How it is measured

Real Chromium; real \`sync\` events (the browser's own when a tag is registered, further ones by the devtools protocol);
and the repository's own server, which honours \`Idempotency-Key\` and records every request that reaches it. Page, jobs, faults and their order in time are the same for each contender; each run
has a fresh origin. A job is known by its method and URL.

- **W**: Workbox as its documentation has it: \`new Queue(name)\`, \`pushRequest\`, the default \`onSync\`.
- **W+**: Workbox in a careful app, by documented means only: it sets an \`Idempotency-Key\`, and its \`onSync\` puts back
  what was answered 408, 429 or 5xx, and throws an Error.
- **S**: Shearwater as it is. In rows that count order, all jobs have one \`key\`; in the others they are independent (–).

**Lost**: taken by the library, never accepted by the server, and shown nowhere, after the server was well again and
the library had every chance (\`sync\` events, "send now", a page opened, until nothing more happened). **Doubled**: accepted
more than once. **Out of order**: accepted after a job that was queued later. Where runs differ, best and worst are given.
Before all that, a control that loses one job, doubles one and swaps two has to be counted so.

## Result

${row(heading)}
|${heading.map((_, column) => (column === 1 ? "---" : "--:")).join("|")}|
${lines.map(row).join("\n")}

${found.length === 0 ? "Shearwater lost, doubled and reordered nothing." : `**Defects of Shearwater:**\n\n${found.map((line) => `- ${line}`).join("\n")}`}

## Row by row

${explained.join("\n")}

## What was not compared

Speed and size (Workbox is by far the smaller); other browsers; Workbox's fallback without Background Sync, its routing
and its \`BackgroundSyncPlugin\` (a \`pushRequest\` on a failed \`fetch\`, into the same Queue); Chromium's own pauses between
\`sync\` events (5 min and more), in place of which further events are fired; a power failure; migrations of the store.
`;
}

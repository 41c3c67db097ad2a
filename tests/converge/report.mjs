// Prints what a run came to.

import { CLASSES, countReplacements } from "./checker.mjs";
import { isDone, line } from "./history.mjs";

/** Of each class, so many violations are shown. */
const SHOWN = 3;

/** `figures`: of each client, what befell it and what its line saw. */
export function print({ history, violations, figures }) {
  const of = (client, ...whats) => history.ops.filter((op) => op.client === client && whats.includes(op.what));
  const columns = [
    ["client", ({ client }) => client],
    ["operations", ({ client }) => history.ops.filter((op) => op.client === client && op.what !== "event").length],
    ["writes", ({ client }) => of(client, "create", "write", "add", "delete").length],
    ["acknowledged", ({ client }) => of(client, "create", "write", "add", "delete").filter(isDone).length],
    ["reads", ({ client }) => of(client, "get", "all").length],
    ["syncs", ({ client }) => of(client, "sync").length],
    ["pushes", ({ pushes }) => pushes],
    ["conflicts", ({ conflicts }) => conflicts],
    ["accepted", ({ client }) => history.log.filter((entry) => entry.client === client).length],
    ["lost to cuts", ({ cut }) => cut],
    ["worker stopped", ({ stops }) => stops],
    ["browser killed", ({ kills }) => kills],
    ["rejected", ({ rejected }) => rejected],
  ];
  table([columns.map(([title]) => title), ...figures.map((row) => columns.map(([, value]) => value(row)))]);
  const { replaced, byEarlier } = countReplacements(history);
  console.log(
    `\nvalues that took the place of another client's: ${replaced}, of which ${byEarlier} had been written before it\n`,
  );
  const found = (kind) => violations.filter((violation) => violation.class === kind);
  table([
    ["violation", "count", "means"],
    ...Object.entries(CLASSES).map(([kind, what]) => [kind, found(kind).length, what]),
    ["stuck", found("stuck").length, "what is left to be done does not come to an end"],
  ]);
  const from = history.ops[0]?.invokedAt ?? 0;
  for (const kind of new Set(violations.map((violation) => violation.class))) {
    const all = found(kind).sort((a, b) => size(a) - size(b));
    for (const { what, shown } of all.slice(0, SHOWN)) {
      console.log(`\n!! ${kind}: ${what}`);
      for (const entry of ordered(shown)) console.log(line(entry, from));
    }
  }
  console.log();
}

const size = ({ shown }) => shown.length;
const moment = (entry) => ("what" in entry ? entry.invokedAt : (entry.seenAt ?? Infinity));
const ordered = (shown) => [...new Set(shown)].sort((a, b) => moment(a) - moment(b));

function table(rows) {
  const lines = rows.map((row) => row.map(String));
  const widths = lines[0].map((_, at) => Math.max(...lines.map((line) => line[at].length)));
  for (const line of lines)
    console.log(
      line
        .map((cell, at) => cell.padEnd(widths[at]))
        .join("  ")
        .trimEnd(),
    );
}

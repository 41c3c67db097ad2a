// How much memory a browser has taken, by the kernel's count.

import { readdirSync, readFileSync } from "node:fs";

const read = (pid, file) => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    // It has ended meanwhile.
    return "";
  }
};

/** The pid and those of all its descendants. */
function tree(root) {
  const children = new Map();
  for (const pid of readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    // pid (name) state ppid …; the name may have spaces.
    const parent = Number(read(pid, "stat").split(") ").at(-1)?.split(" ")[1]);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const all = [root];
  for (const pid of all) all.push(...(children.get(pid) ?? []));
  return all;
}

/** The most that each process of a browser has had resident since its start, by pid, in MiB. */
export function peaks(chromium) {
  const peak = (pid) => Number(/VmHWM:\s+(\d+) kB/.exec(read(pid, "status"))?.[1] ?? 0) / 1024;
  return new Map(tree(chromium.browser.process().pid).map((pid) => [pid, peak(pid)]));
}

/** The most by which any one process has outgrown its peak of `before`, in MiB. */
export function growth(chromium, before) {
  return Math.max(...[...peaks(chromium)].map(([pid, peak]) => peak - (before.get(pid) ?? 0)));
}

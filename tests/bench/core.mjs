// Instructions of the core for a fixed piece of work on the simulator's store, counted by callgrind: the same
// figure on every machine and under any load. Printed, not asserted.
//
//   node tests/bench/core.mjs

import { spawnSync } from "node:child_process";
import { join } from "node:path";

import { root } from "../e2e/harness/server.mjs";

const target = join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "core-cost");
const binary = join(target, "release/core-cost");
const built = spawnSync(
  "cargo",
  [
    "build",
    "--quiet",
    "--release",
    "--locked",
    "--manifest-path",
    join(root, "tests/bench/core/Cargo.toml"),
    "--target-dir",
    target,
  ],
  { stdio: "inherit" },
);
if (built.status !== 0) process.exit(1);

function instructions(piece) {
  const { stderr, stdout, status, error } = spawnSync(
    "valgrind",
    ["--tool=callgrind", "--callgrind-out-file=/dev/null", binary, piece],
    { encoding: "utf8" },
  );
  if (error || status !== 0)
    throw new Error(error?.code === "ENOENT" ? "valgrind is not installed: apt-get install valgrind" : stderr);
  return { count: Number(/Collected : (\d+)/.exec(stderr)[1]), said: stdout.trim() };
}

const nothing = instructions("nothing").count;
const each = instructions("enqueue-each").count - nothing;
const enqueue = instructions("enqueue").count - nothing;
const drain = instructions("drain");
const print = (what, count) =>
  console.log(
    `${what.padEnd(44)} ${count.toLocaleString("en").padStart(14)} Ir  ${Math.round(count / 1_000)
      .toLocaleString("en")
      .padStart(8)} a job`,
  );
print("enqueue of 1,000, one transaction each", each);
print("enqueue of 1,000, one transaction", enqueue);
print(`drain of 1,000 (${drain.said})`, drain.count - nothing - enqueue);

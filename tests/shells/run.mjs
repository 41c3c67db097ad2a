// Runs the unit tests of the shells in Chromium: those of crates/worker in a service worker, those of crates/page in a
// page. `cargo run -p xtask -- shells` has built them; see CONTRIBUTING.md.
//
// node tests/shells/run.mjs [part of a test's name]

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { build } from "esbuild";

import { startChromium } from "../e2e/harness/chromium.mjs";
import { root } from "../e2e/harness/server.mjs";

/** Milliseconds that a test may take; one that takes longer has failed. */
const PATIENCE = 20_000;

const SHELLS = [
  { shell: "worker", place: "in a service worker", run: "runWorkerTest" },
  { shell: "page", place: "in a page", run: "runPageTest" },
];

const [filter = ""] = process.argv.slice(2);
const built = join(root, "target/xtask/shells");
const wasm = (shell) => readFileSync(join(built, `${shell}_bg.wasm`));

/** A script: what makes an instance of the tests' glue, then the bundle of `entry`. */
async function script(entry, shell) {
  const sha256 = createHash("sha256").update(wasm("worker")).digest("hex");
  const { outputFiles } = await build({
    entryPoints: [join(root, "tests/shells/site", entry)],
    bundle: true,
    write: false,
    format: "iife",
    alias: { "shearwater-glue": join(root, "tests/shells/site/glue.js") },
    define: {
      __VERSION__: '"test"',
      __WORKER_SHA256__: JSON.stringify({ "worker.wasm": sha256 }),
      __PAGE_SHA256__: '"none"',
      __PAGE_CACHE__: '"shearwater page.wasm"',
    },
  });
  const glue = readFileSync(join(built, `${shell}.js`), "utf8");
  return `self.createGlue = ({ fetch, setTimeout, clearTimeout }) => {\n${glue}\nreturn wasm_bindgen;\n};\n${outputFiles[0].text}`;
}

async function serve() {
  const files = new Map([
    ["/", ["text/html", readFileSync(join(root, "tests/shells/site/index.html"))]],
    ["/page.js", ["text/javascript", await script("page.js", "page")]],
    ["/service.js", ["text/javascript", await script("service.js", "worker")]],
    ...["v1", "v2", "v3", "v4"].map((version) => [
      `/golden/${version}.json`,
      ["application/json", readFileSync(join(root, `tests/golden/${version}.json`))],
    ]),
    ...SHELLS.map(({ shell }) => [`/${shell}_bg.wasm`, ["application/wasm", wasm(shell)]]),
  ]);
  const server = createServer((request, response) => {
    const [type, content] = files.get(new URL(request.url, "http://localhost").pathname) ?? [];
    response.writeHead(type ? 200 : 404, { "content-type": type ?? "text/plain", "cache-control": "no-store" });
    response.end(content ?? "not here");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://localhost:${server.address().port}`, close: () => server.close() };
}

/** A browser that shows the page of the tests. */
async function open(origin) {
  const chromium = await startChromium();
  const page = await chromium.browser.newPage();
  await page.goto(origin);
  await page.evaluate(() => window.ready);
  return { page, close: () => chromium.kill() };
}

/** Without what the reporter repeats of itself, and the frames of a stack that are not ours. */
const brief = (output) =>
  output
    .split("\n")
    .filter(
      (line) =>
        !/^\s+at .*(__rust|\bstd\[|\bcore\[|\balloc\[|wasm_bindgen|\.js:\d+)|^(running|failures:|test result:|Invoking test:|Stack:|Error$)/.test(
          line,
        ),
    )
    .map((line) => line.replace(/\bshearwater_\w+-[0-9a-f]+\.wasm\./, "").replace(/ \(wasm:.*\)$/, ""))
    .join("\n")
    .replace(/\n\s*\n+/g, "\n")
    .trim();

/** As the test is written: `module::what_it_does`. */
const readable = (name) => name.slice(name.indexOf("::") + 2).replace(/^tests::/, "");

const { origin, close } = await serve();
let browser = await open(origin);
const totals = { passed: 0, failed: 0, ignored: 0 };
const failures = [];

async function runTest(run, name) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(
      () => resolve({ ok: false, late: true, output: `it did not end within ${PATIENCE / 1000} s` }),
      PATIENCE,
    );
  });
  const result = browser.page.evaluate((run, name) => window[run](name), run, name);
  try {
    return await Promise.race([result.catch((error) => ({ ok: false, late: true, output: error.stack })), late]);
  } finally {
    clearTimeout(timer);
  }
}

try {
  for (const { shell, place, run } of SHELLS) {
    const all = await browser.page.evaluate((shell) => window.listTests(shell), shell);
    // A build that lost its tests would pass for ever.
    if (all.length === 0) failures.push([shell, "the test binary has no tests"]);
    const names = all.filter((name) => readable(name).includes(filter)).sort();
    console.log(`\nrunning ${names.length} tests of shearwater-${shell} ${place}`);
    for (const name of names) {
      const begun = performance.now();
      const { ok, late, ignored, output } = await runTest(run, name);
      const outcome = !ok ? "FAILED" : ignored ? "ignored" : "ok";
      console.log(`test ${shell}::${readable(name)} ... ${outcome} (${Math.round(performance.now() - begun)} ms)`);
      totals[!ok ? "failed" : ignored ? "ignored" : "passed"] += 1;
      if (!ok) failures.push([`${shell}::${readable(name)}`, output]);
      if (late) {
        // Whatever it is doing, the next one gets a browser without it.
        void browser.close();
        browser = await open(origin);
      }
    }
  }
  if (totals.passed === 0) failures.push(["all", `no test passed; is "${filter}" a part of a test's name?`]);
} finally {
  await browser.close();
  close();
}
for (const [name, output] of failures) console.log(`\n---- ${name} ----\n${brief(output)}`);
const verdict = failures.length === 0 ? "ok" : "FAILED";
console.log(`\ntest result: ${verdict}. ${totals.passed} passed; ${totals.failed} failed; ${totals.ignored} ignored`);
process.exitCode = failures.length === 0 ? 0 : 1;

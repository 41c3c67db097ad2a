// Runs one test of a test binary, in the page or in the service worker that this script is loaded into.

import { current } from "./glue.js";
import { restoreTimers } from "./timers.js";

/** Globals that a test may replace; each test finds them as the browser made them. */
const REPLACED = ["fetch", "indexedDB"];

const originals = Object.fromEntries(REPLACED.map((name) => [name, self[name]]));

/** By URL. */
const compiled = new Map();

/** The names of the binary's tests, as it exports them. */
export async function listTests(url) {
  return WebAssembly.Module.exports(await compile(url))
    .map(({ name }) => name)
    .filter((name) => name.startsWith("__wbgt_"));
}

function compile(url) {
  if (!compiled.has(url.href)) {
    compiled.set(
      url.href,
      fetch(url).then(async (response) => WebAssembly.compile(await response.arrayBuffer())),
    );
  }
  return compiled.get(url.href);
}

/**
 * Runs the test that is exported under `name`, in an instance of its own: `{ok, ignored, output}`.
 *
 * Beside a test that fails by itself, one fails that leaves an error that nobody caught, such as a panic in a task
 * of its own: that traps in a callback of the platform, where no test hears of it.
 */
export async function runTest(name, url) {
  const output = [];
  const uncaught = [];
  const take = (event) => {
    event.preventDefault();
    const thrown = event.reason ?? event.error;
    uncaught.push(thrown?.stack ?? thrown?.message ?? String(thrown ?? event.message));
  };
  self.addEventListener("error", take);
  self.addEventListener("unhandledrejection", take);
  const restoreConsole = captureConsole(output);
  const lines = captureLines();
  const life = createLife();
  let ok = false;
  try {
    const glue = self.createGlue(life.globals);
    current.glue = glue;
    const exports = await glue({ module_or_path: await compile(url) });
    const context = new glue.WasmBindgenTestContext(false);
    ok = await context.run([exports[name]]);
    // What the test has set off and nobody waits for.
    await new Promise((resolve) => originalTimeout(resolve, 0));
  } catch (thrown) {
    uncaught.push(thrown?.stack ?? String(thrown));
  } finally {
    life.end();
    restoreConsole();
    restoreTimers();
    for (const [name, original] of Object.entries(originals)) {
      if (self[name] !== original) Object.defineProperty(self, name, { value: original, configurable: true, writable: true });
    }
    current.end();
    // Where a test has hidden it.
    delete navigator.locks;
    self.removeEventListener("error", take);
    self.removeEventListener("unhandledrejection", take);
  }
  const text = lines();
  return {
    ok: ok && uncaught.length === 0,
    ignored: /^test .* \.\.\. ignored/m.test(text),
    output: [...output, text, ...uncaught.map((thrown) => `uncaught: ${thrown}`)].join("\n"),
  };
}

/**
 * What an instance does to the world, until `end`: from then on its timers do not fire and its fetches never settle.
 * An engine whose test is over may have a drain at work, which the next test is to see nothing of.
 */
function createLife() {
  let over = false;
  return {
    globals: {
      fetch: (...given) => (over ? new Promise(() => {}) : self.fetch(...given)),
      setTimeout: (then, ms) => self.setTimeout(() => over || then(), over ? 0 : ms),
      clearTimeout: (id) => self.clearTimeout(id),
    },
    end() {
      over = true;
    },
  };
}

const originalTimeout = self.setTimeout.bind(self);

/** What the binary's own reporter prints: into an element of a page, by a global function of a worker. */
function captureLines() {
  self.__wbg_test_invoke = (poll) => poll();
  if (typeof document !== "undefined") {
    const element = document.getElementById("output");
    element.textContent = "";
    return () => element.textContent;
  }
  let text = "";
  self.__wbg_test_output_writeln = (line) => {
    text += `${line}\n`;
  };
  return () => text;
}

function captureConsole(output) {
  const names = ["debug", "log", "info", "warn", "error"];
  const kept = names.map((name) => console[name]);
  for (const name of names)
    console[name] = (...parts) => output.push(parts.map((part) => part?.stack ?? String(part)).join(" "));
  return () => {
    for (const [at, name] of names.entries()) console[name] = kept[at];
  };
}

// A real WebKitGTK on a profile of its own.
//
// WebKitWebDriver gives MiniBrowser an ephemeral session, of which a kill leaves nothing to start again on.
// So MiniBrowser runs as people run it, and the pages drive themselves: the server under test also serves a
// folder of ours, whose page takes its steps from an event stream of this process. A step is a module: no
// page needs `eval`. It comes from this process too, for the connections to the server may all be in use by
// what a test holds up; or, where the CSP has no script but 'self', from the folder.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { workerUrl } from "./pages.mjs";
import { processGroup } from "./processes.mjs";
import { removeProfile } from "./profile.mjs";
import { until } from "./wait.mjs";

const MOUNT = "/drive";

// What is to end with this process hangs on its exit; a signal alone would pass that by.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

/** The tests' own policy, and scripts from this process. */
const CSP =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' http://127.0.0.1:*; img-src 'self' blob: data:; connect-src 'self' http://127.0.0.1:*";

const PAGE = `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <title>Shearwater test page, driving itself</title>
  <link rel="icon" href="data:,">
  <script type="module" src="/page.mjs"></script>
  <script type="module" src="${MOUNT}/driver.mjs"></script>
</html>`;

const DRIVER = `const { control, tab } = Object.fromEntries(new URLSearchParams(location.search));

async function take(step) {
  const answer = { step };
  try {
    const { default: run } = await import(control + "/modules/" + step).catch(() => import("${MOUNT}/" + step));
    answer.value = await run();
  } catch (error) {
    answer.error = { name: error?.name, code: error?.code, message: String(error?.message ?? error), stack: error?.stack };
  }
  await fetch(control + "/answers", { method: "POST", body: JSON.stringify(answer) });
}

new EventSource(control + "/steps/" + tab).onmessage = ({ data }) => take(data);`;

/** Opens the tabs, so that the browser lives on when the last of them is closed. Of another site than they are. */
const LAUNCHER = `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <title>launcher</title>
  <link rel="icon" href="data:,">
  <script>new EventSource("/steps/launcher").onmessage = ({ data }) => window.open(data, "_blank", "noopener");</script>
</html>`;

let folder;
/** Arguments for the server under test, so that it serves the page that drives itself; `strict`: under its own CSP. */
export function webkitServerArgs({ strict = false } = {}) {
  if (!folder) {
    folder = mkdtempSync(join(tmpdir(), "shearwater-drive-"));
    writeFileSync(join(folder, "index.html"), PAGE);
    writeFileSync(join(folder, "driver.mjs"), DRIVER);
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  }
  return ["--static-mount", `${MOUNT}=${folder}`, ...(strict ? [] : ["--csp", CSP])];
}

let display;
/** One X server for all browsers of this process; it ends with the process. */
function xDisplay() {
  display ??= new Promise((resolve, reject) => {
    const xvfb = spawn("Xvfb", ["-displayfd", "3", "-screen", "0", "800x600x24", "-nolisten", "tcp"], {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    const killX = () => xvfb.kill("SIGKILL");
    process.once("exit", killX);
    xvfb.once("error", reject);
    xvfb.once("exit", (code) => {
      process.off("exit", killX);
      display = undefined;
      reject(new Error(`Xvfb ended with ${code}`));
    });
    // The whole line: closing the pipe before its end is the end of Xvfb.
    const displays = /** @type {import("node:net").Socket} */ (xvfb.stdio[3]);
    createInterface(displays).once("line", (number) => {
      displays.unref();
      xvfb.unref();
      resolve(`:${number}`);
    });
  });
  return display;
}

function miniBrowser() {
  if (process.env.MINIBROWSER) return process.env.MINIBROWSER;
  for (const arch of readdirSync("/usr/lib", { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
    let names = [];
    try {
      names = readdirSync(join("/usr/lib", arch.name));
    } catch {
      continue;
    }
    const found = names.find((name) => /^webkit2?gtk-\d/.test(name));
    if (found) return join("/usr/lib", arch.name, found, "MiniBrowser");
  }
  throw new Error("there is no MiniBrowser: install libwebkit2gtk-4.1-0");
}

/** The other end of the driver's event streams. */
function startControl() {
  const streams = new Map();
  const answers = new Map();
  const servers = [];
  const handle = async (request, response) => {
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("cache-control", "no-store");
    const [, what, name] = request.url.split("/");
    if (what === "steps") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(":\n\n");
      streams.set(name, response);
      response.once("close", () => streams.get(name) === response && streams.delete(name));
    } else if (what === "modules") {
      response.writeHead(200, { "content-type": "text/javascript" }).end(readFileSync(join(folder, name)));
    } else if (what === "answers") {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      response.end();
      const { step, value, error } = JSON.parse(String(Buffer.concat(chunks)));
      const { resolve, reject } = answers.get(step) ?? {};
      answers.delete(step);
      if (error) reject?.(Object.assign(new Error(error.message), { name: error.name, code: error.code, cause: error.stack }));
      else resolve?.(value);
    } else {
      response.writeHead(200, { "content-type": "text/html" }).end(LAUNCHER);
    }
  };
  return {
    /** An address for one tab: a browser has six connections for each, and a stream keeps one. */
    async address() {
      const server = createServer(handle);
      servers.push(server);
      await once(server.listen(0, "127.0.0.1"), "listening");
      return `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
    },
    ready: (name) => until(`the tab "${name}"`, () => streams.get(name)),
    send: (name, data) => streams.get(name)?.write(`data: ${data}\n\n`),
    answer: (step) => new Promise((resolve, reject) => answers.set(step, { resolve, reject })),
    closed: (name) => until(`the end of the tab "${name}"`, () => !streams.has(name)),
    stop() {
      for (const { reject } of answers.values()) reject(new Error("the browser was ended"));
      answers.clear();
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

let count = 0;

/** Starts MiniBrowser; give `profile` to start it again where it was killed. */
export async function startWebKit({ profile = mkdtempSync(join(tmpdir(), "shearwater-webkit-")) } = {}) {
  const control = startControl();
  for (const name of ["data", "cache", "config", "run"]) mkdirSync(join(profile, name), { recursive: true, mode: 0o700 });
  const child = spawn(
    miniBrowser(),
    [
      "--javascript-can-open-windows-automatically=true",
      "--enable-write-console-messages-to-stdout=true",
      await control.address(),
    ],
    {
      // Of a process group of its own, with its network and web processes.
      detached: true,
      stdio: ["ignore", ...Array(2).fill(process.env.VERBOSE ? "inherit" : "ignore")],
      env: {
        ...process.env,
        DISPLAY: await xDisplay(),
        HOME: profile,
        XDG_DATA_HOME: join(profile, "data"),
        XDG_CACHE_HOME: join(profile, "cache"),
        XDG_CONFIG_HOME: join(profile, "config"),
        XDG_RUNTIME_DIR: join(profile, "run"),
        GDK_BACKEND: "x11",
        GSETTINGS_BACKEND: "memory",
        NO_AT_BRIDGE: "1",
        LIBGL_ALWAYS_SOFTWARE: "1",
        WEBKIT_DISABLE_DMABUF_RENDERER: "1",
      },
    },
  );
  const group = processGroup(child);
  const kill = async () => {
    await group.kill();
    control.stop();
  };
  try {
    await Promise.race([
      control.ready("launcher"),
      group.gone.then((end) =>
        Promise.reject(new Error(`MiniBrowser ended as it began: ${end}; VERBOSE=1 shows what it says`)),
      ),
    ]);
  } catch (error) {
    await kill();
    throw error;
  }

  return {
    profile,

    /**
     * Opens the test page and connects a client as `window.client`.
     *
     * @param {string} origin
     * @param {import("./pages.mjs").PageOptions} [more]
     */
    async open(origin, { config, options = {} } = {}) {
      count += 1;
      const tab = `tab-${count}`;
      control.send("launcher", `${origin}${MOUNT}/?${new URLSearchParams({ control: await control.address(), tab })}`);
      await control.ready(tab);
      let left = false;
      const page = {
        async evaluate(run, ...args) {
          count += 1;
          const step = `step-${count}.mjs`;
          const given = args.map((arg) => (arg === undefined ? "undefined" : JSON.stringify(arg)));
          writeFileSync(join(folder, step), `export default () => (${run})(${given.join(", ")});`);
          const answer = control.answer(step);
          control.send(tab, step);
          return answer;
        },
        /** Leaves for `url`, where nobody drives the tab any more. */
        async goto(url) {
          left = true;
          page.evaluate((url) => void window.location.assign(url), url).catch(() => {});
          await control.closed(tab);
        },
        async close() {
          if (left) return;
          page.evaluate(() => void window.close()).catch(() => {});
          await control.closed(tab);
        },
      };
      await page.evaluate(
        async (options) => {
          while (!window.ready) await new Promise((resolve) => setTimeout(resolve, 10));
          window.client = await window.connect(options);
        },
        { worker: workerUrl(config), ...options },
      );
      return page;
    },

    kill,

    /** Ends it and removes its profile. */
    async close() {
      await kill();
      removeProfile(profile);
    },
  };
}

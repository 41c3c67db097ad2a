// The real back end, one process a test file, and its control surface.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Queries a server's control listener; both arguments are from the server's start line. */
export const askOf =
  ({ control, controlToken }) =>
  async (method, where, body) => {
    const response = await fetch(control + where, {
      method,
      headers: { authorization: `Bearer ${controlToken}`, ...(body !== undefined && { "content-type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${method} ${where}: ${response.status} ${await response.text()}`);
    return response.json();
  };

/**
 * Starts the server on free ports; `dist` is served at /shearwater, `site` at /. `SHEARWATER_DIST` names a
 * folder that holds `dist` and `dist-test`, to test a build other than the one in this tree.
 *
 * @typedef {object} ServerOptions
 * @property {string} [dist]
 * @property {string} [site]
 * @property {string} [db]  the file of its database
 * @property {string[]} [args]
 * @property {string} [listen]
 *
 * @param {ServerOptions} [options]
 */
export async function startServer({ dist = "dist", site = "tests/e2e/site", db, args = [], listen = "127.0.0.1:0" } = {}) {
  const path = db ?? join(mkdtempSync(join(tmpdir(), "shearwater-db-")), "server.db");
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  const child = spawn(
    join(target, "debug/shearwater-server"),
    [
      "--listen",
      listen,
      "--control",
      "127.0.0.1:0",
      "--db",
      path,
      "--fast",
      "--no-keep-alive",
      "--static",
      resolve(root, site),
      "--static-mount",
      `/shearwater=${resolve(root, process.env.SHEARWATER_DIST ?? "", dist)}`,
      "--csp",
      "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob: data:; connect-src 'self' http://127.0.0.1:*",
      ...args,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const line = await new Promise((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
  const started = JSON.parse(line);
  const listening = started.listen;
  const ask = askOf(started);
  return {
    // A secure context by name as well as by number; the name keeps cookies and origins readable.
    origin: listening.replace("127.0.0.1", "localhost"),
    // The same listener under another host, which is another origin; the CSP of the tests' pages allows it.
    crossOrigin: listening,
    db: path,
    faults: (rules, more = {}) => ask("PUT", "/faults", { down: false, rules: [], ...more, ...(rules && { rules }) }),
    down: (down) => ask("PUT", "/faults", { down, rules: [] }),
    release: () => ask("POST", "/release"),
    arrivals: (path = "/api/") => ask("GET", `/arrivals?path=${encodeURIComponent(path)}`),
    sink: (path = "") => ask("GET", `/sink?path=${encodeURIComponent(path)}`),
    notes: () => ask("GET", "/notes"),
    uploads: () => ask("GET", "/uploads"),
    // A collection's rows, tombstones among them; every effect on it; its options (`assignIds`, `clock`, `commitDelay`).
    records: (collection) => ask("GET", `/records/${collection}`),
    recordLog: (collection) => ask("GET", `/records/${collection}/log`),
    recordOptions: (collection, patch) => ask("POST", `/records/${collection}/options`, patch),
    // Writes a row as another client would: `{id, data}`, `{id, deleted: true}`, or `{raw}`.
    writeRecord: (collection, row) => ask("POST", `/records/${collection}`, row),
    // Removes a row without a tombstone.
    forgetRecord: (collection, id) => ask("DELETE", `/records/${collection}/rows/${encodeURIComponent(id)}`),
    stats: () => ask("GET", "/stats"),
    reset: () => ask("POST", "/reset"),
    async stop() {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

// The package as a user gets it: packed, unpacked, bundled, served under another path.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import test from "node:test";

import { startChromium } from "../e2e/harness/chromium.mjs";
import { root, startServer } from "../e2e/harness/server.mjs";
import { until } from "../e2e/harness/wait.mjs";

/** Packs dist/ and unpacks it as node_modules/shearwater of a fresh folder. */
function install() {
  const folder = mkdtempSync(join(tmpdir(), "shearwater-package-"));
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: join(root, "dist"), stdio: "pipe" });
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  const target = join(folder, "node_modules/shearwater");
  mkdirSync(target, { recursive: true });
  execFileSync("tar", ["xzf", join(folder, tarball), "-C", target, "--strip-components=1"]);
  return { folder, target };
}

test("the tarball has what `exports` names, and types", () => {
  const { target } = install();
  const manifest = JSON.parse(readFileSync(join(target, "package.json"), "utf8"));
  const files = readdirSync(target, { recursive: true });
  for (const entry of Object.values(manifest.exports)) {
    for (const path of typeof entry === "string" ? [entry] : Object.values(entry)) {
      assert.ok(files.includes(path.slice(2)), path);
    }
  }
});

test("a classic sw.ts has the global by one reference, a module one by its import, and a page needs no more than the DOM", () => {
  const { folder } = install();
  const check = (name, text, lib) => {
    writeFileSync(join(folder, name), text);
    const options = [
      "--noEmit",
      "--strict",
      "--skipLibCheck",
      "false",
      "--target",
      "es2022",
      "--module",
      "es2022",
      "--moduleResolution",
      "bundler",
      "--lib",
      lib,
    ];
    execFileSync(join(root, "node_modules/.bin/tsc"), [...options, name], { cwd: folder, stdio: "pipe", encoding: "utf8" });
  };
  check(
    "classic.ts",
    `/// <reference types="shearwater/worker" />
     importScripts("/shearwater/worker.js");
     shearwater.start({ queues: { notes: {} } });
     shearwater.on("auth", () => ({ authorization: "x" }), { origins: ["https://api.example"] });
     self.addEventListener("push", (event) => (event as ExtendableEvent).waitUntil(shearwater.enqueue({ url: "/seen", method: "POST" })));`,
    "es2022,webworker",
  );
  check(
    "module.ts",
    'import * as shearwater from "shearwater/worker"; shearwater.start(); export const id = shearwater.enqueue(new Request("/x"));',
    "es2022,webworker",
  );
  check(
    "page.ts",
    'import { connect, ShearwaterError } from "shearwater"; export const client = connect({ worker: "/sw.js" }); export const is = (e: unknown) => e instanceof ShearwaterError && e.code;',
    "es2022,dom,dom.iterable",
  );
});

test("worker and page through a bundler, the worker as a module, deliver a job", async () => {
  const { folder, target } = install();
  const site = join(folder, "site");
  mkdirSync(site);
  writeFileSync(
    join(folder, "page.js"),
    'import { connect } from "shearwater"; window.connect = connect; window.ready = true;',
  );
  writeFileSync(
    join(folder, "sw.js"),
    'import * as shearwater from "shearwater/worker"; shearwater.start({ strict: true, queues: { bundled: {} } });',
  );
  for (const entry of ["page.js", "sw.js"]) {
    execFileSync(join(root, "node_modules/.bin/esbuild"), [
      join(folder, entry),
      "--bundle",
      "--format=esm",
      `--outfile=${join(site, entry)}`,
      "--log-level=error",
    ]);
  }
  // esbuild leaves `new URL("./x.wasm", import.meta.url)` as it is: the files lie beside the bundle.
  for (const name of ["page.wasm", "worker.wasm"]) cpSync(join(target, name), join(site, name));
  writeFileSync(
    join(site, "index.html"),
    '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
  );
  await delivers(site, { worker: "/sw.js", type: "module" }, { queue: "bundled" });
});

test("the classic worker served under a deep path, as static files", async () => {
  const { folder, target } = install();
  const site = join(folder, "site");
  cpSync(target, join(site, "static/vendor/sw 1.0"), { recursive: true });
  writeFileSync(join(site, "sw.js"), 'importScripts("/static/vendor/sw%201.0/worker.js"); shearwater.start();');
  writeFileSync(
    join(site, "page.js"),
    'import { connect } from "/static/vendor/sw%201.0/page.js"; window.connect = connect; window.ready = true;',
  );
  writeFileSync(
    join(site, "index.html"),
    '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
  );
  await delivers(site, { worker: "/sw.js" }, {});
});

async function delivers(site, options, enqueue) {
  const server = await startServer({ site: relative(root, site) });
  const chromium = await startChromium();
  try {
    const page = await chromium.browser.newPage();
    await page.goto(server.origin);
    await page.waitForFunction("window.ready");
    const id = await page.evaluate(
      async (options, enqueue) => (await window.connect(options)).enqueue({ url: "/api/sink/packed", body: "x" }, enqueue),
      options,
      enqueue,
    );
    const [delivered] = await until("delivery", async () => {
      const sink = await server.sink();
      return sink.length > 0 && sink;
    });
    assert.equal(delivered.idempotencyKey, id);
  } finally {
    await chromium.close();
    await server.stop();
  }
}

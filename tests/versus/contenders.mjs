// Who is compared: three contenders, and a control that fails on purpose.

import { cpSync, mkdtempSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { root } from "../e2e/harness/server.mjs";

const here = fileURLToPath(new URL("site", import.meta.url));
const nodePaths = (process.env.NODE_PATH ?? "").split(delimiter).filter(Boolean);

export const contenders = [
  {
    id: "workbox",
    short: "W",
    name: "Workbox, its defaults",
    page: "workbox",
    worker: "/workbox.js",
    tag: "workbox-background-sync:jobs",
  },
  {
    id: "careful",
    short: "W+",
    name: "Workbox, a careful app",
    page: "workbox",
    worker: "/workbox.js",
    tag: "workbox-background-sync:jobs",
    careful: true,
  },
  {
    id: "shearwater",
    short: "S",
    name: "Shearwater, its defaults",
    page: "shearwater",
    worker: "/shearwater.js",
    tag: "default",
  },
];

export const control = { id: "control", short: "C", name: "the control", page: "flawed" };

/** The folder to serve: the pages and workers, Workbox bundled from its npm package. */
export async function buildSite() {
  const folder = mkdtempSync(join(tmpdir(), "shearwater-versus-"));
  cpSync(here, folder, { recursive: true });
  await build({
    entryPoints: [join(here, "workbox.js")],
    outfile: join(folder, "workbox.js"),
    bundle: true,
    format: "iife",
    define: { "process.env.NODE_ENV": '"production"' },
    nodePaths,
    allowOverwrite: true,
    logLevel: "error",
  });
  return relative(root, folder);
}

const versionIn = (path) => JSON.parse(readFileSync(path, "utf8")).version;

/** Of what is compared, as installed and as built. */
export const versions = () => ({
  workbox: versionIn(
    createRequire(import.meta.url).resolve("workbox-background-sync/package.json", { paths: [here, ...nodePaths] }),
  ),
  shearwater: versionIn(join(resolve(root, process.env.SHEARWATER_DIST ?? ""), "dist/package.json")),
});

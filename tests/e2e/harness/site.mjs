// A site of a test file's own.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";

/** A page that does nothing but run page.mjs. */
export const PAGE = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.mjs"></script>';

/** Writes files, by their paths, into a folder that is removed after the tests. A page that can connect is there already. */
export function makeSite(files) {
  const folder = mkdtempSync(join(tmpdir(), "shearwater-site-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const all = {
    "index.html": PAGE,
    "page.mjs":
      'import { connect, ShearwaterError } from "/shearwater/page.js"; Object.assign(window, { connect, ShearwaterError, ready: true });',
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

// What a browser has left on the disk.

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * Removes the profile of a killed browser, whose last processes may still write into it. Node's own retries do not list a
 * folder again in which a file has appeared, and block for 21 s in vain.
 */
export function removeProfile(profile) {
  for (let tries = 0; tries < 20; tries += 1) {
    try {
      rmSync(profile, { recursive: true, force: true });
      return;
    } catch {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    }
  }
  // It lies where temporary files do.
}

/** Whether any part of `secret`, ten characters long, is in the bytes; as it is or in UTF-16. */
export function traces(bytes, secret) {
  const found = [];
  for (let at = 0; at + 10 <= secret.length; at += 1) {
    const part = secret.slice(at, at + 10);
    if (bytes.includes(part, 0, "latin1") || bytes.includes(Buffer.from(part, "utf16le"))) found.push(part);
  }
  return found;
}

/** All bytes of what the browser keeps for sites. */
export function siteData(profile) {
  const parts = [];
  const walk = (dir) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) parts.push(readFileSync(path));
    }
  };
  for (const name of ["IndexedDB", "Service Worker", "Local Storage", "Session Storage", "WebStorage", "blob_storage"]) {
    try {
      walk(join(profile, "Default", name));
    } catch (thrown) {
      const error = /** @type {NodeJS.ErrnoException} */ (thrown);
      if (error.code !== "ENOENT") throw error;
    }
  }
  return Buffer.concat(parts);
}

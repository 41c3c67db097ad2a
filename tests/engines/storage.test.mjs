// A full disk in Firefox and WebKitGTK (Q15, P1): what was not stored is refused, and what was stored arrives whole.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import { firefox, webkit } from "../e2e/harness/engines.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { onEngines } from "../e2e/harness/world.mjs";

/**
 * Queues files of random bytes (zeros would be compressed), ever smaller ones, until each is refused. Returns what
 * was acknowledged, with its hash, and the codes of the refusals.
 */
const fill = (page) =>
  page.evaluate(async () => {
    const acknowledged = [];
    const refused = [];
    const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
    await client.pause();
    for (const size of [1_000_000, 200_000, 70_000, 6_000, 600]) {
      for (let at = 0; at < 100; at += 1) {
        const bytes = new Uint8Array(size);
        for (let from = 0; from < size; from += 50_000) crypto.getRandomValues(bytes.subarray(from, from + 50_000));
        const sha256 = hex(await crypto.subtle.digest("SHA-256", bytes));
        const outcome = await client.enqueue({ url: `/api/sink/${size}/${at}`, body: new Blob([bytes]) }).then(
          (id) => ({ id, sha256 }),
          ({ code, message }) => ({ code, message }),
        );
        if (outcome.code) {
          refused.push(outcome);
          break;
        }
        acknowledged.push(outcome);
      }
    }
    return { acknowledged, refused };
  });

/** Every acknowledged job is at the server once, byte for byte. */
async function arriveWhole(w, page, acknowledged) {
  const ids = acknowledged.map(({ id }) => id);
  const sink = await w.acceptedOnce(ids, page);
  const hashes = new Map(sink.map(({ idempotencyKey, bodySha256 }) => [idempotencyKey, bodySha256]));
  const damaged = acknowledged.filter(({ id, sha256 }) => hashes.get(id) !== sha256);
  assert.deepEqual(
    damaged.map(({ id }) => sink.find((entry) => entry.idempotencyKey === id).bodySize),
    [],
    "bodies that are not what was queued, by their size",
  );
}

onEngines([firefox], (w) => {
  test(`${w.engine}: an origin that is full refuses with quota-exceeded; what was stored can be discarded, and arrives whole`, async () => {
    // In KiB, for all origins together.
    const browser = await w.start({ prefs: { "dom.quotaManager.temporaryStorage.fixedLimit": 8_000 } });
    const page = await browser.open(w.server.origin);
    const { acknowledged, refused } = await fill(page);
    assert.equal(refused[0]?.code, "quota-exceeded", refused[0]?.message);
    // Once it is full to the last page, Firefox also closes the connection.
    for (const { code, message } of refused)
      assert.ok(["quota-exceeded", "storage-unavailable"].includes(code), `${code}: ${message}`);
    assert.ok(acknowledged.length > 3 && acknowledged.length < 100, `${acknowledged.length} were taken`);
    assert.equal((await w.snapshot(page)).pending, acknowledged.length);
    const [discarded, ...rest] = acknowledged;
    assert.equal(await page.evaluate((id) => client.discard(id), discarded.id), true);
    await page.evaluate(() => client.resume());
    await arriveWhole(w, page, rest);
    await w.idle(page);
    // There is room again.
    await w.becomes(page, await w.enqueue(page, { url: "/api/sink/later", body: "x" }), "delivered");
  });

  test(`${w.engine}: on a full origin all can be cleared`, async () => {
    const browser = await w.start({ prefs: { "dom.quotaManager.temporaryStorage.fixedLimit": 8_000 } });
    const page = await browser.open(w.server.origin);
    const { acknowledged } = await fill(page);
    assert.equal(await page.evaluate(() => client.clear()), acknowledged.length);
    assert.deepEqual(await w.list(page), []);
  });
});

/**
 * A profile folder on a small disk of its own; undefined where this process may not mount one.
 *
 * The browser's HTTP cache lies elsewhere: WebKit writes it a second after the page was loaded, and on a disk that is
 * full by then its network process dies (another pid is seen) and takes the service worker along.
 */
function smallDisk(size) {
  const folder = mkdtempSync(join(tmpdir(), "shearwater-small-"));
  const cache = mkdtempSync(join(tmpdir(), "shearwater-cache-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "shearwater-test", folder], { stdio: "ignore" });
  } catch {
    for (const made of [folder, cache]) rmSync(made, { recursive: true });
    return undefined;
  }
  symlinkSync(cache, join(folder, "cache"));
  return {
    folder,
    grow: (size) => execFileSync("mount", ["-o", `remount,size=${size}`, folder]),
    unmount() {
      execFileSync("umount", ["--lazy", folder]);
      rmSync(cache, { recursive: true, force: true });
    },
  };
}

onEngines([webkit], (w) => {
  test(`${w.engine}: a disk that is full refuses; once it has room again, what was stored arrives whole or is listed`, {
    timeout: 180_000,
  }, async (t) => {
    const disk = smallDisk("40m");
    if (!disk) {
      t.skip("WebKitGTK has no setting for a quota, and this process may not mount a small disk");
      return;
    }
    try {
      const browser = await w.start({ profile: disk.folder });
      const page = await browser.open(w.server.origin);
      const { acknowledged, refused } = await fill(page);
      // WebKit aborts the transaction and gives no reason.
      assert.ok(
        refused.length > 0 && refused.every(({ code }) => ["quota-exceeded", "storage-unavailable"].includes(code)),
        JSON.stringify(refused),
      );
      assert.ok(acknowledged.length > 3, `${acknowledged.length} were taken`);
      disk.grow("400m");
      await page.evaluate(() => client.resume());
      await until("an end of each", async () => {
        const { pending, syncing, isRunning, error } = await w.snapshot(page);
        return (
          (pending + syncing === 0 && !isRunning) || Promise.reject(new Error(JSON.stringify({ pending, syncing, error })))
        );
      });
      const hashes = new Map((await w.server.sink()).map(({ idempotencyKey, bodySha256 }) => [idempotencyKey, bodySha256]));
      const listed = new Map((await w.list(page, { state: "failed", limit: 1_000 })).map((job) => [job.id, job.error]));
      const outcome = ({ id, sha256 }) =>
        hashes.get(id) === sha256
          ? "whole"
          : hashes.has(id)
            ? "damaged, and called delivered"
            : listed.has(id)
              ? `listed: ${listed.get(id).kind}`
              : "lost";
      const outcomes = new Set(acknowledged.map(outcome));
      for (const bad of ["damaged, and called delivered", "lost"])
        assert.ok(
          !outcomes.has(bad),
          `${acknowledged.filter((job) => outcome(job) === bad).length} of ${acknowledged.length} ${bad}`,
        );
    } finally {
      // The mount goes when the browser lets go of it.
      disk.unmount();
    }
  });
});

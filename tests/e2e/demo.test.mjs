// The demo, by its own buttons: down, three notes, one with a photo, tab closed, up, sync.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ site: "public", args: ["--demo"] });
const flip = (down) =>
  fetch(`${w.server.origin}/demo/control`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ down }),
  });

async function openDemo() {
  const page = await w.browser.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(w.server.origin);
  await page.waitForSelector("#status:not([data-state=starting])");
  return { page, problems };
}

async function write(page, text) {
  await page.type("#note-text", text);
  await page.click("#note-save");
  await page.waitForFunction(() => document.querySelector("#note-text").value === "");
}

test("the demo's journey: stored while down, delivered once after the tab is closed, photo and all", async () => {
  const { page, problems } = await openDemo();
  const workers = await w.browser.workers(await w.browser.newPage());
  await page.bringToFront();
  await page.waitForSelector("#server-switch[aria-checked=true]");
  await page.click("#server-switch");
  await page.waitForSelector("#server-switch[aria-checked=false]");

  const photo = Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "base64",
  );
  const path = join(mkdtempSync(join(tmpdir(), "shearwater-photo-")), "sea.png");
  writeFileSync(path, photo);
  await write(page, "first");
  const input = await page.$("#note-photo");
  await input.uploadFile(path);
  await write(page, "second, with a photo");
  await write(page, "third");
  await page.waitForFunction(() => document.querySelectorAll("#queue li[data-id]").length === 3);
  assert.deepEqual(problems, []);
  await page.close();
  assert.equal((await w.server.notes()).length, 0);

  await flip(false);
  await workers.sync(w.server.origin, "notes");
  const notes = await until("three notes", async () => {
    const notes = await w.server.notes();
    return notes.length >= 3 && notes;
  });
  assert.deepEqual(notes.map((note) => note.text).sort(), ["first", "second, with a photo", "third"]);
  const [attachment] = notes.flatMap((note) => note.attachments);
  assert.equal(attachment.sha256, createHash("sha256").update(photo).digest("hex"));
  const again = await openDemo();
  await again.page.waitForFunction(() => document.querySelectorAll("#server-notes li[data-id]").length === 3);
  assert.equal(await again.page.$("#queue li[data-id]"), null);
});

test("a note that the server refuses is explained, and can be discarded by hand", async () => {
  const { page } = await openDemo();
  await w.server.faults([
    {
      method: "POST",
      path: "/api/notes",
      action: { status: 422, headers: { "content-type": "application/problem+json" }, body: '{"detail": "too salty"}' },
    },
  ]);
  await write(page, "refused");
  await page.waitForSelector("#queue li[data-state=failed]");
  assert.match(await page.$eval("#queue li[data-state=failed]", (item) => item.textContent), /too salty/);
  await page.click("#queue [data-action=discard]");
  await page.click("#queue [data-action=discard]");
  await page.waitForFunction(() => !document.querySelector("#queue li[data-id]"));
});

test("the page opens without any server", async () => {
  const { page } = await openDemo();
  await page.evaluate(() => navigator.serviceWorker.ready.then((registration) => registration.active.state));
  await until("the shell", () => page.evaluate(async () => Boolean(await caches.match("/app/status.js"))));
  const { origin } = w.server;
  await w.server.stop();
  await page.goto(origin);
  await page.waitForSelector("#status:not([data-state=starting])");
  await write(page, "written with no server at all");
  await page.waitForSelector("#queue li[data-id]");
});

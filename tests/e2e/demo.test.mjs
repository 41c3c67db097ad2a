// The demo, by its own buttons, and what the server has of it: notes, drafts, refusals, photos, deletions, edits, events, and
// the daily clean-up.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ site: "public", args: ["--demo"] });

const photo = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);
const path = join(mkdtempSync(join(tmpdir(), "shearwater-photo-")), "sea.png");
writeFileSync(path, photo);
const sha256 = createHash("sha256").update(photo).digest("hex");

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
  await ready(page);
  return { page, problems };
}

/** Shearwater is there, and routes the page's requests. */
async function ready(page) {
  await page.waitForSelector("#status:not([data-state=starting])");
  await page.waitForSelector("#daily-ask:not(:disabled)");
  await page.waitForFunction(() => navigator.serviceWorker.controller);
}

/** Flips the page's own switch, and waits until the page knows. */
async function switchServer(page, state) {
  await page.waitForSelector(`#server-switch[aria-checked=${state === "down"}]`);
  await page.click("#server-switch");
  await page.waitForSelector(`#server-hint[data-reach=${state === "down" ? "unreachable" : "ok"}]`);
}

async function write(page, text) {
  await page.type("#note-text", text);
  await page.click("#note-save");
  await page.waitForFunction(() => document.querySelector("#note-text").value === "");
}

const upload = async (page, selector) => (await page.$(selector)).uploadFile(path);

/** What a list shows: the text of each of its items. */
const items = (page, list = "#queue") =>
  page.$$eval(`${list} li[data-id]`, (items) => items.map((item) => item.textContent.replace(/\s+/g, " ")));

/** Waits until a list has an item with these words, and returns the item's selector. */
const item = (page, words, list = "#queue") =>
  until(`an item that says ${words}`, async () => {
    const ids = await page.$$eval(
      `${list} li[data-id]`,
      (items, words) => items.filter((item) => item.textContent.includes(words)).map((item) => item.dataset.id),
      words,
    );
    if (ids.length === 0) throw new Error(JSON.stringify(await items(page, list)));
    return `${list} li[data-id="${ids[0]}"]`;
  });

const emptied = (page, list = "#queue") => page.waitForSelector(`${list}:not(:has(li[data-id]))`);

/** What the server stored, once that is so many notes. */
const notes = (count) =>
  until(`${count} notes`, async () => {
    const notes = await w.server.notes();
    return notes.length === count ? notes : Promise.reject(new Error(JSON.stringify(notes)));
  });

/** Requests that the server answered well. */
const accepted = async (method, path) =>
  (await w.server.arrivals(path)).filter((arrival) => arrival.method === method && arrival.status < 300);

test("the demo's journey: stored while down, delivered once after the tab is closed, photo and all", async () => {
  const { page, problems } = await openDemo();
  const workers = await w.browser.workers(await w.browser.newPage());
  await page.bringToFront();
  await switchServer(page, "down");

  await write(page, "first");
  await upload(page, "#note-photo");
  await write(page, "second, with a photo");
  await write(page, "third");
  const bound = await item(page, "Photo sea.png");
  assert.match(await page.$eval(bound, (item) => item.textContent), /waits for its note/);
  assert.equal((await items(page)).length, 4);
  assert.deepEqual(problems, []);
  await page.close();
  assert.equal((await w.server.notes()).length, 0);

  await flip(false);
  await workers.sync(w.server.origin, "notes");
  const stored = await until("three notes and a photo", async () => {
    const notes = await w.server.notes();
    return notes.length >= 3 && notes.some(({ attachments }) => attachments.length > 0) && notes;
  });
  assert.deepEqual(stored.map((note) => note.text).sort(), ["first", "second, with a photo", "third"]);
  const [withPhoto, ...others] = stored.filter(({ attachments }) => attachments.length > 0);
  assert.deepEqual(others, []);
  assert.equal(withPhoto.text, "second, with a photo");
  assert.deepEqual(
    withPhoto.attachments.map((attachment) => [attachment.name, attachment.sha256]),
    [["sea.png", sha256]],
  );
  const [{ path: photos }] = await accepted("POST", "/api/notes/");
  assert.equal(photos, `/api/notes/${withPhoto.id}/photos?name=sea.png`);
  const again = await openDemo();
  await again.page.waitForFunction(() => document.querySelectorAll("#server-notes li[data-id]").length === 3);
  await again.page.waitForSelector("#server-notes li[data-id] img:not([hidden])");
  await emptied(again.page);
});

test("what is typed survives a reload, with its photo, and is queued with a toast while the server is down", async () => {
  const { page } = await openDemo();
  await page.type("#note-text", "half a thought");
  await upload(page, "#note-photo");
  await page.reload();
  await ready(page);
  await page.waitForFunction(() => document.querySelector("#note-text").value === "half a thought");
  await page.waitForFunction(() => document.querySelector("#photo-name").textContent === "sea.png");
  assert.match(await page.$eval("#note-outcome", (outcome) => outcome.textContent), /draft is back/);

  await switchServer(page, "down");
  await write(page, ", and its end");
  await page.waitForFunction(() => document.querySelector(".shearwater-toast")?.textContent.includes("Kept on this device"));
  await page.waitForSelector("#note-form[data-shearwater-state=queued]");
  await page.reload();
  await ready(page);
  assert.equal(await page.$eval("#note-text", (text) => text.value), "", "a draft ends with its submission");
  await switchServer(page, "up");
  const [note] = await notes(1);
  assert.equal(note.text, "half a thought, and its end");
  await until("its photo", async () => (await notes(1))[0].attachments[0]?.sha256 === sha256);
});

test("a note that the server refuses opens again, and its correction takes its place", async () => {
  const { page } = await openDemo();
  // A space is enough for `required`, and not for this server.
  await page.type("#note-text", " ");
  await page.click("#note-save");
  await page.waitForSelector("#note-text[aria-invalid=true]");
  assert.match(await page.$eval("#note-outcome", (outcome) => outcome.textContent), /needs a text/);
  await page.waitForSelector("#queue li[data-state=failed]");
  await write(page, "now with words");
  await emptied(page);
  const [note] = await notes(1);
  assert.equal(note.text.trim(), "now with words");
  assert.equal((await accepted("POST", "/api/notes")).length, 1);
});

test("a note that is refused hours later opens again as well, and can be discarded by hand", async () => {
  const { page } = await openDemo();
  await switchServer(page, "down");
  await write(page, "refused");
  await w.server.faults([
    {
      method: "POST",
      path: "/api/notes",
      action: { status: 422, headers: { "content-type": "application/problem+json" }, body: '{"detail": "too salty"}' },
    },
  ]);
  await page.click("#sync-now");
  await page.waitForFunction(() => document.querySelector("#note-text").value === "refused");
  const failed = await item(page, "too salty");
  await page.click(`${failed} [data-action=discard]`);
  await page.click(`${failed} [data-action=discard]`);
  await emptied(page);
  assert.deepEqual(await w.server.notes(), []);
});

test("a photo is added to a note that waits, both are discarded together; and to one that the server has", async () => {
  const { page } = await openDemo();
  await switchServer(page, "down");
  await write(page, "waits");
  await write(page, "goes");
  const waiting = await item(page, "waits");
  const going = await item(page, "goes");
  await upload(page, `${waiting} [data-part=photo]`);
  const bound = await item(page, "waits for its note");
  await page.click(`${going} [data-action=discard]`);
  await page.click(`${going} [data-action=discard]`);
  await page.waitForFunction((selector) => !document.querySelector(selector), {}, going);
  await switchServer(page, "up");
  await until("the photo", async () => (await notes(1))[0].attachments[0]?.sha256 === sha256);
  await page.waitForFunction((selector) => !document.querySelector(selector), {}, bound);

  const note = await item(page, "waits", "#server-notes");
  await upload(page, `${note} [data-part=picker]`);
  await until("another photo", async () => (await notes(1))[0].attachments.length === 2);

  await switchServer(page, "down");
  await upload(page, "#note-photo");
  await write(page, "given up");
  await item(page, "waits for its note");
  const givenUp = await item(page, "given up");
  await page.click(`${givenUp} [data-action=discard]`);
  assert.match(await page.$eval(`${givenUp} [data-action=discard]`, (button) => button.textContent), /with its photo/);
  await page.click(`${givenUp} [data-action=discard]`);
  await emptied(page);
});

test("a deletion is a plain fetch that a route queues; it takes effect after the tab is closed", async () => {
  const { page } = await openDemo();
  const workers = await w.browser.workers(await w.browser.newPage());
  await page.bringToFront();
  await write(page, "to stay");
  await write(page, "to go");
  const [{ id }] = (await notes(2)).filter(({ text }) => text === "to go");
  const note = await item(page, "to go", "#server-notes");
  await switchServer(page, "down");
  await page.click(`${note} [data-action=delete]`);
  await page.click(`${note} [data-action=delete]`);
  await item(page, "Deletion queued", "#server-notes");
  await item(page, `Delete note ${id}`);
  await page.close();
  assert.equal((await w.server.notes()).length, 2);

  await flip(false);
  await workers.sync(w.server.origin, "notes");
  assert.deepEqual(
    (await notes(1)).map(({ text }) => text),
    ["to stay"],
  );
  const [deletion, ...more] = await accepted("DELETE", "/api/notes/");
  assert.ok(deletion.idempotencyKey);
  assert.deepEqual(more, []);
});

test("with the server up, a deletion is the server's answer, and nothing is queued", async () => {
  const { page } = await openDemo();
  await write(page, "to go at once");
  const note = await item(page, "to go at once", "#server-notes");
  await page.click(`${note} [data-action=delete]`);
  await page.click(`${note} [data-action=delete]`);
  await notes(0);
  await emptied(page, "#server-notes");
  await emptied(page);
});

test("of two edits that wait the second is sent, in the place of the first", async () => {
  const { page } = await openDemo();
  await write(page, "one");
  const note = await item(page, "one", "#server-notes");
  // An edit that is just being sent is not replaced; while the queue is paused, none is.
  await page.click("#pause");
  await page.waitForSelector("#status[data-state=paused]");
  for (const more of [" two", " three"]) {
    await page.click(`${note} [data-action=edit]`);
    await page.type(`${note} [data-part=field]`, more);
    await page.click(`${note} [data-part=form] [type=submit]`);
    await item(page, `one${more.replace("three", "two three")}`);
  }
  await item(page, "New text queued", "#server-notes");
  assert.equal((await items(page)).length, 1);
  await page.click("#pause");
  const edited = await until("the edit", async () => (await notes(1)).find(({ version }) => version > 1));
  assert.deepEqual([edited.text, edited.version], ["one two three", 2]);
  assert.equal((await accepted("PUT", "/api/notes/")).length, 1);
});

test("what is done on the page is counted: each event once, several to a request, and the page shows what the server has", async () => {
  const { page } = await openDemo();
  await switchServer(page, "down");
  await write(page, "one");
  await write(page, "two");
  await page.waitForFunction(() => Number(document.querySelector("#events-waiting").textContent) >= 3);
  await flip(false);
  await page.click("#sync-now");
  const events = await until("four events", async () => {
    const events = await w.server.sink("/api/analytics/batch");
    return events.length >= 4 && events;
  });
  const names = events.map(({ body }) => JSON.parse(body).name).sort();
  assert.deepEqual(names, ["note saved", "note saved", "page opened", "server switched"]);
  const requests = new Set(events.map(({ n }) => n)).size;
  assert.ok(requests < events.length, `${requests} requests`);
  const shown = () =>
    page.evaluate(() => ["stored", "batches"].map((id) => document.querySelector(`#events-${id}`)?.textContent));
  await until("the tally", async () => {
    const [stored, batches] = await shown();
    return stored === "4" && batches === `${requests}`;
  });
});

test("the daily clean-up sends what is due while no page is open, and the page shows its results", async () => {
  const { page } = await openDemo();
  await page.click("#daily-ask");
  await page.waitForFunction(() => document.querySelector("#daily-answer").textContent);
  const answer = await page.$eval("#daily-answer", ({ dataset }) => dataset.answer);
  assert.ok(["registered", "denied", "unsupported"].includes(answer), answer);
  assert.equal(await page.$eval("#daily-last", (last) => last.textContent), "not yet");
  await switchServer(page, "down");
  await write(page, "for the night");

  const other = await w.browser.newPage();
  const registrations = [];
  const cdp = await other.createCDPSession();
  cdp.on("ServiceWorker.workerRegistrationUpdated", (updated) => registrations.push(...updated.registrations));
  await cdp.send("ServiceWorker.enable");
  const { registrationId } = await until("the registration", () =>
    registrations.find((one) => one.scopeURL === `${w.server.origin}/`),
  );
  await page.close();
  await flip(false);
  await cdp.send("ServiceWorker.dispatchPeriodicSyncEvent", { origin: w.server.origin, registrationId, tag: "daily-sync" });
  const again = await openDemo();
  await again.page.waitForFunction(() => document.querySelector("#daily-last").textContent !== "not yet");
  await again.page.waitForFunction(() => document.querySelectorAll("#daily-tasks li").length === 2);
  const tasks = await again.page.$$eval("#daily-tasks li", (lines) => lines.map((line) => line.textContent));
  assert.deepEqual(tasks, ["Cleanup: 0 delivered and 0 failed jobs removed", "Drain: sent what is due"]);
  assert.equal((await notes(1))[0].text, "for the night");
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

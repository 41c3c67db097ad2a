// The demo, by its own buttons, and what the server has of it: notes, drafts, refusals, photos, deletions, edits, events, and
// the daily clean-up. Notes that are edited in several places are in demo-notes.test.mjs.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import {
  clickTwice,
  edit,
  emptied,
  item as itemOf,
  items,
  openDemo as openIn,
  ready,
  switchServer,
  write,
} from "./harness/demo.mjs";
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

const openDemo = () => openIn(w.browser, w.server.origin);
const item = (page, words, list = "#queue") => itemOf(page, words, list);
const upload = async (page, selector) => (await page.$(selector)).uploadFile(path);

/** What the server stores, once that is so many notes. */
const notes = (count) =>
  until(`${count} notes`, async () => {
    const notes = (await w.server.records("notes")).filter(({ deletedAt }) => !deletedAt);
    return notes.length === count ? notes : Promise.reject(new Error(JSON.stringify(notes)));
  });
const texts = (notes) => notes.map(({ text }) => text).sort();
const effects = async (op) => (await w.server.recordLog("notes")).filter((effect) => effect.op === op);

/** What the server stores of a note's photos, once that is so many: the records, and the files that they name. */
const photosOf = (note, count) =>
  until(`${count} photos`, async () => {
    const photos = (await w.server.records("photos")).filter((photo) => photo.note === note && !photo.deletedAt);
    const uploads = await w.server.uploads();
    const files = photos.map((photo) => uploads.find(({ id }) => id === photo.upload));
    return files.length === count && files.every(Boolean) ? files : Promise.reject(new Error(JSON.stringify(photos)));
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
  await item(page, "Photo sea.png");
  const bound = await item(page, "Add sea.png to its note");
  assert.match(await page.$eval(bound, (item) => item.textContent), /waits for its photo/);
  assert.equal((await items(page, "#queue")).length, 5);
  for (const shown of await items(page, "#notes")) assert.match(shown, /Not on the server yet/);
  assert.deepEqual(problems, []);
  await page.close();
  assert.deepEqual(await w.server.records("notes"), []);

  await flip(false);
  await workers.sync(w.server.origin, "notes");
  const stored = await notes(3);
  assert.deepEqual(texts(stored), ["first", "second, with a photo", "third"]);
  const { id } = stored.find(({ text }) => text === "second, with a photo");
  const [file] = await photosOf(id, 1);
  assert.deepEqual([file.name, file.sha256], ["sea.png", sha256]);
  assert.equal((await w.server.records("photos")).length, 1);
  assert.equal((await effects("create")).length, 3);
  const again = await openDemo();
  await again.page.waitForFunction(() => document.querySelectorAll("#notes li[data-id]").length === 3);
  await again.page.waitForSelector("#notes li[data-id] img:not([hidden])");
  await emptied(again.page, "#queue");
});

test("what is typed survives a reload, with its photo, and is kept while the server is down", async () => {
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
  await page.waitForFunction(() => document.querySelector("#note-outcome").textContent.includes("Kept on this device"));
  await page.reload();
  await ready(page);
  assert.equal(await page.$eval("#note-text", (text) => text.value), "", "a draft ends when its note is saved");
  await item(page, "half a thought, and its end", "#notes");
  await switchServer(page, "up");
  const [note] = await notes(1);
  assert.equal(note.text, "half a thought, and its end");
  assert.equal((await photosOf(note.id, 1))[0].sha256, sha256);
});

test("a note without words is not saved, and the form says why", async () => {
  const { page } = await openDemo();
  // A space is enough for `required`.
  await page.type("#note-text", " ");
  await page.click("#note-save");
  await page.waitForSelector("#note-text[aria-invalid=true]");
  assert.match(await page.$eval("#note-outcome", (outcome) => outcome.textContent), /needs a text/);
  await write(page, "now with words");
  assert.deepEqual(texts(await notes(1)), ["now with words"]);
  await page.waitForFunction(() => document.querySelector("#note-outcome").textContent.includes("Delivered"));
  await page.waitForFunction(() => document.querySelector("#announcer").textContent === "Delivered: note.");
});

test("a note that the server refuses says so, and its correction takes its place", async () => {
  const { page } = await openDemo();
  await switchServer(page, "down");
  await write(page, "refused");
  const refusal = {
    method: "POST",
    path: "/api/records/notes",
    action: { status: 422, headers: { "content-type": "application/problem+json" }, body: '{"detail": "too salty"}' },
  };
  await w.server.faults([refusal]);
  const note = await item(page, "Refused", "#notes");
  assert.match(await page.$eval(note, (note) => note.textContent), /the server refused the request/i);
  await w.server.faults([]);
  await edit(page, note, "accepted");
  assert.deepEqual(texts(await notes(1)), ["accepted"]);
  await emptied(page, "#queue");

  await w.server.faults([refusal]);
  await write(page, "refused, and given up");
  const failed = await item(page, "Failed");
  await clickTwice(page, `${failed} [data-action=discard]`);
  await emptied(page, "#queue");
  assert.deepEqual(texts(await notes(1)), ["accepted"]);
  await page.waitForFunction(() => document.querySelectorAll("#notes li[data-id]").length === 1);
});

test("a photo is added to a note that waits, and to one that the server has; a note that is given up takes its photo along", async () => {
  const { page } = await openDemo();
  await switchServer(page, "down");
  await write(page, "waits");
  await write(page, "goes");
  const note = await item(page, "waits", "#notes");
  await upload(page, `${note} [data-part=picker]`);
  await item(page, "waits for its photo");
  const going = await item(page, "goes");
  await clickTwice(page, `${going} [data-action=discard]`);
  await page.waitForFunction((selector) => !document.querySelector(selector), {}, going);
  await switchServer(page, "up");
  const [{ id, text }] = await notes(1);
  assert.equal(text, "waits");
  assert.equal((await photosOf(id, 1))[0].sha256, sha256);
  await emptied(page, "#queue");

  await upload(page, `${note} [data-part=picker]`);
  await photosOf(id, 2);
  await emptied(page, "#queue");

  await switchServer(page, "down");
  await upload(page, "#note-photo");
  await write(page, "given up");
  await item(page, "waits for its photo");
  const givenUp = await item(page, "given up");
  await clickTwice(page, `${givenUp} [data-action=discard]`);
  await emptied(page, "#queue");
  await switchServer(page, "up");
  await page.waitForFunction(() => document.querySelectorAll("#notes li[data-id]").length === 1);
  assert.equal((await w.server.uploads()).length, 2);
});

test("a deletion without a server takes effect after the tab is closed, once, and the note's photo goes too", async () => {
  const { page } = await openDemo();
  const workers = await w.browser.workers(await w.browser.newPage());
  await page.bringToFront();
  await write(page, "to stay");
  await upload(page, "#note-photo");
  await write(page, "to go");
  const { id } = (await notes(2)).find(({ text }) => text === "to go");
  await photosOf(id, 1);
  const note = await item(page, "to go", "#notes");
  await page.waitForSelector(`${note} img:not([hidden])`);
  await switchServer(page, "down");
  await clickTwice(page, `${note} [data-action=delete]`);
  await item(page, "Delete: to go");
  await page.waitForFunction(() => document.querySelectorAll("#notes li[data-id]").length === 1);
  await page.close();
  await notes(2);

  await flip(false);
  await workers.sync(w.server.origin, "notes");
  assert.deepEqual(texts(await notes(1)), ["to stay"]);
  await photosOf(id, 0);
  assert.deepEqual(
    (await effects("delete")).map((effect) => effect.id),
    [id],
  );
});

test("a deletion that waits is taken back, with the note's photo", async () => {
  const { page } = await openDemo();
  await upload(page, "#note-photo");
  await write(page, "still wanted");
  const [{ id }] = await notes(1);
  await photosOf(id, 1);
  await page.waitForSelector("#notes img:not([hidden])");
  await emptied(page, "#queue");
  await switchServer(page, "down");
  await clickTwice(page, `${await item(page, "still wanted", "#notes")} [data-action=delete]`);
  await emptied(page, "#notes");
  const deletion = await item(page, "Delete: still wanted");
  await clickTwice(page, `${deletion} [data-action=discard]`);
  await item(page, "still wanted", "#notes");
  await page.waitForSelector("#notes img:not([hidden])");
  await switchServer(page, "up");
  await emptied(page, "#queue");
  await photosOf(id, 1);
  assert.deepEqual(texts(await notes(1)), ["still wanted"]);
});

test("of two edits that wait one request is sent, with the second", async () => {
  const { page } = await openDemo();
  await write(page, "one");
  await notes(1);
  await emptied(page, "#queue");
  const note = await item(page, "one", "#notes");
  await page.click("#pause");
  await page.waitForSelector("#status[data-state=paused]");
  for (const text of ["one two", "one two three"]) {
    await edit(page, note, text);
    await item(page, text);
  }
  await item(page, "Edit not on the server yet", "#notes");
  assert.equal((await items(page, "#queue")).length, 1);
  await page.click("#pause");
  const edited = await until("the edit", async () => (await notes(1)).find(({ version }) => version > 1));
  assert.deepEqual([edited.text, edited.version], ["one two three", 2]);
  assert.equal((await accepted("PATCH", "/api/records/notes/")).length, 1);
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
  await item(page, "written with no server at all", "#notes");
  await page.reload();
  await item(page, "written with no server at all", "#notes");
});

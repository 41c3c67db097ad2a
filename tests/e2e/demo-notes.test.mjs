// The demo's notes in two tabs and in two browsers: edits show everywhere, those made without a network converge, and what was
// changed in two places is settled by hand.

import assert from "node:assert/strict";
import test from "node:test";

import { clickTwice, converged, edit, fill, item as itemOf, items, openDemo, write } from "./harness/demo.mjs";
import { startProxy } from "./harness/proxy.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ site: "public", args: ["--demo"] });

const note = (page, words) => itemOf(page, words, "#notes");
const rows = async () => (await w.server.records("notes")).filter(({ deletedAt }) => !deletedAt);

/** Waits until the server has notes of these texts, and no others. */
const stored = (texts) =>
  until(`the server's notes ${texts}`, async () => {
    const now = (await rows()).map(({ text }) => text);
    return JSON.stringify(now.sort()) === JSON.stringify([...texts].sort()) || Promise.reject(new Error(JSON.stringify(now)));
  });

/** A second browser on a profile of its own. Its line to the server can be cut, and the other's is not. */
async function secondBrowser(t) {
  const proxy = await startProxy(w.server.origin);
  t.after(() => proxy.stop());
  const browser = await w.start();
  const { page } = await openDemo(browser, proxy.origin);
  const paths = ["/demo/control", "/api/analytics", "/api/analytics/batch", "/api/records/notes", "/api/records/photos"];
  /** @param {string[]} ids  of the notes that are changed meanwhile */
  const cut = async (ids) => {
    for (const path of [...paths, ...ids.map((id) => `/api/records/notes/${id}`)]) proxy.rule(path, { drop: true });
    await page.waitForSelector("#server-hint[data-reach=unreachable]");
  };
  const mend = (ids) => {
    for (const path of [...paths, ...ids.map((id) => `/api/records/notes/${id}`)]) proxy.rule(path, undefined);
  };
  return { page, cut, mend };
}

/** A note whose text was changed here while the queue was paused, and elsewhere. */
async function conflict({ base = "A heron at the lake.", mine, theirs }) {
  const { page, problems } = await openDemo(w.browser, w.server.origin);
  await write(page, base);
  await converged(page, [base]);
  const [{ id, at }] = await rows();
  await page.click("#pause");
  await page.waitForSelector("#status[data-state=paused]");
  const shown = await note(page, base);
  if (mine === null) await clickTwice(page, `${shown} [data-action=delete]`);
  else await edit(page, shown, mine);
  await w.server.writeRecord("notes", theirs === null ? { id, deleted: true } : { id, data: { text: theirs, at } });
  await page.click("#pause");
  await page.waitForSelector(`#notes [data-id="${id}"][data-mark=conflict]`);
  return { page, problems, id, shown: `#notes [data-id="${id}"]` };
}

async function openConflict(page, shown) {
  await page.click(`${shown} [data-action=settle]`);
  await page.waitForSelector("#settle[open]");
}
const side = (page, name) => page.$eval(`#settle-${name}-text`, (side) => side.textContent);
const marked = (page, name, mark) =>
  page.$$eval(`#settle-${name}-text ${mark}`, (marks) => marks.map((mark) => mark.textContent));

/** Nothing is left to be decided, and the dialog is closed. */
async function settled(page, texts) {
  await page.waitForSelector("#settle:not([open])");
  await converged(page, texts);
  await stored(texts);
  await page.waitForSelector("#conflicts[hidden]");
}

test("two tabs show each other's notes, edits and deletions at once", async () => {
  const { page: one } = await openDemo(w.browser, w.server.origin);
  const { page: two } = await openDemo(w.browser, w.server.origin);
  await two.bringToFront();
  await write(two, "from the second tab");
  await one.bringToFront();
  await edit(one, await note(one, "from the second tab"), "changed in the first");
  await write(one, "another");
  await two.bringToFront();
  await converged(two, ["another", "changed in the first"]);
  await clickTwice(two, `${await note(two, "another")} [data-action=delete]`);
  await one.bringToFront();
  await converged(one, ["changed in the first"]);
  await stored(["changed in the first"]);
});

test("two browsers converge: one works without a network meanwhile, and what each did arrives once", async (t) => {
  const { page: one } = await openDemo(w.browser, w.server.origin);
  const { page: two, cut, mend } = await secondBrowser(t);
  await write(one, "to be edited");
  await write(one, "to be deleted");
  await write(one, "to stay");
  await converged(two, ["to be edited", "to be deleted", "to stay"]);
  const ids = (await rows()).map(({ id }) => id);

  await cut(ids);
  await edit(two, await note(two, "to be edited"), "edited without a network");
  await clickTwice(two, `${await note(two, "to be deleted")} [data-action=delete]`);
  await write(two, "written without a network");
  await note(two, "Edit not on the server yet");
  await note(two, "Not on the server yet");
  await edit(one, await note(one, "to stay"), "edited meanwhile");
  await write(one, "written meanwhile");
  await stored(["to be edited", "to be deleted", "edited meanwhile", "written meanwhile"]);
  assert.equal((await items(two, "#notes")).length, 3, "what is elsewhere is not here yet");

  mend(ids);
  const all = ["edited without a network", "written without a network", "edited meanwhile", "written meanwhile"];
  await stored(all);
  await converged(two, all);
  await converged(one, all);
  const log = await w.server.recordLog("notes");
  assert.deepEqual(
    ["create", "patch", "delete"].map((op) => log.filter((effect) => effect.op === op).length),
    [5, 2, 1],
  );
});

test("two browsers change the same note: the later one sees three sides, and decides for both", async (t) => {
  const { page: one } = await openDemo(w.browser, w.server.origin);
  const { page: two, cut, mend } = await secondBrowser(t);
  await write(one, "A heron at the lake.");
  await converged(two, ["A heron at the lake."]);
  const [{ id }] = await rows();
  await cut([id]);
  await edit(two, await note(two, "A heron"), "Two herons at the lake.");
  await edit(one, await note(one, "A heron"), "A heron at the river.");
  await stored(["A heron at the river."]);
  mend([id]);
  const shown = await note(two, "In conflict");
  await stored(["A heron at the river."]);
  await openConflict(two, shown);
  assert.deepEqual(await Promise.all(["base", "local"].map((name) => side(two, name))), [
    "A heron at the lake.",
    "A heronTwo herons at the lake.",
  ]);
  // The changes do not touch each other, so the field begins with both.
  assert.equal(await two.$eval("#settle-text", (field) => field.value), "Two herons at the river.");
  await two.click("#settle-save");
  await settled(two, ["Two herons at the river."]);
  await converged(one, ["Two herons at the river."]);
});

test("a conflict is shown with its three sides and their words marked, and can be left for later", async () => {
  const { page, problems, shown } = await conflict({ mine: "A grey heron at the lake.", theirs: "A heron at the river." });
  assert.match(await page.$eval("#conflicts", (line) => line.textContent), /1 note was changed in two places/);
  await page.waitForFunction(() => document.querySelector("#status-sentence").textContent === "1 change needs your decision.");
  await page.click("#conflicts-settle");
  await page.waitForSelector("#settle[open]");
  assert.deepEqual(await page.evaluate(() => [document.activeElement.id, document.activeElement.textContent]), [
    "settle-heading",
    "This note was changed in two places",
  ]);
  assert.deepEqual(
    [
      await side(page, "base"),
      await marked(page, "local", "ins"),
      await marked(page, "remote", "ins"),
      await marked(page, "remote", "del"),
    ],
    ["A heron at the lake.", ["grey "], ["river"], ["lake"]],
  );
  const { role, name, description } = await page.accessibility
    .snapshot({ root: await page.$("#settle") })
    .then((node) => node ?? {});
  assert.deepEqual([role, name], ["dialog", "This note was changed in two places"]);
  assert.match(description ?? "", /Keep one side/);
  await page.keyboard.press("Escape");
  await page.waitForSelector("#settle:not([open])");
  assert.equal(await page.evaluate(() => document.activeElement.id), "conflicts-settle", "the focus is where it was");
  await openConflict(page, shown);
  await page.click("#settle-later");
  await page.waitForSelector(`${shown}[data-mark=conflict]`);
  assert.deepEqual(
    (await rows()).map(({ text }) => text),
    ["A heron at the river."],
  );
  assert.deepEqual(problems, []);
});

test("a conflict is settled by keeping mine", async () => {
  const { page, shown } = await conflict({ mine: "mine", theirs: "theirs" });
  await openConflict(page, shown);
  await page.click("#settle-local");
  await settled(page, ["mine"]);
});

test("a conflict is settled by keeping theirs, by the keyboard alone", async () => {
  const { page, shown } = await conflict({ mine: "mine", theirs: "theirs" });
  await page.focus(`${shown} [data-action=settle]`);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#settle[open]");
  for (const id of ["settle-local", "settle-remote"]) {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), id);
  }
  await page.keyboard.press("Enter");
  await settled(page, ["theirs"]);
  assert.equal(await page.evaluate(() => document.activeElement.dataset.action), "edit", "the focus is on the note");
});

test("a conflict is settled by a text of one's own, and a tab that shows it is told", async () => {
  const { page, shown } = await conflict({ mine: "mine", theirs: "theirs" });
  const { page: other } = await openDemo(w.browser, w.server.origin);
  await other.waitForSelector(`${shown}[data-mark=conflict]`);
  await openConflict(other, shown);
  await page.bringToFront();
  await openConflict(page, shown);
  await fill(page, "#settle-text", "ours");
  await page.click("#settle-save");
  await settled(page, ["ours"]);
  await other.bringToFront();
  await settled(other, ["ours"]);
  const log = await w.server.recordLog("notes");
  assert.deepEqual(
    log.map(({ op, data }) => [op, data.text]),
    [
      ["create", "A heron at the lake."],
      ["control", "theirs"],
      ["patch", "ours"],
    ],
  );
});

test("a note that was deleted here and changed elsewhere, or the other way round, is a conflict too", async () => {
  const deleted = await conflict({ mine: null, theirs: "changed elsewhere" });
  await openConflict(deleted.page, deleted.shown);
  assert.equal(await side(deleted.page, "local"), "Deleted.");
  await deleted.page.click("#settle-remote");
  await settled(deleted.page, ["changed elsewhere"]);

  await clickTwice(deleted.page, `${deleted.shown} [data-action=delete]`);
  await stored([]);
  const changed = await conflict({ mine: "changed here", theirs: null });
  await openConflict(changed.page, changed.shown);
  assert.equal(await side(changed.page, "remote"), "Deleted.");
  await changed.page.click("#settle-local");
  await settled(changed.page, ["changed here"]);
});

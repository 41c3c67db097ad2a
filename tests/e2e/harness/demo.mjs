// What the tests of the demo do on its page, by its own buttons.

import { until } from "./wait.mjs";

/** The demo in a tab. */
export async function openDemo(browser, origin) {
  const page = await browser.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(origin);
  await ready(page);
  return { page, problems };
}

/** Shearwater is there, and the worker controls the page. */
export async function ready(page) {
  await page.waitForSelector("#status:not([data-state=starting])");
  await page.waitForSelector("#daily-ask:not(:disabled)");
  await page.waitForFunction(() => navigator.serviceWorker.controller);
}

/** Flips the page's own switch, and waits until the page knows. */
export async function switchServer(page, state) {
  await page.waitForSelector(`#server-switch[aria-checked=${state === "down"}]`);
  await page.click("#server-switch");
  await page.waitForSelector(`#server-hint[data-reach=${state === "down" ? "unreachable" : "ok"}]`);
}

export async function write(page, text) {
  await page.type("#note-text", text);
  await page.click("#note-save");
  await page.waitForSelector("#note-text:placeholder-shown");
}

/** Puts another text in the place of a note's. */
export async function edit(page, note, text) {
  await page.click(`${note} [data-action=edit]`);
  await fill(page, `${note} [data-part=field]`, text);
  await page.click(`${note} [data-part=form] [type=submit]`);
  await page.waitForSelector(`${note} [data-part=form][hidden]`);
}

/** Replaces what a field holds. */
export async function fill(page, field, text) {
  await page.$eval(field, (field) => field.select());
  await page.type(field, text);
}

/** A button that asks before it acts. It takes no clicks while its job is being sent. */
export const clickTwice = (page, button) =>
  until(`${button} to act`, async () => {
    if (!(await page.$(`${button}.sure`))) await page.click(`${button}:not([aria-disabled=true])`);
    await page.click(`${button}.sure:not([aria-disabled=true])`);
    return !(await page.$(`${button}.sure`));
  });

/** What a list shows: the text of each of its items. */
export const items = (page, list) =>
  page.$$eval(`${list} li[data-id]`, (items) => items.map((item) => item.textContent.replace(/\s+/g, " ")));

/** Waits until a list has an item with these words, and returns the item's selector. */
export const item = (page, words, list) =>
  until(`an item that says ${words}`, async () => {
    const ids = await page.$$eval(
      `${list} li[data-id]`,
      (items, words) => items.filter((item) => item.textContent.includes(words)).map((item) => item.dataset.id),
      words,
    );
    if (ids.length === 0) throw new Error(JSON.stringify(await items(page, list)));
    return `${list} li[data-id="${ids[0]}"]`;
  });

/** Waits until a list is empty. */
export const emptied = (page, list) => page.waitForSelector(`${list}:not(:has(li[data-id]))`);

/** Waits until the list of notes has these texts, in any order, and no mark that says that the server lacks something. */
export const converged = (page, texts) =>
  until(`the notes ${texts}`, async () => {
    const shown = await page.$$eval("#notes li[data-id]", (notes) =>
      notes.map((note) => [note.querySelector("[data-part=text]").textContent, note.dataset.mark]),
    );
    const wanted = texts.map((text) => [text, ""]);
    return JSON.stringify(shown.sort()) === JSON.stringify(wanted.sort()) || Promise.reject(new Error(JSON.stringify(shown)));
  });

// Killed in the middle of a draft's life: there is the draft or its job, never neither and never both.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ dist: "dist-test" });

const track = (page) =>
  page.evaluate(async () => {
    document.body.innerHTML = "<form id=f method=post action=/api/sink/f><input name=text></form>";
    window.form = document.querySelector("form");
    window.told = [];
    for (const name of ["form-stored", "form-delivered", "form-error", "draft-taken", "draft-error"]) {
      window.form.addEventListener(name, () => window.told.push(name));
    }
    await window.client.trackForm(window.form, { saveInterval: 50 }).ready;
    return window.form.elements.namedItem("text").value;
  });
const drafts = (page) => page.evaluate(() => window.rows("drafts"));
const kept = (page) => until("the draft", async () => JSON.stringify(await drafts(page)).includes("typed"));

/** A browser whose worker stops at this point, with a form in which somebody has typed. */
async function stopAt(point) {
  await w.server.faults([{ path: "/api/points", action: { hold: true }, times: 1 }]);
  const browser = await w.start();
  const page = await browser.open(w.origin(), { options: { worker: `/sw.js?point=${point}` } });
  await track(page);
  await page.type("[name=text]", "typed");
  if (point.startsWith("enqueue")) {
    await kept(page);
    await page.evaluate(() => window.form.requestSubmit());
  }
  await w.held(1);
  return { browser, page };
}

for (const [point, left] of [
  ["draft-before", { text: "", jobs: 0 }],
  ["draft-after", { text: "typed", jobs: 0 }],
  ["enqueue-before", { text: "typed", jobs: 0 }],
  ["enqueue-after", { text: "", jobs: 1 }],
]) {
  test(`the browser is killed at ${point}`, async () => {
    const { browser } = await stopAt(point);
    await browser.kill();
    await w.server.release();
    const reborn = await w.start({ profile: browser.profile });
    const page = await reborn.open(w.origin(), { options: { worker: `/sw.js?point=${point}` } });
    // The letters of a word may have been saved one by one.
    const text = await track(page);
    assert.equal(left.text === "" ? text : "typed".startsWith(text) && text.length > 0, left.text === "" ? "" : true, text);
    await w.settled(page);
    assert.equal((await w.server.sink("/api/sink/f")).length, left.jobs);
  });
}

for (const point of ["draft-before", "draft-after", "enqueue-before", "enqueue-after"]) {
  test(`the worker is killed at ${point}: the page's message comes again, and takes effect once`, async () => {
    const { browser, page } = await stopAt(point);
    await (await browser.workers(page)).stop();
    await w.server.release();
    if (point.startsWith("draft")) {
      await kept(page);
      assert.equal((await drafts(page)).length, 1);
    } else {
      await until("it is delivered", async () => (await page.evaluate(() => window.told)).includes("form-delivered"));
      assert.equal((await w.server.sink("/api/sink/f")).length, 1);
      assert.deepEqual(await drafts(page), []);
    }
    assert.deepEqual(
      (await page.evaluate(() => window.told)).filter((name) => !["form-stored", "form-delivered"].includes(name)),
      [],
    );
  });
}

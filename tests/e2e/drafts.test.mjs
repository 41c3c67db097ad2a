// What was typed into a form is kept: over a reload, a crash, a closed tab; for one tab, one owner, and never what is secret.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

const FORM = `<form id=f method=post enctype=multipart/form-data action=/api/sink/f>
  <input name=text><textarea name=area></textarea>
  <input type=checkbox name=box value=1><input type=checkbox name=box value=2 checked>
  <input type=radio name=r value=a><input type=radio name=r value=b>
  <select name=one><option>x<option>y</select><select name=many multiple><option>1<option>2<option>3</select>
  <input type=file name=files multiple><div contenteditable data-shearwater-draft=rich>given</div>
  <input type=password name=password><input name=code autocomplete=one-time-code><input name=card autocomplete="billing cc-number">
  <input name=private autocomplete=off><input name=ours data-shearwater-draft=off><input type=hidden name=csrf_token value=s3cret>
</form>`;

/** Puts the form into the page and tracks it. */
async function track(page, html = FORM, options = {}) {
  await page.evaluate(
    async (html, options) => {
      document.body.innerHTML = html;
      window.form = document.querySelector("form");
      window.events = [];
      for (const name of ["draft-restored", "draft-conflict", "draft-taken", "draft-error", "form-stored", "form-delivered"]) {
        window.form.addEventListener(name, ({ detail }) => window.events.push({ name, detail }));
      }
      window.tracked = window.client.trackForm(window.form, options);
      await window.tracked.ready;
    },
    html,
    { saveInterval: 50, ...options },
  );
  return page;
}
const open = async (html, options) => track(await w.open(), html, options);

async function again(page, html, options) {
  await page.reload();
  await page.waitForFunction("window.ready");
  await page.evaluate(async () => (window.client = await window.connect()));
  return track(page, html, options);
}

const drafts = (page) => page.evaluate(() => window.rows("drafts"));
const kept = (page, text) =>
  until(`a draft with ${text}`, async () => {
    const rows = await drafts(page);
    return rows.some(({ fields }) => fields.includes(text)) ? rows : Promise.reject(new Error(JSON.stringify(rows)));
  });
const value = (page, name) => page.evaluate((name) => window.form.elements.namedItem(name).value, name);
const events = (page, name) => page.evaluate((name) => window.events.filter((event) => event.name === name), name);

async function fillAll(page) {
  await page.evaluate(() => {
    const { form } = window;
    const field = (name) => form.elements.namedItem(name);
    field("text").value = "typed";
    field("area").value = "two\nlines";
    form.querySelector("[name=box][value='1']").checked = true;
    form.querySelector("[name=box][value='2']").checked = false;
    field("r").value = "b";
    field("one").value = "y";
    for (const option of field("many").options) option.selected = option.value !== "2";
    const chosen = new DataTransfer();
    chosen.items.add(new File([new Uint8Array([0, 255, 10])], "a.bin", { type: "image/png", lastModified: 7 }));
    field("files").files = chosen.files;
    form.querySelector("[contenteditable]").textContent = "written";
    for (const name of ["password", "code", "card", "private", "ours"]) field(name).value = "s3cret";
    field("text").dispatchEvent(new Event("input", { bubbles: true }));
  });
  await kept(page, "typed");
}

const state = (page) =>
  page.evaluate(async () => {
    const { form } = window;
    const field = (name) => form.elements.namedItem(name);
    const [file] = field("files").files;
    return {
      values: ["text", "area", "r", "one"].map((name) => field(name).value),
      boxes: [...form.querySelectorAll("[name=box]")].map(({ checked }) => checked),
      many: [...field("many").selectedOptions].map(({ value }) => value),
      file: file && [file.name, file.type, file.lastModified, ...new Uint8Array(await file.arrayBuffer())],
      rich: form.querySelector("[contenteditable]").textContent,
      secrets: ["password", "code", "card", "private", "ours"].map((name) => field(name).value).join(""),
    };
  });

const FILLED = {
  values: ["typed", "two\nlines", "b", "y"],
  boxes: [true, false],
  many: ["1", "3"],
  file: ["a.bin", "image/png", 7, 0, 255, 10],
  rich: "written",
  secrets: "",
};

test("everything typed is there after a reload, and nothing secret was ever stored", async () => {
  const page = await open();
  await fillAll(page);
  assert.equal(JSON.stringify(await drafts(page)).includes("s3cret"), false);
  await again(page);
  assert.deepEqual(await state(page), FILLED);
  assert.deepEqual(
    (await events(page, "draft-restored")).map(({ detail }) => detail.missing),
    [[]],
  );
});

test("what was typed in the last half second is stored when the page goes", async () => {
  const page = await open(FORM, { saveInterval: 60_000 });
  await page.type("[name=text]", "last words");
  await again(page);
  assert.equal(await value(page, "text"), "last words");
});

test("the draft is there after a crash of the browser, in the tab that comes first", async () => {
  const browser = await w.start();
  const page = await track(await browser.open(w.origin()));
  await fillAll(page);
  await browser.kill();
  const reborn = await w.start({ profile: browser.profile });
  const after = await track(await reborn.open(w.origin()));
  assert.deepEqual(await state(after), FILLED);
});

test("a closed tab's draft goes to the next", async () => {
  const page = await open();
  await page.type("[name=text]", "closed");
  await kept(page, "closed");
  await w.closeTab(page);
  const next = await open();
  assert.equal(await value(next, "text"), "closed");
});

test("a killed worker loses no draft that it has acknowledged, nor the one after", async () => {
  const page = await open();
  await page.type("[name=text]", "before");
  await kept(page, "before");
  const workers = await w.browser.workers(page);
  await workers.stop();
  await page.type("[name=text]", " after");
  await kept(page, "before after");
});

test("two tabs on one form: the second is told, and what each types stays its own", async () => {
  const first = await open();
  await first.type("[name=text]", "first");
  await kept(first, "first");
  const second = await open();
  assert.equal(await value(second, "text"), "");
  assert.equal((await events(second, "draft-conflict")).length, 1);
  await second.type("[name=text]", "second");
  await kept(second, "second");
  const texts = (await drafts(first)).map(({ fields }) => JSON.parse(fields)[0].v).sort();
  assert.deepEqual(texts, ["first", "second"]);
  await again(first);
  assert.equal(await value(first, "text"), "first");
});

test("the second tab takes the draft over: the first is told, and goes on with another", async () => {
  const first = await open();
  await first.type("[name=text]", "first");
  await kept(first, "first");
  const second = await w.open();
  await second.evaluate(() =>
    document.addEventListener("draft-conflict", ({ detail }) => (window.taking = detail.take()), { once: true }),
  );
  await track(second);
  assert.equal(await second.evaluate(() => window.taking), true);
  assert.equal(await value(second, "text"), "first");
  assert.equal((await drafts(first)).length, 1);
  await first.type("[name=text]", " again");
  await until("the first is told", async () => (await events(first, "draft-taken")).length === 1);
  await kept(first, "first again");
  const texts = (await drafts(first)).map(({ fields }) => JSON.parse(fields)[0].v).sort();
  assert.deepEqual(texts, ["first", "first again"]);
});

test("a form that has changed since takes what still fits, and says what does not", async () => {
  const page = await open();
  await fillAll(page);
  await again(
    page,
    "<form id=f method=post action=/api/sink/f><input name=text><input name=new value=fresh><select name=one><option>z</select></form>",
  );
  assert.deepEqual([await value(page, "text"), await value(page, "new"), await value(page, "one")], ["typed", "fresh", "z"]);
  const [{ detail }] = await events(page, "draft-restored");
  assert.deepEqual(detail.missing.sort(), ["area", "box", "box", "files", "many", "one", "r", "rich"].sort());
});

test("the draft ends with the submission, and a save that comes late does not bring it back", async () => {
  const page = await open();
  await page.type("[name=text]", "sent");
  const [{ id, seq }] = await kept(page, "sent");
  await page.evaluate(() => window.form.requestSubmit());
  await until("it is delivered", async () => (await events(page, "form-delivered")).length === 1);
  assert.deepEqual(await drafts(page), []);
  const form = await page.evaluate(() => encodeURI(`${location.pathname}${location.search}#f`));
  const late = await w.post(page, { "draft-save": { id, form, seq: seq + 5, fields: "[]", files: [] } });
  assert.equal(late.ok, false);
  assert.deepEqual(await drafts(page), []);
  await again(page);
  assert.equal(await value(page, "text"), "");
});

test("a form that is emptied as soon as its draft is restored stays empty", async () => {
  const page = await open();
  await page.type("[name=text]", "first");
  await kept(page, "first");
  // Between the restored draft and the emptied form nothing is saved.
  await again(page, FORM, { saveInterval: 60_000 });
  assert.equal(await value(page, "text"), "first");
  await page.evaluate(() => {
    window.form.reset();
    window.form.elements.namedItem("text").dispatchEvent(new Event("input", { bubbles: true }));
  });
  await again(page);
  assert.equal(await value(page, "text"), "");
});

test("the draft stays while its job is not stored", async () => {
  const page = await open("<form id=f method=post action=/api/sink/f?token=secret><input name=text></form>");
  await page.type("[name=text]", "stays");
  await kept(page, "stays");
  await page.evaluate(() => {
    window.form.addEventListener("form-error", () => window.events.push({ name: "form-error" }));
    window.form.requestSubmit();
  });
  await until("it is refused", async () => (await events(page, "form-error")).length === 1);
  await kept(page, "stays");
});

test("a draft is its owner's: another sees nothing, a purge leaves nothing, and nothing is saved for somebody else", async () => {
  const page = await w.open();
  await page.evaluate(() => window.client.setOwner("ada"));
  await track(page);
  await fillAll(page);
  await page.evaluate(() => window.client.setOwner("bob"));
  await page.type("[name=text]", " by whom");
  const other = await open();
  assert.equal(await value(other, "text"), "");
  assert.deepEqual(await events(other, "draft-conflict"), []);
  assert.equal(
    (await drafts(page)).every(({ fields }) => !fields.includes("by whom")),
    true,
  );
  await w.closeTab(page);
  await other.evaluate(() => window.client.setOwner("ada"));
  const back = await open();
  assert.deepEqual(await state(back), FILLED);
  await back.evaluate(() => window.client.setOwner(null, { purge: true }));
  assert.deepEqual(await drafts(back), []);
  assert.equal(
    (await back.evaluate(() => window.keys("bodies"))).some((key) => String(key).startsWith("draft ")),
    false,
  );
});

test("a full disk keeps the text without its files, and submitting says what is the matter", async () => {
  // Before the origin is first used: Chromium remembers the room that was left.
  await (await w.browser.workers(await w.browser.newPage())).fillQuota(w.origin(), 4_000_000);
  const page = await open();
  await page.evaluate(() => {
    const bytes = new Uint8Array(12_000_000);
    for (let at = 0; at < bytes.length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
    const chosen = new DataTransfer();
    chosen.items.add(new File([bytes], "big.bin"));
    window.form.elements.namedItem("files").files = chosen.files;
    window.form.addEventListener("form-error", ({ detail }) =>
      window.events.push({ name: "form-error", code: detail.error.code }),
    );
  });
  await page.type("[name=text]", "text");
  await until("it is told", async () => (await events(page, "draft-error")).length > 0);
  await kept(page, "text");
  await page.evaluate(() => window.form.requestSubmit());
  const [{ code }] = await until("it is refused", async () => {
    const found = await events(page, "form-error");
    return found.length ? found : null;
  });
  assert.equal(code, "quota-exceeded");
  assert.equal(await value(page, "text"), "text");
  await kept(page, "text");
});

test("at most one write in half a second, however fast somebody types", async () => {
  const page = await open(FORM, { saveInterval: 500 });
  const took = await page.evaluate(async () => {
    window.saves = [];
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (message, ...rest) {
      // One that is not answered is posted again as it was.
      if (message.op?.["draft-save"] && !window.saves.includes(message.re)) window.saves.push(message.re);
      return postMessage.call(this, message, ...rest);
    };
    const field = window.form.elements.namedItem("text");
    const begun = performance.now();
    for (let at = 0; at < 150; at += 1) {
      field.value += "x";
      field.dispatchEvent(new InputEvent("input", { bubbles: true }));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return performance.now() - begun;
  });
  await until("the last letter", () =>
    page.evaluate(async () => JSON.stringify(await window.rows("drafts")).includes("x".repeat(150))),
  );
  const saves = await page.evaluate(() => window.saves.length);
  assert.ok(saves >= 1 && saves <= Math.ceil(took / 500) + 2, `${saves} saves in ${took} ms`);
});

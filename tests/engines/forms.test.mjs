// Forms in Firefox and WebKit: submitted with their files, kept over a reload, ended with their jobs.

import assert from "node:assert/strict";
import test from "node:test";

import { others } from "../e2e/harness/engines.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { onEngines } from "../e2e/harness/world.mjs";

onEngines(others, (w) => {
  const name = (text) => `${w.engine}: ${text}`;

  const track = (page) =>
    page.evaluate(async () => {
      document.body.innerHTML =
        "<form id=f method=post enctype=multipart/form-data action=/api/uploads><input name=text><input type=file name=file></form>";
      window.form = document.querySelector("form");
      window.told = [];
      for (const event of [
        "form-stored",
        "form-delivered",
        "form-queued",
        "form-failed",
        "form-error",
        "draft-error",
        "draft-conflict",
      ]) {
        window.form.addEventListener(event, ({ detail }) => window.told.push([event, detail.error?.message ?? detail.id]));
      }
      window.tracked = window.client.trackForm(window.form, { id: "f", saveInterval: 50 });
      await window.tracked.ready;
      return true;
    });

  const type = (page, text) =>
    page.evaluate((text) => {
      const field = window.form.elements.namedItem("text");
      field.value = text;
      const chosen = new DataTransfer();
      chosen.items.add(new File([new Uint8Array([0, 1, 255])], "a.bin", { type: "image/png" }));
      window.form.elements.namedItem("file").files = chosen.files;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      return true;
    }, text);

  const kept = (page, text) =>
    until(`a draft with ${text}`, async () => JSON.stringify(await page.evaluate(() => window.rows("drafts"))).includes(text));

  const shown = (page) =>
    page.evaluate(async () => {
      const [file] = window.form.elements.namedItem("file").files;
      const bytes = file ? [...new Uint8Array(await file.arrayBuffer())] : [];
      return [window.form.elements.namedItem("text").value, file?.name ?? null, ...bytes];
    });

  test(name("a draft with a file goes to the tab that comes after, and ends with its job"), async () => {
    const first = await w.open();
    await track(first);
    await type(first, "typed");
    await kept(first, "typed");
    await w.closeTab(first);
    const page = await w.open();
    await track(page);
    assert.deepEqual(await shown(page), ["typed", "a.bin", 0, 1, 255]);
    await page.evaluate(() => window.form.requestSubmit());
    await until("delivered", async () => {
      const told = await page.evaluate(() => window.told);
      return told.some(([event]) => event === "form-delivered") || Promise.reject(new Error(JSON.stringify(told)));
    });
    assert.deepEqual(await page.evaluate(() => window.rows("drafts")), []);
    assert.equal((await w.server.uploads()).length, 1);
  });

  test(name("queued with its file while the server is down, delivered when it is back"), async () => {
    const page = await w.open();
    await track(page);
    await w.server.down(true);
    await type(page, "queued");
    await page.evaluate(() => window.form.requestSubmit());
    await until("queued", async () => (await page.evaluate(() => window.told)).some(([event]) => event === "form-queued"));
    await w.server.down(false);
    await page.evaluate(() => window.client.syncNow());
    await until("at the server", async () => (await w.server.uploads()).length === 1);
    await w.settled(page);
  });

  test(name("a refused form is filled again with its file, and what is sent then replaces the failed job"), async () => {
    await w.server.faults([{ path: "/api/uploads", times: 1, action: { status: 422 } }]);
    const page = await w.open();
    await track(page);
    await type(page, "wrong");
    await page.evaluate(() => window.form.requestSubmit());
    const told = (name) =>
      until(name, async () => (await page.evaluate(() => window.told)).find(([event]) => event === name)?.[1]);
    const id = await told("form-failed");
    await page.evaluate(() => window.form.reset());
    assert.equal(await page.evaluate((id) => window.tracked.restore(id), id), true);
    assert.deepEqual(await shown(page), ["wrong", "a.bin", 0, 1, 255]);
    await type(page, "right");
    await page.evaluate(() => window.form.requestSubmit());
    assert.notEqual(await told("form-delivered"), id);
    assert.equal(await w.get(page, id), null);
    assert.equal((await w.server.uploads()).length, 1);
  });
});

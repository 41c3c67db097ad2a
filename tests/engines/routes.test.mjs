// The app's own fetch() in Firefox and WebKit: passed on, queued, whole (W6). Judged by the server.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { others } from "../e2e/harness/engines.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { onEngines } from "../e2e/harness/world.mjs";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const config = { routes: [{ match: "/api/sink/*" }] };

/** In the page: calls fetch(); a body that is named is made there. */
const call = async (url, init, make) => {
  const png = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 31) % 256);
  const form = new FormData();
  form.append("text", "Grüße");
  if (make === "files") form.append("picture", new File([png], "a.png", { type: "image/png" }));
  const photo = new Blob([png.subarray(0, 300), png.subarray(300)], { type: "image/jpeg" });
  const body = { form, files: form, photo }[make] ?? init.body;
  try {
    const response = await fetch(url, { ...init, body });
    return { status: response.status, text: await response.text(), job: response.headers.get("shearwater-job") };
  } catch ({ name }) {
    return { error: name };
  }
};

onEngines(others, (w) => {
  const name = (text) => `${w.engine}: ${text}`;
  /** A page that the worker controls: the second one is. */
  async function open() {
    await w.closeTab(await w.open({ config }));
    const page = await w.open({ config });
    assert.equal(await page.evaluate(() => Boolean(navigator.serviceWorker.controller)), true);
    return page;
  }
  const send = (page, url, init, make) => page.evaluate(call, url, init, make);

  test(name("what the server answers is the app's; offline a request is queued, and delivered once"), async () => {
    const page = await open();
    const online = await send(page, "/api/sink/a?b=c", { method: "POST", body: "Grüße", headers: { "x-own": "1" } });
    assert.equal(online.status, 200, JSON.stringify(online));
    assert.equal((await send(page, "/api/other", { method: "POST", body: "x" })).status, 404);
    await w.server.down(true);
    const offline = await send(page, "/api/sink/offline", { method: "POST", body: "later" });
    assert.equal(offline.status, 202, JSON.stringify(offline));
    assert.deepEqual(JSON.parse(offline.text), { queued: true, id: offline.job });
    await w.server.down(false);
    await page.evaluate(() => window.client.syncNow());
    await w.becomes(page, offline.job, "delivered");
    const [first, other, later, ...more] = await w.server.arrivals();
    assert.deepEqual([first.bodyPreview, first.headers["x-own"], later.bodyPreview], ["Grüße", "1", "later"]);
    assert.match(first.headers["idempotency-key"], /^"[0-9a-f-]{36}"$/);
    assert.deepEqual([other.headers["idempotency-key"], later.idempotencyKey, more.length], [undefined, offline.job, 0]);
  });

  test(name("a photo and a form arrive byte for byte, at the first try and later"), async () => {
    const page = await open();
    const png = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 31) % 256);
    for (const down of [false, true]) {
      await w.server.down(down);
      for (const [method, make] of [
        ["PUT", "photo"],
        ["POST", "form"],
      ]) {
        const { status } = await send(page, `/api/sink/${make}`, { method }, make);
        assert.equal(status, down ? 202 : 200, make);
      }
    }
    await w.server.down(false);
    await page.evaluate(() => window.client.syncNow());
    await until("all", async () => (await w.server.sink()).length === 4);
    for (const { path, bodySha256, contentType, body } of await w.server.sink()) {
      if (path.endsWith("photo")) assert.deepEqual([bodySha256, contentType], [sha256(png), "image/jpeg"]);
      else assert.ok(body.includes("Grüße") && contentType.startsWith("multipart/form-data; boundary="));
    }
  });

  test(name("a form with a file arrives whole, at the first try and later"), async () => {
    const page = await open();
    const online = await send(page, "/api/sink/files", { method: "POST" }, "files");
    await w.server.down(true);
    const offline = await send(page, "/api/sink/files", { method: "POST" }, "files");
    await w.server.down(false);
    assert.deepEqual([online.status, offline.status], [200, 202]);
    await page.evaluate(() => window.client.syncNow());
    await w.becomes(page, offline.job, "delivered");
    assert.equal((await w.server.sink()).length, 2);
    for (const { bodySize } of await w.server.sink()) assert.ok(bodySize > 70_000, `${bodySize}`);
  });

  test(name("a form navigation shows the server's answer, or the page that the route names while it is down"), async () => {
    const routed = { routes: [{ match: "/api/sink/*", page: "/thanks.html" }] };
    await w.closeTab(await w.open({ config: routed }));
    const page = await w.open({ config: routed });
    /** Submits a form into a frame, as a browser does by itself; answers where that went and what stands there. */
    const submit = (text) =>
      page.evaluate(async (text) => {
        const frame = document.createElement("iframe");
        frame.name = `to-${text}`; // Before it is in the document: later, WebKit opens a window.
        document.body.append(frame);
        const form = document.body.appendChild(document.createElement("form"));
        form.innerHTML = `<input name=text value="${text}">`;
        Object.assign(form, { method: "post", action: "/api/sink/form", target: frame.name });
        const shown = new Promise((resolve) => {
          frame.addEventListener("load", () => {
            const { href } = frame.contentWindow.location;
            if (href !== "about:blank") resolve([href, frame.contentDocument.body.textContent]);
          });
        });
        form.submit();
        return await shown;
      }, text);
    const [, answered] = await submit("online");
    assert.match(answered, /"arrival":/);
    await w.server.down(true);
    const [href] = await submit("offline");
    const { pathname, hash } = new URL(href);
    assert.equal(pathname, "/thanks.html", href);
    const id = /^#shearwater-job=(.*)$/.exec(hash)?.[1];
    await w.server.down(false);
    await page.evaluate(() => window.client.syncNow());
    await w.becomes(page, id, "delivered");
    const sink = await w.server.sink("/api/sink/form");
    assert.deepEqual(
      sink.map(({ body }) => body),
      ["text=online", "text=offline"],
    );
  });

  test(name("an aborted request goes on, for the worker is not told; its job can be discarded"), async () => {
    const page = await open();
    await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" } }]);
    await page.evaluate(() => {
      window.aborter = new AbortController();
      window.outcome = fetch("/api/sink/a", { method: "POST", body: "x", signal: window.aborter.signal }).catch(
        ({ name }) => name,
      );
    });
    await w.held(1);
    await page.evaluate(() => window.aborter.abort());
    assert.equal(await page.evaluate(() => window.outcome), "AbortError");
    await w.server.down(true);
    await w.server.release();
    await until("the end of the first try", async () => (await w.server.stats()).inFlight === 0);
    const [{ id }] = await until("the job", async () => {
      const jobs = await w.list(page);
      return jobs.length === 1 && jobs;
    });
    await page.evaluate(() => window.client.pause());
    await until("no send", async () => (await w.get(page, id))?.state === "pending");
    assert.equal(await page.evaluate((id) => window.client.discard(id), id), true);
  });
});

// What a page queues while it is being closed arrives: it is posted before the page is gone.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Has the page queue every kind of body at this event, and goes by `leave`; returns what arrived, by name. */
async function arrivalsAt(event, names, leave) {
  const page = await w.open();
  await page.evaluate(
    (event, names) => {
      const filled = (size) => new Uint8Array(size).fill(7);
      const form = new FormData();
      form.append("text", "Grüße");
      form.append("file", new File([filled(200_000)], "a.bin"));
      const fields = new FormData();
      fields.append("text", "Grüße");
      const bodies = {
        text: "Grüße",
        json: { a: 1 },
        params: new URLSearchParams("a=1"),
        blob: new Blob(["abc"]),
        file: new File(["def"], "f.txt"),
        buffer: filled(10).buffer,
        view: filled(20).subarray(5, 10),
        form,
        fields,
        largeText: "x".repeat(1_000_000),
        largeBlob: new Blob([filled(5_000_000)]),
        largeBuffer: filled(1_000_000).buffer,
      };
      const target = event === "visibilitychange" ? document : window;
      target.addEventListener(event, () => {
        for (const name of names)
          client.enqueue({ url: `/api/sink/${name}`, method: "POST", body: bodies[name] }).catch(() => {});
      });
    },
    event,
    names,
  );
  await leave(page);
  const sizes = async () =>
    Object.fromEntries(
      (await w.server.arrivals("/api/sink")).map(({ path, bodySize }) => [path.slice("/api/sink/".length), bodySize]),
    );
  await until(`${names} to arrive`, async () => {
    const arrived = await sizes();
    const missing = names.filter((name) => typeof arrived[name] !== "number");
    return missing.length === 0 || Promise.reject(new Error(`missing: ${missing}`));
  });
  return sizes();
}

const EXPECTED = {
  text: 7,
  json: 7,
  params: 3,
  blob: 3,
  file: 3,
  buffer: 10,
  view: 5,
  largeText: 1_000_000,
  largeBlob: 5_000_000,
  largeBuffer: 1_000_000,
};

test("every kind of body but a Request's, queued in pagehide as the tab is closed", async () => {
  const { form, fields, ...others } = await arrivalsAt("pagehide", [...Object.keys(EXPECTED), "form", "fields"], (page) =>
    page.close(),
  );
  assert.deepEqual(others, EXPECTED);
  assert.ok(form > 200_000 && fields > 100);
});

test("the same when the page goes for good, to another site", async () => {
  const { form, fields, ...others } = await arrivalsAt(
    "pagehide",
    [...Object.keys(EXPECTED), "form", "fields"],
    async (page) => {
      // Who listens to this is not kept in the back/forward cache.
      await page.evaluate(() => window.addEventListener("unload", () => {}));
      await page.goto(w.server.origin.replace("localhost", "127.0.0.1"));
    },
  );
  assert.deepEqual(others, EXPECTED);
  assert.ok(form > 200_000 && fields > 100);
});

test("of a page in the back/forward cache Chromium passes no message on; it is posted again when the page is back", async () => {
  const names = ["text", "form", "params", "blob"];
  const arrived = await arrivalsAt("pagehide", names, async (page) => {
    await page.goto(w.server.origin.replace("localhost", "127.0.0.1"));
    await page.goBack();
    assert.equal(await page.evaluate(() => typeof window.client), "object", "it was kept");
  });
  assert.deepEqual(Object.keys(arrived).sort(), [...names].sort());
});

test("and in visibilitychange", async () => {
  const { form, fields, ...others } = await arrivalsAt(
    "visibilitychange",
    [...Object.keys(EXPECTED), "form", "fields"],
    (page) => page.close(),
  );
  assert.deepEqual(others, EXPECTED);
  assert.ok(form > 200_000 && fields > 100);
});

test("and while the worker is stopped", async () => {
  const names = ["text", "form", "params", "blob"];
  const arrived = await arrivalsAt("pagehide", names, async (page) => {
    const driven = await w.browser.workers(page);
    await driven.stop();
    await page.close();
  });
  assert.deepEqual(Object.keys(arrived).sort(), [...names].sort());
});

test("a file from the disk, and a form that holds one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "shearwater-files-"));
  try {
    const path = join(folder, "photo.bin");
    writeFileSync(path, Buffer.alloc(200_000, 7));
    const page = await w.open();
    const input = await page.evaluateHandle(() => Object.assign(document.createElement("input"), { type: "file" }));
    await input.uploadFile(path);
    await page.evaluate((input) => {
      window.addEventListener("pagehide", () => {
        const form = new FormData();
        form.append("text", "with a file");
        form.append("file", input.files[0]);
        client.enqueue({ url: "/api/sink/file", body: input.files[0] });
        client.enqueue({ url: "/api/notes", method: "POST", body: form });
      });
    }, input);
    await page.close();
    await until(
      "both",
      async () => (await w.server.notes()).length === 1 && (await w.server.arrivals("/api/sink")).length === 1,
    );
    const [{ bodySha256 }] = await w.server.arrivals("/api/sink");
    const [
      {
        attachments: [attachment],
      },
    ] = await w.server.notes();
    assert.deepEqual([bodySha256, attachment.sha256], Array(2).fill(sha256(Buffer.alloc(200_000, 7))));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("jobs of one key keep their order, those that were still waiting for their turn included", async () => {
  const page = await w.open();
  await page.evaluate(() => {
    const form = () => {
      const form = new FormData();
      form.append("file", new File([new Uint8Array(300_000)], "a.bin"));
      return form;
    };
    window.addEventListener("pagehide", () => {
      const bodies = [
        form(),
        "1",
        new Blob([new Uint8Array(200_000)]),
        new Blob(["3"]),
        form(),
        new URLSearchParams("a=5"),
        "6",
      ];
      for (const [at, body] of bodies.entries()) client.enqueue({ url: `/api/sink/${at + 3}`, body }, { key: "line" });
    });
    // In the same task as the page goes.
    for (const [at, body] of [form(), new Blob(["1"]), "2"].entries())
      client.enqueue({ url: `/api/sink/${at}`, body }, { key: "line" });
    location.href = "about:blank";
  });
  await until("all of them", async () => (await w.server.arrivals("/api/sink")).length === 10);
  assert.deepEqual(
    (await w.server.arrivals("/api/sink")).map(({ path }) => Number(path.at(-1))),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
});

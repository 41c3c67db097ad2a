// Bindings, duplicates, policies and images from Cache Storage, in Firefox and WebKit.

import assert from "node:assert/strict";
import test from "node:test";

import { others } from "../e2e/harness/engines.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { onEngines } from "../e2e/harness/world.mjs";

const script = (config, more = {}) => `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), ...more })}`;

onEngines(others, (w) => {
  test(`${w.engine}: a note and its photo, queued while the server is down; the photo goes to the note's id`, async () => {
    const page = await w.open({ options: { worker: script({}) } });
    await w.server.down(true);
    const note = await w.enqueue(page, { url: "/api/notes", body: { text: "of a bird" } });
    const photo = { url: "/api/sink/{note.id}/photos", headers: { "x-note": "{note}" }, body: { note: "{note}" } };
    const id = await w.enqueue(page, photo, { bind: { note: { job: note, pointer: "/id" } } });
    assert.equal((await w.get(page, id)).waitingFor, note);
    await w.server.down(false);
    await until("the photo", async () => {
      await page.evaluate(() => window.client.syncNow());
      return (await w.server.sink()).length === 1;
    });
    const [stored] = await w.server.notes();
    const [{ path, body }] = await w.server.sink();
    assert.deepEqual([path, JSON.parse(body)], [`/api/sink/${stored.id}/photos`, { note: stored.id }]);
    // Delivered before anybody was bound to it.
    const late = await w.enqueue(page, { url: "/api/sink/{n}" }, { bind: { n: { job: note, pointer: "/id" } } });
    await w.becomes(page, late, "delivered");
  });

  test(`${w.engine}: a refused note keeps its photo waiting; discarded, it takes the photo along only if told to`, async () => {
    const page = await w.open({ options: { worker: script({}) } });
    await w.server.faults([{ path: "/api/notes", action: { status: 422 } }]);
    const note = await w.enqueue(page, { url: "/api/notes", body: { text: "of a bird" } });
    const photo = { url: "/api/sink/{note}", body: "x" };
    const id = await w.enqueue(page, photo, { bind: { note: { job: note, pointer: "/id" } } });
    await w.becomes(page, note, "failed");
    const { state, waitingFor } = await w.get(page, id);
    assert.deepEqual([state, waitingFor], ["pending", note]);
    const discard = (options) =>
      page.evaluate(([id, options]) => window.client.discard(id, options).catch(({ code }) => code), [note, options]);
    assert.equal(await discard(), "has-dependents");
    assert.equal((await w.list(page)).length, 2);
    assert.equal(await discard({ cascade: true }), true);
    assert.deepEqual([await w.list(page), await w.server.sink()], [[], []]);
  });

  test(`${w.engine}: the last write of a key wins while it waits`, async () => {
    const page = await w.open({ options: { worker: script({}) } });
    await page.evaluate(() => window.client.pause());
    const put = (body, onDuplicate) =>
      w.enqueue(page, { url: "/api/sink/doc", method: "PUT", body }, { key: "doc", onDuplicate });
    const id = await put({ a: 1, b: 1 }, "replace");
    assert.deepEqual(
      [await put({ a: 2, b: 2 }, "replace"), await put({ b: null, c: 3 }, "merge"), await put({}, "keep")],
      [id, id, id],
    );
    await page.evaluate(() => window.client.resume());
    await w.becomes(page, id, "delivered");
    const sink = await w.server.sink();
    assert.deepEqual(
      sink.map(({ body }) => JSON.parse(body)),
      [{ a: 2, c: 3 }],
    );
  });

  test(`${w.engine}: automatic sync is off: nothing goes but by syncNow; what the browser does not tell restricts nothing`, async () => {
    const page = await w.open({ options: { worker: script({ network: { syncOnMobileData: false, saveData: true } }) } });
    await w.becomes(page, await w.enqueue(page, { url: "/api/sink/free" }), "delivered");
    await page.evaluate(() => window.client.setNetworkPolicy({ autoSync: false }));
    const held = await w.enqueue(page, { url: "/api/sink/held" });
    await w.resting(page);
    assert.deepEqual([(await w.snapshot(page)).restriction, (await w.get(page, held)).state], ["auto-sync", "pending"]);
    await page.evaluate(() => window.client.syncNow());
    await w.becomes(page, held, "delivered");
  });

  test(`${w.engine}: an image in Cache Storage is uploaded once, and deleted`, async () => {
    const page = await w.open({
      options: { worker: script({ cacheUploads: { "image-upload": { url: "/api/sink/upload" } } }) },
    });
    await page.evaluate(async () => {
      const cache = await caches.open("image-uploads");
      await cache.put("/photos/1.png?album=7", new Response(new Blob(["bytes"], { type: "image/png" })));
      return true;
    });
    const left = () => page.evaluate(async () => (await (await caches.open("image-uploads")).keys()).length);
    await until("an empty cache", async () => {
      await page.evaluate(() => window.client.syncNow());
      return (await left()) === 0;
    });
    const [upload, ...more] = await w.server.sink("/api/sink/upload");
    assert.equal(more.length, 0);
    assert.match(
      upload.body,
      /name="album"\r\n\r\n7\r\n.*name="image"; filename="1.png"\r\nContent-Type: image\/png\r\n\r\nbytes/s,
    );
  });
});

// Images that an app leaves in Cache Storage: each is uploaded once as a form, and deleted when it is delivered (U6).

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const config = {
  cacheUploads: { "image-upload": { url: "/api/sink/upload" } },
  queues: { "image-upload": { backoff: { base: 50, max: 100 } } },
};
const open = (more = {}) => w.open({ config: { ...config, ...more } });

/** Puts an image into the cache, as an app does. */
const leave = (page, url, text, type = "image/png") =>
  page.evaluate(
    async (url, text, type) => {
      const cache = await caches.open("image-uploads");
      await cache.put(url, new Response(new Blob([text], { type })));
    },
    url,
    text,
    type,
  );
const left = (page) =>
  page.evaluate(async () => (await (await caches.open("image-uploads")).keys()).map(({ url }) => new URL(url).pathname));
const wake = (page) => page.evaluate(() => window.client.syncNow());
const arrived = () => w.server.sink("/api/sink/upload");

test("each entry becomes a form with its parameters as fields, and goes from the cache when it is delivered", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config });
  const workers = await chromium.workers(page);
  await leave(page, "/photos/one.png?album=7&title=a%20b&album=8", "one");
  await leave(page, "/photos/two.png", "two");
  // By the browser's own event, with no page's help.
  await workers.sync(w.server.origin, "image-upload");
  await until("both", async () => (await arrived()).length === 2);
  const [one] = (await arrived()).filter(({ body }) => body.includes("one.png"));
  assert.match(one.contentType, /^multipart\/form-data; boundary=/);
  const parts = one.body.split(/--\S+\r\n/).map((part) => part.replace(/--\S+--/, "").trim());
  assert.deepEqual(parts.filter(Boolean), [
    'Content-Disposition: form-data; name="album"\r\n\r\n7',
    'Content-Disposition: form-data; name="title"\r\n\r\na b',
    'Content-Disposition: form-data; name="album"\r\n\r\n8',
    'Content-Disposition: form-data; name="image"; filename="one.png"\r\nContent-Type: image/png\r\n\r\none',
  ]);
  await until("an empty cache", async () => (await left(page)).length === 0);
  await wake(page);
  assert.equal((await arrived()).length, 2);
});

test("an entry stays while its job is not delivered, and goes once, whoever looks and however often", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config });
  const workers = await chromium.workers(page);
  await w.server.faults([{ path: "/api/sink/upload", action: { status: 422 }, times: 1 }]);
  await leave(page, "/photos/one.png", "one");
  await Promise.all([wake(page), wake(page), wake(page)]);
  const [job] = await until("a failed job", async () => {
    const jobs = await w.list(page, { state: "failed" });
    return jobs.length > 0 && jobs;
  });
  assert.deepEqual(job.metadata, { cache: "image-uploads", url: `${w.server.origin}/photos/one.png` });
  await workers.stop();
  await wake(page);
  assert.deepEqual(await left(page), ["/photos/one.png"]);
  assert.equal((await w.list(page)).length, 1);
  // The very same image, put there again.
  await leave(page, "/photos/one.png", "one");
  await wake(page);
  assert.equal((await w.list(page)).length, 1);
  await page.evaluate((id) => window.client.retry(id), job.id);
  await w.becomes(page, job.id, "delivered");
  await wake(page);
  await until("an empty cache", async () => (await left(page)).length === 0);
  assert.equal((await arrived()).length, 1);
});

test("another image at the same address is another upload, and is not deleted for the first", async () => {
  const page = await open();
  await w.server.faults([{ path: "/api/sink/upload", action: { hold: true }, times: 1 }]);
  await leave(page, "/photos/one.png", "old");
  const first = wake(page);
  await w.held(1);
  await leave(page, "/photos/one.png", "new");
  await w.server.release();
  await first;
  await wake(page);
  await until("both", async () => (await arrived()).length === 2);
  const bodies = (await arrived()).map(({ body }) => (body.includes("new") ? "new" : "old"));
  assert.deepEqual(bodies, ["old", "new"]);
  await wake(page);
  await until("an empty cache", async () => (await left(page)).length === 0);
});

test("an image that differs from the one before it in a single byte, wherever that is, is another upload", async () => {
  const page = await open();
  const leaveBytes = (size, changed) =>
    page.evaluate(
      async (size, changed) => {
        const bytes = new Uint8Array(size).fill(7);
        for (const at of changed) bytes[at] = 8;
        const cache = await caches.open("image-uploads");
        await cache.put(`/photos/${size}.bmp`, new Response(new Blob([bytes], { type: "image/bmp" })));
      },
      size,
      changed,
    );
  for (const size of [20_000, 300_000]) {
    await w.server.down(true);
    await leaveBytes(size, []);
    await wake(page);
    await leaveBytes(size, [Math.floor(size / 4)]);
    await wake(page);
    await w.server.down(false);
    await until("an empty cache", async () => {
      await wake(page);
      return (await left(page)).length === 0;
    });
  }
  const hashes = (await arrived()).map(({ bodySha256 }) => bodySha256);
  assert.deepEqual([hashes.length, new Set(hashes).size], [4, 4]);
});

test("a discarded image does not come back, and a purge takes images along", async () => {
  const page = await open();
  await page.evaluate(() => window.client.setOwner("ada"));
  await page.evaluate(() => window.client.pause());
  await leave(page, "/photos/one.png", "one");
  await leave(page, "/photos/two.png", "two");
  await wake(page);
  const [job] = await w.list(page);
  await page.evaluate((id) => window.client.discard(id), job.id);
  await wake(page);
  assert.equal((await left(page)).length, 1);
  await leave(page, "/photos/three.png", "three");
  await page.evaluate(() => window.client.setOwner("bob", { purge: "ada" }));
  await until("an empty cache", async () => (await left(page)).length === 0);
  await wake(page);
  assert.deepEqual([await w.list(page), await arrived()], [[], []]);
});

test("what one user left is never sent for the next", async () => {
  const page = await open();
  await page.evaluate(() => window.client.setOwner("ada"));
  await page.evaluate(() => window.client.pause());
  await leave(page, "/photos/of-ada.png", "of ada");
  await page.evaluate(() => window.client.setOwner("bob"));
  await leave(page, "/photos/of-bob.png", "of bob");
  await wake(page);
  await until("bob's", async () => (await arrived()).length === 1);
  assert.match((await arrived())[0].body, /of bob/);
  await until("bob's is gone", async () => (await left(page)).length === 1);
  await page.evaluate(() => window.client.setOwner("ada"));
  await page.evaluate(() => window.client.resume());
  await wake(page);
  await until("ada's", async () => (await arrived()).length === 2);
  await until("an empty cache", async () => (await left(page)).length === 0);
});

test("empty and opaque entries stay, with a word in the console; a bad configuration is told", async () => {
  const page = await w.open({
    options: { worker: `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), log: "" })}` },
  });
  await page.evaluate(() => {
    window.lines = [];
    new BroadcastChannel("test:log").onmessage = ({ data }) => window.lines.push(data.text);
  });
  await leave(page, "/photos/empty.png", "");
  await wake(page);
  await until("a word", () => page.evaluate(() => window.lines.some((line) => /empty\.png .* is empty/.test(line))));
  await page.evaluate(
    async (origin) => {
      const response = await fetch(`http://${origin}/api/sink/image`, { mode: "no-cors" });
      await (await caches.open("image-uploads")).put("/photos/opaque.png", response);
    },
    new URL(w.server.crossOrigin.startsWith("http") ? w.server.crossOrigin : `http://${w.server.crossOrigin}`).host,
  );
  await wake(page);
  await until("another", () => page.evaluate(() => window.lines.some((line) => /opaque\.png .* opaque response/.test(line))));
  assert.deepEqual([await left(page), await w.list(page)], [["/photos/empty.png", "/photos/opaque.png"], []]);
  for (const [cacheUploads, reason] of [
    [{ a: {} }, /cacheUploads\.a\.url: is missing/],
    [{ a: { url: "/x", cahe: "y" } }, /cacheUploads\.a\.cahe: unknown member/],
    [{ a: { url: "/x" }, b: { url: "/y" } }, /cacheUploads\.b\.cache/],
    [7, /cacheUploads: is not an object/],
  ]) {
    const code = await page.evaluate(
      async (worker) => {
        const { connect } = await import("/shearwater/page.js");
        return connect({ worker, scope: `/bad/${Math.random()}/` }).then(
          () => "connected",
          ({ code, message }) => `${code}: ${message}`,
        );
      },
      `/sw.js?${new URLSearchParams({ config: JSON.stringify({ cacheUploads }) })}`,
    );
    assert.match(code, reason, JSON.stringify(cacheUploads));
  }
});

test("each option counts, and a large binary image arrives byte for byte", async () => {
  const cacheUploads = { photos: { cache: "mine", url: "/api/sink/mine", field: "file", queue: "slow" } };
  const page = await w.open({ config: { cacheUploads } });
  const sha = await page.evaluate(async () => {
    const bytes = new Uint8Array(300_000).map((_, at) => (at * 7919) % 256);
    await (await caches.open("mine")).put("/p/a%22b.bin?q=%22%0D%0A", new Response(new Blob([bytes])));
    return Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (byte) =>
      byte.toString(16).padStart(2, "0"),
    ).join("");
  });
  await page.evaluate(() => window.client.pause());
  await wake(page);
  const [job] = await until("a job", async () => {
    const jobs = await w.list(page, { queue: "slow" });
    return jobs.length > 0 && jobs;
  });
  const content = await page.evaluate(async (id) => {
    const { ok } = await new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => resolve(data);
      navigator.serviceWorker.controller?.postMessage({ shearwater: 1, re: crypto.randomUUID(), op: { content: id } }, [
        port2,
      ]) ??
        navigator.serviceWorker.ready.then(({ active }) =>
          active.postMessage({ shearwater: 1, re: crypto.randomUUID(), op: { content: id } }, [port2]),
        );
    });
    const type = ok.headers.find(([name]) => name === "content-type")[1];
    const form = await new Response(ok.bodies[0], { headers: { "content-type": type } }).formData();
    const file = form.get("file");
    const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    return {
      q: form.get("q"),
      name: file.name,
      sha: Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join(""),
    };
  }, job.id);
  assert.deepEqual(content, { q: '"\r\n', name: "a%22b.bin", sha });
  await page.evaluate(() => window.client.resume());
  await w.becomes(page, job.id, "delivered");
  assert.equal((await w.server.sink("/api/sink/mine")).length, 1);
});

test("what the next user leaves the moment that the sign-in is answered is theirs, at the same addresses too", async () => {
  const page = await open();
  const all = (text) =>
    page.evaluate(async (text) => {
      const cache = await caches.open("image-uploads");
      await Promise.all(
        Array.from({ length: 20 }, (_, at) =>
          cache.put(`/p/${at}.png`, new Response(new Blob([`${text} ${at}`], { type: "image/png" }))),
        ),
      );
    }, text);
  for (const purge of [undefined, "ada"]) {
    await page.evaluate(() => window.client.setOwner("ada"));
    await page.evaluate(() => window.client.pause());
    await all(`ada ${purge}`);
    page.evaluate(() => window.client.syncNow()).catch(() => {});
    await page.evaluate((purge) => window.client.setOwner("bob", { purge }), purge);
    await all(`bob ${purge}`);
    await wake(page);
    const sent = async () => (await arrived()).filter(({ body }) => body.includes(`bob ${purge}`)).length;
    await until("bob's", async () => (await sent()) === 20);
    assert.equal((await arrived()).filter(({ body }) => /\r\nada /.test(body)).length, 0);
  }
  await wake(page);
  await until("an empty cache", async () => (await left(page)).length === 0);
});

test("an image that was discarded, and that another user had delivered, is uploaded when it is put there again", async () => {
  const page = await open();
  await page.evaluate(() => window.client.setOwner("ada"));
  await leave(page, "/p/one.png", "same");
  await wake(page);
  await until("ada's", async () => (await arrived()).length === 1);
  await wake(page);
  await page.evaluate(() => window.client.setOwner("bob"));
  await leave(page, "/p/one.png", "same");
  await wake(page);
  await until("bob's", async () => (await arrived()).length === 2);
  await page.evaluate(() => window.client.pause());
  await leave(page, "/p/two.png", "two");
  await wake(page);
  const [job] = await w.list(page);
  await page.evaluate((id) => window.client.discard(id), job.id);
  await page.evaluate(async () => (await caches.open("image-uploads")).delete("/p/two.png"));
  await wake(page);
  await leave(page, "/p/two.png", "two");
  await page.evaluate(() => window.client.resume());
  await wake(page);
  await until("the second", async () => (await arrived()).length === 3);
});

test("an entry that cannot be queued holds up neither the others nor a sign-in", async () => {
  const page = await open();
  await leave(page, `/p/a.png?${"n=1&".repeat(20_000)}`, "long");
  await leave(page, "/p/b.png", "b");
  await page.evaluate(() => window.client.setOwner("bob"));
  // What was queued for nobody in particular waits until nobody is signed in, unless it went before the sign-in.
  await page.evaluate(() => window.client.setOwner(null));
  await until("both", async () => (await arrived()).length === 2);
});

test("the worker is stopped again and again while images are found, queued, sent and deleted: each arrives once", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config });
  const workers = await chromium.workers(page);
  await w.server.faults([
    { path: "/api/sink/upload", action: { drop: "after" }, times: 4 },
    { path: "/api/sink/upload", action: { status: 503 }, times: 3 },
  ]);
  for (let round = 0; round < 4; round += 1) {
    for (let at = 0; at < 5; at += 1) await leave(page, `/p/${round}-${at}.png`, `image ${round}-${at}.`);
    page.evaluate(() => window.client.syncNow()).catch(() => {});
    // A worker that is just being started is not stopped at once by Chromium.
    const before = (await w.server.arrivals("/api/sink/upload")).length;
    await until("a request", async () => (await w.server.arrivals("/api/sink/upload")).length > before);
    await workers.stop();
  }
  await until("an empty cache", async () => {
    await wake(page);
    return (await left(page)).length === 0;
  });
  const images = (await arrived()).map(({ body }) => /image \d-\d\./.exec(body)?.[0]);
  assert.deepEqual([images.length, new Set(images).size], [20, 20]);
});

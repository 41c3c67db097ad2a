// Every kind of body and request arrives byte for byte (Q1).

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { world } from "./harness/world.mjs";

const w = world();
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Enqueues what `make` makes in the page, waits for delivery, and answers the server's arrival. */
async function arrival(make, ...args) {
  const page = await w.open();
  const handle = await page.evaluateHandle(make, ...args);
  const id = await page.evaluate((request) => window.client.enqueue(request), handle);
  await w.becomes(page, id, "delivered");
  const arrivals = await w.server.arrivals();
  assert.equal(arrivals.length, 1);
  return arrivals[0];
}

test("no body: GET, HEAD, DELETE and POST", async () => {
  const page = await w.open();
  for (const method of ["GET", "HEAD", "DELETE", "POST", "PROPFIND"]) {
    const id = await w.enqueue(page, { url: `/api/sink/none/${method}`, method });
    await w.becomes(page, id, "delivered");
  }
  const arrivals = await w.server.arrivals("/api/sink/none");
  assert.deepEqual(arrivals.map(({ method, bodySize }) => [method, bodySize]), [["GET", 0], ["HEAD", 0], ["DELETE", 0], ["POST", 0], ["PROPFIND", 0]]);
});

test("text, with its charset", async () => {
  const { bodyPreview, contentType } = await arrival(() => ({ url: "/api/sink/text", body: "Grüße, 世界 \u{1F30A}\r\n" }));
  assert.equal(bodyPreview, "Grüße, 世界 \u{1F30A}\r\n");
  assert.equal(contentType, "text/plain;charset=UTF-8");
});

test("a plain object, as JSON", async () => {
  const { bodyPreview, contentType, method } = await arrival(() => ({ url: "/api/sink/json", body: { a: [1, "é", null], b: { c: true } } }));
  assert.equal(bodyPreview, '{"a":[1,"é",null],"b":{"c":true}}');
  assert.equal(contentType, "application/json");
  assert.equal(method, "POST");
});

test("URLSearchParams", async () => {
  const { bodyPreview, contentType } = await arrival(() => ({ url: "/api/sink/form", body: new URLSearchParams([["a", "1 2"], ["b", "ä&="]]) }));
  assert.equal(bodyPreview, "a=1+2&b=%C3%A4%26%3D");
  assert.equal(contentType, "application/x-www-form-urlencoded;charset=UTF-8");
});

test("an ArrayBuffer", async () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
  const whole = await arrival(() => ({ url: "/api/sink/buffer", body: Uint8Array.from({ length: 256 }, (_, at) => at).buffer }));
  assert.equal(whole.bodySha256, sha256(bytes));
  assert.equal(whole.contentType ?? null, null);
});

test("a typed array's own part of its buffer", async () => {
  const { bodySha256, bodySize } = await arrival(() => ({ url: "/api/sink/view", body: Uint8Array.from({ length: 256 }, (_, at) => at).subarray(10, 20) }));
  assert.equal(bodySize, 10);
  assert.equal(bodySha256, sha256(Buffer.from([10, 11, 12, 13, 14, 15, 16, 17, 18, 19])));
});

test("a Blob keeps its type, and an explicit content-type outranks it", async () => {
  const page = await w.open();
  const ids = await page.evaluate(() =>
    window.client.enqueueAll([
      { url: "/api/sink/blob/1", body: new Blob(["abc"], { type: "application/x-thing" }) },
      { url: "/api/sink/blob/2", body: new Blob(["abc"], { type: "application/x-thing" }), headers: { "Content-Type": "application/other" } },
    ], { key: "in-order" }));
  for (const id of ids) await w.becomes(page, id, "delivered");
  const arrivals = await w.server.arrivals("/api/sink/blob");
  assert.deepEqual(arrivals.map((arrival) => arrival.contentType), ["application/x-thing", "application/other"]);
});

test("FormData with fields and files, parsed by the server", async () => {
  const page = await w.open();
  const id = await page.evaluate(() => {
    const form = new FormData();
    form.append("text", "Grüße\r\n\"quoted\"");
    form.append("a", new File([new Uint8Array(200_000).fill(7)], "ä \"b\".bin", { type: "application/octet-stream" }));
    form.append("b", new File(["zwei"], "b.txt", { type: "text/plain" }));
    return window.client.enqueue({ url: "/api/notes", method: "POST", body: form });
  });
  await w.becomes(page, id, "delivered");
  const [note] = await w.server.notes();
  assert.equal(note.text, 'Grüße\r\n"quoted"');
  assert.deepEqual(
    note.attachments.map(({ size, sha256 }) => [size, sha256]),
    [[200_000, sha256(Buffer.alloc(200_000, 7))], [4, sha256("zwei")]],
  );
});

test("a Request with its headers and options; the caller's own copy stays readable", async () => {
  const page = await w.open();
  const { id, text } = await page.evaluate(async () => {
    const request = new Request("/api/sink/request?q=1#fragment", { method: "PUT", body: "payload", headers: { "X-Thing": "a, b" }, cache: "no-store", redirect: "error" });
    return { id: await window.client.enqueue(request), text: await request.text() };
  });
  assert.equal(text, "payload");
  await w.becomes(page, id, "delivered");
  const [arrival] = await w.server.arrivals("/api/sink/request");
  assert.equal(arrival.path, "/api/sink/request?q=1");
  assert.equal(arrival.headers["x-thing"], "a, b");
  assert.equal(arrival.bodyPreview, "payload");
});

test("50 MB in a Blob, and 50 MB in a form, each by its SHA-256", async () => {
  const page = await w.open();
  const size = 50_000_000;
  const ids = await page.evaluate((size) => {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >> 10)) & 0xff;
    const form = new FormData();
    form.append("text", "large");
    form.append("file", new File([bytes], "large.bin"));
    return window.client.enqueueAll([{ url: "/api/uploads?name=large", body: new Blob([bytes]) }, { url: "/api/notes", method: "POST", body: form }]);
  }, size);
  for (const id of ids) await w.becomes(page, id, "delivered");
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >> 10)) & 0xff;
  const expected = sha256(bytes);
  const [upload] = await w.server.uploads();
  assert.deepEqual([upload.size, upload.sha256], [size, expected]);
  const [note] = await w.server.notes();
  assert.deepEqual([note.attachments[0].size, note.attachments[0].sha256], [size, expected]);
  assert.equal((await w.server.arrivals()).length, 2);
});

test("an empty string is a body of nothing", async () => {
  const { bodySize, method } = await arrival(() => ({ url: "/api/sink/empty", body: "" }));
  assert.deepEqual([bodySize, method], [0, "POST"]);
});

test("the idempotency key is a quoted UUID, and another origin does not get it unasked", async () => {
  const page = await w.open();
  const other = w.server.origin.replace("localhost", "127.0.0.1");
  const ids = await page.evaluate((other) => window.client.enqueueAll([{ url: "/api/sink/own", body: "x" }, { url: `${other}/api/sink/other`, body: "x" }]), other);
  for (const id of ids) await w.becomes(page, id, "delivered");
  const posts = (await w.server.arrivals()).filter((arrival) => arrival.method === "POST");
  const own = posts.find((arrival) => arrival.path.endsWith("own"));
  assert.equal(own.headers["idempotency-key"], `"${ids[0]}"`);
  assert.equal(posts.find((arrival) => arrival.path.endsWith("other")).idempotencyKey ?? null, null);
});

test("what is queued is what was there when enqueue was called, whatever the caller does to it afterwards", async () => {
  const page = await w.open();
  const ids = await page.evaluate(async () => {
    const bytes = new Uint8Array(100).fill(1);
    const large = new Uint8Array(100_000).fill(1);
    const object = { a: 1 };
    const params = new URLSearchParams([["a", "1"]]);
    const form = new FormData();
    form.append("a", "1");
    const bodies = [bytes.buffer, bytes, large.buffer, object, params, form];
    const stored = bodies.map((body, at) => client.enqueue({ url: `/api/sink/${at}`, body }));
    bytes.fill(2);
    large.fill(2);
    object.a = 2;
    params.set("a", "2");
    form.set("a", "2");
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    return Promise.all(stored);
  });
  for (const id of ids) await w.becomes(page, id, "delivered");
  const arrivals = await w.server.arrivals("/api/sink");
  const of = (at) => arrivals.find(({ path }) => path === `/api/sink/${at}`);
  const ones = (length) => sha256(Buffer.alloc(length, 1));
  assert.deepEqual([0, 1, 2].map((at) => of(at).bodySha256), [ones(100), ones(100), ones(100_000)]);
  assert.deepEqual([3, 4].map((at) => of(at).bodyPreview), ['{"a":1}', "a=1"]);
  assert.match(of(5).bodyPreview, /\r\n\r\n1\r\n/);
});

test("jobs of one key that are not awaited keep the order of the calls, whatever their bodies", async () => {
  const page = await w.open();
  const ids = await page.evaluate(() => {
    const form = () => {
      const form = new FormData();
      form.append("file", new File([new Uint8Array(300_000)], "a.bin"));
      return form;
    };
    const bodies = [form(), "1", new Blob([new Uint8Array(200_000)]), new Blob(["3"]), form(), new URLSearchParams("a=5"), "6"];
    return Promise.all(bodies.map((body, at) => client.enqueue({ url: `/api/sink/${at}`, body }, { key: "line" })));
  });
  for (const id of ids) await w.becomes(page, id, "delivered");
  const arrivals = await w.server.arrivals("/api/sink");
  assert.deepEqual(arrivals.map(({ path }) => Number(path.at(-1))), [0, 1, 2, 3, 4, 5, 6]);
});

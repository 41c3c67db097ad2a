// Every kind of body and request arrives byte for byte (Q1).

import assert from "node:assert/strict";
import test from "node:test";

import { assertForm, makeForm, sha256 } from "./harness/form.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

/** Enqueues what `make` makes in the page, waits for delivery, and returns the server's arrival. */
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
  assert.deepEqual(
    arrivals.map(({ method, bodySize }) => [method, bodySize]),
    [
      ["GET", 0],
      ["HEAD", 0],
      ["DELETE", 0],
      ["POST", 0],
      ["PROPFIND", 0],
    ],
  );
});

test("text, with its charset", async () => {
  const { bodyPreview, contentType } = await arrival(() => ({ url: "/api/sink/text", body: "Grüße, 世界 \u{1F30A}\r\n" }));
  assert.equal(bodyPreview, "Grüße, 世界 \u{1F30A}\r\n");
  assert.equal(contentType, "text/plain;charset=UTF-8");
});

test("a plain object, as JSON", async () => {
  const { bodyPreview, contentType, method } = await arrival(() => ({
    url: "/api/sink/json",
    body: { a: [1, "é", null], b: { c: true } },
  }));
  assert.equal(bodyPreview, '{"a":[1,"é",null],"b":{"c":true}}');
  assert.equal(contentType, "application/json");
  assert.equal(method, "POST");
});

test("URLSearchParams", async () => {
  const { bodyPreview, contentType } = await arrival(() => ({
    url: "/api/sink/form",
    body: new URLSearchParams([
      ["a", "1 2"],
      ["b", "ä&="],
    ]),
  }));
  assert.equal(bodyPreview, "a=1+2&b=%C3%A4%26%3D");
  assert.equal(contentType, "application/x-www-form-urlencoded;charset=UTF-8");
});

test("an ArrayBuffer", async () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
  const whole = await arrival(() => ({
    url: "/api/sink/buffer",
    body: Uint8Array.from({ length: 256 }, (_, at) => at).buffer,
  }));
  assert.equal(whole.bodySha256, sha256(bytes));
  assert.equal(whole.contentType ?? null, null);
});

test("a typed array's own part of its buffer", async () => {
  const { bodySha256, bodySize } = await arrival(() => ({
    url: "/api/sink/view",
    body: Uint8Array.from({ length: 256 }, (_, at) => at).subarray(10, 20),
  }));
  assert.equal(bodySize, 10);
  assert.equal(bodySha256, sha256(Buffer.from([10, 11, 12, 13, 14, 15, 16, 17, 18, 19])));
});

test("a Blob keeps its type, and an explicit content-type outranks it", async () => {
  const page = await w.open();
  const ids = await page.evaluate(() =>
    window.client.enqueueAll(
      [
        { url: "/api/sink/blob/1", body: new Blob(["abc"], { type: "application/x-thing" }) },
        {
          url: "/api/sink/blob/2",
          body: new Blob(["abc"], { type: "application/x-thing" }),
          headers: { "Content-Type": "application/other" },
        },
      ],
      { key: "in-order" },
    ),
  );
  for (const id of ids) await w.becomes(page, id, "delivered");
  const arrivals = await w.server.arrivals("/api/sink/blob");
  assert.deepEqual(
    arrivals.map((arrival) => arrival.contentType),
    ["application/x-thing", "application/other"],
  );
});

test("FormData with fields and files, parsed by the server", async () => {
  const page = await w.open();
  await makeForm(page);
  const id = await page.evaluate(() => window.client.enqueue({ url: "/api/notes", method: "POST", body: window.form }));
  await w.becomes(page, id, "delivered");
  const [note] = await w.server.notes();
  assertForm(note);
});

test("a Request with its headers and options; the caller's own copy stays readable", async () => {
  const page = await w.open();
  const { id, text } = await page.evaluate(async () => {
    const request = new Request("/api/sink/request?q=1#fragment", {
      method: "PUT",
      body: "payload",
      headers: { "X-Thing": "a, b" },
      cache: "no-store",
      redirect: "error",
    });
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
    return window.client.enqueueAll([
      { url: "/api/uploads?name=large", body: new Blob([bytes]) },
      { url: "/api/notes", method: "POST", body: form },
    ]);
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
  const ids = await page.evaluate(
    (other) =>
      window.client.enqueueAll([
        { url: "/api/sink/own", body: "x" },
        { url: `${other}/api/sink/other`, body: "x" },
      ]),
    other,
  );
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
  assert.deepEqual(
    [0, 1, 2].map((at) => of(at).bodySha256),
    [ones(100), ones(100), ones(100_000)],
  );
  assert.deepEqual(
    [3, 4].map((at) => of(at).bodyPreview),
    ['{"a":1}', "a=1"],
  );
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
  assert.deepEqual(
    arrivals.map(({ path }) => Number(path.at(-1))),
    [0, 1, 2, 3, 4, 5, 6],
  );
});

test("what a frame made is as good as the page's own", async () => {
  const page = await w.open();
  const ids = await page.evaluate(async () => {
    const frame = document.body.appendChild(document.createElement("iframe"));
    const of = frame.contentWindow;
    const object = new of.Object();
    object.a = of.Array.of(1);
    const form = new of.FormData();
    form.append("a", "1");
    const bodies = {
      object,
      array: of.Array.of(1, { b: 2 }),
      date: new of.Date(0),
      blob: new of.Blob(["abc"], { type: "a/b" }),
      params: new of.URLSearchParams("a=1"),
      buffer: new of.Uint8Array([1, 2]).buffer,
      view: new of.Uint8Array([1, 2, 3]).subarray(1),
      form,
    };
    const requests = Object.entries(bodies).map(([name, body]) => ({ url: `/api/sink/${name}`, method: "POST", body }));
    const request = new of.Request(new URL("/api/sink/request", location.href), { method: "PUT", body: "payload" });
    return client.enqueueAll([...requests, request]);
  });
  for (const id of ids) await w.becomes(page, id, "delivered");
  const arrivals = await w.server.arrivals("/api/sink");
  const of = (name) => arrivals.find(({ path }) => path === `/api/sink/${name}`);
  const seen = (name) => [of(name).bodyPreview, of(name).contentType ?? null];
  assert.deepEqual(seen("object"), ['{"a":[1]}', "application/json"]);
  assert.deepEqual(seen("array"), ['[1,{"b":2}]', "application/json"]);
  assert.deepEqual(seen("date"), ['"1970-01-01T00:00:00.000Z"', "application/json"]);
  assert.deepEqual(seen("blob"), ["abc", "a/b"]);
  assert.deepEqual(seen("params"), ["a=1", "application/x-www-form-urlencoded;charset=UTF-8"]);
  assert.deepEqual(
    [of("buffer").bodySha256, of("view").bodySha256],
    [sha256(Buffer.from([1, 2])), sha256(Buffer.from([2, 3]))],
  );
  assert.match(of("form").contentType, /^multipart\/form-data; boundary=/);
  assert.deepEqual([of("request").method, ...seen("request")], ["PUT", "payload", "text/plain;charset=UTF-8"]);
});

test("what is data, or says by toJSON what it is as data, goes as JSON; primitive values as fetch sends them", async () => {
  const page = await w.open();
  const ids = await page.evaluate(() => {
    class Invoice {
      #total = 7;
      toJSON() {
        return { total: this.#total };
      }
    }
    const bodies = [
      Object.assign(Object.create(null), { a: 1 }),
      new Invoice(),
      new Date(0),
      [undefined, () => {}],
      new Proxy({ a: 1 }, {}),
      5,
      false,
      10n,
    ];
    return client.enqueueAll(bodies.map((body, at) => ({ url: `/api/sink/${at}`, body })));
  });
  for (const id of ids) await w.becomes(page, id, "delivered");
  const arrivals = (await w.server.arrivals("/api/sink")).sort((a, b) => a.path.localeCompare(b.path));
  assert.deepEqual(
    arrivals.map(({ method, bodyPreview, contentType }) => [method, bodyPreview, contentType.split(";")[0]]),
    [
      ...['{"a":1}', '{"total":7}', '"1970-01-01T00:00:00.000Z"', "[null,null]", '{"a":1}'].map((text) => [
        "POST",
        text,
        "application/json",
      ]),
      ...["5", "false", "10"].map((text) => ["POST", text, "text/plain"]),
    ],
  );
});

test("Blobs that are parts of others, or made of such parts, and a stream arrive as they are", async () => {
  const page = await w.open();
  const ids = await page.evaluate(() => {
    const whole = new Blob([new Uint8Array(300_000).map((_, at) => at)]);
    const form = new FormData();
    form.append("part", whole.slice(100, 200_100), "part.bin");
    return client.enqueueAll([
      { url: "/api/sink/slice", body: whole.slice(1_000, 1_010) },
      { url: "/api/sink/long", body: whole.slice(1_000, 201_000) },
      { url: "/api/sink/made", body: new Blob(["<", whole.slice(5, 100_005), new Blob(["|", whole.slice(0, 3)]), ">"]) },
      { url: "/api/sink/stream", body: whole.slice(0, 70_000).stream() },
      { url: "/api/sink/form", body: form },
    ]);
  });
  for (const id of ids) await w.becomes(page, id, "delivered");
  const arrivals = await w.server.arrivals("/api/sink");
  const of = (name) => arrivals.find(({ path }) => path === `/api/sink/${name}`);
  const whole = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, at) => at & 255));
  assert.equal(of("slice").bodySha256, sha256(whole.subarray(1_000, 1_010)));
  assert.equal(of("long").bodySha256, sha256(whole.subarray(1_000, 201_000)));
  assert.equal(
    of("made").bodySha256,
    sha256(
      Buffer.concat([Buffer.from("<"), whole.subarray(5, 100_005), Buffer.from("|"), whole.subarray(0, 3), Buffer.from(">")]),
    ),
  );
  assert.equal(of("stream").bodySha256, sha256(whole.subarray(0, 70_000)));
  assert.ok(of("form").bodySize > 200_000);
});

test("a body of at most 64 KiB is stored as an ArrayBuffer, however it came", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const kinds = await page.evaluate(async () => {
    const form = new FormData();
    form.append("a", new File(["abc"], "a.txt"));
    for (const body of [new Blob([new Uint8Array(65_536)]), new Blob([new Uint8Array(65_537)]), new Uint8Array(65_537), form]) {
      await client.enqueue({ url: "/api/sink/x", body });
    }
    await client.enqueue(new Request("/api/sink/x", { method: "POST", body: "text" }));
    return (await window.rows("bodies")).map((body) => `${body.constructor.name} ${body.size ?? body.byteLength}`).sort();
  });
  assert.deepEqual(
    kinds.map((kind) => kind.split(" ")[0]),
    ["ArrayBuffer", "ArrayBuffer", "ArrayBuffer", "Blob", "Blob"],
  );
});

test("the app's own Idempotency-Key is the job's, until an edit makes another request of it", async () => {
  const page = await w.open();
  const other = w.server.origin.replace("localhost", "127.0.0.1");
  await page.evaluate(() => client.pause());
  const ids = await page.evaluate((other) => {
    const of = (key) => ({ body: "x", headers: { "Idempotency-Key": key } });
    return client.enqueueAll([
      { url: "/api/sink/quoted", ...of('"order 1"') },
      { url: "/api/sink/bare", ...of("order-2") },
      { url: `${other}/api/sink/other`, ...of('"order 3"') },
      { url: "/api/sink/edited", ...of('"order 4"') },
      { url: `${other}/api/sink/edited-other`, ...of('"order 5"') },
      { url: "/api/sink/given-anew", ...of('"order 6"') },
    ]);
  }, other);
  const keys = (ids) => Promise.all(ids.map(async (id) => (await w.get(page, id)).idempotencyKey));
  assert.deepEqual(await keys(ids), ["order 1", "order-2", "order 3", "order 4", "order 5", "order 6"]);
  assert.equal(await page.evaluate((id) => client.edit(id, { body: "y" }), ids[3]), true);
  assert.equal(await page.evaluate((id) => client.edit(id, { body: "y" }), ids[4]), true);
  assert.equal(await page.evaluate((id) => client.edit(id, { headers: { "idempotency-key": '"order 7"' } }), ids[5]), true);
  const edited = await keys(ids.slice(3));
  assert.match(edited[0], /^[0-9a-f-]{20,}$/);
  assert.equal(edited[2], "order 7");
  await page.evaluate(() => client.resume());
  for (const id of ids) await w.becomes(page, id, "delivered");
  const sent = Object.fromEntries(
    (await w.server.arrivals("/api/sink"))
      .filter(({ method }) => method === "POST")
      .map(({ path, headers }) => [path.split("/").at(-1), headers["idempotency-key"]]),
  );
  assert.deepEqual(sent, {
    quoted: '"order 1"',
    bare: '"order-2"',
    other: '"order 3"',
    edited: `"${edited[0]}"`,
    "edited-other": `"${edited[1]}"`,
    "given-anew": '"order 7"',
  });
});

test("a copied call of fetch is queued: what means nothing to a queue is ignored, and the console says so once", async () => {
  const page = await w.open();
  const said = [];
  page.on("console", (message) => said.push(`${message.type()} ${message.text()}`));
  const id = await page.evaluate(async () => {
    const init = {
      method: "POST",
      body: "x",
      keepalive: true,
      duplex: "half",
      priority: "high",
      window: null,
      signal: new AbortController().signal,
    };
    await client.enqueue({ url: "/api/sink/first", ...init });
    return client.enqueue({ url: "/api/sink/second", ...init });
  });
  await w.becomes(page, id, "delivered");
  assert.equal((await w.server.arrivals("/api/sink")).length, 2);
  const told = said.filter((text) => text.includes("[shearwater]"));
  for (const name of ["keepalive", "duplex", "priority", "window"]) {
    assert.equal(
      told.filter((text) => text.startsWith("info") && text.includes(`"${name}"`)).length,
      1,
      `${name}: ${told.join("\n")}`,
    );
  }
  assert.equal(told.length, 4);
});

test("a signal that is aborted takes the request back: before it is posted, and while it is being stored", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const outcomes = await page.evaluate(async () => {
    const outcome = (promise) =>
      promise.then(
        (id) => typeof id,
        (reason) => reason?.message ?? reason,
      );
    let posts = 0;
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (message, ...rest) {
      posts += message.op?.enqueue ? 1 : 0;
      return postMessage.call(this, message, ...rest);
    };
    const before = [
      await outcome(client.enqueue({ url: "/api/sink/1", body: "x", signal: AbortSignal.abort("no more") })),
      await outcome(
        client.enqueue(new Request("/api/sink/2", { method: "POST", body: "x", signal: AbortSignal.abort(new Error("gone")) })),
      ),
      await outcome(client.enqueueAll([{ url: "/api/sink/3" }, { url: "/api/sink/4", signal: AbortSignal.abort("no more") }])),
      posts,
    ];
    const controller = new AbortController();
    const [first, second, third] = ["5", "6", "7"].map((name) =>
      client.enqueue({ url: `/api/sink/${name}`, body: name, signal: controller.signal }, { key: "line" }),
    );
    const waiting = [outcome(first), outcome(second), outcome(third)];
    const kept = client.enqueue({ url: "/api/sink/8", body: "8" }, { key: "line" });
    // The first is posted, the others wait for their turn.
    await Promise.resolve()
      .then(() => {})
      .then(() => {});
    controller.abort("changed my mind");
    const during = await Promise.all(waiting);
    const stored = new AbortController();
    const id = await client.enqueue({ url: "/api/sink/9", body: "9", signal: stored.signal });
    stored.abort();
    return { before, during, kept: await kept, id, posts };
  });
  assert.deepEqual(outcomes.before, ["no more", "gone", "no more", 0]);
  assert.deepEqual(outcomes.during, ["changed my mind", "changed my mind", "changed my mind"]);
  assert.equal(outcomes.posts, 3, "what was waiting for its turn was not posted");
  await until("what was stored of them to be discarded", async () => (await w.list(page)).length === 2);
  assert.deepEqual((await w.list(page)).map(({ id }) => id).sort(), [outcomes.kept, outcomes.id].sort());
  await page.evaluate(() => client.resume());
  await w.settled(page);
  assert.deepEqual((await w.server.sink()).map(({ body }) => body).sort(), ["8", "9"]);
});

test("a Request that was queued leaves the caller's readable, and one whose body was read is refused", async () => {
  const page = await w.open();
  const { id, code, text } = await page.evaluate(async () => {
    const request = new Request("/api/sink/request", { method: "POST", body: "payload" });
    const id = await client.enqueue(request);
    const text = await request.text();
    return { id, text, code: await client.enqueue(request).catch(({ code }) => code) };
  });
  await w.becomes(page, id, "delivered");
  assert.deepEqual([text, code], ["payload", "invalid-request"]);
  assert.equal((await w.server.arrivals("/api/sink/request"))[0].bodyPreview, "payload");
});

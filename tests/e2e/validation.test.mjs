// Bad input is normal: a typed error that says what to do, and nothing stored is harmed.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import { root } from "./harness/server.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

/** The error of a call that is built in the page. */
const thrown = (page, call) =>
  page.evaluate(
    (source) =>
      window.calls[source]().then(
        (resolved) => ({ resolved }),
        ({ name, code, message }) => ({ name, code, message }),
      ),
    call,
  );

test("what cannot be queued is refused with the name of what is wrong, and stores nothing", async () => {
  const page = await w.open({ config: { strict: true, queues: { notes: {} } } });
  await page.evaluate(() => {
    const url = "/api/sink/x";
    window.calls = {
      "url is missing": () => client.enqueue({}),
      "not a URL": () => client.enqueue({ url: "http://[" }),
      "http: and https:": () => client.enqueue({ url: "ftp://example.org/x" }),
      "credentials in a URL": () => client.enqueue({ url: "https://user:pass@example.org/x" }),
      'sets "host" itself': () => client.enqueue({ url, headers: { Host: "x" } }),
      "headers:": () => client.enqueue({ url, headers: { "a b": "x" } }),
      "forbidden by fetch": () => client.enqueue({ url, method: "TRACE" }),
      "not an HTTP method": () => client.enqueue({ url, method: "A B" }),
      "takes no body": () => client.enqueue({ url, method: "GET", body: "x" }),
      'no "methd"': () => client.enqueue({ url, methd: "POST" }),
      "mode is one of": () => client.enqueue({ url, mode: "navigate" }),
      "already read": async () => {
        const request = new Request(url, { method: "POST", body: "x" });
        await request.text();
        return client.enqueue(request);
      },
      "a request is a Request": () => client.enqueue("/api/sink/x"),
      "takes an array": () => client.enqueueAll({ url }),
      priority: () => client.enqueue({ url }, { priority: 11 }),
      keey: () => client.enqueue({ url }, { keey: "a" }),
      "key is 1 to 256": () => client.enqueue({ url }, { key: "" }),
      "maxAttempts is at least 1": () => client.enqueue({ url }, { maxAttempts: 0 }),
      metadata: () => client.enqueue({ url }, { metadata: "x".repeat(20_000) }),
      "maxAge, maxAttempts": () => client.enqueue({ url }, { keey: "a" }),
      "priority, metadata": () => client.enqueue({ url }, { keey: "a" }),
      "second argument": () => client.enqueue({ url, metadata: { a: 1 } }),
      "signal is not": () => client.enqueue({ url, signal: {} }),
      "type Map ": () => client.enqueue({ url, body: new Map([[1, 2]]) }),
      "type Set ": () => client.enqueue({ url, body: new Set([1]) }),
      "type Invoice ": () => client.enqueue({ url, body: new (class Invoice {})() }),
      "type Function ": () => client.enqueue({ url, body: () => {} }),
      "type Symbol ": () => client.enqueue({ url, body: Symbol("x") }),
      "type Promise ": () => client.enqueue({ url, body: Promise.resolve("x") }),
      "type HTMLDivElement ": () => client.enqueue({ url, body: document.createElement("div") }),
      "type Response ": () => client.enqueue({ url, body: new Response("x") }),
      "type RegExp ": () => client.enqueue({ url, body: /x/ }),
      "type Object ": () => client.enqueue({ url, body: { toJSON: () => undefined } }),
      "body: ": () => {
        const cycle = {};
        cycle.cycle = cycle;
        return client.enqueue({ url, body: cycle });
      },
      BigInt: () => client.enqueue({ url, body: { a: 10n } }),
      "toJSON threw": () =>
        client.enqueue({
          url,
          body: {
            toJSON: () => {
              throw new Error("toJSON threw");
            },
          },
        }),
      "metadata: a value of type Map": () => client.enqueue({ url }, { metadata: new Map() }),
      "Idempotency-Key is": () => client.enqueue({ url, headers: { "Idempotency-Key": 'a"b' } }),
      "no-cors allows only GET": () => client.enqueue({ url, method: "PUT", mode: "no-cors" }),
      "no-cors allows only redirect": () => client.enqueue({ url, mode: "no-cors", redirect: "error" }),
      "no-cors allows no integrity": () => client.enqueue({ url, mode: "no-cors", integrity: "sha256-x" }),
      "only-if-cached never": () => client.enqueue({ url, cache: "only-if-cached" }),
      "only-if-cached": () => client.enqueue(new Request(url, { mode: "same-origin", cache: "only-if-cached" })),
      "same-origin does not reach": () => client.enqueue({ url: "https://example.org/x", mode: "same-origin" }),
      "referrerPolicy is one of": () => client.enqueue({ url, referrerPolicy: "never" }),
      "blocks port 25": () => client.enqueue({ url: "http://localhost:25/x" }),
      "more than 64 KiB": () => client.enqueue({ url: `${url}?${"x".repeat(70_000)}` }),
      "cache is not a string": () => client.enqueue({ url, cache: 5 }),
      UUID: () => client.get("1"),
      after: () => client.list({ after: crypto.randomUUID() }),
      lmit: () => client.list({ lmit: 1 }),
      owner: () => client.setOwner(""),
    };
  });
  for (const name of await page.evaluate(() => Object.keys(window.calls))) {
    const error = await thrown(page, name);
    assert.equal(error.name, "ShearwaterError", `${name}: ${JSON.stringify(error)}`);
    assert.equal(error.code, "invalid-request", `${name}: ${error.message}`);
    assert.ok(error.message.includes(name), `${name}: ${error.message}`);
  }
  const unknown = await w.refused(page, "enqueue", { url: "/api/sink/x" }, { queue: "other" });
  assert.equal(unknown.code, "unknown-queue");
  assert.equal((await w.refused(page, "syncNow", "other")).code, "unknown-queue");
  assert.deepEqual(await w.list(page), []);
  const event = await page.evaluate(() => {
    try {
      client.on("delivred", () => {});
    } catch (error) {
      return error.code;
    }
  });
  assert.equal(event, "invalid-request");
});

test("an argument of another type is refused with a typed error, and leaves the client as it was", async () => {
  const page = await w.open();
  const id = await w.enqueue(page, { url: "/api/sink/x" });
  const codes = await page.evaluate(async (id) => {
    const calls = {
      get: [[], [5], [null], [{}]],
      retry: [[], [5]],
      discard: [[], [5]],
      cancel: [[], [5]],
      edit: [[], [5, {}], [id, 5], [id]],
      list: [[5], ["pending"], [{ limit: "1" }]],
      clear: [[5]],
      exportFailed: [[5]],
      syncNow: [[5], [{}]],
      pause: [[5], [{}]],
      resume: [[5]],
      setOwner: [[5], [{}]],
      registerPeriodic: [[], [5]],
      enqueue: [[], [5], [{ url: "/" }, 5]],
      enqueueAll: [[], [5], [{ length: 1 }]],
      on: [[], [5, () => {}], ["job"], ["job", 5]],
      subscribe: [[], [5]],
      watch: [[], [id], [id, 5], [5, () => {}]],
    };
    const codes = [];
    for (const [method, tries] of Object.entries(calls)) {
      for (const given of tries) {
        // By a rejected promise or at once; either way with a code.
        const code = await (async () => client[method](...given))().then(
          () => "resolved",
          ({ name, code }) => `${name} ${code}`,
        );
        codes.push([method, given, code]);
      }
    }
    return codes;
  }, id);
  for (const [method, given, code] of codes)
    assert.equal(code, "ShearwaterError invalid-request", `${method}(${JSON.stringify(given)})`);
  await w.becomes(page, id, "delivered");
});

test("the client has the methods of its types, and a call of another is a TypeError that closes nothing", async () => {
  const page = await w.open();
  const types = readFileSync(join(root, "sw/types/index.d.ts"), "utf8");
  const [, members] = /export interface Client \{([\s\S]*?)\n\}/.exec(types);
  const declared = [...members.matchAll(/^ {2}(?:readonly )?(\w+)[<(:]/gm)].map(([, name]) => name);
  assert.deepEqual((await page.evaluate(() => Object.keys(client))).sort(), declared.sort());
  const name = await page.evaluate(() => {
    try {
      client.enqueu({ url: "/api/sink/x" });
    } catch (error) {
      return error.name;
    }
  });
  assert.equal(name, "TypeError");
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/x" }), "delivered");
});

test("enqueueAll stores all or none", async () => {
  const page = await w.open();
  const error = await w.refused(page, "enqueueAll", [
    { url: "/api/sink/1" },
    { url: "/api/sink/2", method: "TRACE" },
    { url: "/api/sink/3" },
  ]);
  assert.equal(error.code, "invalid-request");
  assert.deepEqual(await w.list(page), []);
  await w.settled(page);
  assert.equal((await w.server.arrivals("/api/sink")).length, 0);
});

test("an edit is refused when what it would make of the request is nothing that fetch sends", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const id = await w.enqueue(page, { url: "/api/sink/kept", method: "POST", body: "x", mode: "same-origin" });
  const other = `${w.server.origin.replace("localhost", "127.0.0.1")}/api/sink/other`;
  for (const change of [
    { url: other },
    { cache: "only-if-cached" },
    { mode: "no-cors", method: "PUT" },
    { url: "http://localhost:25/" },
  ]) {
    assert.equal((await w.refused(page, "edit", id, change)).code, "invalid-request", JSON.stringify(change));
  }
  assert.equal(await page.evaluate((id, url) => client.edit(id, { url, mode: "cors" }), id, other), true);
  await page.evaluate(() => client.resume());
  await w.becomes(page, id, "delivered");
});

for (const [what, config, name] of [
  ["a misspelt option", { queues: { notes: { maxAtempts: 3 } } }, "queues.notes.maxAtempts"],
  ["an option out of range", { queues: { notes: { concurrency: 0 } } }, "queues.notes.concurrency"],
  ["an option of the wrong type", { history: { max: "many" } }, "history.max"],
]) {
  test(`a configuration with ${what} fails the install, and connect() says why`, async () => {
    const page = await w.visit();
    const error = await page.evaluate(
      (worker) =>
        window.connect({ worker }).then(
          () => null,
          ({ name, code, message }) => ({ name, code, message }),
        ),
      `/sw.js?config=${encodeURIComponent(JSON.stringify(config))}`,
    );
    assert.equal(error?.code, "invalid-config", JSON.stringify(error));
    assert.ok(error.message.includes(name), error.message);
  });
}

test("connect() without a worker, or with a misspelt option, says so", async () => {
  const page = await w.visit();
  const connect = (options) =>
    page.evaluate(
      (options) =>
        window.connect(options).then(
          () => null,
          ({ code, message }) => ({ code, message }),
        ),
      options,
    );
  assert.equal((await connect({ worker: "/not-there.js" })).code, "worker-unavailable");
  const misspelt = await connect({ wroker: "/sw.js" });
  assert.equal(misspelt.code, "invalid-config");
  assert.ok(misspelt.message.includes("wroker"));
});

test("messages of the wrong shape or version get a typed error and change nothing", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const id = await w.enqueue(page, { url: "/api/sink/kept", body: "x" });
  const answers = await page.evaluate(async (id) => {
    const { active } = await navigator.serviceWorker.ready;
    const ask = (message) =>
      new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }) => resolve(data);
        active.postMessage(message, [port2]);
      });
    const uuid = crypto.randomUUID();
    const job = { id: uuid, request: { url: "https://example.org/", method: "POST" } };
    return Promise.all([
      ask({ shearwater: 99, re: "a", op: { discard: id } }),
      ask({ shearwater: 1, re: "b" }),
      ask({ shearwater: 1, re: "c", op: { destroy: id } }),
      ask({ shearwater: 1, re: "d", op: { discard: 7 } }),
      ask({ shearwater: 1, re: "e", op: { enqueue: { jobs: [job] } }, bodies: [42] }),
      ask({ shearwater: 1, re: "f", op: { enqueue: { jobs: "many" } } }),
      ask({ shearwater: 1, re: "g", op: { enqueue: { jobs: [job, job] } } }),
      ask({ shearwater: "x", re: "h", op: "status" }),
      ...[
        [{ size: 5 }],
        [{ byteLength: 3 }],
        ["text"],
        [new Date()],
        [new Uint8Array(3)],
        [[1]],
        [[{ size: 5 }]],
        [[["a"]]],
        [new Map()],
        [true],
        [undefined, "beyond the jobs"],
        new Array(10_000_000),
      ].map((bodies, at) => ask({ shearwater: 1, re: `body ${at}`, op: { enqueue: { jobs: [job] } }, bodies })),
      ask({
        shearwater: 1,
        re: "i",
        op: { edit: { id, request: { url: "", method: "" }, body: true } },
        bodies: [{ size: 5 }],
      }),
      ask({
        shearwater: 1,
        re: "j",
        op: { edit: { id, request: { url: "https://example.org/", method: "", mode: "same-origin" } } },
      }),
      ask({
        shearwater: 1,
        re: "k",
        op: { enqueue: { jobs: [{ ...job, request: { ...job.request, mode: "same-origin" } }] } },
      }),
    ]);
  }, id);
  assert.deepEqual(
    answers.map((answer) => answer.error?.code),
    [
      "invalid-message",
      "invalid-message",
      "invalid-message",
      "invalid-message",
      "invalid-message",
      "invalid-message",
      "invalid-request",
      "invalid-message",
      ...Array(13).fill("invalid-message"),
      "invalid-request",
      "invalid-request",
    ],
  );
  assert.deepEqual(
    (await w.list(page)).map((job) => job.id),
    [id],
  );
  assert.deepEqual((await page.evaluate(() => window.rows("bodies"))).length, 1);
});

test("the app's own messages are left to the app", async () => {
  const page = await w.open();
  const answer = await page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    let answered = false;
    navigator.serviceWorker.addEventListener("message", ({ data }) => (answered ||= data?.re === "app"));
    active.postMessage({ type: "app", re: "app" });
    active.postMessage("text");
    active.postMessage(null);
    await client.list();
    return answered;
  });
  assert.equal(answer, false);
});

test("a stored record that does not parse is quarantined; the rest of the queue goes on", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const ids = await page.evaluate(() =>
    client.enqueueAll(
      [0, 1, 2, 3].map((at) => ({ url: `/api/sink/${at}`, body: `${at}` })),
      { key: "line" },
    ),
  );
  await page.evaluate(async (id) => {
    const database = await new Promise((resolve) => {
      const opening = indexedDB.open("shearwater");
      opening.onsuccess = () => resolve(opening.result);
    });
    const transaction = database.transaction("jobs", "readwrite");
    const jobs = transaction.objectStore("jobs");
    const row = await new Promise((resolve) => {
      const reading = jobs.get(id);
      reading.onsuccess = () => resolve(reading.result);
    });
    row.state = "confused";
    jobs.put(row);
    await new Promise((resolve) => (transaction.oncomplete = resolve));
    database.close();
  }, ids[0]);
  await page.evaluate(() => client.resume());
  for (const id of ids.slice(1)) await w.becomes(page, id, "delivered");
  assert.deepEqual(
    (await w.server.sink()).map((entry) => entry.body),
    ["1", "2", "3"],
    "its successors were freed, in order",
  );
  const { pending, quarantined } = await w.snapshot(page);
  assert.deepEqual([pending, quarantined], [0, 1]);
  const aside = await page.evaluate(async () => {
    const database = await new Promise((resolve) => {
      const opening = indexedDB.open("shearwater");
      opening.onsuccess = () => resolve(opening.result);
    });
    return new Promise((resolve) => {
      const reading = database.transaction("quarantine").objectStore("quarantine").getAll();
      reading.onsuccess = () => resolve(reading.result.map(({ store, row }) => [store, row.id, row.state]));
    });
  });
  assert.deepEqual(aside, [["jobs", ids[0], "confused"]]);
});

test("a ledger that does not parse is recounted from the rows", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  await page.evaluate(() => client.enqueueAll([0, 1, 2].map((at) => ({ url: `/api/sink/${at}`, body: `${at}` }))));
  await page.evaluate(() => put("meta", { v: "garbage" }, "ledger"));
  await page.evaluate(() => client.syncNow());
  const { pending, state } = await w.snapshot(page);
  assert.deepEqual(
    [pending, state, await w.server.arrivals("/api/sink")],
    [3, "paused", []],
    "a pause is kept apart from the counts",
  );
  await page.evaluate(() => client.resume());
  await until("delivery", async () => (await w.server.sink()).length === 3);
  const fourth = await w.enqueue(page, { url: "/api/sink/3", body: "3" });
  await w.becomes(page, fourth, "delivered");
});

test("a closed client settles what was asked, refuses what comes after, and wakes the worker no more", async () => {
  const page = await w.open();
  const codes = await page.evaluate(async () => {
    let posts = 0;
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (...args) {
      posts += 1;
      return postMessage.apply(this, args);
    };
    const code = (promise) =>
      promise.then(
        () => "resolved",
        (error) => error.code,
      );
    const asked = [code(client.enqueue({ url: "/api/sink/1", body: "x" })), code(client.syncNow()), code(client.list())];
    client.close();
    asked.push(code(client.enqueue({ url: "/api/sink/2", body: "x" })));
    const codes = await Promise.all(asked);
    const before = posts;
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    return { codes, more: posts - before };
  });
  assert.deepEqual(codes, {
    codes: ["worker-unavailable", "worker-unavailable", "worker-unavailable", "worker-unavailable"],
    more: 0,
  });
  assert.equal((await w.server.arrivals("/api/sink/2")).length, 0);
});

test("a file that was removed before it is queued is refused, and so is a form that holds it", async () => {
  const page = await w.open();
  const folder = mkdtempSync(join(tmpdir(), "shearwater-files-"));
  try {
    for (const alone of [true, false]) {
      const path = join(folder, "photo.bin");
      writeFileSync(path, Buffer.alloc(200_000, 7));
      const input = await page.evaluateHandle(() => Object.assign(document.createElement("input"), { type: "file" }));
      await input.uploadFile(path);
      rmSync(path);
      const error = await page.evaluate(
        (input, alone) => {
          const form = new FormData();
          form.append("photo", input.files[0]);
          return client
            .enqueue({ url: "/api/sink/x", method: "POST", body: alone ? input.files[0] : form })
            .catch(({ code, message }) => ({ code, message }));
        },
        input,
        alone,
      );
      assert.equal(error.code, "invalid-request", JSON.stringify(error));
      assert.match(error.message, /the body cannot be read/);
    }
    assert.deepEqual(await w.list(page), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a stored request that the platform refuses is failed as unsendable, and says nothing about its server", async () => {
  const page = await w.open({ config: { breakerThreshold: 1 } });
  await page.evaluate(() => client.pause());
  const id = await w.enqueue(page, { url: "/api/sink/odd", body: "x" });
  const good = await w.enqueue(page, { url: "/api/sink/good", body: "x" });
  await page.evaluate(async (id) => {
    const row = (await rows("jobs")).find((row) => row.id === id);
    await put("jobs", { ...row, request: { ...row.request, mode: "navigate" } });
  }, id);
  await page.evaluate(() => client.resume());
  const job = await w.becomes(page, id, "failed");
  assert.deepEqual([job.error.kind, (await w.server.arrivals("/api/sink/odd")).length], ["unsendable", 0]);
  await w.becomes(page, good, "delivered");
  assert.deepEqual((await page.evaluate(() => client.metrics())).origins, []);
});

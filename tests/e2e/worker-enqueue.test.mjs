// `shearwater.enqueue` in the worker takes what the page's takes, for push and fetch handlers.

import assert from "node:assert/strict";
import test from "node:test";

import { makeSite } from "./harness/site.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const site = makeSite({
  "form.html":
    '<!doctype html><link rel="icon" href="data:,"><form method="post" action="/api/sink/form"><input name="a" value="1"></form>',
  "sw.js": `importScripts("/shearwater/worker.js");
   let early;
   shearwater.enqueue({ url: "/x" }).catch(({ code }) => (early = code));
   shearwater.start({ strict: true, queues: { default: {}, notes: {} } });
   const told = [];
   shearwater.on("delivered", (job) => told.push(job));
   const form = () => { const form = new FormData(); form.append("a", "1"); form.append("file", new File(["bytes"], "a.txt")); return form; };
   const calls = {
     request: () => shearwater.enqueue(new Request("/api/sink/request", { method: "POST", body: "text" }), { queue: "notes", key: "k", priority: "high", metadata: { a: 1 } }),
     relative: () => shearwater.enqueue({ url: "api/sink/relative", body: { a: [1] } }),
     put: () => shearwater.enqueue({ url: new URL("/api/sink/put", location.href), method: "put", headers: { "x-own": "1", authorization: "secret" }, body: new Uint8Array([0, 255]) }),
     form: () => shearwater.enqueue({ url: "/api/sink/form", body: form() }),
     get: () => shearwater.enqueue({ url: "/api/sink/get", credentials: "omit", keepalive: true }),
     large: () => shearwater.enqueue({ url: "/api/sink/large", body: new Blob([new Uint8Array(300_000)]) }),
     early: () => early,
   };
   const refusals = {
     "url is missing": () => shearwater.enqueue({}),
     "credentials": () => shearwater.enqueue({ url: "https://user:pass@example.org/x" }),
     'no "methd"': () => shearwater.enqueue({ url: "/x", methd: "POST" }),
     "a request is a Request": () => shearwater.enqueue("/x"),
     'sets "host" itself': () => shearwater.enqueue({ url: "/x", headers: { host: "x" } }),
     "body": () => shearwater.enqueue({ url: "/x", body: new Map() }),
     "fetch() would refuse": () => shearwater.enqueue({ url: "/x", method: "GET", body: "x" }),
     "priority": () => shearwater.enqueue({ url: "/x" }, { priority: 11 }),
     "metadata": () => shearwater.enqueue({ url: "/x" }, { metadata: "x".repeat(20_000) }),
     "no queue": () => shearwater.enqueue({ url: "/x" }, { queue: "other" }),
     "already read": async () => { const request = new Request("/x", { method: "POST", body: "x" }); await request.text(); return shearwater.enqueue(request); },
   };
   self.addEventListener("message", (event) => {
     const { call, refusal, names } = event.data;
     if (names) return event.ports[0].postMessage(Object.keys(refusals));
     if (!call && !refusal) return;
     const said = Promise.resolve().then(call ? calls[call] : refusals[refusal]).then((resolved) => ({ resolved }), (error) => ({ code: error.code, message: error.message, is: error instanceof shearwater.ShearwaterError }));
     event.waitUntil(said.then((said) => event.ports[0].postMessage(said)));
   });
   self.addEventListener("fetch", (event) => {
     if (event.request.method !== "POST" || !event.request.url.endsWith("/api/sink/form")) return;
     event.respondWith(shearwater.enqueue(event.request).then((id) => new Response(id, { status: 202 })));
   });
   self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));`,
});
const w = world({ site });

const ask = (page, message) =>
  page.evaluate(async (message) => {
    const { active } = await navigator.serviceWorker.ready;
    const { port1, port2 } = new MessageChannel();
    const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
    active.postMessage(message, [port2]);
    return answer;
  }, message);

async function open() {
  const page = await w.visit();
  await page.evaluate(async () => (window.client = await window.connect()));
  return page;
}

test("each kind of request is stored and sent as the page's would be", async () => {
  const page = await open();
  const ids = {};
  for (const call of ["request", "relative", "put", "form", "get", "large"]) {
    const { resolved, ...error } = await ask(page, { call });
    assert.match(resolved ?? "", /^[0-9a-f-]{36}$/, JSON.stringify({ call, error }));
    ids[call] = resolved;
  }
  // In the sink, not only arrived: a large body is still being read when its request is listed.
  await until("all of them", async () => (await w.server.sink()).length >= 6);
  const arrivals = await w.server.arrivals("/api/sink");
  const of = Object.fromEntries(arrivals.map((arrival) => [arrival.path.split("/").at(-1), arrival]));
  assert.deepEqual([of.request.method, of.request.contentType, of.request.bodySize], ["POST", "text/plain;charset=UTF-8", 4]);
  assert.deepEqual([of.relative.method, of.relative.contentType, of.relative.bodySize], ["POST", "application/json", 9]);
  assert.deepEqual(
    [of.put.method, of.put.bodySize, of.put.headers["x-own"], of.put.headers.authorization],
    ["PUT", 2, "1", undefined],
  );
  assert.match(of.form.contentType, /^multipart\/form-data; boundary=/);
  assert.equal(of.get.method, "GET");
  assert.equal(of.large.bodySize, 300_000);
  const sink = await w.server.sink();
  assert.deepEqual(sink.map(({ idempotencyKey }) => idempotencyKey).sort(), Object.values(ids).sort());
});

test("its options count, and pages see the job", async () => {
  const page = await open();
  await page.evaluate(() => client.pause());
  const { resolved: id } = await ask(page, { call: "request" });
  const [job] = await w.list(page);
  assert.deepEqual([job.id, job.queue, job.key, job.priority, job.metadata], [id, "notes", "k", 8, { a: 1 }]);
});

test("what cannot be queued is refused with the page's errors, and stores nothing", async () => {
  const page = await open();
  for (const refusal of await ask(page, { names: true })) {
    const error = await ask(page, { refusal });
    assert.equal(
      error.code,
      refusal === "no queue" ? "unknown-queue" : "invalid-request",
      `${refusal}: ${JSON.stringify(error)}`,
    );
    assert.ok(error.message.includes(refusal), `${refusal}: ${error.message}`);
    assert.equal(error.is, true, "instanceof ShearwaterError");
  }
  assert.deepEqual(await w.list(page), []);
  assert.equal((await ask(page, { call: "early" })).resolved, "invalid-config", "before start()");
});

test("a fetch handler queues a form that the browser itself submits", async () => {
  await open();
  const page = await w.browser.newPage();
  await page.goto(`${w.server.origin}/form.html`);
  await page.evaluate(() => document.querySelector("form").submit());
  const [arrival] = await until("the delivery", async () => {
    const arrivals = await w.server.arrivals("/api/sink");
    return arrivals.length > 0 && arrivals;
  });
  assert.deepEqual([arrival.method, arrival.contentType, arrival.bodySize], ["POST", "application/x-www-form-urlencoded", 3]);
  const [{ idempotencyKey }] = await w.server.sink();
  await until("the page that the handler answered with", () =>
    page.evaluate((id) => document.body?.textContent === id, idempotencyKey),
  );
});

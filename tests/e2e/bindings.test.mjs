// Bindings: a job that is sent with a value of an earlier job's response, and waits for it; and what becomes of duplicates.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const config = { queues: { notes: { backoff: { base: 50, max: 200 } }, photos: { backoff: { base: 50, max: 200 } } } };
const open = (more = {}) => w.open({ config: { ...config, ...more } });

const note = (text) => ({ url: "/api/notes", body: { text } });
/** A photo of a note that is not known yet: in the URL, a header and the body. */
const photo = (more = {}) => ({
  url: "/api/sink/{note.id}/photos?of={note}",
  headers: { "x-note": "n-{note}" },
  body: { note: "{note}", text: "of {note}", nested: [{ "{note}": "{other}" }] },
  ...more,
});
const to = (job, pointer = "/id") => ({ queue: "photos", bind: { note: { job, pointer } } });
const notes = async () => (await w.server.notes()).map(({ id, text }) => ({ id, text }));
const arrived = (path = "/api/sink") => w.server.sink(path);
const offline = (page) => page.evaluate(() => window.client.pause());
const online = (page) => page.evaluate(() => window.client.resume());

test("note and photo are queued offline, the worker stops, and the photo goes to the note's id, in every place", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config });
  const workers = await chromium.workers(page);
  await w.server.down(true);
  const first = await w.enqueue(page, note("of a bird"), { queue: "notes" });
  const second = await w.enqueue(page, photo(), to(first));
  const waiting = await w.get(page, second);
  assert.deepEqual([waiting.state, waiting.waitingFor, waiting.nextAttemptAt], ["pending", first, undefined]);
  assert.deepEqual(waiting.bind, [{ name: "note", job: first, pointer: "/id" }]);
  await workers.stop();
  await w.server.down(false);
  await page.evaluate(() => window.client.syncNow());
  await until("the photo", async () => (await arrived()).length === 1);
  const [{ id }] = await notes();
  const [{ path, body }] = await arrived();
  assert.equal(path, `/api/sink/${id}/photos?of=${id}`);
  assert.deepEqual(JSON.parse(body), { note: id, text: `of ${id}`, nested: [{ [id]: "{other}" }] });
  const [{ headers }] = (await w.server.arrivals("/api/sink")).filter(({ method }) => method === "POST");
  if (headers) assert.equal(headers["x-note"], `n-${id}`);
  await until("its trace", async () => (await w.get(page, second)).state === "delivered");
  assert.equal((await w.get(page, second)).url, `${w.server.origin}/api/sink/${id}/photos?of=${id}`);
});

test("a value of a job that was delivered already is there, after a restart too, and where a pointer was captured", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config });
  const workers = await chromium.workers(page);
  const first = await w.enqueue(page, note("one"), { queue: "notes" });
  const asked = await w.enqueue(page, note("x".repeat(5_000)), { queue: "notes", capture: ["/id"] });
  const long = await w.enqueue(page, note("x".repeat(5_000)), { queue: "notes" });
  for (const id of [first, asked, long]) await w.becomes(page, id, "delivered");
  await workers.stop();
  const ids = await Promise.all([first, asked].map((id) => w.enqueue(page, { url: "/api/sink/{note}" }, to(id))));
  for (const id of ids) await w.becomes(page, id, "delivered");
  const known = await notes();
  const of = (text) => known.filter((note) => note.text === text).map(({ id }) => `/api/sink/${id}`);
  const paths = (await arrived()).map(({ path }) => path).sort();
  assert.ok(paths.includes(of("one")[0]), `${paths}`);
  assert.ok(
    paths.some((path) => of("x".repeat(5_000)).includes(path)),
    `${paths}`,
  );
  const refused = await w.refused(page, "enqueue", { url: "/api/sink/{note}" }, to(long));
  assert.equal(refused.code, "invalid-request");
  assert.match(refused.message, /bind\.note: job .* was delivered, and nothing was kept .* capture: \["\/id"\]/);
});

test("a response with a credential in it is not kept unasked", async () => {
  const page = await open();
  await w.server.faults([
    {
      path: "/api/notes",
      action: { status: 200, body: '{"id": 7, "access_token": "s"}', headers: { "content-type": "application/json" } },
    },
  ]);
  const first = await w.enqueue(page, note("secret"), { queue: "notes" });
  await w.becomes(page, first, "delivered");
  assert.equal((await w.refused(page, "enqueue", { url: "/api/sink/{note}" }, to(first))).code, "invalid-request");
  const asked = await w.enqueue(page, note("secret"), { queue: "notes", capture: ["/id"] });
  await w.becomes(page, asked, "delivered");
  const second = await w.enqueue(page, { url: "/api/sink/{note}" }, to(asked));
  await w.becomes(page, second, "delivered");
  assert.equal((await arrived())[0].path, "/api/sink/7");
});

test("a predecessor that fails leaves its dependents pending, and says by whom; retried, it lets them go", async () => {
  const page = await open();
  await w.server.faults([{ path: "/api/notes", action: { status: 422 }, times: 1 }]);
  const first = await w.enqueue(page, note("refused"), { queue: "notes" });
  const second = await w.enqueue(page, { url: "/api/sink/{note}" }, to(first));
  await w.becomes(page, first, "failed");
  await w.resting(page);
  const waiting = await w.get(page, second);
  assert.deepEqual([waiting.state, waiting.waitingFor], ["pending", first]);
  assert.equal((await arrived()).length, 0);
  assert.equal(await page.evaluate((id) => window.client.retry(id), first), true);
  await w.becomes(page, second, "delivered");
});

test("discard asks what becomes of dependents: refused, or all go", async () => {
  const page = await open();
  await offline(page);
  const first = await w.enqueue(page, note("one"), { queue: "notes" });
  const second = await w.enqueue(page, { url: "/api/sink/{note}" }, to(first));
  const third = await w.enqueue(page, { url: "/api/sink/{note}" }, to(second, "/arrival"));
  for (const method of ["discard", "cancel"]) {
    const refused = await w.refused(page, method, first);
    assert.equal(refused.code, "has-dependents", method);
    assert.match(refused.message, new RegExp(`1 job waits .*${second}.*cascade`));
  }
  assert.equal((await w.list(page)).length, 3);
  assert.equal((await w.refused(page, "discard", first, { cascade: 1 })).code, "invalid-request");
  assert.equal((await w.refused(page, "discard", first, { all: true })).code, "invalid-request");
  assert.deepEqual(await w.refused(page, "discard", third), { resolved: true });
  assert.deepEqual(await w.refused(page, "discard", first, { cascade: true }), { resolved: true });
  assert.deepEqual(await w.list(page), []);
  await online(page);
  await w.settled(page);
  assert.equal((await arrived()).length + (await notes()).length, 0);
});

test("cleared away, a predecessor leaves its dependents as failed, and an edit without the value sets them free", async () => {
  const page = await open();
  await offline(page);
  const first = await w.enqueue(page, note("one"), { queue: "notes" });
  const second = await w.enqueue(page, { url: "/api/sink/{note}" }, to(first));
  assert.equal(await page.evaluate(() => window.client.clear({ queue: "notes" })), 1);
  const failed = await w.get(page, second);
  assert.deepEqual([failed.state, failed.error.kind], ["failed", "unsendable"]);
  assert.match(failed.error.message, /was removed/);
  assert.equal((await w.refused(page, "retry", second)).code, "invalid-request");
  assert.equal((await w.refused(page, "edit", second, { url: "/api/sink/{note}/x" })).code, "invalid-request");
  await online(page);
  assert.deepEqual(await w.refused(page, "edit", second, { url: "/api/sink/7" }), { resolved: true });
  await w.becomes(page, second, "delivered");
  assert.deepEqual(
    (await arrived()).map(({ path }) => path),
    ["/api/sink/7"],
  );
});

test("a response without the value fails the dependents, with the reason; a value stays one segment of a path", async () => {
  const page = await open();
  const json = { "content-type": "application/json" };
  await w.server.faults([
    { path: "/api/sink/none", action: { status: 200, body: "{}", headers: json } },
    { path: "/api/sink/html", action: { status: 200, body: "<p>", headers: { "content-type": "text/html" } } },
    { path: "/api/sink/odd", action: { status: 200, body: '{"id": "../a?b#c", "at": ".."}', headers: json } },
  ]);
  await offline(page);
  const bound = async (path, pointer) => {
    const first = await w.enqueue(page, { url: `/api/sink/${path}`, body: "x" });
    return w.enqueue(page, { url: "/api/sink/of/{note}", body: "y" }, to(first, pointer));
  };
  const [none, html, odd, dots] = [await bound("none"), await bound("html"), await bound("odd"), await bound("odd", "/at")];
  await online(page);
  assert.match((await w.becomes(page, none, "failed")).error.message, /did not have at "\/id"/);
  assert.match((await w.becomes(page, html, "failed")).error.message, /was no JSON/);
  const refused = await w.becomes(page, dots, "failed");
  assert.match(refused.error.message, /would name another resource/);
  await w.becomes(page, odd, "delivered");
  assert.deepEqual(
    (await arrived("/api/sink/of")).map(({ path }) => path),
    ["/api/sink/of/..%2Fa%3Fb%23c"],
  );
});

test("what cannot be bound is refused, and nothing is stored", async () => {
  const page = await open({ queues: { ...config.queues, events: { batch: { url: "/api/analytics/batch" } } } });
  await offline(page);
  const first = await w.enqueue(page, note("one"), { queue: "notes" });
  const other = crypto.randomUUID();
  for (const [bind, reason] of [
    [{ note: other }, /there is no job/],
    [{ note: { job: first, pointer: "id" } }, /JSON pointer/],
    [{ note: { job: "x" } }, /is not a job id/],
    [{ "a b": first }, /is no name/],
    [{ note: { job: first, at: 1 } }, /unknown member/],
    ["note", /bind is an object/],
    [Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`n${at}`, first])), /more than 16/],
  ]) {
    const refused = await w.refused(page, "enqueue", { url: "/api/sink/{note}" }, { bind });
    assert.equal(refused.code, "invalid-request", JSON.stringify(bind));
    assert.match(refused.message, reason);
  }
  const batch = await w.refused(
    page,
    "enqueue",
    { url: "/api/analytics/batch", body: {} },
    { queue: "events", bind: { note: first } },
  );
  assert.match(batch.message, /in batches/);
  const item = await w.enqueue(page, { url: "/api/analytics/batch", body: {} }, { queue: "events" });
  assert.match((await w.refused(page, "enqueue", { url: "/api/sink/{n}" }, { bind: { n: item } })).message, /sent in a batch/);
  await page.evaluate(() => window.client.setOwner("bob"));
  assert.match((await w.refused(page, "enqueue", { url: "/api/sink/{n}" }, { bind: { n: first } })).message, /there is no job/);
  await page.evaluate(() => window.client.setOwner(null));
  assert.equal((await w.list(page)).length, 2);
});

test("the worker queues with bindings as the page does", async () => {
  const page = await open();
  const second = await page.evaluate(async () => {
    const first = await window.client.enqueue({ url: "/api/notes", body: { text: "one" } }, { queue: "notes" });
    return window.client.enqueue({ url: "/api/sink/{n.id}" }, { bind: { n: first } });
  });
  await w.becomes(page, second, "delivered");
  assert.equal((await arrived())[0].path, `/api/sink/${(await notes())[0].id}`);
});

test("onDuplicate: keep, replace and merge take the last that waits; what is being sent is no duplicate", async () => {
  const page = await open();
  await w.server.faults([{ path: "/api/sink/first", action: { hold: true } }]);
  const put = (path, body, onDuplicate) =>
    w.enqueue(page, { url: `/api/sink/${path}`, method: "PUT", body }, { key: "k", onDuplicate });
  const first = await put("first", { a: 0 });
  await w.held(1);
  const second = await put("doc", { a: 1, b: { c: 1, d: 2 }, big: 1 }, "keep");
  assert.notEqual(second, first);
  assert.equal(await put("doc", { a: 2 }, "keep"), second);
  assert.equal(await put("doc", { a: 3, b: { c: null, e: 5 }, f: [1] }, "merge"), second);
  const merged = await w.get(page, second);
  assert.deepEqual([merged.state, merged.waitingFor, merged.key], ["pending", first, "k"]);
  assert.notEqual(merged.idempotencyKey, second);
  const elsewhere = await w.refused(
    page,
    "enqueue",
    { url: "/api/sink/other", method: "PUT", body: {} },
    { key: "k", onDuplicate: "merge" },
  );
  assert.match(elsewhere.message, /goes elsewhere/);
  const third = await put("third", { z: 1 }, "append");
  assert.equal(await put("third", { z: 2 }, "replace"), third);
  await w.server.release();
  for (const id of [first, second, third]) await w.becomes(page, id, "delivered");
  const sink = await arrived();
  assert.deepEqual(
    sink.map(({ path, body }) => [path, JSON.parse(body)]),
    [
      ["/api/sink/first", { a: 0 }],
      ["/api/sink/doc", { a: 3, b: { d: 2, e: 5 }, big: 1, f: [1] }],
      ["/api/sink/third", { z: 2 }],
    ],
  );
  assert.equal((await w.refused(page, "enqueue", { url: "/api/sink" }, { onDuplicate: "keep" })).code, "invalid-request");
  assert.equal(
    (await w.refused(page, "enqueue", { url: "/api/sink" }, { key: "k", onDuplicate: "drop" })).code,
    "invalid-request",
  );
  assert.match(
    (await w.refused(page, "enqueue", { url: "/api/sink", body: "text" }, { key: "k", onDuplicate: "merge" })).message,
    /takes a JSON body/,
  );
});

test("a repeated enqueue that kept another job is answered with that job's id again", async () => {
  const page = await open();
  await offline(page);
  const waiting = await w.enqueue(page, { url: "/api/sink", body: { a: 1 } }, { key: "k" });
  const message = {
    shearwater: 1,
    re: crypto.randomUUID(),
    at: Date.now(),
    op: {
      enqueue: {
        jobs: [
          {
            id: crypto.randomUUID(),
            request: { url: `${w.server.origin}/api/sink`, method: "POST" },
            options: { key: "k", onDuplicate: "keep" },
          },
        ],
      },
    },
  };
  const post = () =>
    page.evaluate(async (message) => {
      const { active } = await navigator.serviceWorker.ready;
      return new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }) => resolve(data);
        active.postMessage({ ...message, bodies: [null] }, [port2]);
      });
    }, message);
  const answers = [await post(), await post()];
  assert.deepEqual(
    answers.map(({ ok }) => ok),
    [[waiting], [waiting]],
  );
  assert.equal((await w.list(page)).length, 1);
});

test("bound to a job that is on its way: its response is read to its end, however long", async () => {
  const page = await open();
  await w.server.faults([{ path: "/api/notes", action: { hold: true } }]);
  const first = await w.enqueue(page, note("y".repeat(20_000)), { queue: "notes" });
  await w.held(1);
  const second = await w.enqueue(page, { url: "/api/sink/{note}" }, to(first));
  assert.equal((await w.get(page, second)).waitingFor, first);
  await w.server.release();
  await w.becomes(page, second, "delivered");
  assert.deepEqual(
    (await arrived()).map(({ path }) => path),
    [`/api/sink/${(await notes())[0].id}`],
  );
});

test("a response that breaks off under those who wait for it is asked for again, under the same key", async () => {
  const page = await open({ queues: { ...config.queues, notes: { ...config.queues.notes, timeout: 2_000 } } });
  const headers = { "content-type": "application/json", "content-length": "200" };
  await w.server.faults([
    { path: "/api/notes", action: { status: 201, handle: true, headers, body: '{"id": 1, ', stall: true }, times: 1 },
  ]);
  await offline(page);
  const first = await w.enqueue(page, note("one"), { queue: "notes" });
  const second = await w.enqueue(page, { url: "/api/sink/{note}" }, to(first));
  await page.evaluate(() => window.client.resume());
  await until("the dependent", async () => (await w.get(page, second)).state === "delivered", 60_000);
  const sends = (await w.server.arrivals("/api/notes")).filter(({ method }) => method === "POST");
  assert.deepEqual(new Set(sends.map(({ idempotencyKey }) => idempotencyKey)), new Set([first]));
  assert.equal((await notes()).length, 1);
});

test("what a queue keeps of its responses, or does not, is no matter to those that wait; but to those that come later", async () => {
  const queues = {
    notes: { response: { headers: ["etag"] } },
    quiet: { capture: false },
  };
  const page = await open({ queues });
  const first = await w.enqueue(page, note("one"), { queue: "notes" });
  await w.becomes(page, first, "delivered");
  const second = await w.enqueue(page, { url: "/api/sink/{note}" }, { bind: { note: { job: first, pointer: "/id" } } });
  await w.becomes(page, second, "delivered");
  await offline(page);
  const quiet = await w.enqueue(page, note("two"), { queue: "quiet" });
  const waits = await w.enqueue(page, { url: "/api/sink/{note}" }, { bind: { note: { job: quiet, pointer: "/id" } } });
  await online(page);
  await w.becomes(page, waits, "delivered");
  const late = await w.refused(
    page,
    "enqueue",
    { url: "/api/sink/{note}" },
    { bind: { note: { job: quiet, pointer: "/id" } } },
  );
  assert.match(late.message, /nothing was kept/);
});

test("a member that the response lacks is not sent as null; a response chooses no server and no idempotency key", async () => {
  const page = await open();
  const first = await w.enqueue(page, note("one"), { queue: "notes" });
  await w.becomes(page, first, "delivered");
  const lacks = await w.enqueue(page, { url: "/api/sink/x", body: { of: "{n.nope}" } }, { bind: { n: first } });
  assert.match((await w.becomes(page, lacks, "failed")).error.message, /\{n\.nope\} in the body .* is not in the response/);
  const whole = await w.enqueue(page, { url: "/api/sink/whole", body: { of: "{n}" } }, { bind: { n: first } });
  await w.becomes(page, whole, "delivered");
  const [{ body }] = await arrived("/api/sink/whole");
  assert.equal(JSON.parse(body).of.text, "one");
  const host = await w.refused(page, "enqueue", { url: "https://{n}/x" }, { bind: { n: first } });
  assert.match(host.message, /host/);
  const key = await w.refused(
    page,
    "enqueue",
    { url: "/api/sink", body: "x", headers: { "Idempotency-Key": '"{n}"' } },
    { bind: { n: first } },
  );
  assert.match(key.message, /idempotency key/);
});

test("a payload that takes another's place waits as long as the server asked", async () => {
  const page = await open();
  await w.server.faults([{ path: "/api/sink/doc", action: { status: 429, headers: { "retry-after": "3600" } }, times: 1 }]);
  const put = (a) =>
    w.enqueue(page, { url: "/api/sink/doc", method: "PUT", body: { a } }, { key: "k", onDuplicate: "replace" });
  const id = await put(1);
  await until("an attempt", async () => (await w.get(page, id)).attempts === 1);
  const { nextAttemptAt } = await w.get(page, id);
  assert.equal(await put(2), id);
  const replaced = await w.get(page, id);
  assert.deepEqual([replaced.state, replaced.nextAttemptAt >= nextAttemptAt], ["pending", true]);
  assert.equal((await arrived()).length, 0);
});

test("nobody is bound to itself, nor to one of its own call that comes later", async () => {
  const page = await open();
  await offline(page);
  const [one, two] = [crypto.randomUUID(), crypto.randomUUID()];
  const job = (id, to) => ({
    id,
    request: { url: `${w.server.origin}/api/sink/{n}`, method: "POST" },
    options: { bind: [{ name: "n", job: to, pointer: "/id" }] },
  });
  for (const jobs of [[job(one, one)], [job(one, two), job(two, one)]]) {
    const { error } = await w.post(page, { enqueue: { jobs } });
    assert.deepEqual([error.code, /there is no job/.test(error.message)], ["invalid-request", true], JSON.stringify(error));
  }
  assert.deepEqual(await w.list(page), []);
});

for (const [status, state] of [
  [409, "conflict"],
  [401, "blocked"],
]) {
  test(`who waits for a job that is "${state}" waits on, and goes when that is sent again`, async () => {
    const page = await open();
    await w.server.faults([{ path: "/api/notes", action: { status }, times: 1 }]);
    const first = await w.enqueue(page, note("one"), { queue: "notes" });
    const second = await w.enqueue(page, { url: "/api/sink/{note}" }, to(first));
    await w.becomes(page, first, state);
    await w.resting(page);
    const waiting = await w.get(page, second);
    assert.deepEqual([waiting.state, waiting.waitingFor], ["pending", first]);
    await page.evaluate((id) => window.client.retry(id), first);
    await w.becomes(page, second, "delivered");
  });
}

test("a value outlives the history of the job that it came from, and the worker", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config: { ...config, history: { max: 1 } } });
  const workers = await chromium.workers(page);
  await w.server.faults([{ path: "/api/sink/of", action: { status: 503 } }]);
  const first = await w.enqueue(page, note("one"), { queue: "notes" });
  const second = await w.enqueue(page, { url: "/api/sink/of/{note}", body: "x" }, { ...to(first), maxAttempts: 1_000 });
  await until("a try", async () => (await w.get(page, second)).attempts > 0);
  for (const text of ["two", "three"])
    await w.becomes(page, await w.enqueue(page, note(text), { queue: "notes" }), "delivered");
  await until("its trace to go", async () => {
    await page.evaluate(() => window.client.compact?.());
    return (await w.get(page, first)) === null;
  });
  await workers.stop();
  await w.server.faults([]);
  await page.evaluate(() => window.client.syncNow());
  await w.becomes(page, second, "delivered");
  const { id } = (await notes()).find(({ text }) => text === "one");
  assert.deepEqual(
    (await arrived("/api/sink/of")).map(({ path }) => path),
    [`/api/sink/of/${id}`],
  );
  assert.match((await w.refused(page, "enqueue", { url: "/api/sink/{note}" }, to(first))).message, /there is no job/);
});

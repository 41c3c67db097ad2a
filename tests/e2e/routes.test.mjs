// The app's own fetch(): passed on as it is, queued when it fails, and never told anything but the truth (W6).

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { openRouted, routedSite } from "./harness/routed.mjs";
import { makeSite } from "./harness/site.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ site: makeSite(routedSite) });
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const ROUTES = [{ match: "/api/sink/*" }];
const call = (page, url, init) => page.evaluate((url, init) => window.call(url, init), url, init);
const told = (page) => page.evaluate(() => window.tell());
const post = (body, more) => ({ method: "POST", body, ...more });

/** The 202 of a request that is queued; returns the job's id. */
function queued({ status, headers, text, job, ...rest }) {
  assert.equal(status, 202, JSON.stringify({ status, text, ...rest }));
  assert.match(job, /^[0-9a-f-]{36}$/);
  assert.deepEqual([headers["content-type"], JSON.parse(text)], ["application/json", { queued: true, id: job }]);
  assert.deepEqual(Object.keys(headers).sort(), ["content-type", "shearwater-job"], "nothing else is invented");
  return job;
}

/** Cuts every connection, before the server has handled the request or after; Chromium may repeat one by itself. */
const cut = (drop, path = "/api/sink") => w.server.faults([{ path, action: { drop } }]);
/** The network is back. */
async function delivered(page, id) {
  await w.server.faults([]);
  await page.evaluate(() => client.syncNow());
  return w.becomes(page, id, "delivered");
}

test("online, the server gets what the app sent and the app what the server answered; nothing is stored", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  await w.server.faults([
    { path: "/api/sink/teapot", action: { status: 418, headers: { "x-tea": "yes" }, body: "no coffee" } },
  ]);
  const headers = { "x-own": "1", authorization: "Bearer of-the-app", "content-type": "text/x-odd; a=b" };
  const created = await call(page, "/api/sink/a?b=c", post("Grüße \u{1F30A}", { headers }));
  assert.deepEqual([created.status, Object.keys(JSON.parse(created.text))], [200, ["arrival"]]);
  const refused = await call(page, "/api/sink/teapot", post("x"));
  assert.deepEqual([refused.status, refused.text, refused.headers["x-tea"]], [418, "no coffee", "yes"]);
  const [arrival] = await w.server.arrivals("/api/sink/a");
  assert.equal(arrival.path, "/api/sink/a?b=c");
  assert.equal(arrival.bodySha256, sha256("Grüße \u{1F30A}"));
  assert.deepEqual(
    [arrival.headers["x-own"], arrival.headers.authorization, arrival.contentType],
    ["1", "Bearer of-the-app", "text/x-odd; a=b"],
  );
  assert.match(arrival.headers["idempotency-key"], /^"[0-9a-f-]{36}"$/);
  assert.deepEqual(await w.list(page), []);
});

test("a request whose first try succeeds loads no wasm", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  const workers = await w.browser.workers(page);
  await workers.stop();
  assert.equal((await call(page, "/api/sink/a", post("x"))).status, 200);
  const { compiled, responded } = await told(page);
  assert.deepEqual([compiled, responded], [0, ["/api/sink/a"]]);
});

test("offline, the request is stored and answered 202; it is delivered once when the server is back", async () => {
  const page = await openRouted(w, { routes: [{ ...ROUTES[0], queue: "notes" }] });
  await w.server.down(true);
  const id = queued(await call(page, "/api/sink/a", post("text", { headers: { "x-own": "1" } })));
  const job = await w.get(page, id);
  assert.deepEqual([job.queue, job.method, new URL(job.url).pathname, job.size], ["notes", "POST", "/api/sink/a", 4]);
  await page.evaluate((id) => {
    window.states = [];
    client.watch(id, (job) => window.states.push(job?.state));
  }, id);
  await delivered(page, id);
  const [accepted, ...more] = await w.server.sink();
  assert.deepEqual([accepted.idempotencyKey, accepted.body, more.length], [id, "text", 0]);
  assert.equal((await w.server.arrivals("/api/sink"))[0].headers["x-own"], "1");
  await until("the page to hear of it", () => page.evaluate(() => window.states.at(-1) === "delivered"));
});

test("methods that change nothing are left alone, unless a route names them", async () => {
  const page = await openRouted(w, { routes: [...ROUTES, { match: "/api/seen", methods: ["get"] }] });
  await w.server.down(true);
  assert.deepEqual(await call(page, "/api/sink/a"), { error: "TypeError" });
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) queued(await call(page, "/api/sink/a", { method }));
  queued(await call(page, "/api/seen"));
  assert.deepEqual(
    (await w.list(page)).map(({ method }) => method),
    ["POST", "PUT", "PATCH", "DELETE", "GET"],
  );
});

test("a request that no route matches is not responded to, and other listeners see it", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  assert.equal((await call(page, "/api/other", post("x"))).status, 404);
  assert.equal((await call(page, "/thanks.html")).status, 200);
  assert.equal((await call(page, "/api/sink/part", { headers: { range: "bytes=0-1" } })).status, 200);
  await call(page, "/api/sink/routed", post("x"));
  const { responded, later } = await told(page);
  assert.deepEqual(responded, ["/api/sink/routed"]);
  assert.deepEqual(
    later.filter((path) => path !== "/"),
    ["/api/other", "/thanks.html", "/api/sink/part"],
    "a routed one is taken from them",
  );
  const [arrival] = await w.server.arrivals("/api/other");
  assert.equal(arrival.headers["idempotency-key"], undefined);
});

test("a reply that is lost doubles nothing: the first try carries the key of the job", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  await cut("after");
  const id = queued(await call(page, "/api/sink/a", post("x")));
  await delivered(page, id);
  const keys = (await w.server.arrivals("/api/sink")).map(({ idempotencyKey }) => idempotencyKey);
  assert.ok(keys.length > 1 && keys.every((key) => key === id), keys.join());
  assert.equal((await w.server.sink()).length, 1);
});

test("the app's own Idempotency-Key is that of the first try and of the job", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  await cut("after");
  const id = queued(await call(page, "/api/sink/a", post("x", { headers: { "idempotency-key": "mine" } })));
  await delivered(page, id);
  const sent = (await w.server.arrivals("/api/sink")).map(({ headers }) => headers["idempotency-key"]);
  assert.ok(sent.length > 1 && sent.every((key) => key === '"mine"'), sent.join());
  assert.equal((await w.server.sink()).length, 1);
});

test("the key is renamed, left out and kept from other origins as for jobs", async () => {
  const queues = { renamed: { idempotency: { header: "X-Key" } }, off: { idempotency: false } };
  const routes = [
    { match: "/api/sink/renamed", queue: "renamed" },
    { match: "/api/sink/off", queue: "off" },
    { match: `${w.server.crossOrigin}/api/sink/*` },
  ];
  const page = await openRouted(w, { queues, routes });
  for (const path of ["renamed", "off"]) await call(page, `/api/sink/${path}`, post("x"));
  await call(page, `${w.server.crossOrigin}/api/sink/cross`, post("x"));
  const of = Object.fromEntries(
    (await w.server.arrivals("/api/sink")).map(({ path, headers }) => [path.split("/").at(-1), headers]),
  );
  assert.match(of.renamed["x-key"], /^"[0-9a-f-]{36}"$/);
  for (const headers of [of.renamed, of.off, of.cross]) assert.equal(headers["idempotency-key"], undefined);
  assert.equal((await told(page)).responded.length, 3);
});

test("statuses that a route names are queued, and Retry-After is heeded; other statuses are the app's", async () => {
  const page = await openRouted(w, { routes: [{ ...ROUTES[0], on: { failure: false, statuses: [503] } }] });
  const busy = { status: 503, headers: { "Retry-After": "3600" } };
  await w.server.faults([
    { path: "/api/sink/busy", action: busy, times: 1 },
    { path: "/api/sink/broken", action: { status: 500 } },
  ]);
  const before = Date.now();
  const id = queued(await call(page, "/api/sink/busy", post("x")));
  assert.equal((await call(page, "/api/sink/broken", post("x"))).status, 500);
  const { nextAttemptAt } = await w.get(page, id);
  assert.ok(nextAttemptAt - before >= 3_600_000, `${nextAttemptAt - before} ms`);
  await page.evaluate(() => client.syncNow());
  assert.equal((await w.server.arrivals("/api/sink/busy")).length, 1, "nothing cuts the wait short");
  await w.server.down(true);
  assert.deepEqual(await call(page, "/api/sink/a", post("x")), { error: "TypeError" }, "failures are not for this route");
});

test("a server that hangs is given up after the route's timeout; what it did counts once", async () => {
  const page = await openRouted(w, { routes: [{ ...ROUTES[0], on: { timeout: 300 } }] });
  await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "after" }, times: 1 }]);
  const id = queued(await call(page, "/api/sink/a", post("x")));
  await w.server.release();
  await delivered(page, id);
  await until("the end of the first", async () => (await w.server.stats()).inFlight === 0);
  assert.equal((await w.server.sink()).length, 1);
});

test("a captive portal's page is not the server's answer: queued, by the queue's expect", async () => {
  const queues = { default: { expect: { contentType: "application/json", redirected: false } } };
  const page = await openRouted(w, { queues, routes: ROUTES });
  const portal = { status: 200, headers: { "Content-Type": "text/html" }, body: "<p>Sign in" };
  await w.server.faults([{ path: "/api/sink", action: portal }]);
  const id = queued(await call(page, "/api/sink/a", post("x")));
  await delivered(page, id);
  assert.deepEqual(
    (await w.server.sink()).map(({ idempotencyKey }) => idempotencyKey),
    [id],
  );
});

test("a form with files, a picture, a PUT of a photo: the same bytes at the first try and later", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  const send = (path) =>
    page.evaluate(async (path) => {
      const png = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 31) % 256);
      const form = new FormData();
      form.append("text", "Grüße\n");
      form.append("picture", new File([png], "ä.png", { type: "image/png" }));
      const photo = new Blob([png.subarray(0, 300), png.subarray(300)], { type: "image/jpeg" });
      return [
        await call(`/api/sink/${path}/form`, { method: "POST", body: form }),
        await call(`/api/sink/${path}/photo`, { method: "PUT", body: photo }),
        await call(`/api/sink/${path}/buffer`, { method: "POST", body: png.buffer }),
      ];
    }, path);
  for (const { status } of await send("online")) assert.equal(status, 200);
  await cut("before", "/api/sink/offline");
  const ids = (await send("offline")).map(queued);
  for (const id of ids) await delivered(page, id);
  const arrivals = await w.server.arrivals("/api/sink");
  const of = (kind) => arrivals.filter(({ path, bodySize }) => path.endsWith(kind) && bodySize > 0);
  const png = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 31) % 256);
  for (const { bodySha256 } of [...of("photo"), ...of("buffer")]) assert.equal(bodySha256, sha256(png));
  assert.deepEqual(of("photo").map(({ method, contentType }) => [method, contentType])[0], ["PUT", "image/jpeg"]);
  const forms = of("form");
  assert.equal(new Set(forms.map(({ bodySize }) => bodySize)).size, 1);
  for (const { contentType, bodySize } of forms) {
    assert.match(contentType, /^multipart\/form-data; boundary=/);
    assert.ok(bodySize > 70_000);
  }
  const sink = (await w.server.sink("/api/sink/offline")).find(({ path }) => path.endsWith("form"));
  assert.equal(sink.bodySize, forms[0].bodySize);
});

test("a stream, keepalive, no-cors and what was cloned before: as the browser would have sent them", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  await w.server.down(true);
  const ids = await page.evaluate(async () => {
    const used = new Request("/api/sink/clone", { method: "POST", body: "cloned" });
    const copy = used.clone();
    await used.text();
    const beacon = await fetch("/api/sink/opaque", { method: "POST", mode: "no-cors", body: "opaque" });
    const answers = [
      await call(copy),
      await call("/api/sink/keepalive", { method: "POST", body: "kept", keepalive: true }),
      await call("/api/sink/stream", { method: "POST", body: new Blob(["stre", "amed"]).stream(), duplex: "half" }),
    ];
    return [...answers.map(({ job }) => job), beacon.headers.get("shearwater-job")];
  });
  for (const id of ids) await delivered(page, id);
  assert.deepEqual((await w.server.sink()).map(({ body }) => body).sort(), ["cloned", "kept", "opaque", "streamed"]);
});

test("a multipart or picture body without a byte is refused loudly, and nothing is sent or queued", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  for (const type of ["multipart/form-data; boundary=x", "image/png"]) {
    assert.deepEqual(await call(page, "/api/sink/a", post("", { headers: { "content-type": type } })), { error: "TypeError" });
  }
  assert.equal((await call(page, "/api/sink/empty", post(""))).status, 200, "text may be empty");
  assert.deepEqual(
    (await w.server.arrivals("/api/sink")).map(({ path }) => path),
    ["/api/sink/empty"],
  );
  assert.deepEqual(await w.list(page), []);
  const { said } = await told(page);
  assert.equal(said.filter((text) => text.includes("no byte of a body of type")).length, 2, said.join("\n"));
});

test("Authorization goes with the first try and is never stored; the auth hook supplies it later", async () => {
  const page = await openRouted(w, { routes: ROUTES }, { query: { auth: "Bearer of-the-hook" } });
  await cut("after");
  const id = queued(await call(page, "/api/sink/a", post("x", { headers: { authorization: "Bearer of-the-app" } })));
  await delivered(page, id);
  const sent = (await w.server.arrivals("/api/sink")).map(({ headers }) => headers.authorization);
  assert.deepEqual([sent[0], sent.at(-1), new Set(sent).size], ["Bearer of-the-app", "Bearer of-the-hook", 2]);
  await w.server.down(true);
  await call(page, "/api/sink/a", post("x", { headers: { authorization: "Bearer of-the-app" } }));
  const stored = await page.evaluate(async () => {
    const database = await new Promise(
      (resolve) => (indexedDB.open("shearwater").onsuccess = ({ target }) => resolve(target.result)),
    );
    const rows = await new Promise(
      (resolve) =>
        (database.transaction("jobs").objectStore("jobs").getAll().onsuccess = ({ target }) => resolve(target.result)),
    );
    database.close();
    return JSON.stringify(rows);
  });
  assert.ok(stored.includes("/api/sink/a") && !/of-the-app|authorization/i.test(stored), stored);
});

test("a credential in the URL cannot be stored: the app gets the failure", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  await w.server.down(true);
  assert.deepEqual(await call(page, "/api/sink/a?access_token=s", post("x")), { error: "TypeError" });
  const { said } = await told(page);
  assert.match(said.join("\n"), /route "\/api\/sink\/\*" matches is not queued: .*access_token/);
});

test("the routed hook answers something else; what it does wrong costs nobody the job", async () => {
  const status = { routes: [{ ...ROUTES[0], on: { statuses: [503] } }] };
  for (const [routed, more] of [
    ["own", (answer, id) => assert.deepEqual(JSON.parse(answer.text), { mine: id, reason: "status", status: 503 })],
    ["body", (answer) => assert.deepEqual([answer.status, answer.text], [299, "the body"])],
    ...["nothing", "throws", "nonsense", "error", "used"].map((name) => [name, queued]),
  ]) {
    await w.serve();
    await w.server.faults([{ path: "/api/sink", action: { status: 503, headers: { "Retry-After": "60" } } }]);
    const page = await openRouted(w, status, { query: { routed } });
    const answer = await call(page, "/api/sink/a", post("the body"));
    const { asked, said } = await told(page);
    more(answer, asked[0]);
    assert.deepEqual(
      (await w.list(page)).map(({ id }) => id),
      asked,
      routed,
    );
    const complains = ["throws", "nonsense", "error", "used"].includes(routed);
    assert.equal(
      said.some((text) => text.includes('the hook "routed" failed')),
      complains,
      said.join("\n"),
    );
  }
});

test("a form navigation goes to the page that the route names, or back; the job's id goes along", async () => {
  for (const [page, path] of [
    ["/thanks.html", "/thanks.html"],
    [undefined, "/form.html"],
  ]) {
    await w.serve();
    const opener = await openRouted(w, { routes: [{ ...ROUTES[0], page }] });
    const tab = await w.browser.newPage();
    await tab.goto(`${w.server.origin}/form.html`);
    await cut("before");
    await Promise.all([tab.waitForNavigation(), tab.evaluate(() => document.querySelector("form").submit())]);
    const { pathname, hash } = new URL(tab.url());
    assert.equal(pathname, path);
    const id = /^#shearwater-job=(.*)$/.exec(hash)?.[1];
    await delivered(opener, id);
    await tab.reload();
    const sink = await w.server.sink();
    assert.deepEqual(
      sink.map(({ idempotencyKey, body, contentType }) => [idempotencyKey, body, contentType]),
      [[id, "a=1", "application/x-www-form-urlencoded"]],
    );
  }
});

test("a form that arrives shows what the server answered, also by a redirect", async () => {
  await openRouted(w, { routes: ROUTES });
  const submit = async () => {
    const tab = await w.browser.newPage();
    await tab.goto(`${w.server.origin}/form.html`);
    await Promise.all([tab.waitForNavigation(), tab.evaluate(() => document.querySelector("form").submit())]);
    return tab;
  };
  assert.match(await (await submit()).evaluate(() => document.body.textContent), /"arrival":/);
  await w.server.faults([
    { path: "/api/sink", action: { status: 303, headers: { Location: "/thanks.html" }, handle: true }, times: 1 },
  ]);
  const tab = await submit();
  assert.equal(new URL(tab.url()).pathname, "/thanks.html");
  assert.equal((await w.server.sink()).length, 2);
});

test("a form of another site is not routed: the worker would send cookies along that the browser keeps back", async () => {
  const page = await openRouted(w, { routes: ROUTES });
  const tab = await w.browser.newPage();
  await tab.goto(`${w.server.crossOrigin}/form.html`);
  await Promise.all([
    tab.waitForNavigation(),
    tab.evaluate((action) => {
      const form = document.querySelector("form");
      form.action = action;
      form.submit();
    }, `${w.server.origin}/api/sink/form`),
  ]);
  const [arrival] = await w.server.arrivals("/api/sink/form");
  assert.equal(arrival.headers["idempotency-key"], undefined);
  assert.ok(!(await told(page)).responded.includes("/api/sink/form"));
});

test("a route's match may be a URLPattern", async () => {
  const page = await openRouted(
    w,
    { routes: [{ match: "/api/sink/:id(\\d+)", key: "note-{id}" }] },
    { query: { patterns: "" } },
  );
  await cut("before");
  const id = queued(await call(page, "/api/sink/17", post("x")));
  assert.equal((await w.get(page, id)).key, "note-17");
  const other = await call(page, "/api/sink/letters", post("x")).catch(() => "rejected");
  assert.equal(other.status ?? "rejected", "rejected");
  await delivered(page, id);
});

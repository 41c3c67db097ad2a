// Secrets are not kept (issue 8, J): what is a credential by its name is neither stored nor sent, but by the auth hook.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";

import { siteData, traces } from "./harness/profile.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

const HEADERS = [
  "X-Api-Key",
  "Api-Key",
  "X-Auth-Token",
  "X-Access-Token",
  "X-Amz-Security-Token",
  "X-CSRF",
  "X-XSRF",
  "anti-csrf-token",
  "__RequestVerificationToken",
  "X-Goog-Api-Key",
  "Ocp-Apim-Subscription-Key",
  "X-Session-Token",
  "X-Token",
];
const PARAMETERS = ["access_token", "api_key", "apikey", "id_token", "token", "X-Amz-Security-Token", "auth_token"];
const ORDINARY = { "X-Author": "Ann", "X-Request-Id": "17", "If-Match": '"v1"', "X-Continuation-Token": "page 2" };

const script = (config, more = {}) => `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), ...more })}`;
const secret = () => randomBytes(24).toString("base64url");
const later = () => ({ notBefore: Date.now() + 3_600_000 });
/** Everything in all stores, bodies as text. */
const everything = (page) =>
  page.evaluate(async () => {
    const database = await new Promise(
      (resolve) => (indexedDB.open(window.database).onsuccess = ({ target }) => resolve(target.result)),
    );
    const names = [...database.objectStoreNames];
    database.close();
    const text = (value) =>
      value instanceof Blob
        ? value.text()
        : value instanceof ArrayBuffer
          ? new TextDecoder().decode(value)
          : JSON.stringify(value);
    return (await Promise.all(names.map(async (name) => Promise.all((await rows(name)).map(text))))).flat().join("\n");
  });
const arrival = async (path) => (await w.server.arrivals(`/api/sink/${path}`)).at(-1).headers;

test("headers whose names tell of a credential are neither stored nor sent; others are", async () => {
  const page = await w.open();
  const secrets = Object.fromEntries(HEADERS.map((name) => [name, secret()]));
  const ids = await page.evaluate(
    (request, options) =>
      Promise.all([
        client.enqueue(request, options),
        client.enqueue(new Request(request.url, request), options),
        client.enqueueAll([request], options).then(([id]) => id),
      ]),
    { url: "/api/sink/x", method: "POST", headers: { ...secrets, ...ORDINARY }, body: "x" },
    later(),
  );
  assert.equal(await page.evaluate((id, headers) => client.edit(id, { headers }), ids[0], { ...secrets, ...ORDINARY }), true);
  const stored = await everything(page);
  for (const [name, value] of Object.entries(secrets)) assert.ok(!stored.includes(value), `${name} is stored`);
  for (const value of Object.values(ORDINARY)) assert.ok(stored.includes(JSON.stringify(value).slice(1, -1)), value);
  for (const id of ids) {
    assert.equal(await page.evaluate((id) => client.retry(id), id), true);
    await w.becomes(page, id, "delivered");
    const headers = await arrival("x");
    for (const name of HEADERS) assert.equal(headers[name.toLowerCase()], undefined, name);
    for (const [name, value] of Object.entries(ORDINARY)) assert.equal(headers[name.toLowerCase()], value);
  }
});

test("the auth hook supplies what was taken off", async () => {
  const page = await w.open({ options: { worker: script({}, { auth: "" }) } });
  await page.evaluate(() => tell({ auth: { tokens: { "": "of the hook" }, header: "x-api-key" } }));
  await w.becomes(
    page,
    await w.enqueue(page, { url: "/api/sink/x", headers: { "X-Api-Key": "of the page" }, body: "x" }),
    "delivered",
  );
  assert.equal((await arrival("x"))["x-api-key"], "Bearer of the hook");
});

test("the page's console is told once of each header that was taken off, and of the hook", async () => {
  const page = await w.browser.newPage();
  const warnings = [];
  page.on("console", (message) => message.type().startsWith("warn") && warnings.push(message.text()));
  await page.goto(w.server.origin);
  await page.waitForFunction("window.ready");
  await page.evaluate(async () => {
    window.client = await connect();
  });
  for (const value of ["a secret", "another secret"])
    await w.enqueue(page, { url: "/api/sink/x", headers: { Authorization: value, "X-Api-Key": value }, body: "x" });
  await until("a warning", () => warnings.length > 0);
  await w.settled(page);
  const ours = warnings.filter((text) => /auth/.test(text));
  for (const name of [/authorization/i, /x-api-key/i])
    assert.equal(ours.filter((text) => name.test(text)).length, 1, JSON.stringify(warnings));
  for (const text of ours) {
    assert.match(text, /hook|on\("auth"/);
    assert.ok(!text.includes("secret"), text);
  }
});

test("nothing is said where nothing was taken off", async () => {
  const page = await w.browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  await page.goto(w.server.origin);
  await page.waitForFunction("window.ready");
  await page.evaluate(async () => {
    window.client = await connect();
  });
  await w.becomes(page, await w.enqueue(page, { url: "/api/sink/x", headers: ORDINARY, body: "x" }), "delivered");
  assert.deepEqual(said, []);
});

test("a URL with a credential among its parameters is refused, by enqueue and by edit", async () => {
  const page = await w.open();
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" }, later());
  for (const name of PARAMETERS) {
    const url = `/api/sink/x?page=1&${name}=hunter2hunter2`;
    for (const refused of [
      await w.refused(page, "enqueue", { url, body: "x" }),
      await w.refused(page, "enqueueAll", [
        { url: "/api/sink/y", body: "y" },
        { url, body: "x" },
      ]),
      await w.refused(page, "edit", id, { url }),
    ]) {
      assert.equal(refused.code, "invalid-request", name);
      assert.ok(refused.message.includes(name), refused.message);
      assert.ok(!refused.message.includes("hunter2"), refused.message);
    }
  }
  assert.deepEqual(
    (await w.list(page)).map((job) => job.id),
    [id],
  );
  assert.ok(!(await everything(page)).includes("hunter2"));
  await w.becomes(
    page,
    await w.enqueue(page, { url: "/api/sink/x?key=author&page_token=2&q=access_token", body: "x" }),
    "delivered",
  );
});

test("a fragment is dropped: it is never sent, so it is not kept", async () => {
  const page = await w.open();
  const ids = await page.evaluate(
    (options) =>
      Promise.all([
        client.enqueue({ url: "/api/sink/x#access_token=hunter2", body: "x" }, options),
        client.enqueue(new Request("/api/sink/x#access_token=hunter2", { method: "POST", body: "x" }), options),
      ]),
    later(),
  );
  assert.equal(await page.evaluate((id) => client.edit(id, { url: "/api/sink/y#hunter2" }), ids[0]), true);
  for (const job of await w.list(page)) assert.ok(!job.url.includes("#"), job.url);
  assert.ok(!(await everything(page)).includes("hunter2"));
});

test("an app names more credentials in its configuration", async () => {
  const page = await w.open({ config: { credentials: ["tenant-pin"] } });
  const pin = secret();
  await w.becomes(
    page,
    await w.enqueue(page, { url: "/api/sink/x", headers: { "X-Tenant-Pin": pin, "X-Tenant": "seven" }, body: "x" }),
    "delivered",
  );
  const headers = await arrival("x");
  assert.deepEqual([headers["x-tenant-pin"], headers["x-tenant"]], [undefined, "seven"]);
  assert.ok(!(await everything(page)).includes(pin));
  assert.equal((await w.refused(page, "enqueue", { url: "/api/sink/x?tenant_pin=1", body: "x" })).code, "invalid-request");
});

test("no byte of a credential is in the browser's profile", async () => {
  const names = [...HEADERS, "fragment", "parameter", "configured", "of the hook"];
  const secrets = Object.fromEntries(names.map((name) => [name, secret()]));
  const canary = secret();
  const browser = await w.start();
  const config = { credentials: ["tenant-pin"], queues: { default: { backoff: { base: 5, max: 20 } } } };
  const page = await browser.open(w.server.origin, { options: { worker: script(config, { auth: "" }) } });
  await page.evaluate((token) => tell({ auth: { tokens: { "": token }, header: "x-api-key" } }), secrets["of the hook"]);
  await w.server.faults([
    { path: "/api/sink/failed", action: { status: 422 } },
    { path: "/api/sink/waiting", action: { status: 503, headers: { "retry-after": "3600" } } },
  ]);
  const headers = {
    ...Object.fromEntries(HEADERS.map((name) => [name, secrets[name]])),
    "X-Tenant-Pin": secrets.configured,
    "X-Kept": canary,
  };
  for (const path of ["delivered", "failed", "waiting"]) {
    const id = await w.enqueue(page, { url: `/api/sink/${path}#access_token=${secrets.fragment}`, headers, body: "x" });
    await until("an attempt", async () => (await w.get(page, id)).attempts > 0);
  }
  await w.refused(page, "enqueue", { url: `/api/sink/x?access_token=${secrets.parameter}`, body: "x" });
  await browser.close();
  const bytes = siteData(browser.profile);
  assert.ok(traces(bytes, canary).length > 0, "that the search can find anything at all");
  for (const [name, value] of Object.entries(secrets)) assert.deepEqual(traces(bytes, value), [], name);
});

// connect() finds the app's own worker within its timeout, or says why it cannot.

import assert from "node:assert/strict";
import test from "node:test";

import { makeSite } from "./harness/site.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const load = 'importScripts("/shearwater/worker.js");';
const eager = 'self.addEventListener("install", () => self.skipWaiting());';
const foreign =
  'const told = new BroadcastChannel("told"); self.addEventListener("message", ({ data }) => told.postMessage(data)); self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));';
const site = makeSite({
  "sw.js": `${load} shearwater.start();`,
  "eager.js": `${load} shearwater.start(); ${eager}`,
  "foreign.js": foreign,
  "alpha.js": `${load} shearwater.start({ name: "alpha" });`,
  "unstarted.js": load,
  "twice.js": `${load} shearwater.start(); shearwater.start();`,
  "hook.js": `${load} shearwater.start(); shearwater.on("delivred", () => {});`,
  "origins.js": `${load} shearwater.start(); shearwater.on("auth", () => {}, { origins: ["api.example"] });`,
  "adopt.js": `${load} shearwater.start(); shearwater.adopt(async () => {});`,
  "module.js": 'import * as shearwater from "/shearwater/worker.mjs";\nshearwater.start();',
  "missing.js": 'importScripts("/shearwater/worker.js", "/lib/not-there.js"); shearwater.start();',
  "endless.js": `${load} shearwater.start(); self.addEventListener("install", (event) => event.waitUntil(new Promise(() => {})));`,
  "throws.js": `${load} throw new Error("of the app");`,
});

const w = world({ site, proxy: true });

/** What connect() comes to: {connected}, or the error; and how long it took. */
const connect = (page, options) =>
  page.evaluate(async (options) => {
    const began = performance.now();
    const outcome = await window.connect(options).then(
      (client) => {
        window.client = client;
        return { connected: true };
      },
      (error) => ({ name: error.name, code: error.code, message: error.message, is: error instanceof window.ShearwaterError }),
    );
    return { ...outcome, took: performance.now() - began };
  }, options);

async function refused(page, options, code, pattern, within = 4_000) {
  const outcome = await connect(page, options);
  assert.equal(outcome.code, code, JSON.stringify(outcome));
  assert.match(outcome.message, pattern);
  assert.equal(outcome.is, true, "instanceof ShearwaterError");
  assert.ok(outcome.took < within, `took ${outcome.took} ms`);
}

/** Makes a worker of another library the active one; what it is posted is collected in `window.told`. */
const foreignWorker = (page, script) =>
  page.evaluate(async (script) => {
    window.told = [];
    new BroadcastChannel("told").onmessage = ({ data }) => window.told.push(data);
    await navigator.serviceWorker.register(script);
    await navigator.serviceWorker.ready;
    // As in a page that was loaded through it: what is newer waits.
    while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 10));
  }, script);

test("while a worker of another library is active and ours waits, nothing is posted to it, and connect() says what to do", async () => {
  const page = await w.visit();
  await foreignWorker(page, "/foreign.js");
  await refused(page, { worker: "/sw.js" }, "worker-unavailable", /another worker controls .*skipWaiting\(\)/, 9_000);
  assert.deepEqual(await page.evaluate(() => window.told), []);
});

test("connect() goes on as soon as our worker has taken the place of another library's", async () => {
  const page = await w.visit();
  await foreignWorker(page, "/foreign.js");
  const outcome = await connect(page, { worker: "/eager.js" });
  assert.equal(outcome.connected, true, JSON.stringify(outcome));
  assert.deepEqual(await page.evaluate(() => window.told), []);
  await page.evaluate(() => client.enqueue({ url: "/api/sink/x", body: "x" }));
  await until("the delivery", async () => (await w.server.sink()).length === 1);
});

test("a worker whose file was another library's when it was installed is replaced first", async () => {
  w.proxy.rule("/sw.js", { body: foreign, headers: { "content-type": "text/javascript" } });
  const page = await w.visit();
  await foreignWorker(page, "/sw.js");
  w.proxy.rule("/sw.js", { body: `${load} shearwater.start(); ${eager}`, headers: { "content-type": "text/javascript" } });
  const outcome = await connect(page, { worker: "/sw.js" });
  assert.equal(outcome.connected, true, JSON.stringify(outcome));
  assert.deepEqual(await page.evaluate(() => window.told), []);
});

test("a worker without Shearwater is recognized within seconds", async () => {
  const page = await w.visit();
  for (const time of ["first", "second"]) {
    await refused(page, { worker: "/foreign.js" }, "worker-unavailable", /call shearwater\.start\(\)/, 6_000).catch((error) =>
      assert.fail(`${time}: ${error.message}`),
    );
  }
});

test("while an update of ours waits, the active worker is used at once", async () => {
  const page = await w.visit();
  await connect(page, { worker: "/sw.js" });
  const outcome = await connect(page, { worker: "/alpha.js" });
  assert.equal(outcome.connected, true, JSON.stringify(outcome));
  assert.ok(outcome.took < 3_000, `took ${outcome.took} ms`);
  await page.evaluate(() => client.enqueue({ url: "/api/sink/x", body: "x" }));
  await until("the delivery", async () => (await w.server.sink()).length === 1);
});

test("connect() keeps its timeout when the install never settles", async () => {
  await refused(await w.visit(), { worker: "/endless.js", timeout: 2_000 }, "timeout", /endless\.js is still installing/);
});

for (const path of ["/sw.js", "/shearwater/page.wasm", "/shearwater/worker.js"]) {
  test(`connect() keeps its timeout when ${path} gets no response`, async () => {
    w.proxy.rule(path, { hang: true });
    const named = path === "/shearwater/worker.js" ? /sw\.js was not answered/ : new RegExp(`${path} was not answered`);
    await refused(await w.visit(), { worker: "/sw.js", timeout: 2_000 }, "timeout", named);
  });
}

for (const [what, options, code, pattern] of [
  ["never calls start()", { worker: "/unstarted.js" }, "invalid-config", /unstarted\.js .*call shearwater\.start\(\)/],
  ["calls start() twice", { worker: "/twice.js" }, "invalid-config", /start\(\) is called once/],
  ["names a hook that there is not", { worker: "/hook.js" }, "invalid-config", /no hook "delivred"/],
  ["names what is no origin", { worker: "/origins.js" }, "invalid-config", /origins/],
  ["calls adopt() too late", { worker: "/adopt.js" }, "invalid-config", /adopt\(\) is called before start\(\)/],
  ["is a module, registered as classic", { worker: "/module.js" }, "worker-unavailable", /it is a module.*type: "module"/],
  [
    "is classic, registered as a module",
    { worker: "/sw.js", type: "module" },
    "worker-unavailable",
    /importScripts\(\).*type: "classic"/,
  ],
  ["imports a script that is not there", { worker: "/missing.js" }, "worker-unavailable", /\/lib\/not-there\.js.*404/],
  ["is not there", { worker: "/not-there.js" }, "worker-unavailable", /not-there\.js.*404/],
  ["throws by itself", { worker: "/throws.js" }, "worker-unavailable", /console/],
]) {
  test(`connect() says so when the worker ${what}`, async () => {
    await refused(await w.visit(), options, code, pattern, 6_000);
  });
}

test("connect() says so when the server has a page in the place of the worker", async () => {
  w.proxy.rule("/sw.js", { body: "<!doctype html>", headers: { "content-type": "text/html" } });
  await refused(await w.visit(), {}, "worker-unavailable", /text\/html/);
});

test("connect() refuses a worker of another name, and takes the worker's where none is given", async () => {
  const page = await w.visit();
  await refused(page, { worker: "/alpha.js", name: "beta" }, "invalid-config", /"beta".*"alpha"/);
  await w.server.down(true);
  for (const options of [{ worker: "/alpha.js" }, { worker: "/alpha.js", name: "alpha" }]) {
    const outcome = await connect(page, options);
    assert.equal(outcome.connected, true, JSON.stringify(outcome));
  }
  await page.evaluate(async () => {
    await client.pause();
    await client.enqueue({ url: "/api/sink/x", body: "x" });
  });
  assert.equal((await page.evaluate(() => client.getSnapshot())).pending, 1);
  // Of another page's jobs it hears on the channel of that name.
  const other = await w.visit();
  await connect(other, { worker: "/alpha.js" });
  await other.evaluate(() => client.enqueue({ url: "/api/sink/y", body: "y" }));
  await until("the other page's job", async () => (await page.evaluate(() => client.getSnapshot())).pending === 2);
});

for (const [what, rules, pattern] of [
  ["is missing", { "/shearwater/page.wasm": { status: 404 } }, /answered 404: deploy it beside page\.js/],
  [
    "is a page",
    { "/shearwater/page.wasm": { body: "<!doctype html>", headers: { "content-type": "text/html" } } },
    /not WebAssembly but text\/html/,
  ],
  [
    "is of another release",
    { "/shearwater/page.wasm": { body: new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]) } },
    /another release than page\.js/,
  ],
  ["cannot be reached", { "/shearwater/page.wasm": { drop: true } }, /cannot be fetched \(no network/],
  [
    "may not be compiled",
    { "/": { headers: { "content-security-policy": "script-src 'self'" } } },
    /add 'wasm-unsafe-eval' to script-src/,
  ],
  ["may not be fetched", { "/": { headers: { "content-security-policy": "connect-src 'none'" } } }, /connect-src/],
]) {
  test(`connect() says so when page.wasm ${what}, and works when it is back`, async () => {
    for (const [path, rule] of Object.entries(rules)) w.proxy.rule(path, rule);
    const page = await w.visit();
    await refused(page, {}, "worker-unavailable", pattern);
    for (const path of Object.keys(rules)) w.proxy.rule(path);
    if ("/" in rules) return;
    assert.equal((await connect(page, {})).connected, true);
  });
}

test("errors of the wasm and of the script are ShearwaterErrors", async () => {
  const page = await w.visit();
  await connect(page, {});
  const kinds = await page.evaluate(async () => {
    const thrown = async (act) =>
      act().then(
        () => null,
        (error) => error,
      );
    const ours = await thrown(() => client.enqueue({}));
    const fromWorker = await thrown(() => client.enqueue({ url: "https://user:pass@example.org/" }));
    return [ours, fromWorker, new Error("x"), Object.assign(new Error("x"), { code: "internal" }), null].map(
      (error) => error instanceof window.ShearwaterError,
    );
  });
  assert.deepEqual(kinds, [true, true, false, false, false]);
});

test("under Trusted Types a TrustedScriptURL registers the worker, and later loads need none", async () => {
  w.proxy.rule("/", { headers: { "content-security-policy": "require-trusted-types-for 'script'" } });
  const page = await w.visit();
  await refused(page, { worker: "/sw.js" }, "worker-unavailable", /TrustedScriptURL/);
  const connected = await page.evaluate(async () => {
    const policy = trustedTypes.createPolicy("worker", { createScriptURL: (url) => url });
    await window.connect({ worker: policy.createScriptURL("/sw.js") });
    return true;
  });
  assert.equal(connected, true);
  const later = await w.visit();
  const outcome = await connect(later, { worker: "/sw.js" });
  assert.equal(outcome.connected, true, JSON.stringify(outcome));
});

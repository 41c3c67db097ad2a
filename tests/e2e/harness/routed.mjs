// An app whose own fetch() calls are routed, and what its page can be asked to do.

/** The worker: its configuration comes by the query, its `routed` hook by name; it counts what is responded to. */
const WORKER = `
  const query = new URL(location.href).searchParams;
  const responded = [];
  const { respondWith } = FetchEvent.prototype;
  FetchEvent.prototype.respondWith = function (response) {
    responded.push(new URL(this.request.url).pathname);
    return respondWith.call(this, response);
  };
  let compiled = 0;
  const broken = query.has("broken") && Boolean(self.registration.active);
  for (const name of ["compile", "compileStreaming"]) {
    const compile = WebAssembly[name];
    WebAssembly[name] = (...given) => {
      compiled += 1;
      // ?broken: once it is installed, a fresh start of the worker finds no wasm that compiles.
      return broken ? Promise.reject(new Error("broken")) : compile.apply(WebAssembly, given);
    };
  }
  const said = [];
  for (const level of ["warn", "error"]) {
    const write = console[level];
    console[level] = (...given) => { said.push(given.map(String).join(" ")); write.apply(console, given); };
  }
  self.shearwaterPoint = query.get("point");
  // ?impatient: what would take half a minute takes a moment.
  if (query.has("impatient")) {
    const { setTimeout } = self;
    self.setTimeout = (act, ms, ...given) => setTimeout(act, ms === 30_000 ? 100 : ms, ...given);
  }
  importScripts("/shearwater/worker.js");
  const config = JSON.parse(query.get("config"));
  // ?patterns: each match is a URLPattern, not its text.
  if (query.has("patterns")) for (const route of config.routes) route.match = new URLPattern({ pathname: route.match });
  shearwater.start(config);
  if (query.has("auth")) shearwater.on("auth", () => ({ authorization: query.get("auth") }));
  const asked = [];
  const hooks = {
    own: ({ id, reason, status }) => Response.json({ mine: id, reason, status }, { status: 299 }),
    body: async ({ request }) => new Response(await request.text(), { status: 299 }),
    nothing: () => undefined,
    throws: () => { throw "not an Error"; },
    nonsense: () => ({ status: 200 }),
    error: () => Response.error(),
    used: async () => { const response = new Response("x"); await response.text(); return response; },
    hangs: () => new Promise(() => {}),
  };
  if (query.has("routed")) shearwater.on("routed", (detail) => { asked.push(detail.id); return hooks[query.get("routed")](detail); });
  const later = [];
  self.addEventListener("fetch", (event) => later.push(new URL(event.request.url).pathname));
  self.addEventListener("message", ({ data, ports }) => {
    if (data.tell) ports[0].postMessage({ responded, later, compiled, said, asked });
  });
  self.addEventListener("install", () => self.skipWaiting());
  self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));
`;

const PAGE = `
  import { connect } from "/shearwater/page.js";
  const { promise: controlled, resolve } = Promise.withResolvers();
  if (navigator.serviceWorker.controller) resolve();
  navigator.serviceWorker.addEventListener("controllerchange", () => resolve());
  window.start = async (worker, options) => {
    window.client = await connect({ worker, syncOnMount: false, autoSyncInterval: 0, ...options });
    await controlled;
  };
  window.call = async (url, init) => {
    try {
      const response = await fetch(url, init);
      const text = await response.text();
      const headers = Object.fromEntries(response.headers);
      return { status: response.status, type: response.type, headers, text, job: response.headers.get("shearwater-job") };
    } catch (error) {
      return { error: error.name };
    }
  };
  window.tell = () => new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data);
    navigator.serviceWorker.controller.postMessage({ tell: true }, [port2]);
  });
  window.ready = true;
`;

const LINK = '<link rel="icon" href="data:,">';

/** Files for makeSite. */
export const routedSite = {
  "index.html": `<!doctype html>${LINK}<script type="module" src="/page.mjs"></script>`,
  "form.html": `<!doctype html>${LINK}<form method="post" action="/api/sink/form"><input name="a" value="1"></form>`,
  "thanks.html": `<!doctype html>${LINK}<p>thanks</p>`,
  "page.mjs": PAGE,
  "sw.js": WORKER,
};

/** The worker's URL; `more` is its query. */
export const routedWorker = (config, more = {}) => `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), ...more })}`;

/**
 * A page of the world that the worker with this configuration controls.
 *
 * @param {any} w  the world
 * @param {any} config
 * @param {{query?: Record<string, string>, browser?: any}} [more]
 */
export async function openRouted(w, config, { query, browser = w.browser } = {}) {
  const page = await browser.newPage();
  await page.goto(`${w.origin()}/`);
  await page.waitForFunction("window.ready");
  await page.evaluate((worker) => /** @type {any} */ (window).start(worker), routedWorker(config, query));
  return page;
}

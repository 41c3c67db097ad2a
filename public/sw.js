// The demo's service worker: Shearwater delivers the notes, the rest of this file lets the page open offline.

importScripts("/shearwater/worker.js");

shearwater.start({
  strict: true,
  queues: {
    notes: {
      concurrency: 3,
      // Short waits, so that somebody who watches sees the retries. An app would keep the defaults.
      backoff: { base: 2_000, max: 30_000, jitter: "equal" },
    },
  },
});

const CACHE = "demo-shell";
/** How long the network may take before the stored copy is shown. */
const PATIENCE = 3_000;
const SHELL = [
  "/",
  "/style.css",
  "/app.js",
  "/app/announce.js",
  "/app/clock.js",
  "/app/compose.js",
  "/app/dom.js",
  "/app/format.js",
  "/app/keyed-list.js",
  "/app/motion.js",
  "/app/photo.js",
  "/app/queue.js",
  "/app/server-notes.js",
  "/app/server-switch.js",
  "/app/server.js",
  "/app/status.js",
  "/manifest.webmanifest",
  "/favicon.ico",
  "/icons/icon.svg",
  "/icons/icon-192.png",
  "/icons/icon-512.png",
  "/icons/maskable-192.png",
  "/icons/maskable-512.png",
  "/icons/apple-touch-icon.png",
  "/shearwater/page.js",
  "/shearwater/page.wasm",
];

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(precache());
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  // Every page of this app is the one at "/"; all else that is not of the shell goes its own way.
  const path = request.mode === "navigate" && (url.pathname === "/" || url.pathname === "/index.html") ? "/" : url.pathname;
  if (SHELL.includes(path)) event.respondWith(fromNetworkOrCache(event, path));
});

async function precache() {
  const cache = await caches.open(CACHE);
  await cache.addAll(SHELL.map((path) => new Request(path, { cache: "reload" })));
}

async function fromNetworkOrCache(event, path) {
  const cache = await caches.open(CACHE);
  const fresh = fetch(event.request).then(async (response) => {
    if (response.status >= 500) throw new Error(`${path} answered ${response.status}`);
    // A full disk must not keep the page from opening.
    if (response.ok) await cache.put(path, response.clone()).catch(() => {});
    return response;
  });
  event.waitUntil(fresh.catch(() => {}));
  const late = new Promise((_, reject) => setTimeout(reject, PATIENCE));
  try {
    return await Promise.race([fresh, late]);
  } catch {
    return (await cache.match(path)) ?? fresh;
  }
}

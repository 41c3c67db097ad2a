// The demo's service worker: Shearwater delivers what the page does, the rest of this file lets the page open offline.

importScripts("/shearwater/worker.js");

const DAY = 24 * 3_600_000;

shearwater.start({
  strict: true,
  queues: {
    // New notes, edits, deletions and photos.
    notes: {
      concurrency: 3,
      // Short waits, so that somebody who watches sees the retries. An app would keep the defaults.
      backoff: { base: 2_000, max: 30_000, jitter: "equal" },
    },
    // Events leave together: up to 50 in a request, none waits longer than 5 s. The server gets {app, events: […]}.
    analytics: {
      batch: { url: "/api/analytics/batch", max: 50, wait: 5_000, wrap: { app: "shearwater-demo", events: "items" } },
    },
  },
  // The notes are records: read and written here, pushed by the queue above, pulled from the server.
  collections: {
    // Text that was changed on both sides is put before a person, with what both began from.
    notes: { url: "/api/records/notes", version: "version", conflict: { strategy: "ask-user" } },
    // Which photos a note has. The files themselves are uploads.
    photos: { url: "/api/records/photos", version: "version", queue: "notes" },
  },
  // Once a day: refusals that nobody looked at for a week are removed, and what is due is sent.
  periodic: {
    "daily-sync": { minInterval: DAY, tasks: [{ cleanup: { maxAge: 7 * DAY } }, "drain"] },
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
  "/app/ask-twice.js",
  "/app/change.js",
  "/app/clock.js",
  "/app/compose.js",
  "/app/daily.js",
  "/app/dom.js",
  "/app/events.js",
  "/app/format.js",
  "/app/jobs.js",
  "/app/keyed-list.js",
  "/app/motion.js",
  "/app/note-list.js",
  "/app/note-photos.js",
  "/app/notes.js",
  "/app/photo-picker.js",
  "/app/photo.js",
  "/app/queue.js",
  "/app/server-switch.js",
  "/app/server.js",
  "/app/settle.js",
  "/app/status.js",
  "/app/words.js",
  "/manifest.webmanifest",
  "/favicon.ico",
  "/icons/icon.svg",
  "/icons/icon-192.png",
  "/icons/icon-512.png",
  "/icons/maskable-192.png",
  "/icons/maskable-512.png",
  "/icons/apple-touch-icon.png",
  "/shearwater/forms.js",
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

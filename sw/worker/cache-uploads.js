// Uploads of images that an app leaves in Cache Storage (U6): each entry becomes a job, and is deleted once that is delivered.
//
// An entry is known by its address and its bytes: the job's id is made of them, so that it is stored once, whoever looks and
// however often. Which entries were queued, and for whom, is noted in a cache of our own, after the job is on the disk:
//
//   entry, no note ──store──▶ job ──note──▶ job, note ──delivered, discarded or purged──▶ neither
//
// Cache Storage knows no owners. What is in the app's cache belongs to who is signed in when it is found; so everything is
// looked through before another user signs in.

import { asError } from "../error.js";
import { encode } from "../forms/encode.js";

/** Bytes of an image at its beginning, middle and end of which its id is made; a smaller one is read whole. */
const SAMPLE = 64 * 1024;

/** The address of a note, in a cache that no request looks into. */
const NOTE = "/shearwater-cache-upload/";

/**
 * @typedef {{cache?: string, url: string, field?: string, queue?: string}} Upload
 * @typedef {{owner: string, cache: string, url: string}} Note
 * @typedef {(op: unknown) => Promise<any>} Ask  of the wasm; rejects with what it refuses
 */

/**
 * @param {Record<string, Upload>} uploads
 * @param {string} name  of the database
 * @param {{ask: Ask, store: (jobs: import("../types/worker.js").AdoptedJob[], owner: string) => Promise<string[]>}} queue
 */
export function createCacheUploads(uploads, name, { ask, store }) {
  const notes = `shearwater-uploads:${name}`;
  /** @type {Promise<unknown>} */
  let line = Promise.resolve();
  const told = new Set();

  /** @param {string} text */
  function tell(text) {
    if (told.has(text)) return;
    told.add(text);
    console.error("[shearwater] cacheUploads:", text);
  }

  /**
   * Queues what is new, and deletes what is done.
   *
   * @param {Upload & {tag: string}} upload
   * @param {string} owner
   */
  async function look({ tag, cache: cacheName = "image-uploads", url, field = "image", queue = tag }, owner) {
    if (!(await caches.has(cacheName))) return;
    const [cache, known] = await Promise.all([caches.open(cacheName), caches.open(notes)]);
    for (const request of await cache.keys()) {
      const response = await cache.match(request, { ignoreVary: true });
      if (!response) continue;
      if (response.type === "opaque" || response.type === "error") {
        tell(`${request.url} in the cache "${cacheName}" is an opaque response, which nobody can read; it stays where it is`);
        continue;
      }
      const image = await response.blob();
      if (image.size === 0) {
        tell(`${request.url} in the cache "${cacheName}" is empty; it stays where it is`);
        continue;
      }
      const id = await idOf(cacheName, request.url, image);
      const noted = await known.match(NOTE + id);
      /** @type {Note | undefined} */
      const note = noted && (await noted.json());
      if (!note) {
        await store([jobOf(id, request.url, image, { url, field, queue, cache: cacheName })], owner);
        await known.put(NOTE + id, new Response(JSON.stringify({ owner, cache: cacheName, url: request.url })));
      }
      // Of another owner's jobs nothing is told.
      if ((note?.owner ?? owner) !== owner) continue;
      const job = await ask({ get: id });
      if (!job || job.state === "delivered") await end(cache, known, request, id);
    }
  }

  /**
   * Deletes an entry and its note, unless the app has put another image there meanwhile.
   *
   * @param {Cache} cache
   * @param {Cache} known
   * @param {Request} request
   * @param {string} id
   */
  async function end(cache, known, request, id) {
    const response = await cache.match(request, { ignoreVary: true });
    const { cache: cacheName } = /** @type {Note} */ (await (await known.match(NOTE + id))?.json()) ?? {};
    if (response && cacheName && (await idOf(cacheName, request.url, await response.blob())) === id) {
      await cache.delete(request, { ignoreVary: true });
    }
    await known.delete(NOTE + id);
  }

  /** Looks through all caches, one time after the other. */
  function scan() {
    const scanned = line.then(async () => {
      const { owner } = await ask("status");
      for (const [tag, upload] of Object.entries(uploads)) await look({ ...upload, tag }, owner);
    });
    line = scanned.catch(() => {});
    return scanned;
  }

  return {
    scan,

    /** As `scan`, where nothing depends on it: what goes wrong is told, and tried again at the next wake. */
    tidy: () => scan().catch((thrown) => tell(asError(thrown).message)),

    /**
     * Deletes what was queued for an owner whose jobs were purged.
     *
     * @param {string} owner
     */
    async forget(owner) {
      const known = await caches.open(notes);
      for (const key of await known.keys()) {
        /** @type {Note | undefined} */
        const note = await (await known.match(key))?.json();
        if (note?.owner !== owner) continue;
        await (await caches.open(note.cache)).delete(note.url, { ignoreVary: true });
        await known.delete(key);
      }
    },
  };
}

/**
 * The id of the job of this image at this address.
 *
 * @param {string} cache
 * @param {string} url
 * @param {Blob} image
 */
async function idOf(cache, url, image) {
  const { size, type } = image;
  const middle = Math.floor(size / 2);
  const parts =
    size <= 3 * SAMPLE ? [image] : [image.slice(0, SAMPLE), image.slice(middle, middle + SAMPLE), image.slice(size - SAMPLE)];
  const bytes = await new Blob([JSON.stringify([cache, url, type, size]), ...parts]).arrayBuffer();
  const hex = Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
  // RFC 9562 §5.8, which leaves to us what the other bits are.
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/**
 * The form of an image: the parameters of its address as fields, then the file.
 *
 * @param {string} id
 * @param {string} from
 * @param {Blob} image
 * @param {{url: string, field: string, queue: string, cache: string}} to
 * @returns {import("../types/worker.js").AdoptedJob}
 */
function jobOf(id, from, image, { url, field, queue, cache }) {
  const address = new URL(from);
  const name = address.pathname.split("/").at(-1) || "image";
  // WebKit reads no form with files that it has encoded itself.
  const { parts, type } = encode(
    [...address.searchParams, [field, new File([image], name, { type: image.type })]],
    "multipart/form-data",
  );
  return {
    id,
    request: { url: new URL(url, self.location.href).href, method: "POST", headers: [["content-type", type]] },
    options: { queue },
    metadata: JSON.stringify({ cache, url: from }),
    body: new Blob(parts),
  };
}

// Uploads of images that an app leaves in Cache Storage (U6): each entry becomes a job, and is deleted once that is delivered.
//
// Which entries were queued, and for whom, is noted in a cache of our own once the job is on the disk, under a key made of the
// address and some of the image, for images are many and large and are looked at often. The job's id is made of the address and
// all of the image; by it the two are compared before the entry is deleted, for another image may be there that looks alike:
//
//   entry, no note ──store──▶ job ──note──▶ job, note ──delivered, discarded or purged──▶ neither
//
// A kill between the two finds the job by that id, which is made of its owner, too. Cache Storage knows no owners: what is in the
// app's cache belongs to who is signed in when it is found. So everything is looked through before another user signs
// in, and nothing is looked at while that is being committed.

import { asError, ShearwaterError } from "../error.js";
import { encode } from "../forms/encode.js";

/** Bytes of an image at its beginning, middle and end that are in its key. */
const SAMPLE = 2 * 1024;

/** Bytes of an image that are in memory at once. */
const CHUNK = 4 * 1024 * 1024;

/** The address of a note, in a cache that no request looks into. */
const NOTE = "/shearwater-cache-upload/";

/** The longest address that is kept with a job. */
const LONGEST_ADDRESS = 4_096;

/** Jobs that are asked for at once. */
const PAGE = 1_000;

/** Ids that are tried for an image that was discarded before, and put there again. */
const MOST_IDS = 5;

/** What is wrong with one image alone. */
const OF_ONE = ["invalid-request", "invalid-message", "unknown-queue"];

/**
 * @typedef {{cache?: string, url: string, field?: string, queue?: string}} Upload
 * @typedef {{owner: string, id: string, cache: string, url: string}} Note
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
  /** A scan that has not begun: whoever comes now need not have another. @type {Promise<void> | undefined} */
  let next;
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
    const waiting = await stored(queue);
    const seen = new Set();
    for (const request of await cache.keys()) {
      const response = await cache.match(request, { ignoreVary: true });
      if (!response) continue;
      const where = `${request.url.slice(0, 200)} in the cache "${cacheName}"`;
      if (response.type === "opaque" || response.type === "error") {
        tell(`${where} is an opaque response, which nobody can read; it stays where it is`);
        continue;
      }
      const image = await response.blob();
      if (image.size === 0) {
        tell(`${where} is empty; it stays where it is`);
        continue;
      }
      const key = await keyOf(cacheName, request.url, image);
      seen.add(key);
      let note = await noteOf(known, key);
      // Of another owner's jobs nothing is told.
      if (note?.owner === owner && !waiting.has(note.id) && (await isDone(note.id))) {
        if (await end(cache, known, request, key, isOf)) continue;
        note = undefined;
      }
      if (!note) {
        try {
          const id = await queueOne(owner, [cacheName, request.url], image, (id) =>
            jobOf(id, request.url, image, { url, field, queue, cache: cacheName }),
          );
          note = { owner, id, cache: cacheName, url: request.url };
          waiting.add(id);
        } catch (thrown) {
          if (!OF_ONE.includes(/** @type {any} */ (thrown).code)) throw thrown;
          tell(`${where} cannot be queued, and stays where it is: ${asError(thrown).message}`);
          continue;
        }
        await put(known, key, note);
      }
    }
    for (const request of await known.keys()) {
      const key = request.url.split(NOTE)[1] ?? "";
      if (seen.has(key)) continue;
      const note = await noteOf(known, key);
      // The app has deleted the entry itself; its job goes on.
      if (note?.cache === cacheName && note.owner === owner && !waiting.has(note.id) && (await isDone(note.id))) {
        await known.delete(NOTE + key);
      }
    }
  }

  /**
   * The ids of the jobs that a queue holds.
   *
   * @param {string} queue
   * @returns {Promise<Set<string>>}
   */
  async function stored(queue) {
    const ids = new Set();
    for (let after; ; ) {
      /** @type {Array<{id: string}>} */
      const page = await ask({ list: { queue, limit: PAGE, ...(after && { after }) } });
      for (const { id } of page) ids.add(id);
      after = page.at(-1)?.id;
      if (page.length < PAGE) return ids;
    }
  }

  /** @param {string} id */
  async function isDone(id) {
    const job = await ask({ get: id });
    return !job || job.state === "delivered";
  }

  /**
   * Stores the job of an image, unless it is stored or was delivered; returns its id.
   *
   * @param {string} owner
   * @param {[cache: string, url: string]} where
   * @param {Blob} image
   * @param {(id: string) => import("../types/worker.js").AdoptedJob} make
   */
  async function queueOne(owner, where, image, make) {
    let id = "";
    for (id of await idsOf(owner, where, image)) {
      if (await ask({ get: id })) return id;
      await store([make(id)], owner);
      // An image that was discarded lately is not stored under the same id.
      if (await ask({ get: id })) return id;
    }
    return id;
  }

  /**
   * Deletes a note, and its entry unless the app has put another image there meanwhile; returns whether it has not.
   *
   * @param {Cache} cache
   * @param {Cache} known
   * @param {Request | string} request
   * @param {string} key
   * @param {(note: Note, image: Blob) => Promise<boolean>} isSame
   */
  async function end(cache, known, request, key, isSame) {
    const note = await noteOf(known, key);
    const response = await cache.match(request, { ignoreVary: true });
    const is = !note || !response || (response.type !== "opaque" && (await isSame(note, await response.blob())));
    if (is && note && response) await cache.delete(request, { ignoreVary: true });
    await known.delete(NOTE + key);
    return is;
  }

  /**
   * Deletes what was queued for an owner whose jobs were purged.
   *
   * @param {string} owner
   */
  async function forget(owner) {
    const known = await caches.open(notes);
    for (const request of await known.keys()) {
      const key = request.url.split(NOTE)[1] ?? "";
      const note = await noteOf(known, key);
      // What looks alike was found before the sign-in, too.
      const looksAlike = async (/** @type {Note} */ { cache, url }, /** @type {Blob} */ image) =>
        (await keyOf(cache, url, image)) === key;
      if (note?.owner === owner) await end(await caches.open(note.cache), known, note.url, key, looksAlike);
    }
  }

  async function lookAtAll() {
    const { owner } = await ask("status");
    for (const [tag, upload] of Object.entries(uploads)) await look({ ...upload, tag }, owner);
  }

  /** Looks through all caches, one time after the other. */
  function scan() {
    if (!next) {
      const begun = line.then(() => {
        next = undefined;
        return lookAtAll();
      });
      next = begun;
      line = begun.catch(() => {});
    }
    return next;
  }

  return {
    /** Looks through all caches. What goes wrong is told, and tried again at the next wake. */
    tidy: () => scan().catch((thrown) => tell(asError(thrown).message)),

    /**
     * Has `commit` sign `owner` in: after everything in the caches was queued for who goes, with no look at them meanwhile, and
     * with all that was `purged` deleted at the end.
     *
     * @template {{error?: unknown}} T
     * @param {string} owner
     * @param {string | undefined} purged
     * @param {() => Promise<T>} commit
     * @returns {Promise<T>}
     */
    signIn(owner, purged, commit) {
      const done = line.then(async () => {
        if ((await ask("status")).owner !== owner) await lookAtAll();
        const answer = await commit();
        if (!answer.error && purged !== undefined && purged !== owner) await forget(purged);
        return answer;
      });
      line = done.catch(() => {});
      return done;
    },
  };
}

/**
 * @param {Cache} known
 * @param {string} key
 * @returns {Promise<Note | undefined>}
 */
async function noteOf(known, key) {
  return (await known.match(NOTE + key))?.json();
}

/**
 * @param {Cache} known
 * @param {string} key
 * @param {Note} note
 */
async function put(known, key, note) {
  try {
    await known.put(NOTE + key, new Response(JSON.stringify(note)));
  } catch (thrown) {
    const { name, message } = asError(thrown);
    if (name !== "QuotaExceededError") throw thrown;
    throw new ShearwaterError("quota-exceeded", `there is no room to note what was queued out of Cache Storage: ${message}`);
  }
}

/**
 * The beginning, the middle and the end of a blob, or all of it.
 *
 * @param {Blob} blob
 * @param {number} length
 */
function ends(blob, length) {
  const middle = Math.floor(blob.size / 2);
  if (blob.size <= 3 * length) return [blob];
  return [blob.slice(0, length), blob.slice(middle, middle + length), blob.slice(blob.size - length)];
}

/**
 * What an entry is noted under.
 *
 * @param {string} cache
 * @param {string} url
 * @param {Blob} image
 */
const keyOf = (cache, url, image) => digest([cache, url, image.type, image.size], ends(image, SAMPLE));

/**
 * The ids that the job of an image may have, made of all of it.
 *
 * @param {string} owner
 * @param {[cache: string, url: string]} where
 * @param {Blob} image
 */
async function idsOf(owner, where, image) {
  const chunks = [];
  for (let at = 0; at < image.size; at += CHUNK) chunks.push(await digest([], [image.slice(at, at + CHUNK)]));
  const whole = [owner, ...where, image.type, image.size, ...chunks];
  return Promise.all(Array.from({ length: MOST_IDS }, async (_, again) => uuidOf(await digest([...whole, again], []))));
}

/**
 * Whether a note is of this image, every byte of it.
 *
 * @param {Note} note
 * @param {Blob} image
 */
const isOf = async ({ owner, id, cache, url }, image) => (await idsOf(owner, [cache, url], image)).includes(id);

/**
 * @param {unknown[]} words
 * @param {Blob[]} parts
 */
async function digest(words, parts) {
  const bytes = await new Blob([JSON.stringify(words), ...parts]).arrayBuffer();
  const sha = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(sha, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * A UUID whose bits are our own (RFC 9562 §5.8).
 *
 * @param {string} hex
 */
const uuidOf = (hex) =>
  `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;

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
  // WebKit reads no form with files that it has encoded itself.
  const { parts, type } = encode(
    [...address.searchParams, [field, new File([image], nameOf(address), { type: image.type })]],
    "multipart/form-data",
  );
  return {
    id,
    request: { url: new URL(url, self.location.href).href, method: "POST", headers: [["content-type", type]] },
    options: { queue },
    metadata: JSON.stringify({ cache, url: from.slice(0, LONGEST_ADDRESS) }),
    body: new Blob(parts),
  };
}

/** @param {URL} address */
function nameOf({ pathname }) {
  const name = pathname.split("/").at(-1) || "image";
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

// Takes over the entries that workbox-background-sync left in an app: database version 3, store `requests`.
//
// An entry is deleted there only after it is stored here, under an id derived from the entry: if the worker is killed in
// between, the next start finds the job stored already. Entries keep their order: those of one Workbox queue share a key,
// so they are sent one at a time, as Workbox does. An entry that cannot be queued stays where it is, is reported on the
// console, and does not block the others.

const DATABASE = "workbox-background-sync";
const VERSION = 3;
const STORE = "requests";
const PAGE = 200;
/** Milliseconds that another connection (for example, a page that deletes the database) may block opening it. */
const LONGEST_OPENING = 3_000;

/**
 * An entry of Workbox's store; see QueueDb.ts and StorableRequest.ts of workbox-background-sync.
 *
 * @typedef {object} Entry
 * @property {number} id
 * @property {string} queueName
 * @property {Record<string, any>} requestData
 * @property {number} timestamp
 * @property {unknown} [metadata]
 *
 * @typedef {import("../types/worker.js").AdoptedJob} Job
 */

/**
 * Creates a source for `shearwater.adopt`. `queues` maps Workbox's queue names to ours; unmapped queues keep theirs.
 *
 * @type {typeof import("../types/import-workbox.js").workboxQueues}
 */
export function workboxQueues(queues = {}) {
  return async (store) => {
    const database = await openExisting();
    if (!database) return;
    try {
      for (let after = 0; ; ) {
        const entries = await request(
          database.transaction(STORE).objectStore(STORE).getAll(IDBKeyRange.lowerBound(after, true), PAGE),
        );
        if (entries.length === 0) return;
        after = entries.at(-1).id;
        await takeOver(database, store, entries, queues);
      }
    } finally {
      database.close();
    }
  };
}

/**
 * @param {IDBDatabase} database
 * @param {Parameters<import("../types/worker.js").Source>[0]} store
 * @param {Entry[]} entries
 * @param {Record<string, string>} queues
 */
async function takeOver(database, store, entries, queues) {
  const convertible = [];
  for (const entry of entries) {
    try {
      convertible.push({ id: entry.id, job: await toJob(entry, queues) });
    } catch (error) {
      leave(entry.id, error);
    }
  }
  let stored = convertible;
  try {
    if (convertible.length > 0) await store(convertible.map(({ job }) => job));
  } catch (error) {
    if (!concernsOne(error)) throw error;
    stored = [];
    for (const one of convertible) {
      try {
        await store([one.job]);
        stored.push(one);
      } catch (error) {
        // A full disk or a dead worker: not the fault of this entry, and the others would fail too.
        if (!concernsOne(error)) throw error;
        leave(one.id, error);
      }
    }
  }
  const transaction = database.transaction(STORE, "readwrite", { durability: "strict" });
  for (const { id } of stored) transaction.objectStore(STORE).delete(id);
  await new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}

const concernsOne = (/** @type {any} */ { code }) =>
  code === "invalid-request" || code === "invalid-message" || code === "unknown-queue";

const leave = (/** @type {number} */ id, /** @type {any} */ error) =>
  console.error("[shearwater] an entry of workbox-background-sync cannot be queued and stays there:", id, error.message);

/**
 * @param {Entry} entry
 * @param {Record<string, string>} queues
 * @returns {Promise<Job>}
 */
async function toJob({ id, queueName, requestData, timestamp, metadata }, queues) {
  const { url, method = "GET", body, mode, credentials, redirect, referrerPolicy, cache, integrity } = requestData;
  const queue = queues[queueName] ?? queueName;
  const bytes = body?.byteLength ?? body?.size ?? 0;
  return {
    id: await uuidOf([queueName, id, timestamp, url]),
    request: {
      url,
      method,
      // The Request drops the headers that the platform sets itself.
      headers: [...new Request(url, { headers: requestData.headers }).headers],
      ...present({ credentials, redirect, cache, integrity, referrerPolicy, mode: mode === "navigate" ? "cors" : mode }),
    },
    options: { queue, key: `workbox ${queueName}` },
    ...(metadata === undefined ? {} : { metadata: JSON.stringify(metadata) }),
    body: bytes > 0 ? body : undefined,
  };
}

const present = (/** @type {object} */ object) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined && value !== ""));

/**
 * Derives a UUID (RFC 9562 version 8) that is the same each time for the same entry.
 *
 * @param {unknown[]} parts
 */
async function uuidOf(parts) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(parts)));
  const bytes = new Uint8Array(digest, 0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x80;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/**
 * Opens the database if it exists in this version, and does not create it otherwise. No version is requested: a request
 * for a later version than the existing one would wait for every page that has the database open.
 *
 * @returns {Promise<IDBDatabase | null>}
 */
function openExisting() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE);
    let absent = false;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      reject(new Error(`${DATABASE} could not be opened in ${LONGEST_OPENING} ms; it is tried again at the next start`));
    }, LONGEST_OPENING);
    opening.onupgradeneeded = () => {
      absent = true;
      opening.transaction?.abort();
    };
    opening.onsuccess = () => {
      clearTimeout(timer);
      const database = opening.result;
      database.onversionchange = () => database.close();
      if (!late && database.version === VERSION && database.objectStoreNames.contains(STORE)) return resolve(database);
      if (database.version !== VERSION) {
        console.error(`[shearwater] ${DATABASE} is of version ${database.version}, not ${VERSION}: nothing is taken over`);
      }
      database.close();
      resolve(null);
    };
    opening.onerror = () => {
      clearTimeout(timer);
      if (absent) resolve(null);
      else reject(opening.error);
    };
  });
}

/**
 * @template T
 * @param {IDBRequest<T>} asked
 * @returns {Promise<T>}
 */
function request(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

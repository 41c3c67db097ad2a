// The first tries under way, on the disk, so that one that is made again is known again.
//
// When a worker dies during a `fetch` event, the app's `fetch` fails, and the app may call it again; or the browser hands
// the same request to a new worker by itself (Chromium does, once). Either way the second try must carry the key of the first,
// which the server may have handled. So each try is noted before it begins and forgotten when it has ended. What is left
// of a worker that died is looked up by the next request that is the same: of the same page, with the same URL, method,
// type and bytes. It takes over the id, once, within ten minutes.
//
// Nothing here may keep a request from being sent: without a note, it goes under an id of its own. A note need not survive
// the browser, so its commit does not wait for the disk.

import { renewLog } from "./database.js";

/** Milliseconds for which the tries of a dead worker are remembered. */
const REMEMBERED = 600_000;
/** Milliseconds that a note may delay a first try. */
const PATIENCE = 1_000;
/** Bytes of a body, from its beginning, by which two requests are told apart; its size counts too. */
const SAMPLE = 65_536;
/** This run of the worker. */
const LIFE = crypto.randomUUID();

/**
 * @typedef {{id: string, same: string, at: number, life: string}} Note  `life`: of the worker
 * @typedef {{id: string, again: boolean, end: () => Promise<void>}} Try  `again`: a job of this id may be stored already
 */

export class Tries {
  #name;
  /** @type {Promise<IDBDatabase> | undefined} */
  #database;
  /** Of workers that died. @type {Note[]} */
  #left = [];

  /** @param {string} scope */
  constructor(scope) {
    this.#name = `shearwater tries ${scope}`;
  }

  /**
   * Notes that a request is about to be tried.
   *
   * @param {FetchEvent} event
   * @param {Blob | undefined} body
   * @returns {Promise<Try>}
   */
  async begin({ request, clientId }, body) {
    const id = crypto.randomUUID();
    const note = fingerprint(request, clientId, body).then((same) => this.#note(same, id));
    try {
      return await inTime(note);
    } catch {
      // One that is written too late is of no use, and must not be taken for that of a worker that died.
      return {
        id,
        again: false,
        end: () =>
          note.then(
            (late) => late.end(),
            () => {},
          ),
      };
    }
  }

  /** Forgets the tries of dead workers: whoever signs in now did not make them. */
  async forget() {
    this.#database ??= this.#open();
    const database = await this.#database;
    const left = this.#left.splice(0);
    if (left.length > 0)
      await write(database, (notes) => {
        for (const { id } of left) notes.delete(id);
      });
  }

  /**
   * @param {string} same
   * @param {string} fresh
   * @returns {Promise<Try>}
   */
  async #note(same, fresh) {
    this.#database ??= this.#open();
    const database = await this.#database;
    const since = Date.now() - REMEMBERED;
    const at = this.#left.findIndex((note) => note.same === same && note.at > since);
    const [left] = at < 0 ? [] : this.#left.splice(at, 1);
    const id = left?.id ?? fresh;
    await write(database, (notes) => notes.put({ id, same, at: Date.now(), life: LIFE }));
    const end = () => write(database, (notes) => notes.delete(id)).catch(() => {});
    return { id, again: left !== undefined, end };
  }

  async #open() {
    try {
      await renewLog(this.#name);
      const opening = indexedDB.open(this.#name, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore("tries", { keyPath: "id" });
      const database = await settled(opening);
      const forget = () => (this.#database = undefined);
      database.onclose = forget;
      database.onversionchange = () => {
        database.close();
        forget();
      };
      /** @type {Note[]} */
      const notes = await settled(database.transaction("tries").objectStore("tries").getAll());
      const others = notes.filter(({ life }) => life !== LIFE);
      const since = Date.now() - REMEMBERED;
      this.#left = others.filter(({ at }) => at > since);
      const old = others.filter(({ at }) => at <= since);
      if (old.length > 0)
        await write(database, (store) => {
          for (const { id } of old) store.delete(id);
        });
      return database;
    } catch (error) {
      this.#database = undefined;
      throw error;
    }
  }
}

/**
 * What two tries of one request have in common.
 *
 * @param {Request} request
 * @param {string} clientId
 * @param {Blob | undefined} body
 */
async function fingerprint({ method, url, headers }, clientId, body) {
  const head = JSON.stringify([clientId, method, url, headers.get("content-type"), body?.size ?? 0]);
  const bytes = await new Blob([head, ...(body ? [body.slice(0, SAMPLE)] : [])]).arrayBuffer();
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {IDBDatabase} database
 * @param {(notes: IDBObjectStore) => unknown} change
 * @returns {Promise<void>}
 */
function write(database, change) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction("tries", "readwrite", { durability: "relaxed" });
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    change(transaction.objectStore("tries"));
  });
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/**
 * What `work` resolves with, unless it takes longer than a request can wait.
 *
 * @template T
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
export async function inTime(work) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, PATIENCE);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

// What is done with IndexedDB while the wasm is on its way, so that a cold start does not do one after the other.

/**
 * Settles with the request's result, or with undefined.
 *
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T | undefined>}
 */
const settled = (request) =>
  new Promise((resolve) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = (event) => {
      event.preventDefault();
      resolve(undefined);
    };
  });

/** @typedef {{database?: IDBDatabase, loss?: string}} Opened */

/**
 * Opens the database: `{database, loss}`. One that is yet to be made, or upgraded, is left to the wasm, which has the
 * schema. `loss` is why the browser deleted the one that was there: Chromium says so to who asks first, and to
 * nobody else.
 *
 * @param {string} name
 * @returns {Promise<Opened>}
 */
export async function open(name) {
  const opening = indexedDB.open(name);
  /** @type {string | undefined} */
  let loss;
  opening.onupgradeneeded = ({ dataLoss, dataLossMessage }) => {
    if (dataLoss && dataLoss !== "none") loss = dataLossMessage ?? "";
    opening.transaction?.abort();
  };
  const database = await settled(opening);
  // Until the wasm has its own way of hearing of it.
  if (database) database.onversionchange = () => database.close();
  return { database, loss };
}

/** How long the renewal of the log may hold up a start; it takes some milliseconds. */
const LONGEST_RENEWAL = 3_000;

/**
 * Keeps Chromium from wiping the database after a crash; settles when it may be written to.
 *
 * Chromium keeps an origin's databases in one LevelDB, which writes to a log and, after a restart, goes on writing
 * to the same log. When the process was killed in the middle of a record, the next records land behind half a one;
 * the start after that reads a wrong checksum, takes the whole database for corrupt, and deletes it (google/leveldb
 * issue 1287, open). Measured with plain IndexedDB, no line of ours: three of a hundred kills during writes cost
 * every database of the origin.
 *
 * Deleting a database, be it an empty one, makes Chromium compact, and compacting begins a fresh log. Done before
 * the first write of each worker, it cost none in five hundred kills. Firefox and WebKit keep IndexedDB in SQLite
 * and need nothing of it; they have no user-agent client hints, by which Chromium is known here.
 *
 * @param {string} name
 */
export async function renewLog(name) {
  if (!navigator.userAgentData) return;
  // A database that another connection holds up, or a disk that does not answer, must not stop the queue.
  await Promise.race([renew(name), new Promise((resolve) => setTimeout(resolve, LONGEST_RENEWAL))]);
}

/** @param {string} name */
async function renew(name) {
  const opened = await settled(indexedDB.open(`${name}:log`, 1));
  if (!opened) return;
  opened.close();
  await settled(indexedDB.deleteDatabase(`${name}:log`));
}

// What is done with IndexedDB while the wasm loads, so that a cold start does both in parallel.

/**
 * Resolves with the request's result, or with undefined if it fails.
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
 * Opens the database: `{database, loss}`. A database that must be created or upgraded first is left to the wasm, which
 * has the schema. `loss` is the reason why the browser deleted an existing database: Chromium reports it only to the
 * first connection.
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
  // Until the wasm sets its own handler.
  if (database) database.onversionchange = () => database.close();
  return { database, loss };
}

/** Milliseconds that renewing the log may delay a start; it usually takes a few. */
const LONGEST_RENEWAL = 3_000;

/**
 * Keeps Chromium from deleting the database after a crash; resolves when the database may be written to.
 *
 * Chromium keeps an origin's databases in one LevelDB, which writes to a log and, after a restart, keeps appending to
 * the same log. If the process was killed in the middle of a record, the next records follow half a record; the start
 * after that reads a wrong checksum, considers the whole database corrupt, and deletes it (google/leveldb issue 1287,
 * open). Measured with plain IndexedDB, without Shearwater: three of a hundred kills during writes cost every database
 * of the origin.
 *
 * Deleting a database, even an empty one, makes Chromium compact, and compaction starts a fresh log. Doing this before
 * the first write of each worker lost no database in five hundred kills. Firefox and WebKit keep IndexedDB in SQLite
 * and do not need it; they have no user-agent client hints, by which Chromium is recognized here.
 *
 * @param {string} name
 */
export async function renewLog(name) {
  if (!navigator.userAgentData) return;
  // A database blocked by another connection, or a disk that hangs, must not stop the queue.
  await Promise.race([renew(name), new Promise((resolve) => setTimeout(resolve, LONGEST_RENEWAL))]);
}

/** @param {string} name */
async function renew(name) {
  const opened = await settled(indexedDB.open(`${name}:log`, 1));
  if (!opened) return;
  opened.close();
  await settled(indexedDB.deleteDatabase(`${name}:log`));
}

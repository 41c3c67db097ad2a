// The name of an app's database, locks and channels if its configuration has none.
//
// Workers of one origin share IndexedDB and Web Locks, so two apps in different scopes need different names; otherwise one
// would send the other's jobs with its own credentials. The scope distinguishes them: the app at "/" is "shearwater", any
// other app is "shearwater <path of the scope>".
//
// Earlier releases named every app "shearwater". Jobs that such an app still has queued there must not be lost, and no
// other app may take them. So the app that owned the database claims it, once. An app in another scope takes over the old
// database if it has run an old release (its cache "shearwater <scope> <sha>" exists), no app at "/" has (that one keeps
// the name anyway), and no other scope has claimed it. The claim is an entry "scope" in the database's `meta` store; an
// app that finds the claim of another, including the app at "/", does not use the database.

import { open, renewLog } from "./database.js";

const OLD = "shearwater";
const CLAIM = "scope";

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
 * Returns the name, and a promise of the database of that name as opened by database.js. Never rejects.
 *
 * @typedef {{name: string, opened: Promise<import("./database.js").Opened>}} Identity
 * @param {import("../types/worker.js").WorkerConfig} [config]
 * @returns {Promise<Identity>}
 */
export async function identify(config) {
  /**
   * @param {unknown} name  unchecked: boot() rejects anything but a string
   * @returns {Promise<import("./database.js").Opened>}
   */
  const opened = (name) => open(String(name)).catch(() => ({}));
  if (config?.name !== undefined) return { name: config.name, opened: opened(config.name) };
  const scope = self.registration?.scope ?? new URL("./", self.location.href).href;
  const path = new URL(scope).pathname;
  const own = path === "/" ? OLD : `${OLD} ${path}`;
  const first = await opened(own);
  try {
    if (own === OLD) {
      const claimed = first.database && (await claimOf(first.database));
      if ((claimed ?? scope) === scope) return { name: OLD, opened: Promise.resolve(first) };
      first.database?.close();
      return { name: `${OLD} /`, opened: opened(`${OLD} /`) };
    }
    if (!first.database && first.loss === undefined) {
      const old = await opened(OLD);
      const claimed = old.database && ((await claimOf(old.database)) ?? (await claim(old.database, scope)));
      if (claimed === scope) return { name: OLD, opened: Promise.resolve(old) };
      old.database?.close();
    }
  } catch {
    // A database that cannot be read has not been claimed by this app.
  }
  return { name: own, opened: Promise.resolve(first) };
}

/**
 * @param {IDBDatabase} database
 * @returns {Promise<string | undefined>}
 */
async function claimOf(database) {
  if (!database.objectStoreNames.contains("meta")) return undefined;
  return settled(database.transaction("meta").objectStore("meta").get(CLAIM));
}

/**
 * Claims the old database if this scope may; returns the scope that it belongs to afterwards.
 *
 * @param {IDBDatabase} database
 * @param {string} scope
 */
async function claim(database, scope) {
  const has = (/** @type {string[]} */ caches, /** @type {string} */ scope) =>
    caches.some((name) => name.startsWith(`shearwater ${scope} `));
  const names = await caches.keys().catch(() => []);
  const root = new URL("/", scope).href;
  if (!has(names, scope) || has(names, root) || names.some((name) => name.startsWith(`shearwater wasm ${root} `)))
    return undefined;
  if (!database.objectStoreNames.contains("meta")) return undefined;
  await renewLog(OLD);
  const transaction = database.transaction("meta", "readwrite", { durability: "strict" });
  const meta = transaction.objectStore("meta");
  const claimed = await settled(meta.get(CLAIM));
  if (claimed === undefined) meta.put(scope, CLAIM);
  await new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
  return claimed ?? scope;
}

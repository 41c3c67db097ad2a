// The name of an app's database, locks and channels where its configuration gives none.
//
// Workers of one origin share IndexedDB and Web Locks, so two apps under two scopes must differ in their names, or one
// sends the jobs of the other with its own credentials. The scope is what tells them apart: the app at "/" is
// "shearwater", any other "shearwater <path of the scope>".
//
// Releases before this rule called every app "shearwater". What such an app still has queued there must not be left
// behind, and no other app may take it. So the app that had it claims it, once: an app under another scope takes the
// old database over if it has run an old release (its cache "shearwater <scope> <sha>" is there), no app at "/" has
// (that one keeps the name in any case), and no other scope has claimed it. The claim is one entry, "scope", in the
// database's `meta` store; an app that finds another's claim stays away, the one at "/" too.

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
 * `{name, opened}`: the name, and a promise of the database of that name, opened by database.js. Never rejects.
 *
 * @typedef {{name: string, opened: Promise<import("./database.js").Opened>}} Identity
 * @param {import("../types/worker.js").WorkerConfig} [config]
 * @returns {Promise<Identity>}
 */
export async function identify(config) {
  /**
   * @param {unknown} name  whatever the app gave: boot() refuses what is no string
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
    // What cannot be read has not been claimed by this app.
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
 * Claims the old database if it is this scope's to claim; returns whose it is then.
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

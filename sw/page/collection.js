// `client.collection(name)`: records that are read from IndexedDB and written by the worker.
//
// A read never waits for the worker, and the page never writes to the database or upgrades it. Each read looks up in one
// transaction who is signed in and that user's rows, so a page that has not heard of a sign-in yet shows nothing of the
// former user. The rows are those of crates/core/src/collections/record.rs.

import { asError, ShearwaterError, unavailable } from "../error.js";
import { checkedRange, countIndex, searchIndex } from "./indexes.js";
import { invalid, isPlain, parse, settled } from "./plain.js";

/** Bytes; an id becomes a segment of a URL. */
const LONGEST_ID = 512;
/** Ids that a record may have had, one after another. */
const MOST_NAMES = 8;
/** What a report leaves out. */
const EMPTY = { syncedAt: null };
/** Milliseconds; a hundred years. */
const LONGEST_TIME = 3_155_760_000_000;
/** Milliseconds after the last read for which the database stays open. */
const IDLE = 1_000;

/**
 * A row of the store `records`; a member that is absent may also be null.
 *
 * @typedef {object} Row
 * @property {string} id
 * @property {string | null} [local]
 * @property {string | null} [base]
 * @property {number | null} [changedAt]
 * @property {{job: string} | null} [push]
 * @property {{collection: string, id: string} | null} [waitsFor]
 * @property {{text?: string | null} | null} [remote]
 * @property {boolean} [conflict]
 * @property {string | null} [moved]
 * @property {number | null} [expired]
 *
 * @typedef {import("../types/index.js").PlainQuery<any> & {search?: import("./indexes.js").Search}} Query
 * @typedef {Record<string, any>} Document
 */

/**
 * @param {unknown} record
 * @returns {string}
 */
function textOf(record) {
  if (!isPlain(record)) throw invalid("a record is a plain object");
  try {
    const text = JSON.stringify(record);
    if (text !== undefined) return text;
  } catch (error) {
    throw invalid(`a record must be JSON: ${asError(error).message}`);
  }
  throw invalid("a record must be JSON");
}

/**
 * The same text for the same value, in whatever order its members are.
 *
 * @param {unknown} value
 */
const canonical = (value) =>
  JSON.stringify(value, (_, inner) => (isPlain(inner) ? Object.fromEntries(Object.entries(inner).sort()) : inner));

/** @param {unknown} id */
function checkId(id) {
  if (typeof id !== "string") throw invalid("a record's id is a string");
  // A lone surrogate has no UTF-8, and URLs drop "." and "..".
  if (!id || /[\p{Cc}\p{Cs}]/u.test(id) || new TextEncoder().encode(id).length > LONGEST_ID || /^\.\.?$/.test(id))
    throw invalid('a record\'s id has 1 to 512 bytes, no control characters, and is not "." or ".."');
}

/**
 * What a query finds by an index, if it names one, and what is left of it to be done in memory.
 *
 * @param {any} query
 * @param {string} [key]  the member that is a record's id
 * @returns {Query}
 */
function checked(query = {}, key = "") {
  if (!isPlain(query)) throw invalid("a query is an object");
  const { where, order, limit, offset, index, range, after, ...rest } = query;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined)
    throw invalid(`a query has no member "${unknown}": it has index, range, after, where, order, limit and offset`);
  if (index === undefined && (range ?? after) !== undefined) throw invalid("range and after go with an index");
  if (index !== undefined && (typeof index !== "string" || !index)) throw invalid("index is the name of an index");
  if (where !== undefined && typeof where !== "function" && !isPlain(where)) throw invalid("where is an object or a function");
  if (order !== undefined && !(typeof order === "string" && order.replace("-", "")))
    throw invalid('order is the name of a member, or "-" and the name');
  for (const number of [limit, offset]) {
    if (number !== undefined && !(Number.isSafeInteger(number) && number >= 0))
      throw invalid("limit and offset are integers from 0 up");
  }
  if (index === undefined) return { where, order, limit, offset };
  const backwards = order === `-${index}`;
  const isOrdered = order === undefined || order === index || backwards;
  if (after !== undefined && !(isPlain(after) && isOrdered))
    throw invalid("after is a record, and goes with the order of the index");
  const search = { index, range: checkedRange(range), backwards, after, key };
  return { where, order: isOrdered ? undefined : order, limit, offset, search };
}

/**
 * What IndexedDB can compare, and in an order in which everything else comes last.
 *
 * @param {unknown} value
 */
const rank = (value) =>
  typeof value === "boolean" ? Number(value) : typeof value === "number" || typeof value === "string" ? value : [];

/**
 * @param {Query["where"]} where
 * @returns {(record: Document) => boolean}
 */
function matcher(where = {}) {
  if (typeof where === "function") return (record) => where(record);
  const wanted = Object.entries(where).map(([member, value]) => [member, canonical(value)]);
  return (record) => wanted.every(([member, value]) => canonical(record[String(member)]) === value);
}

/**
 * @param {Document[]} all
 * @param {Query} query
 * @returns {Document[]}
 */
function select(all, { where, order, limit = Number.POSITIVE_INFINITY, offset = 0 }) {
  const records = all.filter(matcher(where));
  if (order) {
    const [member, sign] = order[0] === "-" ? [order.slice(1), -1] : [order, 1];
    records.sort((a, b) => sign * indexedDB.cmp(rank(a[member]), rank(b[member])));
  }
  return records.slice(offset, offset + limit);
}

/**
 * @param {Pick<Row, "local" | "base">} row
 * @returns {"create" | "update" | "delete"}
 */
const changeOf = ({ local, base }) => (local == null ? "delete" : base == null ? "create" : "update");

/**
 * The parameters of a scope.
 *
 * @param {unknown} scope
 * @returns {Array<[string, string]>}
 */
function parametersOf(scope) {
  if (!isPlain(scope)) throw invalid("a scope is an object of the parameters of the request");
  const parameters = Object.entries(/** @type {Record<string, unknown>} */ (scope));
  const isText = (/** @type {unknown} */ value) =>
    typeof value === "string" || Number.isFinite(value) || typeof value === "boolean";
  if (parameters.length === 0 || !parameters.every(([name, value]) => name && isText(value)))
    throw invalid("a scope has at least one parameter, each a string, a number or a boolean");
  return parameters.map(([name, value]) => [name, String(value)]);
}

/**
 * Opens the database as it is; null where the worker has not made it, or its stores, yet.
 *
 * @param {string} name
 * @param {() => void} onGone
 * @returns {Promise<IDBDatabase | null>}
 */
const open = (name, onGone) =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open(name);
    let isMissing = false;
    request.onupgradeneeded = () => {
      isMissing = true;
      request.transaction?.abort();
    };
    request.onsuccess = () => {
      const database = request.result;
      if (database.objectStoreNames.contains("records")) {
        database.onversionchange = database.onclose = onGone;
        return resolve(database);
      }
      database.close();
      resolve(null);
    };
    request.onerror = (event) => {
      event.preventDefault();
      if (isMissing) resolve(null);
      else reject(request.error);
    };
  });

/**
 * The collections of one client.
 *
 * @param {string} name  of the worker's database
 * @param {object} client
 * @param {(op: object, bodies: unknown[], owner: string) => Promise<any>} client.ask
 * @param {() => string} client.owner
 * @param {() => Promise<any>} client.syncNow
 */
export function createCollections(name, { ask, owner: ownerNow, syncNow }) {
  /** @type {Map<string, {key: string, collection: import("../types/index.js").Collection<any, any>}>} */
  const made = new Map();
  /** Reads a collection again for its subscribers, of whom there are some. @type {Map<string, () => void>} */
  const refreshes = new Map();
  /** @type {BroadcastChannel | undefined} */
  let channel;
  /** @type {Promise<IDBDatabase | null> | undefined} */
  let opened;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let idle;
  /** @type {Promise<unknown>} */
  let signedIn = Promise.resolve();
  let closed = false;

  function disconnect() {
    clearTimeout(idle);
    const closing = opened;
    opened = undefined;
    closing?.then(
      (database) => database?.close(),
      () => {},
    );
  }

  /**
   * One transaction; `act` is not called where nothing is stored.
   *
   * @template T
   * @param {(records: IDBObjectStore, owner: string) => Promise<T>} act
   * @param {string[]} [stores]  besides
   * @returns {Promise<{owner: string, found?: T}>}
   */
  async function read(act, stores = [], again = true) {
    // Whom this page signs in is in the store when the worker has answered.
    await signedIn;
    if (closed) throw unavailable("the client was closed");
    try {
      clearTimeout(idle);
      idle = setTimeout(disconnect, IDLE);
      opened ??= open(name, disconnect);
      const database = await opened;
      if (!database) {
        disconnect();
        return { owner: "" };
      }
      const transaction = database.transaction(["session", "records", ...stores]);
      const owner = (await settled(transaction.objectStore("session").get("session")))?.owner ?? "";
      return { owner, found: await act(transaction.objectStore("records"), owner) };
    } catch (error) {
      // What the query itself has thrown.
      if (!(error instanceof DOMException)) throw error;
      // A connection that was closed since, by the browser or by the timer, says so only now.
      disconnect();
      if (again) return read(act, stores, false);
      throw new ShearwaterError("storage-unavailable", asError(error).message);
    }
  }

  /** @param {string[] | null} [names] */
  function refreshAll(names) {
    for (const [collection, refresh] of refreshes) if (!names || names.includes(collection)) refresh();
  }

  // Also of a page that comes back from the back/forward cache, where it heard nothing.
  const onVisible = () => document.visibilityState === "visible" && refreshAll();

  function listen() {
    if (channel || closed) return;
    channel = new BroadcastChannel(`shearwater:${name}:records`);
    channel.onmessage = ({ data }) => {
      const names = data?.shearwater === 1 ? data.collections : undefined;
      if (names === null || Array.isArray(names)) refreshAll(names);
    };
    globalThis.document?.addEventListener("visibilitychange", onVisible);
  }

  /**
   * @param {string} collection
   * @param {string} key
   * @returns {import("../types/index.js").Collection<any, any>}
   */
  function make(collection, key) {
    /** @type {Set<(everything: () => Promise<Row[]>) => Promise<void>>} */
    const subscribers = new Set();
    let refreshing = false;
    let stale = false;

    /**
     * @param {string} id
     * @returns {(records: IDBObjectStore, owner: string) => Promise<Row | undefined>}
     */
    const named = (id) => async (records, owner) => {
      for (let at = 0; at < MOST_NAMES; at += 1) {
        /** @type {Row | undefined} */
        const row = await settled(records.get([collection, id, owner].join("\n")));
        if (row?.moved == null) return row;
        id = row.moved;
      }
    };

    /**
     * @template T
     * @param {string} index
     * @param {(index: IDBIndex, range: IDBKeyRange) => IDBRequest<T>} ask
     */
    const scan = async (index, ask) =>
      (
        await read((records, owner) =>
          // An array is above every number.
          settled(ask(records.index(index), IDBKeyRange.bound([owner, collection], [owner, collection, []]))),
        )
      ).found;

    /**
     * @param {string} index
     * @returns {Promise<Row[]>}
     */
    const list = async (index) => (await scan(index, (index, range) => index.getAll(range))) ?? [];

    const everything = () => list("xList");

    /**
     * @param {Query} query
     * @param {() => Promise<Row[]>} rows
     * @returns {Promise<Document[]>}
     */
    async function find(query, rows = everything) {
      const { search, where, order, limit = Number.POSITIVE_INFINITY, offset = 0 } = query;
      if (!search)
        return select(
          (await rows()).map(({ local }) => parse(local)),
          query,
        );
      const [matches, most] = [matcher(where), limit + offset];
      // By another order than the index's, the first are known only when all are.
      const isPart = !order && most < Number.POSITIVE_INFINITY;
      if (most === 0) return [];
      const { found } = await read(
        async ({ transaction }, owner) => {
          /** @type {Document[]} */
          const found = [];
          await searchIndex(transaction, owner, collection, search, isPart && !where ? most : undefined, isPart, (record) => {
            if (matches(record)) found.push(record);
            return isPart && found.length >= most;
          });
          return found;
        },
        ["collections"],
      );
      return select(found ?? [], { order, limit, offset });
    }

    /** One read at a time, so that results come in their order. */
    async function refresh() {
      stale = true;
      if (refreshing) return;
      refreshing = true;
      try {
        while (stale && subscribers.size > 0) {
          stale = false;
          /** @type {Promise<Row[]> | undefined} */
          let rows;
          const once = () => {
            rows ??= everything();
            return rows;
          };
          for (const tell of subscribers) await tell(once);
        }
      } finally {
        refreshing = false;
      }
    }

    /** @param {unknown} error */
    const report = (error) => console.error(`[shearwater] collection "${collection}":`, error);

    /**
     * @param {object} op
     * @param {string} [owner]
     */
    async function request(op, owner = ownerNow()) {
      const answer = await ask(op, [], owner);
      // The page that wrote need not wait for the broadcast.
      void refresh();
      return answer;
    }

    /**
     * @param {string} id
     * @param {{put: string} | {patch: string} | {edit: {from: string, to: string}} | "delete"} change
     * @param {string} [owner]
     * @returns {Promise<boolean>}
     */
    const write = (id, change, owner) =>
      request({ "record-write": { collection, id, change, seed: crypto.randomUUID() } }, owner);

    /**
     * @param {string} id
     * @param {(record: Document) => Document} change
     * @param {string} owner
     */
    async function edit(id, change, owner) {
      const { owner: reader, found } = await read(named(id));
      const text = found?.local;
      if (text == null || reader !== owner) return false;
      const next = textOf(change(JSON.parse(text)));
      if (canonical(JSON.parse(next)) === canonical(JSON.parse(text))) return true;
      // What a pull brings between this read and the write stays where the edit did not touch it.
      return write(id, { edit: { from: text, to: next } }, owner);
    }

    /** @type {import("../types/index.js").Collection<any, any>} */
    const methods = {
      async put(record) {
        if (!isPlain(record)) throw invalid("a record is a plain object");
        const { [key]: given = crypto.randomUUID() } = record;
        const id = Number.isSafeInteger(given) ? String(given) : /** @type {string} */ (given);
        checkId(id);
        await write(id, { put: textOf({ ...record, [key]: given }) });
        return id;
      },
      async update(id, change) {
        checkId(id);
        const owner = ownerNow();
        if (typeof change !== "function") return write(id, { patch: textOf(change) }, owner);
        const act = () => edit(id, change, owner);
        // One at a time, in all tabs: each begins from what the one before has written.
        return navigator.locks ? navigator.locks.request(`shearwater-record ${name}\n${collection}\n${id}`, act) : act();
      },
      async delete(id) {
        checkId(id);
        return write(id, "delete");
      },
      async get(id) {
        checkId(id);
        return parse((await read(named(id))).found?.local);
      },
      all: async () => find({}),
      query: async (query) => find(checked(query, key)),
      async count(query) {
        const { search, where, order, limit, offset } = checked(query, key);
        if ((where ?? order ?? limit ?? offset ?? search?.after) !== undefined) throw invalid("count goes by index and range");
        if (!search) return (await scan("xList", (index, range) => index.count(range))) ?? 0;
        const count = (/** @type {IDBObjectStore} */ { transaction }, /** @type {string} */ owner) =>
          countIndex(transaction, owner, collection, search);
        return (await read(count, ["collections"])).found ?? 0;
      },
      subscribe(query, listener) {
        const given = checked(query, key);
        if (typeof listener !== "function") throw invalid("a listener is a function");
        /** @type {string | undefined} */
        let last;
        const tell = async (/** @type {() => Promise<Row[]>} */ rows) => {
          try {
            const result = await find(given, rows);
            const text = JSON.stringify(result);
            if (text === last || !subscribers.has(tell)) return;
            last = text;
            listener(result);
          } catch (error) {
            if (!closed) report(error);
          }
        };
        listen();
        subscribers.add(tell);
        refreshes.set(collection, refresh);
        void refresh();
        return () => void subscribers.delete(tell);
      },
      pendingChanges: async () =>
        (await list("xDirty")).map(({ id, local, base, changedAt, push, waitsFor }) => ({
          id,
          change: changeOf({ local, base }),
          since: changedAt ?? 0,
          ...(push ? { job: push.job } : waitsFor && { waitsFor }),
          record: parse(local),
          base: parse(base),
        })),
      conflicts: async () =>
        (await list("xDirty"))
          .filter(({ conflict }) => conflict)
          .map(({ id, local, base, remote }) => ({ id, base: parse(base), local: parse(local), remote: parse(remote?.text) })),
      expired: async () =>
        (await list("xExpired")).map(({ id, local, expired }) => ({ id, record: parse(local), at: expired ?? 0 })),
      async cleanUp({ olderThan = 0, ...rest } = {}) {
        if (!(olderThan >= 0) || Object.keys(rest).length > 0) throw invalid("cleanUp has one option, olderThan: milliseconds");
        return request({ "record-clean-up": { collection, forMs: Math.min(olderThan, LONGEST_TIME) } });
      },
      async status() {
        const [rows, { found: state }] = await Promise.all([
          list("xDirty"),
          read(
            ({ transaction }, owner) => settled(transaction.objectStore("collections").get(`${collection}\n${owner}`)),
            ["collections"],
          ),
        ]);
        const counts = { creates: 0, updates: 0, deletes: 0, conflicts: 0 };
        for (const row of rows) {
          const change = /** @type {"creates" | "updates" | "deletes"} */ (`${changeOf(row)}s`);
          counts[row.conflict ? "conflicts" : change] += 1;
        }
        const next = [state?.dueAt, state?.reconcileAt].filter((at) => at != null);
        return {
          ...counts,
          isSyncing: (state?.running?.until ?? 0) > Date.now(),
          lastSyncAt: state?.pulledAt ?? null,
          lastReconcileAt: state?.reconciledAt ?? null,
          nextSyncAt: next.length > 0 ? Math.min(...next) : null,
          error: state?.error ?? null,
        };
      },
      reconcile: async () => ({ ...EMPTY, ...(await request({ "record-list": { collection, scope: [] } })) }),
      async undo(id) {
        checkId(id);
        return request({ "record-undo": { collection, id } });
      },
      async resolve(id, side) {
        checkId(id);
        const choice = side === "local" || side === "remote" ? side : { record: textOf(side) };
        return request({ "record-resolve": { collection, id, choice } });
      },
      async sync() {
        /** @type {Array<{collection: string, applied: number, error?: string | null}>} */
        const all = await request({ "record-sync": collection });
        const { applied = 0, error } = all.find((synced) => synced.collection === collection) ?? {};
        return { applied, ...(error != null && { error }) };
      },
    };
    return Object.freeze(methods);
  }

  /** @type {Promise<any> | undefined} */
  let syncing;

  const methods = {
    /**
     * @param {string} collection
     * @param {{key?: string}} [options]
     */
    collection(collection, options = {}) {
      if (typeof collection !== "string" || !collection || /\p{Cc}/u.test(collection))
        throw invalid("a collection's name is a string without control characters");
      if (!isPlain(options)) throw invalid("the options are an object");
      const { key = "id", ...rest } = options;
      const [unknown] = Object.keys(rest);
      if (unknown !== undefined) throw invalid(`collection() has no option "${unknown}": it has key`);
      if (typeof key !== "string" || !key) throw invalid("key is the name of a member");
      const known = made.get(collection) ?? { key, collection: make(collection, key) };
      if (known.key !== key) throw invalid(`the key of "${collection}" is "${known.key}", by an earlier call`);
      made.set(collection, known);
      return known.collection;
    },
    /** Those who call while one runs share it. */
    fullSync() {
      syncing ??= (async () => {
        try {
          const collections = await ask({ "record-sync": null }, [], ownerNow());
          refreshAll();
          return { collections, queue: await syncNow() };
        } finally {
          syncing = undefined;
        }
      })();
      return syncing;
    },
    /**
     * @param {string} collection
     * @param {unknown} scope
     */
    async download(collection, scope) {
      const report = await ask({ "record-list": { collection, scope: parametersOf(scope) } }, [], ownerNow());
      refreshAll([collection]);
      return { ...EMPTY, ...report };
    },
    /**
     * @param {"create" | "update" | "delete"} kind
     * @param {string} collection
     * @param {string} id
     * @param {any} [data]
     */
    async queueMutation(kind, collection, id, data) {
      const records = made.get(collection) ?? { key: "id", collection: methods.collection(collection) };
      checkId(id);
      if (kind === "create") {
        if (!isPlain(data)) throw invalid("a record is a plain object");
        await records.collection.put({ ...data, [records.key]: id });
        return true;
      }
      if (kind === "update") return records.collection.update(id, data);
      if (kind === "delete") return records.collection.delete(id);
      throw invalid('a mutation is "create", "update" or "delete"');
    },
    /**
     * Has reads wait for this sign-in.
     *
     * @param {Promise<unknown>} signingIn
     */
    waitFor(signingIn) {
      signedIn = Promise.allSettled([signedIn, signingIn]);
    },
    close() {
      closed = true;
      refreshes.clear();
      channel?.close();
      globalThis.document?.removeEventListener("visibilitychange", onVisible);
      disconnect();
    },
  };
  return methods;
}

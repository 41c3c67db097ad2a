// Reads of collections by the indexes that the worker's configuration declares; see crates/core/src/collections/indexes.rs.
//
// An entry of the index of IndexedDB is `[owner, collection, index, value…, id]`; a record's place is what follows the index's
// name. The row of the store `collections` says which indexes there are. While it says that not all records have their entries
// yet, and where a bound is longer than what is indexed of a string, all records are read and what the entries would be is
// computed here: the result is the same.

import { invalid, isPlain, parse, settled } from "./plain.js";

/** UTF-16 code units of a string that are indexed. */
const LONGEST_TEXT = 256;
/** Items of an array that are indexed. */
const MOST_ITEMS = 1_000;

/**
 * @typedef {{name: string, paths: string[], multi: boolean}} Declared
 * @typedef {Array<string | number>} Place
 * @typedef {{lower: any[], upper: any[], isLong: boolean, values: number}} Range  The bounds are the places next to it.
 * @typedef {import("./collection.js").Row} Row
 * @typedef {Record<string, any>} Document
 *
 * @typedef {object} Search
 * @property {string} index
 * @property {Range} range
 * @property {boolean} [backwards]
 * @property {Document} [after]
 * @property {string} [key]  the member that is a record's id
 */

/**
 * @param {unknown} value
 * @returns {any}
 */
const indexable = (value) =>
  typeof value === "boolean" ? Number(value) : typeof value === "string" || Number.isFinite(value) ? value : undefined;

/**
 * What is indexed of a value: of a string its beginning, without half of a pair.
 *
 * @param {string | number} value
 */
const cut = (value) =>
  typeof value === "string"
    ? value.slice(0, LONGEST_TEXT).replace(value.length > LONGEST_TEXT ? /[\ud800-\udbff]$/ : "", "")
    : value;

/**
 * @param {unknown} range
 * @returns {Range}
 */
export function checkedRange(range = {}) {
  if (!isPlain(range)) throw invalid("a range is an object");
  const { only, from, to, fromOpen, toOpen, prefix, ...rest } = /** @type {any} */ (range);
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined)
    throw invalid(`a range has no member "${unknown}": it has only, from, to, fromOpen, toOpen and prefix`);
  if ([only, prefix, from ?? to].filter((bound) => bound !== undefined).length > 1)
    throw invalid("a range has only, or prefix, or from and to");
  let isLong = false;
  let values = 0;
  /** @param {unknown} bound */
  const bounds = (bound) => {
    const all = [bound].flat().map(indexable);
    if (all.length === 0 || all.includes(undefined))
      throw invalid("a bound of a range is a string, a finite number or a boolean, or an array of them");
    isLong ||= all.some((value) => value.length >= LONGEST_TEXT - 1);
    values = Math.max(values, all.length);
    return all;
  };
  // An array is above every string and number.
  /** @type {any[][]} */
  let [lower, upper] = [[], [[]]];
  if (only !== undefined) [lower, upper] = [bounds(only), [...bounds(only), []]];
  if (from !== undefined) lower = fromOpen ? [...bounds(from), []] : bounds(from);
  if (to !== undefined) upper = toOpen ? bounds(to) : [...bounds(to), []];
  if (prefix !== undefined) {
    lower = bounds(prefix);
    const text = lower.at(-1);
    if (typeof text !== "string") throw invalid("a prefix is a string, or an array that ends with one");
    // What begins with it ends before the text whose last unit is one higher.
    const begin = text.replace(/\uffff+$/, "");
    const end = begin.slice(0, -1) + String.fromCharCode(begin.charCodeAt(begin.length - 1) + 1);
    upper = [...lower.slice(0, -1), begin ? end : []];
  }
  return { lower, upper, isLong, values };
}

/**
 * A record's first place in a range, in the direction of the search.
 *
 * @param {Declared} declared
 * @param {Search} search
 * @param {Document | null} record
 * @param {string} id
 * @returns {Place | undefined}
 */
function placeOf({ paths, multi }, { range: { lower, upper }, backwards = false }, record, id) {
  const values = paths.map((path) =>
    path
      .split(".")
      .reduce((at, name) => (isPlain(at) && Object.hasOwn(at, name) ? at[name] : undefined), /** @type {any} */ (record)),
  );
  const all = multi && Array.isArray(values[0]) ? values[0].slice(0, MOST_ITEMS).map((item) => [item]) : [values];
  /** @type {Place | undefined} */
  let first;
  for (const values of all) {
    const whole = values.map(indexable);
    if (whole.includes(undefined)) continue;
    if (indexedDB.cmp([...whole, id], lower) < 0 || indexedDB.cmp([...whole, id], upper) > 0) continue;
    const place = [...whole.map(cut), id];
    if (!first || indexedDB.cmp(place, first) < 0 !== backwards) first = place;
  }
  return first;
}

/**
 * The index that a search names; `entries` only where it has all that is searched. Null where there is no record.
 *
 * @param {IDBTransaction} transaction
 * @param {string} owner
 * @param {string} collection
 * @param {Search} search
 */
async function find(transaction, owner, collection, { index: name, range }) {
  const records = transaction.objectStore("records");
  const state = await settled(transaction.objectStore("collections").get(`${collection}\n${owner}`));
  /** @type {Declared | undefined} */
  const declared = state?.indexes?.declared.find((/** @type {Declared} */ declared) => declared.name === name);
  const all = IDBKeyRange.bound([owner, collection], [owner, collection, []]);
  if (!declared) {
    if (!state && (await settled(records.index("xList").count(all))) === 0) return null;
    throw invalid(`"${collection}" has no index "${name}": declare it in start({collections: {…: {indexes}}})`);
  }
  if (range.values > declared.paths.length)
    throw invalid(`the index "${name}" has ${declared.paths.length} values, not ${range.values}`);
  const entries = state.indexes.pending == null && !range.isLong ? records.index("xValues") : undefined;
  return { declared, entries, list: () => /** @type {Promise<Row[]>} */ (settled(records.index("xList").getAll(all))) };
}

/**
 * The range of IndexedDB between two places; null where there is nothing. An entry that is a bound is that of `after`.
 *
 * @param {string[]} base  what all entries of the index begin with
 * @param {any[]} from
 * @param {any[]} upto
 */
function rangeOf(base, from, upto) {
  const [lower, upper] = [
    [...base, ...from],
    [...base, ...upto],
  ];
  return indexedDB.cmp(lower, upper) < 0 ? IDBKeyRange.bound(lower, upper, true, true) : null;
}

/**
 * Calls `take` with each record of a search, in order, until it returns true.
 *
 * @param {IDBTransaction} transaction
 * @param {string} owner
 * @param {string} collection
 * @param {Search} search
 * @param {number | undefined} most  how many will be taken, where that is known
 * @param {boolean} isPart  whether `take` may return true
 * @param {(record: Document) => boolean} take
 */
export async function searchIndex(transaction, owner, collection, search, most, isPart, take) {
  const found = await find(transaction, owner, collection, search);
  if (!found) return;
  const { declared, entries, list } = found;
  const { range, backwards = false, after, key = "id" } = search;
  const from = after && placeOf(declared, search, after, String(after[key]));
  if (after && !from) throw invalid("after is a record of the same index and range");
  /** @param {Place} place */
  const isBeyond = (place) => !from || indexedDB.cmp(place, from) === (backwards ? -1 : 1);
  const seen = new Set();
  /** @param {Row} row */
  const visit = ({ id, local }) => {
    const record = parse(local);
    const place = placeOf(declared, search, record, id);
    if (!place || seen.has(id) || !isBeyond(place)) return false;
    seen.add(id);
    return take(record);
  };
  if (!entries) {
    const placed = (await list()).flatMap((row) => {
      const place = placeOf(declared, search, parse(row.local), row.id);
      return place ? [{ row, place }] : [];
    });
    placed.sort((a, b) => indexedDB.cmp(a.place, b.place) * (backwards ? -1 : 1));
    placed.some(({ row }) => visit(row));
    return;
  }
  const base = [owner, collection, declared.name];
  const within = rangeOf(base, (!backwards && from) || range.lower, (backwards && from) || range.upper);
  if (!within) return;
  const isCounted = most !== undefined && !backwards && !declared.multi;
  if (isPart && !isCounted) {
    const request = entries.openCursor(within, backwards ? "prev" : "next");
    for (let cursor = await settled(request); cursor && !visit(cursor.value); cursor = await settled(request))
      cursor.continue();
    return;
  }
  const rows = await settled(entries.getAll(within, isCounted ? most : undefined));
  if (backwards) rows.reverse();
  rows.some(visit);
}

/**
 * How many records a search finds.
 *
 * @param {IDBTransaction} transaction
 * @param {string} owner
 * @param {string} collection
 * @param {Search} search
 */
export async function countIndex(transaction, owner, collection, search) {
  const found = await find(transaction, owner, collection, search);
  if (!found) return 0;
  const { declared, entries, list } = found;
  if (!entries) return (await list()).filter(({ id, local }) => placeOf(declared, search, parse(local), id)).length;
  const within = rangeOf([owner, collection, declared.name], search.range.lower, search.range.upper);
  if (!within) return 0;
  return declared.multi ? new Set(await settled(entries.getAllKeys(within))).size : settled(entries.count(within));
}

// Compares texts word by word, and merges two that were made of one.

const WORD = /\s+|[\p{L}\p{N}\p{M}_'’]+|./gsu;
/** Comparisons of two words; beyond that a text counts as changed whole. */
const MOST = 4_000_000;

const wordsOf = (text) => text.match(WORD) ?? [];

/**
 * A run of words that was replaced: `from` to `to` of the former text, by `words`.
 *
 * @typedef {{from: number, to: number, words: string[]}} Change
 */

/**
 * @param {string[]} before
 * @param {string[]} after
 * @returns {Change[]}
 */
function changes(before, after) {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  const most = Math.min(before.length, after.length) - head;
  while (tail < most && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const [a, b] = [before.slice(head, before.length - tail), after.slice(head, after.length - tail)];
  if (a.length === 0 && b.length === 0) return [];
  if (a.length * b.length > MOST) return [{ from: head, to: head + a.length, words: b }];

  // The longest common subsequence from each place on.
  const width = b.length + 1;
  const common = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i * width + j] =
        a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1 : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  /** @type {Change[]} */
  const found = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      i += 1;
      j += 1;
      continue;
    }
    let last = found.at(-1);
    if (last?.to !== head + i) {
      last = { from: head + i, to: head + i, words: [] };
      found.push(last);
    }
    if (j >= b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      i += 1;
      last.to += 1;
    } else {
      last.words.push(b[j]);
      j += 1;
    }
  }
  return joined(found, before);
}

/** A space alone between two changes belongs to them: whole phrases read better than every other word. */
function joined(found, before) {
  /** @type {Change[]} */
  const result = [];
  for (const change of found) {
    const last = result.at(-1);
    const between = last && before.slice(last.to, change.from);
    if (last && between.every((word) => /^\s+$/.test(word))) {
      last.words.push(...between, ...change.words);
      last.to = change.to;
    } else {
      result.push({ ...change, words: [...change.words] });
    }
  }
  for (const change of result) {
    while (change.words.length > 0 && change.from < change.to && change.words.at(-1) === before[change.to - 1]) {
      change.words.pop();
      change.to -= 1;
    }
  }
  return result;
}

/**
 * `after` as a run of parts: what it shares with `before`, what it added, and what it has no more.
 *
 * @param {string} before
 * @param {string} after
 * @returns {Array<{kind: "same" | "added" | "removed", text: string}>}
 */
export function compare(before, after) {
  const words = wordsOf(before);
  /** @type {ReturnType<typeof compare>} */
  const parts = [];
  const add = (kind, run) => run.length > 0 && parts.push({ kind, text: run.join("") });
  let at = 0;
  for (const { from, to, words: added } of changes(words, wordsOf(after))) {
    add("same", words.slice(at, from));
    add("removed", words.slice(from, to));
    add("added", added);
    at = to;
  }
  add("same", words.slice(at));
  return parts;
}

/**
 * The text with both changes, or null where they touch each other.
 *
 * @param {string} base
 * @param {string} one
 * @param {string} other
 */
export function merge(base, one, other) {
  const words = wordsOf(base);
  const [mine, theirs] = [one, other].map((text) => changes(words, wordsOf(text)));
  const same = (a, b) => a.from === b.from && a.to === b.to && a.words.join("") === b.words.join("");
  const all = [...mine, ...theirs.filter((change) => !mine.some((ours) => same(ours, change)))];
  all.sort((a, b) => a.from - b.from || a.to - b.to);
  let merged = "";
  let at = 0;
  for (const [index, { from, to, words: added }] of all.entries()) {
    if (index > 0 && from <= at) return null;
    merged += words.slice(at, from).join("") + added.join("");
    at = to;
  }
  return merged + words.slice(at).join("");
}

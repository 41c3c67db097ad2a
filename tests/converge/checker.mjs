// Judges a history (history.mjs) of a collection whose conflicts are settled by `merge`, with `tags` as a union.
//
// It knows of the product what docs/collections.md says and nothing else. docs/converge.md has the model.

import { isDone, isPossible, registersOf, Story, tagsOf } from "./history.mjs";

/** Milliseconds by which the clocks of two processes of one machine, and the roundings of their times, may differ. */
const SLACK = 20;

/** What may be found, with what it says, in the order of the table. */
export const CLASSES = {
  lost: "an acknowledged write is neither at the server nor replaced by what may replace it",
  overwritten: "a write took the place of a later one that it had not seen",
  repeated: "a value was accepted a second time, or from a client that did not write it",
  stale: "a read after a completed sync shows what was replaced before that sync began",
  "never-written": "a read or the server has what nobody wrote",
  torn: "a read is no version of the server with the reader's own writes over it",
  "read-your-writes": "a client does not see what it has written",
  "monotonic-reads": "a client goes back to what it had seen replaced",
  "lost-element": "a record or an element of an array that was added is missing",
  undeleted: "a record that was deleted, and edited by nobody, is there",
  doubled: "one record or one request was carried out twice",
  diverged: "in the end a client has other records than the server, or work left",
};

/**
 * Everything that is wrong with a history: `{class, what, shown}`, where `shown` are the operations and effects that show it.
 *
 * @param {import("./history.mjs").History} history
 */
export function check(history) {
  const story = new Story(history);
  const found = [];
  const find = (kind, what, ...shown) => found.push({ class: kind, what, shown: shown.filter(Boolean) });
  checkCreations(story, find);
  for (const name of story.records) {
    if (story.isKept(name)) {
      checkPresence(story, find, name);
      checkWrites(story, find, name);
      checkAccepted(story, find, name);
      checkElements(story, find, name);
    } else {
      checkDeleted(story, find, name);
    }
    for (const client of story.clients) {
      checkOrigins(story, find, client, name);
      checkFreshness(story, find, client, name);
      if (!story.isKept(name)) continue;
      checkVersions(story, find, client, name);
      for (const register of registersIn(story, name)) checkRegister(story, find, client, name, register);
      checkSet(story, find, client, name);
    }
  }
  checkUnknown(story, find);
  checkEnds(story, find);
  return found;
}

/**
 * How many values took the place of another client's at the server, and how many of them had been written before the other
 * one was: a record counts as late as its last write, so a member may win by a write to another. No violation, as it stands.
 *
 * @param {import("./history.mjs").History} history
 */
export function countReplacements(history) {
  const story = new Story(history);
  const counts = { replaced: 0, byEarlier: 0 };
  for (const name of story.records.filter((name) => story.isKept(name))) {
    for (const register of registersIn(story, name)) {
      let before = null;
      for (const { data } of story.effectsOf(name).filter(({ data }) => data?.[register] !== undefined)) {
        const writer = story.writerOf(name, register, data[register]);
        if (before && writer && before.client !== writer.client) {
          counts.replaced += 1;
          if (writer.completedAt < before.invokedAt) counts.byEarlier += 1;
        }
        before = writer;
      }
    }
  }
  return counts;
}

const registersIn = (story, name) => new Set(story.changesOf(name).flatMap((op) => registersOf(op.data ?? {})));
const own = (story, client, name) => story.changesOf(name).filter((op) => op.client === client);

/** Each request has one effect, and each record is made once. */
function checkCreations(story, find) {
  const [keys, ids] = [new Map(), new Map()];
  for (const entry of story.log) {
    const first = entry.idempotencyKey && keys.get(entry.idempotencyKey);
    if (first) find("doubled", `two effects of the key ${entry.idempotencyKey}`, first, entry);
    keys.set(entry.idempotencyKey, entry);
    if (entry.op !== "create") continue;
    const name = story.isKept(entry.data.name) ? entry.data.name : entry.id;
    if (ids.has(name)) find("doubled", `${name} was made twice`, ids.get(name), entry);
    ids.set(name, entry);
  }
}

/** Who creates a record that nobody deletes finds it at the server, once. */
function checkPresence(story, find, name) {
  const rows = story.livingOf(name);
  if (rows.length > 1) find("doubled", `${name} is at the server ${rows.length} times`, ...story.effectsOf(name));
  for (const op of story.changesOf(name)) {
    if (op.what === "create" && isDone(op) && rows.length === 0)
      find("lost-element", `${name} was created and is not at the server`, op, ...story.effectsOf(name));
  }
}

/** A record that was deleted, and that nobody edited, is gone. */
function checkDeleted(story, find, name) {
  const changes = story.changesOf(name);
  const deletion = changes.find((op) => op.what === "delete" && isDone(op));
  const isEdited = changes.some((op) => (op.what === "write" || op.what === "add") && isPossible(op));
  if (!deletion || isEdited) return;
  if (story.livingOf(name).length > 0) find("undeleted", `${name} is at the server`, deletion, ...story.effectsOf(name));
  for (const [op, record] of story.readsOf(deletion.client, name)) {
    if (op.n > deletion.n && record) find("undeleted", `${deletion.client} sees ${name} again`, deletion, op);
  }
}

/** Each acknowledged write is accepted, or was replaced by its own client, or gave way to a later one that it had not seen. */
function checkWrites(story, find, name) {
  const effects = story.effectsOf(name);
  for (const op of story.changesOf(name)) {
    if (!isDone(op)) continue;
    for (const [register, value] of Object.entries(op.data ?? {})) {
      if (story.acceptedOf(name, register, value)) continue;
      const isReplaced = own(story, op.client, name).some(
        (other) => other.n > op.n && other.data?.[register] && isPossible(other),
      );
      if (isReplaced) continue;
      const known = story.knownBefore(op);
      const rival = effects.find(
        (effect) =>
          effect.version > known &&
          effect.data?.[register] !== undefined &&
          story.writerOf(name, register, effect.data[register])?.client !== op.client &&
          effects.some((later) => later.version >= effect.version && (later.at ?? Infinity) > op.invokedAt - SLACK),
      );
      if (!rival)
        find(
          "lost",
          `${register} = ${value} of ${name}, by ${op.client}`,
          op,
          ...effects.filter((effect) => effect.data?.[register]),
        );
    }
  }
}

/** What the server accepted: by its writer, once, over nothing that is later and was not seen; the last of it is the row. */
function checkAccepted(story, find, name) {
  const effects = story.effectsOf(name);
  for (const register of registersIn(story, name)) {
    let before = null;
    for (const effect of effects.filter((effect) => effect.data?.[register] !== undefined)) {
      const value = effect.data[register];
      const writer = story.writerOf(name, register, value);
      const first = story.acceptedOf(name, register, value);
      if (first !== effect) find("repeated", `${register} = ${value} of ${name} was accepted again`, writer, first, effect);
      else if (writer && effect.client && writer.client !== effect.client)
        find("repeated", `${register} = ${value} of ${name} comes from ${effect.client}`, writer, effect);
      else if (before && writer && isBlind(story, { name, register, before, effect, writer }))
        find(
          "overwritten",
          `${register} = ${before.data[register]} of ${name} gave way to the earlier ${value}`,
          story.writerOf(name, register, before.data[register]),
          writer,
          before,
          effect,
        );
      before = effect;
    }
    const [row] = story.livingOf(name);
    if (before && row && row[register] !== before.data[register])
      find(
        "lost",
        `${register} = ${before.data[register]} of ${name} was accepted last, and the server has ${row[register]}`,
        story.writerOf(name, register, before.data[register]),
        before,
      );
  }
}

/** Whether an effect replaced one of another client that was committed after all that its own client had written by then. */
function isBlind(story, { name, register, before, effect, writer }) {
  const loser = story.writerOf(name, register, before.data[register]);
  if (loser?.client === writer.client || before.at === null || story.knownBefore(writer) >= before.version) return false;
  // A record is as late as the last write to it.
  const isLater = (op) => isPossible(op) && op.completedAt >= before.at - SLACK && op.invokedAt <= (effect.seenAt ?? Infinity);
  return !own(story, writer.client, name).some(isLater);
}

/** Each element that was added is at the server. */
function checkElements(story, find, name) {
  const [row] = story.livingOf(name);
  for (const op of story.changesOf(name)) {
    if (op.what !== "add" || !isDone(op) || !row || tagsOf(row).includes(op.element)) continue;
    const had = story.effectsOf(name).filter(({ state }) => state && tagsOf(state).includes(op.element));
    const dropped = story.effectsOf(name).find((effect) => had.length > 0 && effect.version > had.at(-1).version);
    find("lost-element", `${op.element} of ${name}, added by ${op.client}`, op, had.at(-1), dropped);
  }
  const double = row && tagsOf(row).find((element, at, all) => all.indexOf(element) !== at);
  if (double) find("doubled", `${double} is twice in ${name}`, story.adderOf(name, double), story.effectsOf(name).at(-1));
}

/** What a client reads was written before, and not refused. */
function checkOrigins(story, find, client, name) {
  for (const [op, record] of story.readsOf(client, name)) {
    if (!record) continue;
    for (const register of registersOf(record)) {
      const writer = story.writerOf(name, register, record[register]);
      if (!writer || !isPossible(writer) || writer.invokedAt > op.completedAt)
        find("never-written", `${client} reads ${register} = ${record[register]} of ${name}`, writer, op);
    }
    for (const element of tagsOf(record)) {
      const adder = story.adderOf(name, element);
      if (!adder || !isPossible(adder) || adder.invokedAt > op.completedAt)
        find("never-written", `${client} reads ${element} in ${name}`, adder, op);
    }
  }
}

/** Records that nobody made, and values of the server that nobody wrote. */
function checkUnknown(story, find) {
  const isKnown = (name) => story.changesOf(name).some((op) => op.what === "create" && isPossible(op));
  for (const op of story.ops) {
    if (op.kind !== "ok" || (op.what !== "get" && op.what !== "all")) continue;
    for (const record of op.what === "all" ? op.result : [op.result]) {
      if (record && !isKnown(record.name)) find("never-written", `${op.client} reads the record ${record.name}`, op);
    }
  }
  for (const row of story.rows.filter(({ deletedAt }) => !deletedAt)) {
    if (!isKnown(row.name)) {
      find("never-written", `the server has the record ${row.name}`);
      continue;
    }
    for (const register of registersOf(row)) {
      if (!story.writerOf(row.name, register, row[register]))
        find("never-written", `the server has ${register} = ${row[register]} of ${row.name}`, ...story.effectsOf(row.name));
    }
    for (const element of tagsOf(row)) {
      if (!story.adderOf(row.name, element)) find("never-written", `the server has ${element} in ${row.name}`);
    }
  }
}

/** After a sync that came to its end a client has at least what was committed before that sync began. */
function checkFreshness(story, find, client, name) {
  const effects = story.effectsOf(name);
  const ids = new Set(effects.map(({ id }) => id));
  // A record that was made again under another id has versions of its own.
  if (ids.size > 1) return;
  let synced = null;
  let touched = false;
  const reads = story.readsOf(client, name);
  for (const op of story.of.get(client)) {
    if (op.kind === "ok" && op.what === "sync" && op.result.error === undefined && !op.result.pending.includes(name)) {
      synced = op;
      touched = false;
    }
    if (op.name === name && op.what !== "get" && isPossible(op)) touched = true;
    if (!synced || touched || !reads.has(op)) continue;
    const before = effects.filter(({ seenAt }) => seenAt !== null && seenAt < synced.invokedAt).at(-1);
    if (!before) continue;
    const record = reads.get(op);
    const isGone = before.op === "delete";
    if (isGone ? record : record ? !(record.version >= before.version) : story.isKept(name))
      find("stale", `${client} reads ${record ? `version ${record.version}` : "nothing"} of ${name}`, before, synced, op);
  }
}

/** A record as read is a version of the server's, with the reader's own writes over it. */
function checkVersions(story, find, client, name) {
  const mine = own(story, client, name).filter(isPossible);
  for (const [op, record] of story.readsOf(client, name)) {
    if (!record) continue;
    const effect =
      record.version === undefined ? null : story.effectsOf(name).find(({ version }) => version === record.version);
    if (effect === undefined) {
      find("torn", `${client} reads version ${record.version} of ${name}, which the server never had`, op);
      continue;
    }
    const state = effect?.state ?? {};
    const wrote = mine.filter((other) => other.n < op.n);
    for (const register of new Set([...registersOf(record), ...registersOf(state)])) {
      const value = record[register];
      const isOwn = wrote.some((other) => other.data?.[register] === value);
      // What of the reader's the server had by then is in the version, or was replaced.
      const isOver = isOwn && !(story.acceptedOf(name, register, value)?.version <= record.version);
      if (value !== state[register] && !isOver)
        find("torn", `${client} reads ${register} = ${value} in version ${record.version} of ${name}`, effect, op);
    }
    const tags = tagsOf(record);
    const missing = tagsOf(state).find((element) => !tags.includes(element));
    const foreign = tags.find(
      (element) => !tagsOf(state).includes(element) && !wrote.some((other) => other.element === element),
    );
    if (missing ?? foreign)
      find(
        "torn",
        `${client} reads version ${record.version} of ${name} ${missing ? `without ${missing}` : `with ${foreign}`}`,
        effect,
        op,
      );
  }
}

/** One register as one client sees it: its own writes, and what it reads never goes back. */
function checkRegister(story, find, client, name, register) {
  const reads = story.readsOf(client, name);
  const versionOf = (value) => story.acceptedOf(name, register, value)?.version;
  /** The last acknowledged write of this client, and what may have replaced it unacknowledged. */
  let written = null;
  let possible = [];
  /** The last value that was read or written, the operation that did, and all before. */
  let last = null;
  const replaced = new Map();
  const observe = (value, op) => {
    if (last?.value === value) return;
    if (last) replaced.set(last.value, last.op);
    last = { value, op };
  };
  for (const op of story.of.get(client)) {
    const value = op.name === name ? op.data?.[register] : undefined;
    if (value !== undefined && isDone(op)) {
      [written, possible] = [op, []];
      observe(value, op);
    } else if (value !== undefined && isPossible(op)) possible.push(op);
    const record = reads.get(op);
    if (!record) continue;
    const seen = record[register];
    if (written && !seesOwn(story, { name, register, written, possible, seen, versionOf }))
      find(
        "read-your-writes",
        `${client} reads ${register} = ${seen} of ${name}`,
        written,
        op,
        story.acceptedOf(name, register, seen),
      );
    const back = versionOf(seen) < versionOf(last?.value);
    if (last && seen !== last.value && (replaced.has(seen) || back))
      find(
        "monotonic-reads",
        `${client} reads ${register} = ${seen} of ${name} again`,
        replaced.get(seen),
        last.op,
        op,
        story.acceptedOf(name, register, seen),
        story.acceptedOf(name, register, last.value),
      );
    observe(seen, op);
  }
}

/** Whether a value is the reader's last write, or one that may have replaced it. */
function seesOwn(story, { name, register, written, possible, seen, versionOf }) {
  const value = written.data[register];
  if (seen === value || possible.some((op) => op.data[register] === seen)) return true;
  if (story.writerOf(name, register, seen)?.client === written.client) return false;
  return versionOf(seen) > (versionOf(value) ?? story.knownBefore(written));
}

/** What one client has made, added or seen stays in its sight; what goes is told once. */
function checkSet(story, find, client, name) {
  const reads = story.readsOf(client, name);
  const expected = new Map();
  let known = null;
  for (const op of story.of.get(client)) {
    if (op.name === name && op.what === "create" && isDone(op)) known = { op, kind: "read-your-writes" };
    if (op.name === name && op.what === "add" && isDone(op)) expected.set(op.element, { op, kind: "read-your-writes" });
    if (!reads.has(op)) continue;
    const record = reads.get(op);
    if (!record) {
      if (known) find(known.kind, `${client} does not see ${name}`, known.op, op);
      known = null;
      continue;
    }
    const tags = tagsOf(record);
    for (const [element, since] of expected) {
      if (tags.includes(element)) continue;
      find(since.kind, `${client} does not see ${element} in ${name}`, since.op, op);
      expected.delete(element);
    }
    for (const element of tags) if (!expected.has(element)) expected.set(element, { op, kind: "monotonic-reads" });
    known ??= { op, kind: "monotonic-reads" };
  }
}

/** In the end all have what the server has, and nothing is left to be done. */
function checkEnds(story, find) {
  const living = new Map(story.rows.filter(({ deletedAt }) => !deletedAt).map((row) => [row.id, canonical(row)]));
  for (const client of story.clients) {
    const { records, pending, conflicts } = story.replicas[client];
    for (const left of pending) find("diverged", `${client} has not pushed ${left.id}: ${left.change}`);
    for (const left of conflicts) find("diverged", `${client} has a conflict about ${left.id}`);
    const here = new Map(records.map((record) => [record.id, canonical(record)]));
    for (const id of new Set([...living.keys(), ...here.keys()])) {
      if (living.get(id) !== here.get(id))
        find("diverged", `${client} has ${here.get(id) ?? "no such record"}, and the server ${living.get(id) ?? "none"}`);
    }
  }
}

const canonical = (record) => JSON.stringify(Object.fromEntries(Object.entries(record).sort()));

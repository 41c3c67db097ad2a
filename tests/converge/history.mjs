// What is known of a run: operations of clients, the server's log, and where all of them ended.
//
// A record has the members `name`, which nobody changes and by which it is known whatever id the server gives it; `tags`, an
// array to which elements are added; and registers, members with one value. Each value and each element is written once, so a
// value says who wrote it.

/**
 * One call of one client. A client has one call open at a time.
 *
 * | what | has | result |
 * |---|---|---|
 * | `create` | `name`, `data`: the registers | |
 * | `write` | `name`, `data` | false: there was no such record |
 * | `add` | `name`, `element` | false, likewise |
 * | `delete` | `name` | false, likewise |
 * | `get` | `name` | the record, or null |
 * | `all` | | the records |
 * | `sync` | | `{error, pending}`: why the pull failed, and the names that were not pushed yet |
 * | `event` | `text` | what the run did to the client |
 *
 * @typedef {object} Op
 * @property {number} n  counts from 0
 * @property {string} client
 * @property {string} what
 * @property {string} [name]
 * @property {Record<string, string>} [data]
 * @property {string} [element]
 * @property {string} [text]
 * @property {number} invokedAt
 * @property {number} completedAt  Infinity while it is open, and for ever if its client died
 * @property {"ok" | "failed" | "unknown"} kind  `failed`: it had no effect; `unknown`: it may have had one
 * @property {any} [result]
 *
 * An effect that the server's log has. `client`, `at` and `seenAt` are what the line between client and server saw: who sent
 * it, when the server says that the row changed, and when the response had been sent; null if no response was seen.
 *
 * @typedef {object} Effect
 * @property {string} id
 * @property {number} version
 * @property {string} op  `create`, `patch`, `replace`, `delete`; `control` is no client's, and not looked at
 * @property {any} data
 * @property {string | null} idempotencyKey
 * @property {string | null} client
 * @property {number | null} at
 * @property {number | null} seenAt
 *
 * @typedef {object} History
 * @property {string[]} clients
 * @property {Op[]} ops
 * @property {Effect[]} log
 * @property {any[]} rows  the server's in the end, tombstones among them
 * @property {Record<string, {records: any[], pending: any[], conflicts: any[]}>} replicas  of each client, in the end
 */

const UNION = "tags";
/** Members that are no register. */
const OTHERS = ["id", "name", UNION, "version", "updatedAt", "deletedAt", "clientId"];

/** Takes operations down as they begin and end. */
export class Recorder {
  /** @type {Op[]} */
  ops = [];

  /**
   * @param {string} client
   * @param {object} step  the operation's `what`, and what belongs to it
   * @returns {Op}
   */
  begin(client, step) {
    const op = { n: this.ops.length, client, ...step, invokedAt: Date.now(), completedAt: Infinity, kind: "unknown" };
    this.ops.push(/** @type {any} */ (op));
    return /** @type {any} */ (op);
  }

  /** @param {Op} op */
  end(op, result) {
    op.completedAt = Date.now();
    op.kind = "ok";
    op.result = result;
  }

  event(client, text) {
    this.end(this.begin(client, { what: "event", text }), undefined);
  }
}

/** Whether it had its effect; whether it may have had it. */
export const isDone = (op) => op.kind === "ok" && op.result !== false;
export const isPossible = (op) => isDone(op) || op.kind === "unknown";

export const registersOf = (record) => Object.keys(record).filter((member) => !OTHERS.includes(member));
export const tagsOf = (record) => (Array.isArray(record[UNION]) ? record[UNION] : []);

/** A history with what the checks look up. */
export class Story {
  /** @param {History} history */
  constructor({ clients, ops, log, rows, replicas }) {
    Object.assign(this, { clients, ops, rows, replicas });
    this.log = log.filter(({ op }) => op !== "control");
    this.#index();
  }

  #index() {
    /** Operations of each client, in their order. */
    this.of = new Map(this.clients.map((client) => [client, this.ops.filter((op) => op.client === client)]));
    /** By name, what may have changed the record. */
    this.changes = new Map();
    /** By name, register and value: who wrote it. */
    this.writers = new Map();
    /** By name and element: who added it. */
    this.adders = new Map();
    for (const op of this.ops) {
      if (!["create", "write", "add", "delete"].includes(op.what)) continue;
      push(this.changes, op.name, op);
      for (const [register, value] of Object.entries(op.data ?? {})) this.writers.set(path(op.name, register, value), op);
      if (op.what === "add") this.adders.set(path(op.name, op.element), op);
    }
    /** By read, the records by their names. */
    this.lists = new Map(this.ops.filter((op) => op.what === "all" && op.kind === "ok").map((op) => [op, byName(op.result)]));
    this.reads = new Map();
    /** By the server's id, the record's name. */
    this.names = new Map(this.log.filter(({ op }) => op === "create").map(({ id, data }) => [id, data.name]));
    /** By name, its effects in their order, each with the record after it. */
    this.effects = new Map();
    /** By name, register and value: the first effect that has it. */
    this.accepted = new Map();
    const states = new Map();
    for (const entry of this.log) {
      const name = this.names.get(entry.id);
      const state =
        entry.op === "delete" ? null : entry.op === "patch" ? { ...states.get(entry.id), ...entry.data } : entry.data;
      states.set(entry.id, state);
      const effect = { ...entry, name, state };
      push(this.effects, name, effect);
      for (const register of registersOf(entry.data ?? {})) {
        const at = path(name, register, entry.data[register]);
        if (!this.accepted.has(at)) this.accepted.set(at, effect);
      }
    }
  }

  get records() {
    return [...this.changes.keys()];
  }

  /** Whether nobody tried to delete it. */
  isKept(name) {
    return !this.changesOf(name).some((op) => op.what === "delete");
  }

  changesOf = (name) => this.changes.get(name) ?? [];
  effectsOf = (name) => this.effects.get(name) ?? [];
  writerOf = (name, register, value) => this.writers.get(path(name, register, value));
  adderOf = (name, element) => this.adders.get(path(name, element));
  acceptedOf = (name, register, value) => this.accepted.get(path(name, register, value));
  livingOf = (name) => this.rows.filter((row) => row.name === name && !row.deletedAt);

  /** What a client saw of a record, in the order of its reads: the record, or null where it was not there, by operation. */
  readsOf(client, name) {
    const at = path(client, name);
    let reads = this.reads.get(at);
    if (!reads) {
      reads = new Map();
      for (const op of this.of.get(client) ?? []) {
        if (op.kind !== "ok") continue;
        if (op.what === "get" && op.name === name) reads.set(op, op.result);
        else if (op.what === "all" && this.lists.get(op).get(name) !== TWICE)
          reads.set(op, this.lists.get(op).get(name) ?? null);
      }
      this.reads.set(at, reads);
    }
    return reads;
  }

  /** The highest version of a record that a client had surely seen before an operation. */
  knownBefore(op) {
    const seen = [...this.readsOf(op.client, op.name)].filter(([read]) => read.n < op.n);
    return Math.max(0, ...seen.map(([, record]) => record?.version ?? 0));
  }
}

/** A record that is there twice: where the server gives the ids, until the reply comes that says whose a pulled row is. */
const TWICE = Symbol("twice");

function byName(records) {
  const named = new Map();
  for (const record of records) named.set(record.name, named.has(record.name) ? TWICE : record);
  return named;
}

const path = (...parts) => parts.join("\n");

function push(lists, name, entry) {
  const list = lists.get(name);
  if (list) list.push(entry);
  else lists.set(name, [entry]);
}

/** An operation or an effect in one line. */
export function line(entry, from = 0) {
  const of = (value) => JSON.stringify(value);
  if (!("what" in entry)) {
    const { id, version, op, data, client, seenAt } = entry;
    return `  log  ${client ?? "?"}: ${op} ${id} makes version ${version}, ${of(data)}${seenAt ? `, seen at ${seenAt - from}` : ""}`;
  }
  const { n, client, what, name, data, element, text, invokedAt, completedAt, kind, result } = entry;
  const given = [name, data && of(data), element, text].filter((part) => part !== undefined).join(" ");
  const ended = completedAt === Infinity || completedAt === null ? "…" : completedAt - from;
  const told = result === undefined || what === "event" ? kind : of(result);
  return `  ${String(n).padStart(4)} ${client} ${invokedAt - from}–${ended}: ${what} ${given} → ${told.length > 300 ? `${told.slice(0, 300)} …` : told}`;
}

// The checker on histories written by hand: those that keep every promise pass, and each planted fault is found.

import assert from "node:assert/strict";
import test from "node:test";

import { CLASSES, check } from "./checker.mjs";

/** The clients a and b; a record r that both have, with the registers x and y. Time goes on by 100 with each call. */
function story() {
  let now = 1_000;
  const ops = [];
  const log = [];
  const rows = new Map();
  const replicas = {
    a: { records: [], pending: [], conflicts: [] },
    b: { records: [], pending: [], conflicts: [] },
  };
  const act = (client, what, more, result, kind = "ok") => {
    const completedAt = kind === "unknown" ? Number.POSITIVE_INFINITY : now + 10;
    const op = { n: ops.length, client, what, invokedAt: now, completedAt, kind, result, ...more };
    ops.push(op);
    now += 100;
    return op;
  };
  const it = {
    ops,
    log,
    replicas,
    create: (client, name, data, kind) => act(client, "create", { name, data }, undefined, kind),
    write: (client, name, data, kind) => act(client, "write", { name, data }, true, kind),
    add: (client, name, element, kind) => act(client, "add", { name, element }, true, kind),
    delete: (client, name, kind) => act(client, "delete", { name }, true, kind),
    /** A read of the row as the server has it, with `over` in its place. */
    get: (client, name, over = {}) => act(client, "get", { name }, { ...rows.get(name), ...over }),
    /** A read of what is not at the server at all. */
    getOwn: (client, name, record) => act(client, "get", { name }, { id: name, name, tags: [], ...record }),
    getNothing: (client, name) => act(client, "get", { name }, null),
    all: (client, ...records) => act(client, "all", {}, records),
    sync: (client, result = {}) => act(client, "sync", {}, { pending: [], ...result }),
    /** The server carries out what a client sends. */
    accept(client, op, name, data, { id = name, key = `key ${log.length}` } = {}) {
      const version = (rows.get(id)?.version ?? 0) + 1;
      log.push({ id, version, op, data, idempotencyKey: key, client, at: now, seenAt: now + 10 });
      if (op === "delete") rows.set(id, { id, version, deletedAt: "now" });
      else rows.set(id, { ...rows.get(id), ...data, id, version, deletedAt: null });
      now += 100;
      return log.at(-1);
    },
    row: (name) => rows.get(name),
    end() {
      const living = [...rows.values()].filter(({ deletedAt }) => !deletedAt);
      for (const client of ["a", "b"]) replicas[client].records = living.map((row) => ({ ...row }));
      return { clients: ["a", "b"], ops, log, rows: [...rows.values()], replicas };
    },
  };
  it.create("a", "r", { x: "x0", y: "y0" });
  it.accept("a", "create", "r", { name: "r", x: "x0", y: "y0", tags: [] });
  for (const client of ["a", "b"]) {
    it.sync(client);
    it.get(client, "r");
  }
  return it;
}

const classesOf = (history) => [...new Set(check(history).map((violation) => violation.class))];

/** Histories that keep every promise. */
const sound = {
  "nothing more happens": () => {},
  "writes to different registers are both kept": (it) => {
    it.write("a", "r", { x: "xa" });
    it.write("b", "r", { y: "yb" });
    it.accept("b", "patch", "r", { y: "yb" });
    it.accept("a", "patch", "r", { x: "xa" });
    it.sync("b");
    it.get("b", "r");
  },
  "of writes that are made without a network only the last is sent": (it) => {
    it.write("a", "r", { x: "xa1" });
    it.get("a", "r", { x: "xa1" });
    it.write("a", "r", { x: "xa2" });
    it.get("a", "r", { x: "xa2" });
    it.accept("a", "patch", "r", { x: "xa2" });
  },
  "of two writes that have not seen each other the later one counts": (it) => {
    it.write("a", "r", { x: "xa" });
    it.write("b", "r", { x: "xb" });
    it.accept("a", "patch", "r", { x: "xa" });
    it.write("b", "r", { x: "xb2" });
    it.accept("b", "patch", "r", { x: "xb2" });
    it.get("a", "r");
  },
  "a write gives way to one that was committed later": (it) => {
    it.write("a", "r", { x: "xa" });
    it.get("a", "r", { x: "xa" });
    it.write("b", "r", { x: "xb" });
    it.accept("b", "patch", "r", { x: "xb" });
    it.sync("a");
    it.get("a", "r");
  },
  "a write that nobody acknowledged is made or not": (it) => {
    it.write("a", "r", { x: "xa1" }, "unknown");
    it.write("a", "r", { x: "xa2" }, "unknown");
    it.accept("a", "patch", "r", { x: "xa2" });
    it.get("a", "r");
  },
  "a read before the next sync is old": (it) => {
    it.write("b", "r", { x: "xb" });
    it.accept("b", "patch", "r", { x: "xb" });
    it.get("a", "r", { x: "x0", version: 1 });
    it.sync("a", { error: "no network" });
    it.get("a", "r", { x: "x0", version: 1 });
  },
  "a sync that leaves the record to be pushed says nothing about it": (it) => {
    it.write("b", "r", { x: "xb" });
    it.accept("b", "patch", "r", { x: "xb" });
    it.sync("a", { pending: ["r"] });
    it.get("a", "r", { x: "x0", version: 1 });
  },
  "elements that two clients add are all kept": (it) => {
    it.add("a", "r", "ta");
    it.get("a", "r", { tags: ["ta"] });
    it.add("b", "r", "tb");
    it.accept("a", "patch", "r", { tags: ["ta"] });
    it.accept("b", "patch", "r", { tags: ["ta", "tb"] });
    it.sync("a");
    it.get("a", "r");
  },
  "a record is created without a network, read, and pushed": (it) => {
    it.create("b", "s", { x: "xs", y: "ys" });
    it.getOwn("b", "s", { x: "xs", y: "ys" });
    it.accept("b", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
    it.sync("a");
    it.all("a", it.row("r"), it.row("s"));
  },
  "a deleted record is gone": (it) => {
    it.create("b", "s", { x: "xs", y: "ys" });
    it.accept("b", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
    it.sync("a");
    it.delete("a", "s");
    it.getNothing("a", "s");
    it.accept("a", "delete", "s", null);
    it.get("b", "s", { name: "s", x: "xs", y: "ys", tags: [], version: 1, deletedAt: null });
    it.sync("b");
    it.getNothing("b", "s");
  },
  "calls of unknown outcome had none, or are seen late": (it) => {
    it.create("a", "s", { x: "xs", y: "ys" }, "unknown");
    it.getNothing("a", "s");
    it.add("a", "r", "ta", "unknown");
    it.write("a", "r", { x: "xa" }, "unknown");
    it.get("a", "r");
    it.accept("a", "patch", "r", { tags: ["ta"] });
    it.get("a", "r");
  },
  "a write of unknown outcome does not take the place of one that was acknowledged": (it) => {
    it.write("a", "r", { x: "xa1" });
    it.accept("a", "patch", "r", { x: "xa1" });
    it.write("a", "r", { x: "xa2" }, "unknown");
    it.get("a", "r");
  },
  "refused calls have no effect": (it) => {
    it.create("a", "s", { x: "xs", y: "ys" }, "failed");
    it.getNothing("a", "s");
    it.add("a", "r", "ta", "failed");
    it.write("a", "r", { x: "xa" }, "failed");
    it.get("a", "r");
    it.create("b", "t", { x: "xt", y: "yt" });
    it.accept("b", "create", "t", { name: "t", x: "xt", y: "yt", tags: [] });
    it.delete("a", "t", "failed");
  },
  "a record that may have been deleted is there": (it) => {
    it.create("b", "s", { x: "xs", y: "ys" });
    it.accept("b", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
    it.delete("b", "s", "unknown");
    it.get("b", "s");
  },
  "a record that one edits and another deletes is kept, under another id": (it) => {
    it.create("b", "s", { x: "xs", y: "ys" });
    it.accept("b", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
    it.delete("a", "s");
    it.write("b", "s", { x: "xs2" });
    it.accept("a", "delete", "s", null);
    it.accept("b", "create", "s", { name: "s", x: "xs2", y: "ys", tags: [] }, { id: "s2" });
  },
};

for (const [what, tell] of Object.entries(sound)) {
  test(`no violation: ${what}`, () => {
    const it = story();
    tell(it);
    assert.deepEqual(check(it.end()), []);
  });
}

/** Planted faults, by the class that they are to be found as. */
const faults = [
  ["lost", "an acknowledged write never comes to the server", (it) => it.write("a", "r", { x: "xa" })],
  [
    "lost",
    "a write gives way to one that its client had seen",
    (it) => {
      it.write("b", "r", { x: "xb" });
      it.accept("b", "patch", "r", { x: "xb" });
      it.sync("a");
      it.get("a", "r");
      it.write("a", "r", { x: "xa" });
    },
  ],
  [
    "lost",
    "a write gives way to one that was committed before it was made",
    (it) => {
      it.write("b", "r", { x: "xb" });
      it.accept("b", "patch", "r", { x: "xb" });
      it.write("a", "r", { x: "xa" });
    },
  ],
  [
    "lost",
    "the server forgets what it accepted",
    (it) => {
      it.write("a", "r", { x: "xa" });
      it.accept("a", "patch", "r", { x: "xa" });
      it.row("r").x = "x0";
    },
  ],
  [
    "overwritten",
    "an earlier write is pushed over a later one without a look at it",
    (it) => {
      it.write("a", "r", { x: "xa" });
      it.write("b", "r", { x: "xb" });
      it.accept("b", "patch", "r", { x: "xb" });
      it.accept("a", "patch", "r", { x: "xa" });
    },
  ],
  [
    "repeated",
    "a write is sent again after another has replaced it",
    (it) => {
      it.write("a", "r", { x: "xa" });
      it.accept("a", "patch", "r", { x: "xa" });
      it.write("b", "r", { x: "xb" });
      it.accept("b", "patch", "r", { x: "xb" });
      it.accept("a", "patch", "r", { x: "xa" });
    },
  ],
  [
    "repeated",
    "a client sends what another has written",
    (it) => {
      it.write("b", "r", { x: "xb" });
      it.accept("a", "patch", "r", { x: "xb" });
    },
  ],
  [
    "stale",
    "a completed sync leaves an old version",
    (it) => {
      it.write("b", "r", { x: "xb" });
      it.accept("b", "patch", "r", { x: "xb" });
      it.sync("a");
      it.get("a", "r", { x: "x0", version: 1 });
    },
  ],
  [
    "stale",
    "a completed sync does not bring a new record",
    (it) => {
      it.create("b", "s", { x: "xs", y: "ys" });
      it.accept("b", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
      it.sync("a");
      it.all("a", it.row("r"));
    },
  ],
  [
    "stale",
    "a completed sync leaves a record that was deleted",
    (it) => {
      it.create("b", "s", { x: "xs", y: "ys" });
      it.accept("b", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
      it.sync("a");
      it.get("a", "s");
      it.delete("b", "s");
      it.accept("b", "delete", "s", null);
      it.sync("a");
      it.get("a", "s", { name: "s", x: "xs", y: "ys", tags: [], version: 1, deletedAt: null });
    },
  ],
  ["never-written", "a read has a value that nobody wrote", (it) => it.get("a", "r", { x: "ghost" })],
  ["never-written", "a read has an element that nobody added", (it) => it.get("a", "r", { tags: ["ghost"] })],
  ["never-written", "a read has a record that nobody made", (it) => it.all("a", { id: "g", name: "g", version: 1 })],
  [
    "never-written",
    "a read has a value before it is written",
    (it) => {
      it.get("a", "r", { x: "xb", version: 2 });
      it.write("b", "r", { x: "xb" });
      it.accept("b", "patch", "r", { x: "xb" });
    },
  ],
  [
    "never-written",
    "a read has what was refused",
    (it) => {
      it.write("b", "r", { x: "xb" }, "failed");
      it.get("b", "r", { x: "xb" });
    },
  ],
  ["never-written", "the server has a value that nobody wrote", (it) => it.accept("a", "patch", "r", { x: "ghost" })],
  [
    "torn",
    "a read has the version of one row and a value of another",
    (it) => {
      it.write("b", "r", { x: "xb", y: "yb" });
      it.accept("b", "patch", "r", { x: "xb", y: "yb" });
      it.get("a", "r", { y: "y0" });
    },
  ],
  ["torn", "a read has a version that the server never had", (it) => it.get("a", "r", { version: 7 })],
  [
    "torn",
    "a read lacks an element of its version",
    (it) => {
      it.add("b", "r", "tb");
      it.accept("b", "patch", "r", { tags: ["tb"] });
      it.get("a", "r", { tags: [] });
    },
  ],
  [
    "read-your-writes",
    "a client does not see its own write",
    (it) => {
      it.write("a", "r", { x: "xa" });
      it.get("a", "r");
      it.accept("a", "patch", "r", { x: "xa" });
    },
  ],
  [
    "read-your-writes",
    "a client sees in place of its write one that the server had before",
    (it) => {
      it.write("b", "r", { x: "xb" });
      it.accept("b", "patch", "r", { x: "xb" });
      it.write("a", "r", { x: "xa" });
      it.accept("a", "patch", "r", { x: "xa" });
      it.get("a", "r", { x: "xb", version: 2 });
    },
  ],
  [
    "read-your-writes",
    "a client does not see the record that it made",
    (it) => {
      it.create("b", "s", { x: "xs", y: "ys" });
      it.getNothing("b", "s");
      it.accept("b", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
    },
  ],
  [
    "read-your-writes",
    "a client does not see the element that it added",
    (it) => {
      it.add("a", "r", "ta");
      it.get("a", "r");
      it.accept("a", "patch", "r", { tags: ["ta"] });
    },
  ],
  [
    "monotonic-reads",
    "a client reads again what it had seen replaced",
    (it) => {
      it.write("b", "r", { x: "xb" });
      it.accept("b", "patch", "r", { x: "xb" });
      it.get("a", "r");
      it.get("a", "r", { x: "x0", version: 1 });
    },
  ],
  [
    "monotonic-reads",
    "a client reads an older version that it had not read before",
    (it) => {
      for (const [client, x] of [
        ["a", "xa"],
        ["a", "xa2"],
      ]) {
        it.write(client, "r", { x });
        it.accept(client, "patch", "r", { x });
      }
      it.get("b", "r");
      it.get("b", "r", { x: "xa", version: 2 });
    },
  ],
  [
    "monotonic-reads",
    "an element that was seen is gone",
    (it) => {
      it.add("b", "r", "tb");
      it.accept("b", "patch", "r", { tags: ["tb"] });
      it.get("a", "r");
      it.get("a", "r", { tags: [], version: 1 });
    },
  ],
  ["monotonic-reads", "a record that was seen is gone", (it) => it.getNothing("b", "r")],
  [
    "lost-element",
    "an element that was added is not at the server",
    (it) => {
      it.add("a", "r", "ta");
      it.add("b", "r", "tb");
      it.accept("a", "patch", "r", { tags: ["ta"] });
      it.accept("b", "patch", "r", { tags: ["tb"] });
    },
  ],
  ["lost-element", "a record that was made is not at the server", (it) => it.create("a", "s", { x: "xs", y: "ys" })],
  [
    "undeleted",
    "a record that was deleted comes back",
    (it) => {
      it.create("b", "s", { x: "xs", y: "ys" });
      it.accept("b", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
      it.delete("a", "s");
    },
  ],
  [
    "doubled",
    "a record is made twice",
    (it) => {
      it.create("a", "s", { x: "xs", y: "ys" });
      for (const id of ["s", "s2"]) it.accept("a", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] }, { id });
    },
  ],
  [
    "doubled",
    "a request is carried out twice",
    (it) => {
      it.write("a", "r", { x: "xa" });
      for (let times = 0; times < 2; times += 1) it.accept("a", "patch", "r", { x: "xa" }, { key: "same" });
    },
  ],
  [
    "lost",
    "a write that was refused is no reason for the loss of the one before",
    (it) => {
      it.write("a", "r", { x: "xa1" });
      it.write("a", "r", { x: "xa2" }, "failed");
    },
  ],
  [
    "overwritten",
    "a write that was refused does not make a record later",
    (it) => {
      it.write("a", "r", { x: "xa" });
      it.write("b", "r", { x: "xb" });
      it.accept("b", "patch", "r", { x: "xb" });
      it.write("a", "r", { y: "ya" }, "failed");
      it.accept("a", "patch", "r", { x: "xa" });
    },
  ],
  [
    "stale",
    "a write that was refused does not excuse an old read",
    (it) => {
      it.write("b", "r", { x: "xb" });
      it.accept("b", "patch", "r", { x: "xb" });
      it.sync("a");
      it.write("a", "r", { x: "xa" }, "failed");
      it.get("a", "r", { x: "x0", version: 1 });
    },
  ],
  [
    "never-written",
    "a read has an element that was refused",
    (it) => {
      it.add("b", "r", "tb", "failed");
      it.get("b", "r", { tags: ["tb"] });
    },
  ],
  [
    "never-written",
    "a read has a record that was refused",
    (it) => {
      it.create("b", "s", { x: "xs", y: "ys" }, "failed");
      it.all("b", { id: "s", name: "s", tags: [] });
    },
  ],
  [
    "never-written",
    "the server has a record that nobody made",
    (it) => it.accept("b", "create", "s", { name: "s", x: "x0", y: "y0", tags: [] }),
  ],
  ["never-written", "the server has an element that nobody added", (it) => it.accept("b", "patch", "r", { tags: ["ghost"] })],
  [
    "undeleted",
    "who deleted a record sees it again",
    (it) => {
      it.create("b", "s", { x: "xs", y: "ys" });
      it.accept("b", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
      const row = it.row("s");
      it.delete("b", "s");
      it.accept("b", "delete", "s", null);
      it.all("b", it.row("r"), row);
    },
  ],
  [
    "undeleted",
    "an edit that was refused does not bring a record back",
    (it) => {
      it.create("b", "s", { x: "xs", y: "ys" });
      it.accept("b", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
      it.write("b", "s", { x: "xs2" }, "failed");
      it.delete("a", "s");
    },
  ],
  [
    "doubled",
    "a record is made again after its row was forgotten",
    (it) => {
      it.create("a", "s", { x: "xs", y: "ys" });
      for (let times = 0; times < 2; times += 1) it.accept("a", "create", "s", { name: "s", x: "xs", y: "ys", tags: [] });
    },
  ],
  [
    "doubled",
    "a row is there a second time that no request made",
    () => (history) => history.rows.push({ ...history.rows[0], id: "other" }),
  ],
  [
    "doubled",
    "an element is there twice",
    (it) => {
      it.add("a", "r", "ta");
      it.accept("a", "patch", "r", { tags: ["ta", "ta"] });
    },
  ],
  ["diverged", "in the end a client has an old value", () => (history) => (history.replicas.b.records[0].x = "x-1")],
  ["diverged", "in the end a client lacks a record", () => (history) => history.replicas.b.records.pop()],
  ["diverged", "in the end something is not pushed", () => (history) => history.replicas.a.pending.push({ id: "r" })],
  ["diverged", "in the end a conflict waits", () => (history) => history.replicas.a.conflicts.push({ id: "r" })],
];

for (const [kind, what, plant] of faults) {
  test(`${kind}: ${what}`, () => {
    const it = story();
    const spoil = plant(it);
    const history = it.end();
    if (typeof spoil === "function") spoil(history);
    assert.ok(
      classesOf(history).includes(kind),
      `found: ${JSON.stringify(check(history).map((found) => [found.class, found.what]))}`,
    );
  });
}

test("each class has a fault that is planted", () => {
  assert.deepEqual(new Set(faults.map(([kind]) => kind)), new Set(Object.keys(CLASSES)));
});

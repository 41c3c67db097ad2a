// Declared indexes of collections: what a query finds by one is what filtering finds, whatever the worker is at.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const path = "/api/records/contacts";
const all = {
  byName: "name",
  byAge: "age",
  byTown: ["address.town", "name"],
  byTag: { path: "tags", multi: true },
};
/** Nothing is pulled but by `sync()`. */
const configOf = (indexes = all) => ({
  collections: { contacts: { url: path, version: "version", pull: { every: 0 }, indexes } },
});
const open = (indexes) => w.open({ config: configOf(indexes) });

/** Calls a method of the collection in the page. */
const call = (page, method, ...given) =>
  page.evaluate((method, given) => client.collection("contacts")[method](...given), method, given);
const query = (page, given) => call(page, "query", given);
const idsOf = (records) => records.map(({ id }) => id);
/** What a call rejects with. */
const refusal = (page, method, ...given) =>
  page.evaluate(
    (method, given) =>
      client
        .collection("contacts")
        [method](...given)
        .then(
          () => "resolved",
          ({ code, message }) => `${code}: ${message}`,
        ),
    method,
    given,
  );

const stateOf = (page, owner = "") =>
  page.evaluate((owner) => window.onStore("collections", "readonly", (store) => store.get(`contacts\n${owner}`)), owner);
/** Waits until all records have the entries of these indexes. */
const built = (page, names, owner) =>
  until(`${names} to be complete`, async () => {
    await w.snapshot(page);
    await page.evaluate(() => client.metrics());
    const { indexes } = (await stateOf(page, owner)) ?? {};
    const declared = indexes?.declared.map(({ name }) => name);
    return (
      (JSON.stringify(declared) === JSON.stringify([...names].sort()) && indexes.pending == null) ||
      Promise.reject(new Error(JSON.stringify(indexes)))
    );
  });

/** The same numbers each time (mulberry32). */
function dice(seed) {
  const roll = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let bits = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
  return { roll, below: (count) => Math.floor(roll() * count), pick: (list) => list[Math.floor(roll() * list.length)] };
}

const long = (end) => "long ".repeat(60) + end;
const names = [
  "Ada",
  "ada",
  "Bo",
  "Bob",
  "",
  "Zoë",
  "\u{1f426}",
  "\ue000",
  "a\uffff",
  "a\uffffb",
  "b",
  long("x"),
  long("y"),
  3,
  -7,
  true,
];
const ages = [0, 1, -0.5, 0.1 + 0.2, 90.42225290942383, 1e21, false, true, null, "7", [1], { years: 7 }, undefined];
const towns = ["Bern", "Basel", "Be", undefined, null, 7];
const tags = ["red", "re", "blue", 5, null, "red"];

function contact(number, { pick, below, roll }) {
  const record = { id: `c-${String(number).padStart(4, "0")}`, name: pick(names), number };
  const age = pick(ages);
  if (age !== undefined) record.age = age;
  const town = pick(towns);
  if (roll() < 0.8) record.address = town === undefined ? {} : { town };
  if (roll() < 0.8) record.tags = Array.from({ length: below(5) }, () => pick(tags));
  if (roll() < 0.1) record.tags = "red";
  return record;
}

/** What the documentation says of an index, said once more. */
const indexed = (value) =>
  typeof value === "boolean" ? Number(value) : typeof value === "string" || typeof value === "number" ? value : undefined;
const compareValues = (a, b) => {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
};
const compare = (a, b) => {
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
    const order = compareValues(a[at], b[at]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
};
/** Of a bound that has fewer values than the index, those that there are. */
const compareTo = (values, bound) => compare(values.slice(0, bound.length), bound);
const bound = (value) => [value].flat().map(indexed);
const cut = (value) => (typeof value === "string" ? value.slice(0, 256) : value);
const valuesOf = {
  byName: ({ name }) => [[name]],
  byAge: ({ age }) => [[age]],
  byTown: ({ name, address }) => [[address?.town, name]],
  byTag: ({ tags }) => (Array.isArray(tags) ? tags.map((tag) => [tag]) : [[tags]]),
};
const isWithin = (values, { only, from, to, fromOpen, toOpen, prefix } = {}) => {
  if (only !== undefined) return compareTo(values, bound(only)) === 0;
  if (prefix !== undefined) {
    const [last, ...before] = bound(prefix).reverse();
    before.reverse();
    const value = values[before.length];
    return compareTo(values, before) === 0 && typeof value === "string" && value.startsWith(last);
  }
  if (from !== undefined && compareTo(values, bound(from)) < (fromOpen ? 1 : 0)) return false;
  return to === undefined || compareTo(values, bound(to)) <= (toOpen ? -1 : 0);
};
/** The ids that a query by an index finds. */
function expected(records, { index, range, order = index, limit = Number.POSITIVE_INFINITY, offset = 0, where }) {
  const sign = order[0] === "-" ? -1 : 1;
  const placed = records.flatMap((record) => {
    const places = valuesOf[index](record)
      .map((values) => values.map(indexed))
      .filter((values) => !values.includes(undefined) && isWithin(values, range))
      .map((values) => [...values.map(cut), record.id])
      .sort((a, b) => sign * compare(a, b));
    return places.length > 0 ? [{ record, place: places[0] }] : [];
  });
  placed.sort((a, b) => sign * compare(a.place, b.place));
  const found = placed.map(({ record }) => record).filter((record) => !where || record.number === where.number);
  return idsOf(found.slice(offset, offset + limit));
}

function someQuery({ pick, below, roll }) {
  const index = pick(["byName", "byAge", "byTown", "byTag"]);
  const value = () =>
    pick({ byName: names, byAge: [0, 1, true, "7", -0.5, 90.42225290942383], byTown: ["Bern", "Be", 7], byTag: tags }[index]) ??
    5;
  const given = () => (index === "byTown" && roll() < 0.5 ? [value(), pick(names)] : value());
  const range = pick([
    () => undefined,
    () => ({ only: given() }),
    () => ({ from: given(), fromOpen: roll() < 0.5 }),
    () => ({ to: given(), toOpen: roll() < 0.5 }),
    () => ({ from: given(), to: given(), fromOpen: roll() < 0.5, toOpen: roll() < 0.5 }),
    () => ({ prefix: pick(["", "B", "a", "a\uffff", "re", "long", "\uffff"]) }),
    () => ({ prefix: index === "byTown" ? ["Bern", pick(["", "A", "B"])] : "Be" }),
  ])();
  return {
    index,
    ...(range && { range }),
    ...(roll() < 0.6 && { order: pick([index, `-${index}`]) }),
    ...(roll() < 0.5 && { limit: below(30) }),
    ...(roll() < 0.2 && { offset: below(5) }),
    ...(roll() < 0.1 && { where: { number: below(200) } }),
  };
}

/** Opens a page in this browser, and waits until the worker of these indexes is the active one. */
async function deploy(browser, indexes) {
  const config = encodeURIComponent(JSON.stringify(configOf(indexes)));
  const page = await browser.open(w.server.origin, { options: { worker: `/skips-waiting.js?config=${config}` } });
  await until("the new worker to be active", () =>
    page.evaluate(
      async (config) => (await navigator.serviceWorker.getRegistration()).active?.scriptURL.endsWith(config),
      config,
    ),
  );
  return page;
}

async function fill(page, records) {
  await page.evaluate(async (records) => {
    await client.pause();
    const contacts = client.collection("contacts");
    await Promise.all(records.map((record) => contacts.put(record)));
  }, records);
}

/** Writes rows as a worker of before wrote them, past it. */
const fillOnDisk = (page, count, owner = "") =>
  page.evaluate(
    async (count, owner) => {
      const row = (number) => {
        const id = `c-${String(number).padStart(6, "0")}`;
        const local = JSON.stringify({ id, name: `name ${number % 97}`, age: number % 50, number });
        const common = { v: 1, collection: "contacts", owner, id, seq: number, local, base: local, version: "1" };
        const rest = { minted: 0, conflict: false, unread: false, settled: 0 };
        return { ...common, ...rest, xOwner: [owner, number], xList: [owner, "contacts", number] };
      };
      await window.onStore("records", "readwrite", (store) => {
        let request;
        for (let number = 1; number <= count; number += 1)
          request = store.put(row(number), `contacts\n${row(number).id}\n${owner}`);
        return request;
      });
      const state = { collection: "contacts", owner, clock: count, failures: 0 };
      await window.onStore("collections", "readwrite", (store) => store.put(state, `contacts\n${owner}`));
    },
    count,
    owner,
  );

test("a query by an index finds what filtering finds: any values, ranges and orders, complete or not", async () => {
  const page = await open();
  const random = dice(7);
  const records = Array.from({ length: 300 }, (_, number) => contact(number, random));
  await fill(page, records);
  await built(page, Object.keys(all));
  const queries = Array.from({ length: 250 }, () => someQuery(random));
  const check = async () => {
    const found = await page.evaluate(async (queries) => {
      const contacts = client.collection("contacts");
      const results = [];
      for (const query of queries) {
        const { index, range } = query;
        results.push([(await contacts.query(query)).map(({ id }) => id), await contacts.count({ index, range })]);
      }
      return results;
    }, queries);
    for (const [at, given] of queries.entries()) {
      const { index, range } = given;
      assert.deepEqual(
        found[at],
        [expected(records, given), expected(records, { index, range }).length],
        JSON.stringify(given),
      );
    }
  };
  await check();
  // Again with all that is said to be incomplete, after the worker has said its last word.
  const state = await stateOf(page);
  const incomplete = { ...state, indexes: { ...state.indexes, pending: 0 } };
  await until("a check while nothing is complete", async () => {
    const key = "contacts\n";
    await page.evaluate((state, key) => window.put("collections", state, key), incomplete, key);
    await check();
    return (await stateOf(page)).indexes.pending === 0;
  });
  // By another order than the index's.
  const byNumber = await query(page, { index: "byTag", range: { only: "red" }, order: "-number", limit: 5 });
  const red = records.filter(({ tags = [] }) => [tags].flat().includes("red"));
  assert.deepEqual(idsOf(byNumber), idsOf(red.reverse().slice(0, 5)));
});

test("pages go on after a record, whatever is written or deleted between two of them", async () => {
  const page = await open();
  const random = dice(11);
  const records = Array.from({ length: 80 }, (_, number) => contact(number, random));
  await fill(page, records);
  await built(page, Object.keys(all));
  for (const [index, order] of [
    ["byName", "byName"],
    ["byName", "-byName"],
    ["byTown", "byTown"],
    ["byTag", "byTag"],
    ["byTag", "-byTag"],
  ]) {
    const before = expected(records, { index, order });
    const seen = [];
    let after;
    for (let number = 0; ; number += 1) {
      const found = await query(page, { index, order, limit: 7, ...(after && { after }) });
      seen.push(...idsOf(found));
      if (found.length < 7) break;
      after = found.at(-1);
      // Equal in value to what was seen and to what is to come, and the last one seen is deleted.
      const put = { ...after, id: `c-0000-${index}-${number}` };
      await call(page, "put", put);
      await call(page, "put", { ...put, id: `d-${index}${order}-${number}` });
      await call(page, "delete", after.id);
    }
    const there = new Set(before);
    assert.deepEqual(
      seen.filter((id) => there.has(id)),
      before,
    );
    assert.equal(new Set(seen).size, seen.length, "none comes twice");
    const now = await call(page, "all");
    for (const { id } of now.filter(({ id }) => !there.has(id))) await call(page, "delete", id);
    for (const record of records) await call(page, "put", record);
  }
});

test("entries follow their record: edits, deletions, undo, a pull, another id of the server's", async () => {
  const page = await open();
  const ids = async (range) => idsOf(await query(page, { index: "byName", range }));
  await w.server.recordOptions("contacts", { assignIds: true });
  await call(page, "put", { id: "a", name: "Ada" });
  await until("to be pushed", async () => {
    await call(page, "sync");
    return (await call(page, "pendingChanges")).length === 0;
  });
  const [{ id }] = await w.server.records("contacts");
  assert.deepEqual(await ids(), [id]);
  await page.evaluate(() => client.pause());
  await call(page, "update", id, { name: "Bo" });
  assert.deepEqual([await ids({ only: "Ada" }), await ids({ only: "Bo" })], [[], [id]]);
  await call(page, "undo", id);
  assert.deepEqual([await ids({ only: "Ada" }), await ids({ only: "Bo" })], [[id], []]);
  await call(page, "delete", id);
  assert.deepEqual([await ids(), await call(page, "count", { index: "byName" })], [[], 0]);
  // Discarding its job takes the deletion back.
  const [job] = await w.list(page);
  await page.evaluate((job) => client.discard(job), job.id);
  assert.deepEqual(await ids(), [id]);
  await page.evaluate(() => client.resume());
  await w.server.writeRecord("contacts", { id, data: { name: "Cy" } });
  await w.server.writeRecord("contacts", { id: "other", data: { name: "Di" } });
  await call(page, "sync");
  assert.deepEqual(await ids({ from: "B" }), [id, "other"]);
  await w.server.writeRecord("contacts", { id, deleted: true });
  await call(page, "sync");
  assert.deepEqual(await ids(), ["other"]);
});

test("a subscription reads its range alone, and hears of what enters and leaves it", async () => {
  const page = await open();
  await page.evaluate(() => {
    window.heardOf = [];
    const range = { from: "B", to: "C", toOpen: true };
    window.stop = client
      .collection("contacts")
      .subscribe({ index: "byName", range, order: "-byName" }, (list) => window.heardOf.push(list.map(({ name }) => name)));
  });
  const hears = (expected) =>
    until(`to hear of ${expected}`, async () => {
      const last = await page.evaluate(() => window.heardOf.at(-1));
      return JSON.stringify(last) === JSON.stringify(expected) || Promise.reject(new Error(JSON.stringify(last)));
    });
  await fill(
    page,
    ["Ada", "Bo", "Bob", "Cy"].map((name) => ({ id: name, name })),
  );
  await hears(["Bob", "Bo"]);
  await built(page, Object.keys(all));
  const read = await page.evaluate(async () => {
    const { getAll } = IDBIndex.prototype;
    const read = [];
    IDBIndex.prototype.getAll = function (...given) {
      const request = getAll.apply(this, given);
      request.addEventListener("success", () => read.push([this.name, request.result.length]));
      return request;
    };
    window.restore = () => Object.assign(IDBIndex.prototype, { getAll });
    window.read = read;
    await client.collection("contacts").update("Cy", { name: "Bea" });
  });
  assert.equal(read, undefined);
  await hears(["Bob", "Bo", "Bea"]);
  const reads = await page.evaluate(() => {
    window.restore();
    return window.read;
  });
  assert.ok(reads.length > 0 && reads.every(([index, rows]) => index === "xValues" && rows <= 3), JSON.stringify(reads));
  await call(page, "update", "Bo", { name: "Zoë" });
  await hears(["Bob", "Bea"]);
  await page.evaluate(() => window.stop());
});

test("another owner's entries are never seen, and a purge removes them", async () => {
  const page = await open();
  await page.evaluate(() => client.setOwner("ada"));
  await fill(page, [{ id: "1", name: "of ada" }]);
  const names = async () => (await query(page, { index: "byName" })).map(({ name }) => name);
  assert.deepEqual(await names(), ["of ada"]);
  const asked = await page.evaluate(async () => {
    const signedIn = client.setOwner("bob");
    const contacts = client.collection("contacts");
    return Promise.all([contacts.query({ index: "byName" }), contacts.count({ index: "byName" }), signedIn]);
  });
  assert.deepEqual(asked.slice(0, 2), [[], 0]);
  await fill(page, [{ id: "1", name: "of bob" }]);
  assert.deepEqual(await names(), ["of bob"]);
  await built(page, Object.keys(all), "bob");
  assert.deepEqual([await names(), await call(page, "count", { index: "byName" })], [["of bob"], 1]);
  await page.evaluate(() => client.setOwner("ada"));
  await page.evaluate(() => client.setOwner("bob", { purge: "ada" }));
  const left = await page.evaluate(() => window.onStore("records", "readonly", (store) => store.index("xValues").getAll()));
  assert.deepEqual(
    left.map(({ owner }) => owner),
    ["bob"],
  );
});

test("bad input is refused, and says what to declare", async () => {
  const page = await open();
  await call(page, "put", { id: "1", name: "Ada" });
  for (const given of [
    { index: "byColour" },
    { index: "" },
    { index: 7 },
    { range: {} },
    { after: { id: "1" } },
    { index: "byName", range: [] },
    { index: "byName", range: { above: 1 } },
    { index: "byName", range: { only: null } },
    { index: "byName", range: { only: {} } },
    { index: "byName", range: { only: [] } },
    { index: "byName", range: { only: ["a", "b"] } },
    { index: "byName", range: { only: "a", from: "b" } },
    { index: "byName", range: { prefix: 7 } },
    { index: "byName", after: "1" },
    { index: "byName", after: { id: "1" } },
    { index: "byName", after: { id: "1", name: "Ada" }, order: "number" },
    { index: "byName", after: { id: "1", name: "Ada" }, range: { from: "B" } },
  ])
    assert.match(await refusal(page, "query", given), /^invalid-request: /, JSON.stringify(given));
  assert.match(await refusal(page, "query", { index: "byColour" }), /"byColour": declare it/);
  assert.match(await refusal(page, "count", { index: "byColour" }), /"byColour": declare it/);
  assert.match(await refusal(page, "count", { index: "byName", limit: 1 }), /^invalid-request: /);
  // A range that ends before it begins is empty.
  const range = { from: "b", to: "a" };
  assert.deepEqual(
    [await query(page, { index: "byName", range }), await call(page, "count", { index: "byName", range })],
    [[], 0],
  );
  const failed = await page.evaluate(() =>
    client
      .collection("contacts")
      .query({
        index: "byName",
        where: () => {
          throw new TypeError("of the app");
        },
      })
      .catch(({ message }) => message),
  );
  assert.equal(failed, "of the app");
});

test("records of before are found at once by a new index, and are in it before long; one that is gone leaves no entries", async () => {
  const chromium = await w.start();
  const older = await deploy(chromium, {});
  await older.evaluate(() => client.pause());
  await fillOnDisk(older, 5_000);
  const change = async (page, indexes) => {
    await page.close();
    // What is connected once the worker is active has its first answer.
    await (await deploy(chromium, indexes)).close();
    return deploy(chromium, indexes);
  };
  const page = await change(older, { byAge: "age" });
  const range = { from: 10, to: 11 };
  // The worker's first answer has not waited for it.
  const count = () => call(page, "count", { index: "byAge", range });
  assert.equal(await count(), 200);
  assert.equal((await query(page, { index: "byAge", range, limit: 7 })).length, 7);
  await call(page, "put", { id: "new", age: 10.5 });
  assert.equal(await count(), 201);
  await built(page, ["byAge"]);
  assert.equal(await count(), 201);
  const entries = (page) =>
    page.evaluate(() => window.onStore("records", "readonly", (store) => store.index("xValues").count()));
  assert.equal(await entries(page), 5_001);
  const other = await change(page, { byName: "name" });
  assert.equal(await call(other, "count", { index: "byName", range: { only: "name 3" } }), 52);
  assert.match(await refusal(other, "query", { index: "byAge" }), /declare it/);
  await built(other, ["byName"]);
  assert.equal(await call(other, "count", { index: "byName", range: { only: "name 3" } }), 52);
  assert.equal(await entries(other), 5_000);
  const none = await change(other, {});
  await built(none, []);
  assert.equal(await entries(none), 0);
});

test("a worker that is stopped while it brings an index up to date goes on from there", async () => {
  const chromium = await w.start();
  const older = await deploy(chromium, {});
  await older.evaluate(() => client.pause());
  await fillOnDisk(older, 8_000);
  await older.close();
  const page = await deploy(chromium, { byAge: "age" });
  const workers = await chromium.workers(page);
  await until("the new worker to declare its index", async () => {
    await page.evaluate(() => client.metrics());
    return (await stateOf(page)).indexes !== undefined;
  });
  let stops = 0;
  let last = 0;
  await until("all of it, in several lives", async () => {
    const { indexes } = await stateOf(page);
    const { pending } = indexes;
    assert.equal(await call(page, "count", { index: "byAge", range: { only: 7 } }), 160);
    assert.ok(pending == null || pending >= last, `${pending} after ${last}`);
    last = pending ?? last;
    if (pending != null && stops < 5) {
      await workers.stop();
      stops += 1;
    }
    await page.evaluate(() => client.metrics());
    return pending == null;
  });
  assert.ok(stops > 0);
  assert.equal(await call(page, "count", { index: "byAge" }), 8_000);
});

test("a wrong declaration is refused by its name", async () => {
  for (const [indexes, told] of [
    [{ byTag: { path: ["a", "b"], multi: true } }, /collections\.contacts\.indexes\.byTag: with multi/],
    [{ byName: "" }, /collections\.contacts\.indexes\.byName: a path/],
    [{ byName: { paths: "name" } }, /indexes\.byName\.paths: unknown member/],
  ]) {
    const failed = await open(indexes).then(
      () => "opened",
      (error) => error.message,
    );
    assert.match(failed, told);
  }
});

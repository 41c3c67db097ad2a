// shearwater/tanstack-db: an app of TanStack DB, bundled, on the page's collections (C7).

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";

import { build } from "esbuild";

import { root } from "./harness/server.mjs";
import { makeSite } from "./harness/site.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

/** The app: a live query by title, of which each state that it was ever in is kept. */
const APP = `
  import { createCollection, createLiveQueryCollection, createTransaction } from "@tanstack/db";
  import { shearwaterCollectionOptions } from "shearwater/tanstack-db";

  /** Without what TanStack DB adds. */
  const plain = (row) => Object.fromEntries(Object.entries(row).filter(([member]) => !member.startsWith("$")));
  Object.assign(window, { createCollection, createTransaction, shearwaterCollectionOptions, plain });
  window.begin = async (options = {}) => {
    window.notes = createCollection(shearwaterCollectionOptions({ client: window.client, collection: "notes", ...options }));
    window.query = createLiveQueryCollection((query) => query.from({ note: window.notes }).orderBy(({ note }) => note.title));
    await window.query.preload();
    window.states = [window.query.toArray.map(plain)];
    window.query.subscribeChanges(() => window.states.push(window.query.toArray.map(plain)));
  };
`;
const { outputFiles } = await build({
  stdin: { contents: APP, resolveDir: root },
  bundle: true,
  format: "esm",
  write: false,
  define: { "process.env.NODE_ENV": '"development"' },
  alias: { "shearwater/tanstack-db": join(root, "dist/tanstack-db.js") },
});
const site = makeSite({
  "index.html": '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.mjs"></script>',
  "page.mjs":
    'import "/app.js"; import { connect } from "/shearwater/page.js"; Object.assign(window, { connect, ready: true });',
  "app.js": outputFiles[0].text,
  "sw.js":
    'importScripts("/shearwater/worker.js"); shearwater.start(JSON.parse(new URL(location.href).searchParams.get("config")));',
});

const w = world({ site });
const path = "/api/records/notes";
/** Nothing is pulled but by `sync()`. */
const configOf = (more = {}) => ({
  collections: { notes: { url: path, version: "version", pull: { every: 0 }, ...more } },
  queues: { notes: { backoff: { base: 50, max: 100 } } },
});
/** Ids that the server takes as they are. */
const [one, two, three] = [1, 2, 3].map((number) => `${String(number).padStart(8, "0")}-0000-4000-8000-000000000000`);

async function open(more, options) {
  const page = await w.open({ config: configOf(more) });
  await page.evaluate((options) => window.begin(options), options);
  return page;
}
/** Mutates in the page, and waits until that is stored; a refusal is returned as {name, code, message}. */
const mutate = (page, method, ...given) =>
  page.evaluate(
    (method, given) => {
      if (method === "update") {
        const [id, change] = given;
        given = [id, (draft) => void Object.assign(draft, change)];
      }
      return window.notes[method](...given).isPersisted.promise.then(
        () => "stored",
        ({ name, code, message }) => ({ name, code, message }),
      );
    },
    method,
    given,
  );
const util = (page, name, ...given) => page.evaluate((name, given) => window.notes.utils[name](...given), name, given);
const shown = (page) => page.evaluate(() => window.query.toArray.map(window.plain));
const states = (page) => page.evaluate(() => window.states);
const titles = (records) => records.map(({ title }) => title);
const rows = () => w.server.records("notes");
const shows = (page, ...expected) =>
  until(`to show ${expected}`, async () => {
    const rows = await shown(page);
    return titles(rows).join() === expected.join() || Promise.reject(new Error(JSON.stringify(rows)));
  });
/** What another client does. */
const elsewhere = (id, data) => w.server.writeRecord("notes", data ? { id, data } : { id, deleted: true });

test("a live query shows an insert at once, and until it is the server's row it never goes", async () => {
  const page = await open();
  const [before, outcome] = await page.evaluate(async (id) => {
    const { isPersisted } = window.notes.insert({ id, title: "a" });
    const before = window.query.toArray.map(window.plain);
    await isPersisted.promise;
    return [before, window.query.toArray.map(window.plain)];
  }, one);
  assert.deepEqual(before, [{ id: one, title: "a" }]);
  assert.deepEqual(titles(outcome), ["a"]);
  assert.equal(await util(page, "awaitSynced", one), true);
  const [row] = await rows();
  await until("the server's row", async () => (await shown(page))[0].version === row.version);
  assert.deepEqual(await shown(page), [row]);

  await mutate(page, "update", one, { title: "b" });
  assert.equal(await util(page, "awaitSynced"), true);
  await until("the server's row", async () => (await shown(page))[0].version === 2);
  const [, ...seen] = await states(page);
  // The first state is the insert; from then on there is one row, first of one title and then of the other.
  assert.match(seen.map(titles).join(), /^a(,a)*(,b)+$/);
  const versions = seen.map(([row]) => row.version ?? 0);
  assert.deepEqual(versions, [...versions].sort());
});

test("many edits in quick succession show no state that is older than the one before", async () => {
  const page = await open();
  await mutate(page, "insert", { id: one, title: "note", count: 0, at: { x: 0, y: 0 } });
  await page.evaluate(async (id) => {
    const all = [];
    for (let count = 1; count <= 30; count += 1) {
      all.push(
        window.notes.update(id, (draft) => {
          draft.count = count;
          draft.at.x = count;
        }).isPersisted.promise,
      );
      // Some while others are on their way, some after.
      if (count % 7 === 0) await all[count - 3];
    }
    await Promise.all(all);
  }, one);
  assert.equal(await util(page, "awaitSynced"), true);
  await until("the server's row", async () => (await shown(page))[0].version === (await rows())[0].version);
  assert.deepEqual(await shown(page), await rows());
  const [, ...seen] = await states(page);
  assert.ok(seen.every(({ length }) => length === 1));
  const counts = seen.map(([row]) => row.count);
  assert.deepEqual(
    counts,
    [...counts].sort((a, b) => a - b),
  );
  assert.deepEqual([counts.at(-1), (await rows())[0].at], [30, { x: 30, y: 0 }]);
});

test("writes to one record that are not awaited are stored in their order", async () => {
  const page = await open();
  await page.evaluate(() => window.client.pause());
  const outcomes = await page.evaluate(async () => {
    const all = [];
    for (let number = 0; number < 20; number += 1) {
      const id = crypto.randomUUID();
      all.push(window.notes.insert({ id, title: "a" }));
      all.push(window.notes.update(id, (draft) => void Object.assign(draft, { title: `b${number}` })));
      if (number % 2) all.push(window.notes.delete(id));
    }
    return Promise.all(all.map(({ isPersisted }) => isPersisted.promise.then(() => "stored", String)));
  });
  assert.deepEqual([...new Set(outcomes)], ["stored"]);
  const stored = await page.evaluate(() => window.client.collection("notes").query({ order: "title" }));
  assert.deepEqual(titles(stored), titles(await shown(page)));
  assert.deepEqual(titles(stored).join(), "b0,b10,b12,b14,b16,b18,b2,b4,b6,b8");
});

test("what is inserted, updated and deleted without a network survives a reload, and arrives", async () => {
  const page = await open();
  await mutate(page, "insert", [
    { id: one, title: "a", extra: 1 },
    { id: two, title: "b" },
  ]);
  assert.equal(await util(page, "awaitSynced"), true);
  await w.server.down(true);
  assert.equal(await mutate(page, "insert", { id: three, title: "c" }), "stored");
  assert.equal(
    await page.evaluate(
      (id) =>
        window.notes
          .update(id, (draft) => {
            draft.title = "A";
            delete draft.extra;
          })
          .isPersisted.promise.then(() => "stored"),
      one,
    ),
    "stored",
  );
  assert.equal(await mutate(page, "delete", two), "stored");
  const written = await shown(page);
  assert.deepEqual(titles(written), ["A", "c"]);
  const pending = await util(page, "pendingChanges");
  assert.deepEqual(pending.map(({ id, change }) => [id, change]).sort(), [
    [one, "update"],
    [two, "delete"],
    [three, "create"],
  ]);
  await page.reload();
  await page.waitForFunction("window.ready");
  await page.evaluate(async () => {
    window.client = await window.connect({ worker: navigator.serviceWorker.controller?.scriptURL });
    await window.begin();
  });
  assert.deepEqual(await shown(page), written);
  assert.equal(
    (await states(page)).every(({ length }) => length === 2),
    true,
  );
  await w.server.down(false);
  await util(page, "sync");
  assert.equal(await util(page, "awaitSynced"), true);
  const stored = await rows();
  assert.deepEqual(titles(stored.filter(({ deletedAt }) => !deletedAt)).sort(), ["A", "c"]);
  assert.equal("extra" in stored.find(({ id }) => id === one), false);
});

test("a write that is refused rolls the row back, with the error", async () => {
  const page = await open({}, { collection: "others" });
  const error = await mutate(page, "insert", { id: one, title: "a" });
  assert.deepEqual([error.name, error.code], ["ShearwaterError", "invalid-request"]);
  assert.match(error.message, /others/);
  assert.deepEqual((await states(page)).map(titles), [[], ["a"], []]);
  // A record that another tab has deleted; the subscription of this one may tell first.
  await page.evaluate(() => window.begin());
  await mutate(page, "insert", { id: one, title: "a" });
  const [outcome, made] = await page.evaluate(async (id) => {
    await window.client.pause();
    const transaction = window.notes.delete(id);
    await window.client.collection("notes").delete(id);
    const deleted = await transaction.isPersisted.promise.then(() => "stored");
    const odd = window.notes.insert({ id: "\n", title: "odd" });
    return [deleted, await odd.isPersisted.promise.catch(({ code }) => code)];
  }, one);
  assert.deepEqual([outcome, made], ["stored", "invalid-request"]);
  await shows(page);
});

test("of several rows in one call those that were stored stay, and a transaction of the app's own is stored", async () => {
  const page = await open();
  const error = await mutate(page, "insert", [
    { id: one, title: "a" },
    { id: "..", title: "b" },
  ]);
  assert.equal(error.code, "invalid-request");
  await shows(page, "a");
  await page.evaluate(
    async ([one, two]) => {
      const { utils } = window.notes;
      const transaction = window.createTransaction({
        mutationFn: ({ transaction }) => utils.acceptMutations(transaction),
        autoCommit: false,
      });
      transaction.mutate(() => {
        window.notes.insert({ id: two, title: "b" });
        window.notes.update(one, (draft) => void Object.assign(draft, { title: "c" }));
      });
      await transaction.commit();
    },
    [one, two],
  );
  await shows(page, "b", "c");
  assert.equal(await util(page, "awaitSynced"), true);
  assert.deepEqual(titles(await rows()).sort(), ["b", "c"]);
});

test("what another client and another tab write comes by itself", async () => {
  const [page, other] = [await open(), await open()];
  await elsewhere(one, { title: "a" });
  await elsewhere(two, { title: "b" });
  assert.deepEqual(await util(page, "sync"), { applied: 2 });
  for (const tab of [page, other]) await shows(tab, "a", "b");
  await elsewhere(one);
  await elsewhere(two, { title: "c" });
  await util(page, "sync");
  for (const tab of [page, other]) await shows(tab, "c");
  await mutate(other, "insert", { id: three, title: "d" });
  await shows(page, "c", "d");
  // What was in one state before is in one after.
  assert.deepEqual((await states(page)).map(titles).slice(0, 3), [[], ["a", "b"], ["c"]]);
});

test("a record that the server gives another id moves in one step, and is awaited by the one that it had", async () => {
  const page = await open();
  await w.server.recordOptions("notes", { assignIds: true });
  await mutate(page, "insert", { id: one, title: "a" });
  assert.equal(await util(page, "awaitSynced", one), true);
  await until("the server's id", async () => (await shown(page))[0].id === "srv-1");
  assert.ok((await states(page)).slice(1).every(({ length }) => length === 1));
  assert.deepEqual(await page.evaluate(() => [...window.notes.keys()]), ["srv-1"]);
  await mutate(page, "update", "srv-1", { title: "b" });
  assert.equal(await util(page, "awaitSynced", "srv-1"), true);
  assert.deepEqual(titles(await rows()), ["b"]);
});

test("a conflict is listed and not synced until somebody chooses", async () => {
  const page = await open({ conflict: { strategy: "ask-user" } });
  await mutate(page, "insert", { id: one, title: "base" });
  assert.equal(await util(page, "awaitSynced"), true);
  await elsewhere(one, { title: "remote" });
  await mutate(page, "update", one, { title: "local" });
  assert.equal(await util(page, "awaitSynced", one), false);
  const [{ id, base, local, remote }, ...more] = await util(page, "conflicts");
  assert.deepEqual([id, base.title, local.title, remote.title, more.length], [one, "base", "local", "remote", 0]);
  await shows(page, "local");
  assert.equal(await util(page, "resolve", one, "remote"), true);
  await shows(page, "remote");
  assert.equal(await util(page, "awaitSynced", one), true);
  assert.deepEqual(await util(page, "conflicts"), []);
});

test("a write that the server refuses is not synced until somebody takes it back", async () => {
  const page = await open();
  await w.server.faults([{ method: "POST", path, action: { status: 422 }, times: 1 }]);
  await mutate(page, "insert", { id: one, title: "a" });
  assert.deepEqual([await util(page, "awaitSynced", one), await util(page, "awaitSynced")], [false, false]);
  await shows(page, "a");
  const [{ job }] = await util(page, "pendingChanges");
  const [synced] = await page.evaluate(async (job) => {
    const synced = window.notes.utils.awaitSynced();
    return [await synced, await window.client.discard(job)];
  }, job);
  assert.equal(synced, false);
  await shows(page);
  assert.equal(await util(page, "awaitSynced"), true);
});

test("a sign-in replaces the rows, and what one user wrote is not stored as another's", async () => {
  const page = await open();
  await page.evaluate(() => window.client.setOwner("ada"));
  await page.evaluate(() => window.client.pause());
  await mutate(page, "insert", { id: one, title: "of ada" });
  const outcomes = await page.evaluate(
    async ([one, two]) => {
      const settle = ({ isPersisted }) =>
        isPersisted.promise.then(
          () => "stored",
          ({ code }) => code,
        );
      const all = [
        window.notes.insert({ id: two, title: "of ada, too" }),
        window.notes.update(two, (draft) => void Object.assign(draft, { title: "of ada, late" })),
        window.notes.delete(one),
        window.notes.insert({ id: one, title: "of ada, again" }),
      ].map(settle);
      await window.client.setOwner("bob");
      return Promise.all(all);
    },
    [one, two],
  );
  await shows(page);
  assert.deepEqual(outcomes, ["stored", "invalid-request", "stored", "invalid-request"]);
  assert.deepEqual(await page.evaluate(() => window.client.collection("notes").all()), []);
  await page.evaluate(() => window.client.pause());
  await mutate(page, "insert", { id: one, title: "of bob" });
  await shows(page, "of bob");
  const stored = await page.evaluate(async () => {
    await window.client.setOwner("ada");
    return window.client.collection("notes").all();
  });
  assert.deepEqual(titles(stored), ["of ada, too"]);
  await shows(page, "of ada, too");
});

test("a collection that is cleaned up hears nothing more, and begins anew", async () => {
  const page = await open();
  await mutate(page, "insert", { id: one, title: "a" });
  const [during, after] = await page.evaluate(async (id) => {
    await window.query.cleanup();
    await window.notes.cleanup();
    await window.client.collection("notes").update(id, { title: "b" });
    const during = [window.notes.status, window.notes.size];
    await window.notes.preload();
    return [during, window.notes.toArray.map(window.plain)];
  }, one);
  assert.deepEqual([during, titles(after)], [["cleaned-up", 0], ["b"]]);
});

test("the client may come later; where there is none, preloading says why, and it is asked for again", async () => {
  const page = await w.open({ config: configOf() });
  const [refused, status, loaded] = await page.evaluate(async () => {
    let asked = 0;
    const client = async () => {
      asked += 1;
      if (asked === 1) throw new Error("no worker");
      return window.client;
    };
    const notes = window.createCollection(window.shearwaterCollectionOptions({ client, collection: "notes" }));
    const refused = await notes.preload().then(
      () => "",
      ({ message, cause }) => `${message} ${cause?.message}`,
    );
    const { status } = notes;
    await notes.cleanup();
    await notes.preload();
    return [refused, status, [notes.status, asked]];
  });
  assert.match(refused, /no worker/);
  assert.deepEqual([status, loaded], ["error", ["ready", 2]]);
  const wrong = await page.evaluate(() => {
    try {
      window.shearwaterCollectionOptions({ client: window.client, collection: "" });
    } catch ({ code }) {
      return code;
    }
  });
  assert.equal(wrong, "invalid-request");
});

test("what is taken back before the subscription has told of it does not stay", async () => {
  const { shearwaterCollectionOptions } = await import("../../dist/tanstack-db.js");
  const { createCollection } = await import("@tanstack/db");
  // A collection of the page whose subscriptions read when they are begun and when the test says so.
  let stored = [];
  const reads = new Set();
  const records = {
    put: async (record) => void stored.push(record),
    get: async (id) => stored.find((record) => record.id === id) ?? null,
    count: async () => stored.length,
    subscribe(_, listener) {
      let last;
      const read = () => {
        const text = JSON.stringify(stored);
        if (text !== last) listener(JSON.parse(text));
        last = text;
      };
      reads.add(read);
      queueMicrotask(read);
      return () => reads.delete(read);
    },
  };
  const client = { collection: () => records, on: () => () => {}, [Symbol.for("shearwater.internal")]: { owner: () => "" } };
  const notes = createCollection(shearwaterCollectionOptions({ client, collection: "notes" }));
  await notes.preload();
  const inserting = notes.insert({ id: one, title: "a" });
  await inserting.isPersisted.promise;
  assert.deepEqual([notes.size, reads.size], [1, 1]);
  stored = [];
  for (const read of reads) read();
  assert.equal(notes.size, 0);
  await notes.cleanup();
  assert.equal(reads.size, 0);
});

test("on a server the module loads and makes options, and does nothing", async () => {
  const { shearwaterCollectionOptions } = await import("../../dist/tanstack-db.js");
  const { createCollection } = await import("@tanstack/db");
  const client = () => assert.fail("connects");
  const notes = createCollection(shearwaterCollectionOptions({ client, collection: "notes" }));
  assert.deepEqual([notes.id, notes.status, notes.size], ["shearwater:notes", "idle", 0]);
});

// Collections on a real server of CouchDB's protocol (D9): revisions, the changes feed, no attachments.

import assert from "node:assert/strict";
import test, { after, before, beforeEach } from "node:test";
import { notes } from "./harness/collection.mjs";
import { startCouchdb } from "./harness/couchdb.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const { call, settle } = notes(w, "_id");

/** @type {Awaited<ReturnType<typeof startCouchdb>>} */
let couchdb;
/** What another client does. @type {any} */
let db;
let name = "";
let count = 0;
before(async () => {
  couchdb = await startCouchdb();
});
after(() => couchdb?.stop());
beforeEach(async () => {
  count += 1;
  name = `notes-${count}`;
  db = couchdb.open(name);
  await db.info();
});

const open = (more = {}) =>
  w.open({
    config: {
      collections: {
        notes: {
          url: `${couchdb.origin}/${name}`,
          adapter: "couchdb",
          pull: { every: 0, pageSize: 2 },
          conflict: { merge: { union: ["tags"] } },
          ...more,
        },
      },
      queues: { notes: { backoff: { base: 50, max: 100 } } },
    },
  });
const docs = async () => {
  const { rows } = await db.allDocs({ include_docs: true });
  return rows.map(({ doc }) => doc);
};
const revisions = (docs) => docs.map(({ _id, _rev, title }) => [_id, _rev.split("-")[0], title]);
const titles = async (page) => (await call(page, "all")).map(({ title }) => title).sort();

test("documents are created, changed and deleted, and what others do comes by the feed", async () => {
  const page = await open();
  const made = await call(page, "put", { title: "a" });
  await call(page, "put", { _id: "b/ ?ä", title: "b", tags: ["x"] });
  await settle(page);
  await call(page, "update", "b/ ?ä", { title: "b2" });
  await call(page, "delete", made);
  await settle(page);
  assert.deepEqual(revisions(await docs()), [["b/ ?ä", "2", "b2"]]);
  assert.deepEqual(await call(page, "get", "b/ ?ä"), (await docs())[0]);
  await db.bulkDocs(["c", "d", "e", "f"].map((_id) => ({ _id, title: _id })));
  await db.put({ _id: "_design/views", views: {} });
  await db.remove(await db.get("d"));
  await settle(page);
  assert.deepEqual(await titles(page), ["b2", "c", "e", "f"]);
  await db.put({ ...(await db.get("c")), title: "c2" });
  await db.remove(await db.get("e"));
  await settle(page);
  assert.deepEqual(await titles(page), ["b2", "c2", "f"]);
});

test("both sides changed a document: the merge keeps both, and no branch is left", async () => {
  const page = await open();
  await call(page, "put", { _id: "a", title: "a", tags: ["x"] });
  await settle(page);
  await page.evaluate(() => client.pause("notes"));
  await call(page, "update", "a", { title: "mine", tags: ["x", "mine"] });
  await db.put({ ...(await db.get("a")), body: "theirs", tags: ["x", "theirs"] });
  await page.evaluate(() => client.resume("notes"));
  await settle(page);
  const doc = await db.get("a", { conflicts: true });
  assert.deepEqual(
    [doc.title, doc.body, doc.tags.sort(), doc._conflicts],
    ["mine", "theirs", ["mine", "theirs", "x"], undefined],
  );
  assert.deepEqual((await call(page, "get", "a")).tags.sort(), ["mine", "theirs", "x"]);
});

// express-pouchdb does not say of a document that it was deleted, as CouchDB does: of other strategies nothing is to be seen.
test("one side deleted a document that the other changed: the merge keeps the change", async () => {
  const page = await open();
  await call(page, "put", { _id: "a", title: "a" });
  await settle(page);
  await page.evaluate(() => client.pause("notes"));
  await call(page, "update", "a", { title: "edited" });
  await db.remove(await db.get("a"));
  await page.evaluate(() => client.resume("notes"));
  await settle(page);
  assert.deepEqual(revisions(await docs()), [["a", "3", "edited"]]);
  assert.deepEqual(await titles(page), ["edited"]);
});

test("responses that are lost after the commit: each write takes effect once", async () => {
  const page = await open();
  for (const [method, act, expected] of [
    ["PUT", () => call(page, "put", { _id: "a", title: "a" }), [["a", "1", "a"]]],
    ["PUT", () => call(page, "update", "a", { title: "b" }), [["a", "2", "b"]]],
    ["DELETE", () => call(page, "delete", "a"), []],
  ]) {
    couchdb.lose(method);
    await act();
    await settle(page);
    assert.deepEqual(revisions(await docs()), expected);
  }
  assert.equal(await call(page, "get", "a"), null);
});

test("attachments of a document stay where they are when it is changed", async () => {
  await db.put({ _id: "a", title: "a", _attachments: { "x.txt": { content_type: "text/plain", data: "eA==" } } });
  const page = await open();
  await settle(page);
  await call(page, "update", "a", { title: "b" });
  await settle(page);
  const doc = await db.get("a", { attachments: true });
  assert.deepEqual([doc.title, doc._attachments["x.txt"].data], ["b", "eA=="]);
});

// Collections on a real PostgREST with a real PostgreSQL (D9): the version is a filter, and there are no keys of requests.

import assert from "node:assert/strict";
import test, { after, before, beforeEach } from "node:test";
import { notes } from "./harness/collection.mjs";
import { startPostgrest, TOUCH } from "./harness/postgrest.mjs";
import { startProxy } from "./harness/proxy.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();
const { call, settle } = notes(w);

const SCHEMA = `
  create table notes (
    id text primary key default gen_random_uuid(),
    title text not null,
    body text,
    tags jsonb,
    rank double precision,
    version int not null default 1,
    updated_at timestamptz not null default clock_timestamp(),
    deleted_at timestamptz,
    constraint short check (length(title) < 100)
  );
  ${TOUCH}
  create trigger touch before insert or update on notes for each row execute function touch();
  grant select, insert, update, delete on notes to anon;
`;

/** @type {Awaited<ReturnType<typeof startPostgrest>>} */
let postgrest;
before(async () => {
  postgrest = await startPostgrest(SCHEMA);
});
after(() => postgrest?.stop());
beforeEach(() => postgrest.sql("truncate notes"));

const open = (more = {}, origin = postgrest.origin) =>
  w.open({
    config: {
      collections: {
        notes: {
          url: `${origin}/notes`,
          adapter: "postgrest",
          version: "version",
          pull: { every: 0, pageSize: 2 },
          conflict: { merge: { union: ["tags"] } },
          ...more,
        },
      },
      queues: { notes: { backoff: { base: 50, max: 100 } } },
    },
  });
const rows = () => postgrest.rows("select id, title, body, tags, version, deleted_at from notes order by id");
const titles = async (page) => (await call(page, "all")).map(({ title }) => title).sort();

test("records are created, changed and deleted, and what others do is pulled, a page at a time", async () => {
  const page = await open();
  const id = await call(page, "put", { title: 'a, (b) "c" & d', tags: ["x"], rank: 0.1 });
  await call(page, "put", { id: "O'Brien/1?,()", title: "b" });
  await settle(page);
  assert.deepEqual(await rows(), [
    ...[
      { id, title: 'a, (b) "c" & d', body: null, tags: ["x"], version: 1, deleted_at: null },
      { id: "O'Brien/1?,()", title: "b", body: null, tags: null, version: 1, deleted_at: null },
    ].sort((a, b) => (a.id < b.id ? -1 : 1)),
  ]);
  await call(page, "update", "O'Brien/1?,()", { title: "b2", body: "new" });
  await call(page, "delete", id);
  await settle(page);
  assert.deepEqual(await rows(), [{ id: "O'Brien/1?,()", title: "b2", body: "new", tags: null, version: 2, deleted_at: null }]);
  // Many rows of one instant, in the order of the database's collation.
  postgrest.sql(`
    alter table notes disable trigger touch;
    insert into notes (id, title, updated_at) select x, x, '2026-11-29 06:00:00.123456+00' from unnest(array['a','B','c','Ä','z','10','9']) x;
    alter table notes enable trigger touch;
    update notes set updated_at = now() where false;`);
  await call(page, "reconcile");
  assert.deepEqual(await titles(page), ["10", "9", "B", "a", "b2", "c", "z", "Ä"]);
  const fresh = await open({ pull: { every: 0, pageSize: 2, overlap: 0 } });
  await settle(fresh);
  assert.deepEqual(await titles(fresh), ["10", "9", "B", "a", "b2", "c", "z", "Ä"]);
});

test("both sides changed a row: its version is the condition, and the merge keeps both", async () => {
  const page = await open();
  await call(page, "put", { id: "a", title: "a", tags: ["x"] });
  await settle(page);
  await page.evaluate(() => client.pause("notes"));
  await call(page, "update", "a", { title: "mine", tags: ["x", "mine"] });
  postgrest.sql(`update notes set body = 'theirs', tags = '["x", "theirs"]' where id = 'a'`);
  await page.evaluate(() => client.resume("notes"));
  await settle(page);
  const [row] = await rows();
  assert.deepEqual([row.title, row.body, [...row.tags].sort(), row.version], ["mine", "theirs", ["mine", "theirs", "x"], 3]);
  assert.deepEqual((await call(page, "get", "a")).tags.sort(), ["mine", "theirs", "x"]);
});

test("responses that are lost after the commit: each write takes effect once", async () => {
  const proxy = await startProxy(postgrest.origin);
  try {
    // The tests' policy names addresses, not names.
    const page = await open({}, proxy.origin.replace("localhost", "127.0.0.1"));
    const versions = async () => (await rows()).map(({ id, title, version }) => [id, title, version]);
    for (const [method, act, expected] of [
      ["POST", () => call(page, "put", { id: "a", title: "a" }), [["a", "a", 1]]],
      ["PATCH", () => call(page, "update", "a", { title: "b" }), [["a", "b", 2]]],
      ["DELETE", () => call(page, "delete", "a"), []],
    ]) {
      proxy.rule("/notes", { lose: method });
      await act();
      await settle(page);
      assert.deepEqual(await versions(), expected);
    }
    assert.equal(await call(page, "get", "a"), null);
  } finally {
    await proxy.stop();
  }
});

test("a row that is gone without a word: an update makes it again, a deletion is done, reconcile expires the others", async () => {
  const page = await open();
  for (const id of ["a", "b", "c", "d"]) await call(page, "put", { id, title: id });
  await settle(page);
  await page.evaluate(() => client.pause("notes"));
  await call(page, "update", "a", { body: "edited" });
  await call(page, "delete", "b");
  postgrest.sql("delete from notes where id <> 'd'");
  await page.evaluate(() => client.resume("notes"));
  await settle(page);
  assert.deepEqual(
    (await rows()).map(({ id, body }) => [id, body]),
    [
      ["a", "edited"],
      ["d", null],
    ],
  );
  const report = await call(page, "reconcile");
  assert.deepEqual([report.expired, report.errors], [1, []]);
  assert.deepEqual(await titles(page), ["a", "d"]);
});

test("a deletion may mark the row, which other devices pull", async () => {
  const page = await open({ push: { delete: "mark" } });
  await call(page, "put", { id: "a", title: "a" });
  await settle(page);
  await call(page, "delete", "a");
  await settle(page);
  const [row] = await rows();
  assert.equal(row.version, 2);
  assert.ok(row.deleted_at);
  assert.equal(await call(page, "get", "a"), null);
});

test("what the database refuses is listed with its reason, and its correction goes", async () => {
  const page = await open();
  await call(page, "put", { id: "a", title: "x".repeat(100) });
  const job = await until("the failure", async () => {
    const [pending] = await call(page, "pendingChanges");
    const job = pending?.job && (await w.get(page, pending.job));
    return job?.state === "failed" && job;
  });
  assert.equal(job.error.status, 400);
  await call(page, "update", "a", { title: "short" });
  await settle(page);
  assert.deepEqual(
    (await rows()).map(({ title }) => title),
    ["short"],
  );
});

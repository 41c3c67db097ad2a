// References between collections: no request names a record by an id that only this device knows (P7).

import assert from "node:assert/strict";
import test, { after, before } from "node:test";

import { patient, uuid } from "./harness/collection.mjs";
import { startPostgrest, TOUCH } from "./harness/postgrest.mjs";
import { startProxy } from "./harness/proxy.mjs";
import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

const path = (name) => `/api/records/${name}`;
const pull = { every: 0 };
const configOf = ({ url = path, adapter = "rest", backoff = { base: 50, max: 100 }, books = {} } = {}) => ({
  collections: {
    authors: { url: url("authors"), adapter, version: "version", pull },
    books: {
      ...{ url: url("books"), adapter, version: "version", pull },
      references: { author: "authors", readers: "authors", sequel: "books" },
      ...books,
    },
  },
  queues: { authors: { backoff, concurrency: 1 }, books: { backoff, concurrency: 1 } },
});
const call = (page, name, method, ...given) =>
  page.evaluate((name, method, given) => window.client.collection(name)[method](...given), name, method, given);
const pending = async (page) =>
  (await Promise.all(["authors", "books"].map((name) => call(page, name, "pendingChanges")))).flat();
const settle = (page) =>
  until("all at the server", async () => {
    for (const name of ["books", "authors", "books"]) await call(page, name, "sync");
    const left = await pending(page);
    return left.length === 0 || Promise.reject(new Error(JSON.stringify({ left, jobs: await w.list(page) })));
  });
const pushes = async (name) => (await w.server.arrivals(path(name))).filter(({ method }) => method !== "GET");
const rows = async (name) => (await w.server.records(name)).filter(({ deletedAt }) => !deletedAt);
const [author, book, second] = [1, 2, 3].map(uuid);

test("a record goes after those that it refers to, under the ids that the server gave them", async () => {
  const page = await w.open({ config: configOf() });
  for (const name of ["authors", "books"]) await w.server.recordOptions(name, { assignIds: true });
  await page.evaluate(() => client.pause("authors"));
  await call(page, "authors", "put", { id: author, name: "Ada" });
  await call(page, "authors", "put", { id: second, name: "Bob" });
  await call(page, "books", "put", { id: book, title: "a", author, readers: [second, author, second] });
  await call(page, "books", "update", book, { title: "b" });
  const [waiting] = await call(page, "books", "pendingChanges");
  assert.deepEqual([waiting.job, waiting.waitsFor], [undefined, { collection: "authors", id: author }]);
  // Nothing of it is sent, whatever is asked for.
  await call(page, "books", "sync");
  assert.deepEqual(await pushes("books"), []);
  await page.evaluate(() => client.resume("authors"));
  await until("the book at the server", async () => (await rows("books")).length === 1);
  await settle(page);
  const [[ada, bob], [stored]] = [await rows("authors"), await rows("books")];
  assert.deepEqual([ada.name, bob.name], ["Ada", "Bob"]);
  assert.deepEqual([stored.title, stored.author, stored.readers], ["b", ada.id, [bob.id, ada.id, bob.id]]);
  assert.notEqual(ada.id, author);
  // One request made it: none named what the server does not know.
  assert.deepEqual(
    (await pushes("books")).map(({ method }) => method),
    ["POST"],
  );
  const here = await call(page, "books", "get", book);
  assert.deepEqual([here.author, here.readers], [ada.id, [bob.id, ada.id, bob.id]]);
  assert.equal((await call(page, "authors", "get", here.author)).name, "Ada");
});

test("an id that a record had is replaced in what is written after it got another", async () => {
  const page = await w.open({ config: configOf() });
  await w.server.recordOptions("authors", { assignIds: true });
  await call(page, "authors", "put", { id: author, name: "Ada" });
  await settle(page);
  await call(page, "books", "put", { id: book, title: "a", author });
  await settle(page);
  const [[ada], [stored]] = [await rows("authors"), await rows("books")];
  assert.deepEqual([ada.id === author, stored.author], [false, ada.id]);
  await call(page, "books", "update", book, { readers: [author] });
  await settle(page);
  assert.deepEqual((await rows("books"))[0].readers, [ada.id]);
});

test("records that refer to one another are created, and then related", async () => {
  const page = await w.open({ config: configOf() });
  await w.server.recordOptions("books", { assignIds: true });
  await page.evaluate(() => client.pause());
  await call(page, "books", "put", { id: book, title: "a", sequel: second });
  await call(page, "books", "put", { id: second, title: "b", sequel: book });
  await call(page, "books", "put", { id: author, title: "of itself", sequel: author });
  await page.evaluate(() => client.resume());
  await settle(page);
  const stored = Object.fromEntries((await rows("books")).map((row) => [row.title, row]));
  assert.deepEqual(Object.keys(stored).sort(), ["a", "b", "of itself"]);
  assert.deepEqual(
    [stored.a.sequel, stored.b.sequel, stored["of itself"].sequel],
    [stored.b.id, stored.a.id, stored["of itself"].id],
  );
  for (const { id, sequel, title } of Object.values(stored))
    assert.equal((await call(page, "books", "get", id)).sequel, sequel, title);
  const mine = new Set([book, second, author]);
  for (const { body } of await pushes("books")) assert.ok(!mine.has(JSON.parse(body ?? "{}").sequel), body);
});

test("replies are lost and the worker is stopped between them: one row each, related as they were", async () => {
  const chromium = await w.start();
  const page = await chromium.open(w.server.origin, { config: configOf() });
  const workers = await chromium.workers(page);
  for (const name of ["authors", "books"]) await w.server.recordOptions(name, { assignIds: true });
  await w.server.faults([
    { method: "POST", path: path("authors"), action: { drop: "after" }, times: 2 },
    { method: "POST", path: path("books"), action: { drop: "after" }, times: 1 },
  ]);
  await call(page, "authors", "put", { id: author, name: "Ada" });
  await call(page, "books", "put", { id: book, title: "a", author });
  for (const [name, count] of [
    ["authors", 1],
    ["authors", 2],
    ["books", 1],
  ]) {
    await until(`${count} of ${name}`, async () => {
      if ((await pushes(name)).length >= count) return true;
      await call(page, "books", "sync");
      return false;
    });
    await workers.stop();
  }
  await settle(page);
  const [[ada, ...others], [stored, ...more]] = [await rows("authors"), await rows("books")];
  assert.deepEqual([others, more, stored.author], [[], [], ada.id]);
  assert.equal((await call(page, "books", "get", book)).author, ada.id);
});

test("what waits for a record that is taken back goes without waiting; of one that is discarded, too", async () => {
  const page = await w.open({ config: configOf({ backoff: patient.backoff }) });
  await page.evaluate(() => client.pause("authors"));
  for (const [how, id] of /** @type {const} */ ([
    ["undo", book],
    ["discard", second],
    ["delete", uuid(9)],
  ])) {
    await call(page, "authors", "put", { id: author, name: "Ada" });
    await call(page, "books", "put", { id, title: how, author });
    assert.equal((await call(page, "books", "pendingChanges"))[0].waitsFor.id, author);
    if (how === "discard") {
      const [{ job }] = await call(page, "authors", "pendingChanges");
      await page.evaluate((job) => client.discard(job), job);
    } else {
      await call(page, "authors", how, author);
    }
    await until(`the book after ${how}`, async () => {
      await call(page, "books", "sync");
      return (await rows("books")).some(({ title }) => title === how);
    });
    assert.equal(await call(page, "authors", "count"), 0);
  }
  assert.deepEqual(await pushes("authors"), []);
});

test("what waits for a record that is deleted while it is sent, and then refused, waits no longer", async () => {
  const page = await w.open({ config: configOf() });
  await w.server.faults([{ method: "POST", path: path("authors"), action: { hold: true, status: 422 }, times: 1 }]);
  await call(page, "authors", "put", { id: author, name: "Ada" });
  await w.held(1);
  await call(page, "books", "put", { id: book, title: "a", author });
  await call(page, "authors", "delete", author);
  await w.server.release();
  await until("the book at the server", async () => (await rows("books")).length === 1);
});

test("more than a thousand that wait for one record are all looked at when it comes", async () => {
  const page = await w.open({ config: configOf() });
  await page.evaluate(() => Promise.all([client.pause("authors"), client.pause("books")]));
  await call(page, "authors", "put", { id: author, name: "Ada" });
  const waiting = () =>
    page.evaluate(async () => (await client.collection("books").pendingChanges()).filter(({ waitsFor }) => waitsFor).length);
  await page.evaluate(
    (author) =>
      Promise.all(Array.from({ length: 1_100 }, (_, at) => client.collection("books").put({ title: `${at}`, author }))),
    author,
  );
  assert.equal(await waiting(), 1_100);
  await page.evaluate(() => client.resume("authors"));
  await until("none to wait", async () => (await waiting()) === 0);
  const { queues } = await page.evaluate(() => client.metrics());
  assert.equal(queues.find(({ queue }) => queue === "books")?.counts.pending, 1_100);
});

test("one fullSync() pushes what waits through three queues, and tries what fails no more often for that", async () => {
  const { collections } = configOf();
  const more = (name, references) => ({ [name]: { url: path(name), version: "version", pull, references } });
  const all = { ...collections, ...more("reviews", { book: "books" }), ...more("failing", {}) };
  const queues = Object.fromEntries(Object.keys(all).map((name) => [name, { ...patient, concurrency: 1 }]));
  const page = await w.open({ config: { collections: all, queues } });
  await w.server.down(true);
  await call(page, "authors", "put", { id: author, name: "Ada" });
  await call(page, "books", "put", { id: book, title: "a", author });
  await call(page, "reviews", "put", { id: second, text: "good", book });
  await call(page, "failing", "put", { id: second });
  await until("two unreachable", async () => (await w.list(page)).filter(({ error }) => error).length === 2);
  await w.server.down(false);
  await w.server.faults([{ method: "POST", path: path("failing"), action: { status: 503 } }]);
  await page.evaluate(() => client.fullSync());
  assert.deepEqual([(await rows("authors")).length, (await rows("books")).length, (await rows("reviews")).length], [1, 1, 1]);
  // Before the pulls, after them, and with all queues at the end.
  assert.ok((await pushes("failing")).length <= 3, JSON.stringify(await pushes("failing")));
});

test("ids that are numbers are waited for, and stay numbers", async () => {
  const page = await w.open({ config: configOf({ backoff: patient.backoff }) });
  await page.evaluate(() => client.pause());
  await call(page, "authors", "put", { id: 17, name: "Ada" });
  await call(page, "books", "put", { id: book, title: "a", author: 17, readers: ["17"] });
  const [{ waitsFor }] = await call(page, "books", "pendingChanges");
  assert.deepEqual(waitsFor, { collection: "authors", id: "17" });
});

test("nothing of one user waits for a record of another", async () => {
  const page = await w.open({ config: configOf() });
  await page.evaluate(() => client.setOwner("ada"));
  await page.evaluate(() => client.pause());
  await call(page, "authors", "put", { id: author, name: "of ada" });
  await page.evaluate(() => client.setOwner("bob"));
  await call(page, "books", "put", { id: book, title: "of bob", author });
  await settle(page);
  assert.deepEqual([(await rows("books")).map(({ title }) => title), await rows("authors")], [["of bob"], []]);
});

test("references that make no sense are refused by their name", async () => {
  for (const [references, name] of /** @type {Array<[object, RegExp]>} */ ([
    [{ author: "writers" }, /collections\.books\.references\.author/],
    [{ id: "authors" }, /is not the key/],
    [{ "": "authors" }, /a member has a name/],
    [{ author: 7 }, /references/],
  ])) {
    const worker = `/sw.js?${new URLSearchParams({ config: JSON.stringify(configOf({ books: { references } })) })}`;
    const error = await w.connectError({ worker });
    assert.equal(error?.code, "invalid-config", JSON.stringify(references));
    assert.match(error.message, name);
  }
});

/** @type {Awaited<ReturnType<typeof startPostgrest>>} */
let postgrest;
before(async () => {
  postgrest = await startPostgrest(`
    create table authors (id text primary key, name text, version int not null default 1,
      updated_at timestamptz not null default clock_timestamp(), deleted_at timestamptz);
    create table books (id text primary key, title text, version int not null default 1,
      author text references authors, sequel text references books,
      updated_at timestamptz not null default clock_timestamp(), deleted_at timestamptz);
    ${TOUCH}
    create trigger touch before insert or update on authors for each row execute function touch();
    create trigger touch before insert or update on books for each row execute function touch();
    grant select, insert, update, delete on authors, books to anon;`);
});
after(() => postgrest?.stop());

test("a foreign key of PostgreSQL is never violated, whatever the order of the writes", async () => {
  const config = configOf({ adapter: "postgrest", url: (name) => `${postgrest.origin}/${name}` });
  const page = await w.open({ config });
  const refusals = [];
  await page.evaluate(() => {
    window.refused = [];
    client.on("job", (job) => job.error && window.refused.push(job.error.message));
  });
  await page.evaluate(() => client.pause());
  await call(page, "books", "put", { id: book, title: "a", sequel: second });
  await call(page, "authors", "put", { id: author, name: "Ada" });
  await call(page, "books", "put", { id: second, title: "b", author, sequel: book });
  await call(page, "books", "update", book, { author });
  await page.evaluate(() => client.resume());
  await settle(page);
  refusals.push(...(await page.evaluate(() => window.refused)));
  assert.deepEqual(refusals, []);
  assert.deepEqual(postgrest.rows("select id, author, sequel from books order by id"), [
    { id: book, author, sequel: second },
    { id: second, author, sequel: book },
  ]);
});

test("a member that is left out of a create follows, also where the reply to the create is lost", async () => {
  const proxy = await startProxy(postgrest.origin);
  try {
    const origin = proxy.origin.replace("localhost", "127.0.0.1");
    const page = await w.open({ config: configOf({ adapter: "postgrest", url: (name) => `${origin}/${name}` }) });
    const [x, y] = [uuid(41), uuid(42)];
    await page.evaluate(() => client.pause());
    await call(page, "books", "put", { id: x, title: "x", sequel: y });
    await call(page, "books", "put", { id: y, title: "y", sequel: x });
    proxy.rule("/books", { lose: "POST" });
    await page.evaluate(() => client.resume());
    await settle(page);
    assert.deepEqual(postgrest.rows(`select id, sequel from books where id in ('${x}', '${y}') order by id`), [
      { id: x, sequel: y },
      { id: y, sequel: x },
    ]);
    for (const [id, sequel] of [
      [x, y],
      [y, x],
    ])
      assert.equal((await call(page, "books", "get", id)).sequel, sequel);
  } finally {
    await proxy.stop();
  }
});

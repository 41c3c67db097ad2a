// How the public types are meant to be used; compiled by `make check`, never run.

import { createCollection, createLiveQueryCollection, eq } from "@tanstack/db";
import { type Client, type Collection, connect, type Job, ShearwaterError, type SyncStatus } from "shearwater";
import { type FormEvents, trackForms } from "shearwater/forms";
import { shearwaterCollectionOptions } from "shearwater/tanstack-db";
import * as worker from "shearwater/worker";

worker.start({
  strict: true,
  queues: {
    notes: {
      maxAttempts: 3,
      onFailure: "continue",
      statuses: { 404: "deliver" },
      backoff: { jitter: "equal" },
      idempotency: { header: "X-Key" },
    },
  },
});
worker.on("auth", async ({ refresh, owner }) => (owner ? { authorization: refresh ? "new" : "old" } : undefined));
worker.on("sync:daily", ({ lastChance }) => lastChance);
worker.on("auth", () => undefined, { origins: ["https://api.example"] });
worker.on("delivered", ({ id, status }) => console.log(id, status));
const queued: Promise<string> = worker.enqueue({ url: "/api/seen", body: { a: 1 } }, { queue: "notes" });
console.log(queued, worker.ShearwaterError === ShearwaterError);
// @ts-expect-error only "auth" has options
worker.on("sync", () => undefined, { origins: [] });
// @ts-expect-error there is no such option
worker.start({ queues: { notes: { maxAtempts: 3 } } });
worker.start({
  queues: { events: { batch: { url: "/api/batch", max: 10, wrap: { v: 1, events: "items" }, results: "/results" } } },
});
// @ts-expect-error a batch has an address
worker.start({ queues: { events: { batch: { max: 10 } } } });
worker.start({ build: "full", logLevel: "debug" });
// @ts-expect-error there are two builds
worker.start({ build: "fuller" });
worker.start({
  routes: [
    { match: "/api/notes/:id", methods: ["PUT"], queue: "notes", key: "note-{id}", on: { timeout: 5_000, statuses: [503] } },
  ],
});
// @ts-expect-error a route has a pattern
worker.start({ routes: [{ methods: ["PUT"] }] });
worker.on("routed", async ({ request, id, reason, status }) =>
  reason === "status" && status === 503 ? new Response(await request.text(), { headers: { id } }) : undefined,
);
// @ts-expect-error there is no such hook
worker.on("authh", () => undefined);
worker.on("adapter:notes", (request, { collection, owner, idempotencyKey }) =>
  fetch(`/v2/${collection}/${owner}`, { signal: request.signal, headers: { key: idempotencyKey } }),
);
// @ts-expect-error: an adapter returns a Response
worker.on("adapter:notes", () => undefined);

const client: Client = await connect({ worker: "/sw.js", syncOnMount: false });
client.track("events", { name: "opened" });
declare const trusted: { toString(): string; toJSON(): string };
await connect({ worker: trusted });
await connect({ build: "full" });
await connect({ worker: new URL("/sw.js", location.href) });
// @ts-expect-error that is no URL
await connect({ worker: 7 });
const id: string = await client.enqueue(
  { url: "/api", body: { a: [1, null] } },
  { key: "k", priority: "high", metadata: { a: 1 } },
);
await client.enqueueAll([new Request("/api"), { url: new URL("https://example.org") }]);
interface Note {
  title: string;
  tags?: string[];
}
const note: Note = { title: "a" };
await client.enqueue({ url: "/api", body: note }, { metadata: note });
await client.enqueue({ url: "/api", body: new FormData() });
await client.enqueue({ url: "/api", body: 5 });
// A call of fetch, copied.
const init: RequestInit = {
  method: "POST",
  body: "x",
  keepalive: true,
  signal: AbortSignal.timeout(1_000),
  headers: { "Idempotency-Key": "a" },
};
await client.enqueue({ url: "/api", method: "POST", body: "x", keepalive: true, signal: init.signal });
// @ts-expect-error there is no such priority
await client.enqueue({ url: "/api" }, { priority: "urgent" });
// @ts-expect-error a symbol is no body
await client.enqueue({ url: "/api", body: Symbol("x") });
// @ts-expect-error there is no such member
await client.enqueue({ url: "/api", methd: "POST" });
const job: Job | null = await client.get(id);
if (job?.state === "failed") console.log(job.error?.kind satisfies string | undefined);
const stop: () => void = client.subscribe(() => {
  const status: SyncStatus = client.getSnapshot();
  console.log(status.progress ?? 0);
});
client.on("delivered", (delivered) => console.log(delivered.status, delivered.response?.headers.location));
const inTime: boolean = await client.cancel(id);
console.log(inTime);
await client.setOwner("ada", { purge: "bob" });
// @ts-expect-error purge is a boolean or an owner
await client.setOwner("ada", { purge: 1 });
worker.start({
  credentials: ["tenant-pin"],
  queues: { notes: { expect: { status: [200, 201], redirected: false }, response: { headers: ["location"] } } },
});
client.on("sync-complete", ({ queue, remaining }) => console.log(queue, remaining));
client.watch(id, (changed) => console.log(changed?.attempts));
const { delivered } = await client.syncNow("notes");
console.log(delivered satisfies number);
try {
  await client.edit(id, { headers: { "x-other": "1" } });
} catch (error) {
  if (error instanceof ShearwaterError && error.code === "quota-exceeded") stop();
}

declare const form: HTMLFormElement;
const tracked = client.trackForm(form, { queue: "notes", toast: false, onDelivered: (sent) => console.log(sent.status) });
await tracked.ready;
tracked();
// @ts-expect-error there is no such option
client.trackForm(form, { tost: false });
trackForms(client, document)();
form.addEventListener("form-failed", (event) => {
  const { job: refused, restore } = (event as CustomEvent<FormEvents["form-failed"]>).detail;
  if (refused.error?.status === 422) restore().catch(console.error);
});
worker.on("before-send", (sent) => ({ headers: { "x-csrf-token": sent.url }, fields: { csrf: sent.queue } }));
worker.start({ csrf: { meta: "csrf-token", header: "x-csrf-token" }, drafts: { max: 10 } });
// @ts-expect-error a header or a field
worker.start({ csrf: { cookie: "XSRF-TOKEN" } });

worker.start({
  collections: {
    notes: {
      url: "/api/notes",
      version: "version",
      pull: { every: 60_000, pageSize: 500 },
      push: { update: "put" },
      indexes: { byTitle: "title", byPlace: ["at.place", "title"], byLabel: { path: "labels", multi: true } },
      conflict: { strategy: "merge", merge: { union: ["tags"] } },
    },
  },
});
// @ts-expect-error a collection has an address
worker.start({ collections: { notes: { version: "version" } } });
// @ts-expect-error there is no such strategy
worker.start({ collections: { notes: { url: "/api/notes", conflict: { strategy: "last-wins" } } } });

// @ts-expect-error an index has a path
worker.start({ collections: { notes: { url: "/api/notes", indexes: { byTitle: { multi: true } } } } });

interface Task {
  id: string;
  title: string;
  rank: number;
  labels?: string[];
  at?: { place: string; room: number };
}
const tasks: Collection<Task> = client.collection<Task>("tasks");
const made: string = await tasks.put({ title: "a", rank: 1 });
await tasks.put({ id: "b", title: "b", rank: 2 });
// @ts-expect-error a task has a title
await tasks.put({ rank: 1 });
await tasks.put({ id: 7, title: "a", rank: 1 });
// @ts-expect-error an id is a string or a number
await tasks.put({ id: true, title: "a", rank: 1 });
const was: boolean = await tasks.update(made, { labels: null, at: { room: 4 } });
await tasks.update(made, (task) => ({ ...task, rank: task.rank + 1 }));
// @ts-expect-error a rank is a number
await tasks.update(made, { rank: "1" });
const task: Task | null = await tasks.get(made);
const first: Task[] = await tasks.query({ where: { title: "a" }, order: "-rank", limit: 10 });
await tasks.query({ where: ({ rank }) => rank > 1, order: "title" });
// @ts-expect-error there is no such member to sort by
await tasks.query({ order: "age" });
// @ts-expect-error there is no such member of a query
await tasks.query({ filter: {} });
await tasks.query({
  index: "byPlace",
  range: { only: ["x"] },
  order: "-byPlace",
  limit: 10,
  after: first[0],
  where: { rank: 1 },
});
await tasks.query({ index: "byTitle", range: { from: "a", to: "b", toOpen: true }, order: "-rank" });
// @ts-expect-error a range goes with an index
await tasks.query({ range: { only: "a" } });
// @ts-expect-error null is in no index
await tasks.query({ index: "byTitle", range: { only: null } });
// @ts-expect-error a record is what comes before the page
await tasks.query({ index: "byTitle", after: "id" });
tasks.subscribe({ index: "byLabel", range: { prefix: "l" } }, () => {})();
const found: number = await tasks.count({ index: "byTitle", range: { from: 1 } });
tasks.subscribe(undefined, (all) => console.log(all[0]?.title, task?.rank, was, first.length))();
for (const { id: changed, change, since, record } of await tasks.pendingChanges()) {
  console.log(changed, change satisfies "create" | "update" | "delete", since, record?.title);
}
for (const { id: both, base, remote } of await tasks.conflicts()) {
  await tasks.resolve(both, remote === null ? "local" : { title: `${base?.title}, ${remote.title}`, rank: 1 });
}
const { applied, error: incomplete }: { applied: number; error?: string } = await tasks.sync();
console.log(applied, incomplete, found, await tasks.count());
const keyed = client.collection<{ slug: string; text: string }, "slug">("pages", { key: "slug" });
await keyed.put({ text: "without a slug" });
const untyped = client.collection("things");
await untyped.put({ anything: [1, null] });
await untyped.update("x", { anything: null });
// @ts-expect-error there is no such option
client.collection("things", { keys: "id" });

const board = createCollection(shearwaterCollectionOptions<Task>({ client, collection: "tasks", startSync: true }));
board.insert({ id: crypto.randomUUID(), title: "a", rank: 1 });
// @ts-expect-error a task has a rank
board.insert({ id: "b", title: "b" });
await board.update(made, (draft) => {
  draft.labels = ["urgent"];
}).isPersisted.promise;
const open = createLiveQueryCollection((query) =>
  query
    .from({ task: board })
    .where(({ task }) => eq(task.rank, 1))
    .orderBy(({ task }) => task.title),
);
const shown: string[] = open.toArray.map(({ title }) => title);
const isSynced: boolean = await board.utils.awaitSynced(made);
const [pending] = await board.utils.pendingChanges();
console.log(shown, isSynced, pending?.record?.rank, (await board.utils.sync()).applied);
for (const { id: both, local } of await board.utils.conflicts()) await board.utils.resolve(both, local ?? "remote");
const bySlug = shearwaterCollectionOptions<{ slug: string; page: number }, number>({
  client: () => connect({ build: "full" }),
  collection: "pages",
  key: "slug",
  getKey: ({ page }) => page,
});
createCollection(bySlug).delete(4);
const schema = {
  "~standard": {
    version: 1,
    vendor: "tests",
    validate: (value: unknown) => ({ value: value as Task }),
    types: undefined as unknown as { input: Omit<Task, "rank"> & { rank?: number }; output: Task },
  },
} as const;
const checked = createCollection(shearwaterCollectionOptions({ client, collection: "tasks", schema }));
checked.insert({ id: "c", title: "c" });
const rank: number | undefined = checked.get("c")?.rank;
const conflict: Task | null | undefined = (await checked.utils.conflicts())[0]?.remote;
console.log(rank, conflict);
// @ts-expect-error its handlers are its own
shearwaterCollectionOptions<Task>({ client, collection: "tasks", onInsert: async () => {} });

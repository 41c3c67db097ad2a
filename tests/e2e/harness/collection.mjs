// The collection "notes" of a test: in the page, at the server, and between them.

import { until } from "./wait.mjs";

export const path = "/api/records/notes";
export const json = { "content-type": "application/json" };
/** Retries nothing by itself within a test. */
export const patient = { backoff: { base: 60_000, max: 60_000 } };
/** Ids that the server takes as they are. */
export const uuid = (number) => `${String(number).padStart(8, "0")}-0000-4000-8000-000000000000`;
export const [one, two] = [1, 2].map(uuid);
/** A row as the server lists it. */
export const at = (time, id, more = {}) => ({ id, title: String(id), version: 1, updatedAt: time, deletedAt: null, ...more });

/** Nothing is pulled but by `sync()`; mutations go one by one. */
export const configOf = ({ backoff = { base: 50, max: 100 }, timeout = 10_000, maxAttempts = 10, ...more } = {}) => ({
  collections: { notes: { url: path, version: "version", pull: { every: 0 }, ...more } },
  queues: { notes: { backoff, timeout, maxAttempts, concurrency: 1 } },
});

/**
 * What tests do with it.
 *
 * @param {any} w  a world
 * @param {string} key
 */
export function notes(w, key = "id") {
  const call = (page, method, ...given) =>
    page.evaluate((key, method, given) => window.client.collection("notes", { key })[method](...given), key, method, given);
  const rows = () => w.server.records("notes");
  const arrivals = async (method) => (await w.server.arrivals(path)).filter((arrival) => arrival.method === method);
  return {
    open: (more) => w.open({ config: configOf(more) }),
    call,
    rows,
    row: async (id) => (await rows()).find((row) => row.id === id),
    arrivals,
    arrive: (method, count) => until(`${count} ${method}`, async () => (await arrivals(method)).length >= count),
    /** What another client does. */
    elsewhere: (id, data) => w.server.writeRecord("notes", data ? { id, data } : { id, deleted: true }),
    pause: (page) => page.evaluate(() => window.client.pause("notes")),
    resume: (page) => page.evaluate(() => window.client.resume("notes")),
    /** Waits until nothing is left to be pushed. */
    settle: (page) =>
      until("all at the server", async () => {
        const { error } = await call(page, "sync");
        const pending = await call(page, "pendingChanges");
        return (pending.length === 0 && error === undefined) || Promise.reject(new Error(JSON.stringify({ pending, error })));
      }),
    /** Waits until nothing is left to be pushed, or a person is to look at what is. */
    quiet: (page) =>
      until("quiet", async () => {
        const [pending, conflicts, jobs] = [
          await call(page, "pendingChanges"),
          await call(page, "conflicts"),
          await w.list(page),
        ];
        const isStuck = jobs.length > 0 && jobs.every(({ state }) => ["failed", "conflict", "blocked"].includes(state));
        return (
          pending.length === 0 ||
          conflicts.length > 0 ||
          isStuck ||
          Promise.reject(new Error(JSON.stringify({ pending, jobs })))
        );
      }),
    /** Answers requests for a page with these, one after another, then with empty ones. */
    pages: (...bodies) =>
      w.server.faults([
        ...bodies.map((body) => ({
          method: "GET",
          path,
          action: { status: 200, headers: json, body: typeof body === "string" ? body : JSON.stringify(body) },
          times: 1,
        })),
        { method: "GET", path, action: { status: 200, headers: json, body: "[]" } },
      ]),
  };
}

// Each operation takes effect once (issue 8, A). A page that gets no response posts its message again: the worker
// may have been stopped after the commit and before the response. Runs against dist-test/, which has points to stop at.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world({ dist: "dist-test" });

const config = { queues: { default: { backoff: { base: 5, max: 20 } } } };
const tomorrow = () => Date.now() + 86_400_000;
const ids = async (page) => (await w.list(page)).map((job) => job.id);
const setOwner = (page, owner, options) => page.evaluate((owner, options) => client.setOwner(owner, options), owner, options);
const retry = (page, id) => page.evaluate((id) => client.retry(id), id);
const script = (point) => `/sw.js?${new URLSearchParams({ config: JSON.stringify(config), point })}`;
const open = (point = "none") => w.open({ options: { worker: script(point) } });

/**
 * Calls `act` in the page and stops the worker between the commit and the response. Then does `meanwhile`, in
 * another tab, before the page posts its message again. Returns what the call resolved to.
 */
async function unanswered(point, page, act, args, meanwhile, rules = []) {
  const workers = await w.browser.workers(page);
  await w.server.faults([{ path: "/api/points", action: { hold: true } }, ...rules]);
  // Operations before this one may have passed the point, too.
  const passed = async () => (await w.server.arrivals(`/api/points/${point}`)).length;
  const before = await passed();
  const call = page.evaluate(act, ...args);
  call.catch(() => {});
  await until(`the point "${point}"`, async () => (await passed()) > before);
  await workers.stop();
  await w.server.faults(rules);
  await w.server.release();
  await meanwhile(await open(point));
  return call;
}

test("setOwner with purge: what the next user queued since the first commit survives the repetition", async () => {
  const page = await open("set-owner-after");
  await w.server.faults([]);
  await setOwner(page, "A");
  const ofA = await w.enqueue(page, { url: "/api/sink/a", body: "of A" }, { notBefore: tomorrow() });
  let ofB;
  await unanswered(
    "set-owner-after",
    page,
    () => client.setOwner("B", { purge: true }),
    [],
    async (other) => {
      ofB = await w.enqueue(other, { url: "/api/sink/b", body: "of B" }, { notBefore: tomorrow() });
    },
  );
  assert.deepEqual(await ids(page), [ofB], "an acknowledged job is listed");
  assert.equal(await retry(page, ofB), true);
  await w.becomes(page, ofB, "delivered");
  await setOwner(page, "A");
  assert.deepEqual([await ids(page), await w.get(page, ofA)], [[], null], "A's was purged");
});

test("two tabs call setOwner with purge after one sign-in: the job queued in between survives", async () => {
  const [one, two] = [await open(), await open()];
  await setOwner(one, "A");
  await w.enqueue(one, { url: "/api/sink/a", body: "of A" }, { notBefore: tomorrow() });
  await setOwner(one, "B", { purge: true });
  const ofB = await w.enqueue(one, { url: "/api/sink/b", body: "of B" }, { notBefore: tomorrow() });
  await setOwner(two, "B", { purge: true });
  assert.deepEqual(await ids(one), [ofB]);
  await retry(one, ofB);
  await w.becomes(one, ofB, "delivered");
});

test("clear: what was queued since the first commit survives the repetition", async () => {
  const page = await open("clear-after");
  await w.enqueue(page, { url: "/api/sink/before", body: "before" }, { notBefore: tomorrow() });
  let since;
  const cleared = await unanswered(
    "clear-after",
    page,
    () => client.clear(),
    [],
    async (other) => {
      since = await w.enqueue(other, { url: "/api/sink/since", body: "since" }, { notBefore: tomorrow() });
    },
  );
  assert.deepEqual([cleared, await ids(page)], [1, [since]]);
});

test("discard: the repetition says that it was done", async () => {
  const page = await open("discard-after");
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" }, { notBefore: tomorrow() });
  const discarded = await unanswered(
    "discard-after",
    page,
    (id) => client.discard(id),
    [id],
    async (other) => {
      assert.deepEqual(await ids(other), []);
    },
  );
  assert.equal(discarded, true);
});

test("edit: the repetition says that it was done, and the change goes out under one idempotency key", async () => {
  const page = await open("edit-after");
  await w.server.faults([{ path: "/api/sink/first", action: { status: 422 } }]);
  const id = await w.enqueue(page, { url: "/api/sink/first", body: "first" });
  await w.becomes(page, id, "failed");
  // Handled, with the reply lost, until the page has repeated itself.
  const edited = await unanswered(
    "edit-after",
    page,
    (id) => client.edit(id, { url: "/api/sink/edited", body: "edited" }),
    [id],
    async () => until("the effect of the edit", async () => (await w.server.sink("/api/sink/edited")).length > 0),
    [{ path: "/api/sink/edited", action: { drop: "after" } }],
  );
  await w.server.faults([]);
  await page.evaluate(() => client.syncNow());
  await w.becomes(page, id, "delivered");
  // Not counting what only asks whether the server is there.
  const posts = (entries) => entries.filter(({ method }) => method === "POST");
  const keys = new Set(posts(await w.server.arrivals("/api/sink/edited")).map((arrival) => arrival.idempotencyKey));
  assert.deepEqual([edited, keys.size, posts(await w.server.sink("/api/sink/edited")).length], [true, 1, 1]);
});

test("retry: the repetition does not try the job once more", async () => {
  const page = await open("retry-after");
  const rules = [{ path: "/api/sink", action: { status: 422 } }];
  await w.server.faults(rules);
  const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
  await w.becomes(page, id, "failed");
  const sends = async () => (await w.server.arrivals("/api/sink")).length;
  const retried = await unanswered(
    "retry-after",
    page,
    (id) => client.retry(id),
    [id],
    async (other) => {
      await until("the one retry", async () => (await sends()) === 2 && (await w.get(other, id)).state === "failed");
    },
    rules,
  );
  await w.settled(page);
  assert.deepEqual([retried, await sends(), (await w.get(page, id)).state], [true, 2, "failed"]);
});

/** Notes what the page posts to the worker from now on. */
const record = (page) =>
  page.evaluate(() => {
    window.posted = [];
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (message, ...rest) {
      posted.push(message);
      return postMessage.call(this, message, ...rest);
    };
  });

/** Posts the last message of this operation among the first `count` again, as it was; returns the response. */
const repeat = (page, name, count) =>
  page.evaluate(
    async (name, count) => {
      const message = posted.slice(0, count).findLast(({ op }) => typeof op === "object" && name in op);
      const { active } = await navigator.serviceWorker.ready;
      return new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }) => resolve(data.error ?? data.ok);
        active.postMessage(message, [port2]);
      });
    },
    name,
    count,
  );

const waiting = (page, name = "x") => w.enqueue(page, { url: `/api/sink/${name}`, body: name }, { notBefore: tomorrow() });
/** As a client is told that connects now. */
const paused = (page) =>
  page.evaluate(async (worker) => {
    const another = await window.connect({ worker, syncOnMount: false });
    const { state } = another.getSnapshot();
    another.close();
    return state === "paused";
  }, script("none"));

/** What is done, what happens before the repetition arrives, and what has to be true after it. */
const operations = {
  async enqueue(page) {
    const id = await waiting(page);
    return {
      answer: [id],
      since: () => page.evaluate((id) => client.discard(id), id),
      holds: async () => assert.deepEqual(await ids(page), []),
    };
  },
  async discard(page) {
    const id = await waiting(page);
    return {
      answer: await page.evaluate((id) => client.discard(id), id),
      holds: async () => assert.deepEqual(await ids(page), []),
    };
  },
  async edit(page) {
    const id = await waiting(page);
    const answer = await page.evaluate((id) => client.edit(id, { body: "edited" }), id);
    const { idempotencyKey } = await w.get(page, id);
    return { answer, holds: async () => assert.equal((await w.get(page, id)).idempotencyKey, idempotencyKey) };
  },
  async clear(page) {
    await waiting(page);
    const answer = await page.evaluate(() => client.clear());
    let other;
    return {
      answer,
      since: async () => (other = await waiting(page, "other")),
      holds: async () => assert.deepEqual(await ids(page), [other]),
    };
  },
  async pause(page) {
    await page.evaluate(() => client.pause());
    return {
      answer: null,
      since: () => page.evaluate(() => client.resume()),
      holds: async () => assert.equal(await paused(page), false),
    };
  },
  async resume(page) {
    await page.evaluate(async () => {
      await client.pause();
      return client.resume();
    });
    return {
      answer: null,
      since: () => page.evaluate(() => client.pause()),
      holds: async () => assert.equal(await paused(page), true),
    };
  },
  async retry(page) {
    await w.server.faults([{ path: "/api/sink", action: { status: 422 } }]);
    const id = await w.enqueue(page, { url: "/api/sink/x", body: "x" });
    await w.becomes(page, id, "failed");
    const answer = await retry(page, id);
    const sends = async () => (await w.server.arrivals("/api/sink")).length;
    return {
      answer,
      since: () => until("the retry", async () => (await sends()) === 2 && (await w.get(page, id)).state === "failed"),
      holds: async () => {
        await w.settled(page);
        assert.equal(await sends(), 2);
      },
    };
  },
  async setOwner(page) {
    await setOwner(page, "A");
    let ofB;
    return {
      answer: null,
      since: async () => {
        await setOwner(page, "B");
        ofB = await waiting(page);
      },
      holds: async () => assert.deepEqual(await ids(page), [ofB]),
    };
  },
};

for (const [name, act] of Object.entries(operations)) {
  test(`a message "${name}" that comes again after the worker was stopped gets the same response and changes nothing`, async () => {
    const page = await open();
    await record(page);
    const { answer, since, holds } = await act(page);
    const count = await page.evaluate(() => posted.length);
    await since?.();
    await (await w.browser.workers(page)).stop();
    assert.deepEqual(await repeat(page, name, count), answer);
    await holds();
  });
}

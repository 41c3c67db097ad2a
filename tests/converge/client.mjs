// One client of a run: a browser on a profile of its own, behind a line of its own.

import { chromium, firefox, webkit } from "../e2e/harness/engines.mjs";
import { removeProfile } from "../e2e/harness/profile.mjs";
import { until } from "../e2e/harness/wait.mjs";

export const ENGINES = { chromium, firefox, webkit };

export const COLLECTION = "notes";
const url = `/api/records/${COLLECTION}`;
/** Nothing is pulled but by `sync()`, and no write is given up. */
const CONFIG = {
  collections: { [COLLECTION]: { url, version: "version", pull: { every: 0 }, conflict: { merge: { union: ["tags"] } } } },
  queues: { [COLLECTION]: { maxAttempts: 1_000, backoff: { base: 50, max: 400 } } },
  retryBudget: { burst: 1_000, interval: 10, ratio: 1 },
};

const DEAD = new Error("the browser was killed");

/** Calls one method in the page. A record is made under its name as its id; others may know it by the server's. */
const inPage = async (step) => {
  const notes = window.client.collection("notes");
  const { name, data, element, byFunction } = step;
  const isKnown = name === undefined || step.what === "create" || (await notes.get(name)) !== null;
  const id = isKnown ? name : ((await notes.query({ where: { name } }))[0]?.id ?? name);
  if (step.what === "create") return void (await notes.put({ id: name, name, tags: [], ...data }));
  if (step.what === "write") return notes.update(id, byFunction ? (record) => ({ ...record, ...data }) : data);
  if (step.what === "add") return notes.update(id, (record) => ({ ...record, tags: [...record.tags, element] }));
  if (step.what === "delete") return notes.delete(id);
  if (step.what === "get") return notes.get(id);
  if (step.what === "all") return notes.all();
  if (step.what === "sync") {
    const { error } = await notes.sync();
    return { error, pending: (await notes.pendingChanges()).map(({ record, base }) => (record ?? base)?.name) };
  }
  return { records: await notes.all(), pending: await notes.pendingChanges(), conflicts: await notes.conflicts() };
};

/** A promise that rejects by `reject`, and is nobody's error if nobody waits for it. */
function mortal() {
  let reject;
  const promise = new Promise((_, fail) => {
    reject = fail;
  });
  promise.catch(() => {});
  return { promise, reject: /** @type {(error: Error) => void} */ (/** @type {unknown} */ (reject)) };
}

/** @param {string} name  of an engine, with a number where there is more than one of it: `chromium2` */
export async function startClient(name, { line, recorder }) {
  const engine = ENGINES[name.replace(/\d+$/, "")];
  const config = { config: CONFIG };
  let browser = await engine.start();
  let page = await browser.open(line.origin, config);
  let workers = await browser.workers?.(page);
  /** Rejects when the browser is killed: a call to a dead one may never end. */
  let death = mortal();
  const counts = { kills: 0, stops: 0, rejected: 0 };

  const call = (step) => Promise.race([page.evaluate(inPage, step), death.promise]);

  return {
    name,
    line,
    counts,
    canStop: Boolean(workers),

    /** Carries a step out and records it. */
    async act(step) {
      const op = recorder.begin(name, step);
      try {
        recorder.end(op, await call(step));
      } catch (error) {
        // It may have been carried out, or may be by the next worker.
        op.text = String(error);
        if (String(error) !== String(DEAD)) counts.rejected += 1;
      }
      return op;
    },
    /** Writes down what befell it. */
    note: (text) => recorder.event(name, text),
    /** What is here, in the end. */
    replica: () => call({ what: "replica" }),

    /** Stops the service worker and nothing else. */
    async stop() {
      recorder.event(name, "the worker is stopped");
      counts.stops += 1;
      await workers.cdp.send("ServiceWorker.stopAllWorkers");
    },
    /** Kills the browser. */
    async kill() {
      counts.kills += 1;
      death.reject(DEAD);
      await browser.kill();
      recorder.event(name, "the browser is killed");
    },
    /** Starts it again where it was killed. */
    async restart() {
      // One that is started so soon may end at once, before it has opened anything.
      const { profile } = browser;
      browser = await until("the browser", () => engine.start({ profile }));
      page = await until("the page", () => browser.open(line.origin, config));
      workers = await browser.workers?.(page);
      death = mortal();
      recorder.event(name, "the browser is back");
    },
    async end() {
      await browser.kill();
      removeProfile(browser.profile);
      await line.stop();
    },
  };
}

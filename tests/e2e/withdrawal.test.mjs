// What becomes of a routed request that is aborted, once a browser tells its worker: none does yet, so the event is made here.

import assert from "node:assert/strict";
import test, { after } from "node:test";

import { Lines, watchWithdrawal } from "../../sw/worker/in-flight.js";

const pages = new Set(["open"]);
globalThis.self ??= /** @type {any} */ (globalThis);
Object.assign(globalThis.self, { clients: { get: async (id) => (pages.has(id) ? { id } : undefined) } });
after(() => Reflect.deleteProperty(globalThis, "clients"));

const event = (clientId) => {
  const app = new AbortController();
  return { app, event: /** @type {any} */ ({ clientId, request: { signal: app.signal } }) };
};
const moment = () => new Promise((resolve) => setTimeout(resolve));

test("an abort by a page that is there aborts the first try, with the app's reason", async () => {
  const { app, event: fetched } = event("open");
  const withdrawal = watchWithdrawal(fetched);
  withdrawal.check();
  app.abort(new Error("changed my mind"));
  await moment();
  assert.equal(withdrawal.isWithdrawn(), true);
  assert.equal(withdrawal.controller.signal.reason.message, "changed my mind");
  assert.throws(() => withdrawal.check(), /changed my mind/);
});

test("a page that is closed withdraws nothing, nor does an abort after the end", async () => {
  const closed = event("closed");
  const late = event("open");
  const withdrawals = [watchWithdrawal(closed.event), watchWithdrawal(late.event)];
  withdrawals[1].end();
  closed.app.abort();
  late.app.abort();
  await moment();
  for (const withdrawal of withdrawals) {
    assert.deepEqual([withdrawal.isWithdrawn(), withdrawal.controller.signal.aborted], [false, false]);
  }
});

test("requests of one key wait for all who joined before, others for nobody", async () => {
  const lines = new Lines();
  const order = [];
  const [first, second, third] = ["a", "a", "a"].map((name) => lines.join(name));
  for (const [at, turn] of [first, second, third].entries()) void Promise.resolve(turn.before).then(() => order.push(at));
  await lines.join("b").before;
  await moment();
  assert.deepEqual(order, [0]);
  second.end();
  await moment();
  assert.deepEqual(order, [0], "who ends early lets nobody pass the first");
  first.end();
  await moment();
  assert.deepEqual(order, [0, 1, 2]);
});

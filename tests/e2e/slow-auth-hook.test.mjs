// A job that is withdrawn while the `auth` hook runs is not sent when the hook has returned.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

const tell = (page, test) => page.evaluate((test) => window.tell(test), test);
const asked = (page, count) =>
  until(`${count} calls of the hook`, () => page.evaluate((count) => heard.auth.length >= count, count));

for (const [what, takeBack] of [
  ["cancelled", (page, id) => page.evaluate((id) => client.cancel(id), id)],
  [
    "purged, its owner signed in again",
    (page) =>
      page.evaluate(async () => {
        await client.setOwner(null, { purge: true });
        await client.setOwner("A");
      }),
  ],
]) {
  test(`a job that is ${what} while the auth hook is asked is not sent`, async () => {
    const page = await w.open({ options: { worker: "/sw.js?auth" } });
    await page.evaluate(() => client.setOwner("A"));
    await tell(page, { auth: { tokens: { A: "token" }, hold: true } });
    const id = await w.enqueue(page, { url: "/api/sink/taken-back", body: "x" });
    await asked(page, 1);
    await takeBack(page, id);
    await tell(page, { auth: { hold: false }, release: true });
    // A job that goes all the way after the hook has answered for the first.
    await w.becomes(page, await w.enqueue(page, { url: "/api/sink/after", body: "x" }), "delivered");
    assert.deepEqual(await w.server.arrivals("/api/sink/taken-back"), []);
  });
}

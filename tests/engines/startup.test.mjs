// What differs most between engines in a start: how a worker's death, refusal and traps are reported.

import assert from "node:assert/strict";
import test from "node:test";

import { others } from "../e2e/harness/engines.mjs";
import { onEngines } from "../e2e/harness/world.mjs";

onEngines(others, (w) => {
  test("a worker that refuses its configuration, never comes, or has another name is explained", async () => {
    const page = await w.open();
    const outcomes = await page.evaluate(async () => {
      const outcome = (options) =>
        window.connect(options).then(
          () => null,
          (error) => ({ code: error.code, message: error.message }),
        );
      return {
        config: await outcome({
          worker: `/sw.js?config=${encodeURIComponent('{"queues":{"notes":{"maxAtempts":3}}}')}`,
          scope: "/config/",
        }),
        absent: await outcome({ worker: "/not-there.js", scope: "/absent/" }),
        name: await outcome({ worker: "/sw.js", name: "beta" }),
      };
    });
    assert.equal(outcomes.config?.code, "invalid-config", JSON.stringify(outcomes));
    assert.match(outcomes.config.message, /maxAtempts/);
    assert.equal(outcomes.absent?.code, "worker-unavailable", JSON.stringify(outcomes));
    assert.match(outcomes.absent.message, /404/);
    assert.equal(outcomes.name?.code, "invalid-config", JSON.stringify(outcomes));
    assert.match(outcomes.name.message, /"shearwater"/);
  });

  for (const op of ["trap at once", "trap later", "overflow at once", "overflow later"]) {
    test(`"${op}" is reported as a typed error, and the next call works`, async () => {
      await w.serve({ dist: "dist-test" });
      const page = await w.open();
      const answer = await w.post(page, op);
      assert.equal(answer.error?.code, "internal", JSON.stringify(answer));
      const id = await w.enqueue(page, { url: "/api/sink/after", body: "x" });
      await w.acceptedOnce([id], page);
    });
  }

  test("the worker finds its wasm again when the app deletes all caches", async () => {
    const page = await w.open();
    const copies = await page.evaluate(async () => {
      await Promise.all((await caches.keys()).map((name) => caches.delete(name)));
      return new Promise((resolve, reject) => {
        const opening = indexedDB.open("shearwater:wasm");
        opening.onsuccess = () => {
          const counting = opening.result.transaction("copies").objectStore("copies").count();
          counting.onsuccess = () => {
            opening.result.close();
            resolve(counting.result);
          };
        };
        opening.onerror = () => reject(opening.error);
      });
    });
    assert.equal(copies, 1);
  });
});

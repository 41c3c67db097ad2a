// Firefox and WebKit killed anywhere, and started again on the same profile (P1, P2, P3).

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { firefox, others } from "../e2e/harness/engines.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { numbered, onEngines } from "../e2e/harness/world.mjs";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Nothing was sent again but what was in flight when its sender died. */
async function assertSentAgain(w, jobs, atMost, atLeast = 0) {
  const again = (await w.server.arrivals("/api/sink")).length - jobs;
  assert.ok(again >= atLeast && again <= atMost, `${again} were sent again`);
}

onEngines(others, (w) => {
  const name = (text) => `${w.engine}: ${text}`;

  test(name("the browser process is killed with six requests in flight; again on its profile, each arrives once"), async () => {
    const first = await w.start();
    const page = await first.open(w.server.origin);
    await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 6 }]);
    const ids = [
      ...(await w.enqueueAll(page, numbered(10, "/api/sink/line"), { key: "line" })),
      ...(await w.enqueueAll(page, numbered(20, "/api/sink/free"))),
    ];
    await w.held(6);
    await first.kill();
    await w.server.release();
    assert.equal((await w.server.sink()).length, 0);

    const second = await w.start({ profile: first.profile });
    const again = await second.open(w.server.origin);
    const sink = await w.acceptedOnce(ids, again);
    await w.idle(again);
    assert.deepEqual(await w.list(again), []);
    assert.deepEqual(
      sink.filter(({ path }) => path.startsWith("/api/sink/line/")).map(({ body }) => Number(body)),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    await assertSentAgain(w, ids.length, 6, 6);
  });

  test(name("the browser process is killed after the server handled six, and before a reply came"), async () => {
    const first = await w.start();
    const page = await first.open(w.server.origin);
    await w.server.faults([{ path: "/api/sink", action: { hold: true }, times: 6 }]);
    const ids = await w.enqueueAll(page, numbered(20));
    await w.held(6);
    await first.kill();
    // They are handled, and their responses reach no one.
    await w.server.release();
    await until("six effects", async () => (await w.server.sink()).length === 6);

    const second = await w.start({ profile: first.profile });
    const again = await second.open(w.server.origin);
    await w.acceptedOnce(ids, again);
    await w.idle(again);
    await assertSentAgain(w, ids.length, 6, 6);
    assert.equal((await w.server.arrivals("/api/sink")).filter(({ replayed }) => replayed).length, 6);
  });

  test(name("the browser process is killed the moment enqueue has resolved: all is there, the photo whole"), async () => {
    await w.server.down(true);
    const photo = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7919) % 251));
    const first = await w.start();
    const page = await first.open(w.server.origin);
    const ids = await page.evaluate((size) => {
      const form = new FormData();
      form.append("text", "with a photo");
      form.append(
        "photo",
        new File([Uint8Array.from({ length: size }, (_, at) => (at * 7919) % 251)], "sea.jpg", { type: "image/jpeg" }),
      );
      const requests = Array.from({ length: 5 }, (_, at) => ({ url: `/api/sink/${at}`, body: `${at}` }));
      return window.client.enqueueAll([...requests, { url: "/api/notes", method: "POST", body: form }]);
    }, photo.length);
    await first.kill();
    await w.server.down(false);

    const second = await w.start({ profile: first.profile });
    const again = await second.open(w.server.origin);
    await w.acceptedOnce(ids.slice(0, 5), again);
    await w.idle(again);
    const [note, ...more] = await w.server.notes();
    assert.equal(more.length, 0);
    assert.deepEqual(
      note.attachments.map(({ name, size, sha256 }) => [name, size, sha256]),
      [["sea.jpg", photo.length, sha256(photo)]],
    );
    assert.deepEqual(
      (await w.server.arrivals()).map(({ idempotencyKey }) => idempotencyKey).sort(),
      [...ids].sort(),
      "each was sent once",
    );
  });

  test(name("parts of files, and a form with one, are those parts still after a kill"), async () => {
    await w.server.down(true);
    const size = 300_000;
    const bytes = Buffer.from(Array.from({ length: size }, (_, at) => (at * 7919) % 251));
    const first = await w.start();
    const page = await first.open(w.server.origin);
    const ids = await page.evaluate((size) => {
      const whole = new Blob([Uint8Array.from({ length: size }, (_, at) => (at * 7919) % 251)]);
      const form = new FormData();
      form.append("text", "with a part");
      form.append("part", whole.slice(1_000, 101_000), "part.bin");
      return window.client.enqueueAll([
        { url: "/api/sink/part", body: whole.slice(100, 200_100) },
        { url: "/api/sink/within", body: new Blob(["<", whole.slice(0, 150_000).slice(7), ">"]) },
        { url: "/api/sink/renamed", body: new File([whole.slice(size - 100_000)], "end.bin") },
        { url: "/api/notes", method: "POST", body: form },
      ]);
    }, size);
    await first.kill();
    await w.server.down(false);

    const second = await w.start({ profile: first.profile });
    const again = await second.open(w.server.origin);
    await w.acceptedOnce(ids.slice(0, 3), again);
    await w.idle(again);
    const expected = {
      part: bytes.subarray(100, 200_100),
      within: Buffer.concat([Buffer.from("<"), bytes.subarray(7, 150_000), Buffer.from(">")]),
      renamed: bytes.subarray(size - 100_000),
    };
    for (const [name, body] of Object.entries(expected)) {
      const [arrival] = await w.server.arrivals(`/api/sink/${name}`);
      assert.deepEqual([arrival.bodySize, arrival.bodySha256], [body.length, sha256(body)], name);
    }
    const [note] = await w.server.notes();
    assert.deepEqual(
      note.attachments.map(({ name, size, sha256 }) => [name, size, sha256]),
      [["part.bin", 100_000, sha256(bytes.subarray(1_000, 101_000))]],
    );
  });

  test(
    name("the browser process is killed with a note in flight and its photo behind it: the photo goes to the note's id"),
    async () => {
      const first = await w.start();
      const page = await first.open(w.server.origin);
      await w.server.faults([{ path: "/api/notes", action: { hold: true }, times: 1 }]);
      const note = await w.enqueue(page, { url: "/api/notes", body: { text: "one" } });
      const photo = { url: "/api/sink/{note}", body: "x" };
      const id = await w.enqueue(page, photo, { bind: { note: { job: note, pointer: "/id" } } });
      await w.held(1);
      await first.kill();
      await w.server.release();

      const second = await w.start({ profile: first.profile });
      const again = await second.open(w.server.origin);
      await w.becomes(again, id, "delivered");
      const notes = await w.server.notes();
      assert.equal(notes.length, 1);
      assert.deepEqual(
        (await w.server.sink()).map(({ path }) => path),
        [`/api/sink/${notes[0].id}`],
      );
    },
  );

  test(name("the last tab is closed with requests in flight, and opened again: each is counted once"), async () => {
    // Fewer than the six connections that a browser has for a host: the tab's own requests have to get through.
    const config = { queues: { default: { concurrency: 3 } } };
    const page = await w.open({ config });
    await w.server.faults([{ path: "/api/sink", action: { hold: true }, times: 3 }]);
    const ids = await w.enqueueAll(page, numbered(20));
    await w.held(3);
    await w.closeTab(page);
    await w.server.release();
    const again = await w.open({ config });
    await w.acceptedOnce(ids, again);
    await w.idle(again);
    await assertSentAgain(w, ids.length, 3);
  });

  test(name("four kills in a row, with forty jobs of four keys: each arrives once and each key in order"), async () => {
    await w.server.faults([{ path: "/api/sink", action: { delayMs: 25 } }]);
    let browser = await w.start();
    let page = await browser.open(w.server.origin);
    const ids = [];
    for (let at = 0; at < 40; at += 1) {
      ids.push(await w.enqueue(page, { url: `/api/sink/${at % 4}/${at}`, body: `${at}` }, { key: `key-${at % 4}` }));
      if (at % 10 === 9) {
        await browser.kill();
        browser = await w.start({ profile: browser.profile });
        page = await browser.open(w.server.origin);
      }
    }
    await w.acceptedOnce(ids, page);
    await w.idle(page);
    for (let key = 0; key < 4; key += 1) {
      const order = (await w.server.sink(`/api/sink/${key}/`)).map(({ body }) => Number(body));
      assert.deepEqual(
        order,
        [...order].sort((a, b) => a - b),
        `key ${key}`,
      );
    }
    // Four keys, so four in flight at each kill.
    await assertSentAgain(w, ids.length, 16);
  });
});

onEngines([firefox], (w) => {
  test(`${w.engine}: a worker that the browser ends in mid-drain is woken by the tab; nothing is lost or counted twice`, async () => {
    // Firefox ends a worker so many ms after its last event, whatever that event still waits for. Of the two times
    // the second is for the last drain: 0.3 s, or on a busy machine more than one.
    const browser = await w.start({
      prefs: { "dom.serviceWorkers.idle_timeout": 200, "dom.serviceWorkers.idle_extended_timeout": 3_000 },
    });
    const page = await browser.open(w.server.origin);
    await w.server.faults([{ path: "/api/sink", action: { hold: true, drop: "before" }, times: 2 }]);
    const ids = await w.enqueueAll(page, numbered(20), { key: "line" });
    // The end of the worker ends its request; the next worker's is held too, and ended with it.
    const sink = await w.acceptedOnce(ids, page);
    assert.deepEqual(
      sink.map(({ body }) => Number(body)),
      ids.map((_, at) => at),
    );
    await w.idle(page);
    await assertSentAgain(w, ids.length, 2, 2);
    const unanswered = (await w.server.arrivals("/api/sink")).filter(({ status }) => status === null);
    assert.deepEqual(
      unanswered.map(({ path }) => path),
      ["/api/sink/0", "/api/sink/0"],
    );
  });
});

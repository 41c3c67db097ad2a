// Small bodies of one call share a record (`pack`): each arrives byte for byte, and the record goes with its last job.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { world } from "./harness/world.mjs";

const w = world();
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** The keys of the `bodies` store: packs, their counts, and bodies of one job. */
const stored = async (page) => {
  const keys = await page.evaluate(() => window.keys("bodies"));
  const of = (word) => keys.filter((key) => key.startsWith(`${word} `)).map((key) => key.slice(5));
  return { packs: of("pack"), counted: of("left"), own: keys.filter((key) => !key.includes(" ")) };
};
const left = (page, pack) =>
  page.evaluate(async (key) => (await window.rows("bodies"))[(await window.keys("bodies")).indexOf(key)], `left ${pack}`);

/** Enqueues texts in one call while the queue is paused; returns their ids. */
async function together(page, texts, options) {
  await page.evaluate(() => client.pause());
  return page.evaluate(
    (texts, options) =>
      client.enqueueAll(
        texts.map((body, at) => ({ url: `/api/sink/${at}`, method: "POST", body })),
        options,
      ),
    texts,
    options,
  );
}

test("bodies of every size and kind in one call arrive as they are", async () => {
  const page = await w.open();
  await page.evaluate(() => client.pause());
  const sizes = [
    0, 1, 250, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 3, 4_096, 4_096, 4_096, 4_096, 4_096, 4_096, 4_096, 4_096, 7,
  ];
  const ids = await page.evaluate(
    (sizes) =>
      client.enqueueAll([
        ...sizes.flatMap((size, at) => {
          const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 7 + at * 31) & 255);
          return [
            { url: `/api/sink/buffer/${at}`, body: bytes },
            { url: `/api/sink/blob/${at}`, body: new Blob([new Uint8Array(1_000), bytes]).slice(1_000) },
          ];
        }),
        { url: "/api/sink/none", method: "POST" },
        { url: "/api/sink/get" },
        { url: "/api/sink/text", body: "Grüße" },
      ]),
    sizes,
  );
  const { packs, counted, own } = await stored(page);
  assert.ok(packs.length >= 2 && own.length >= 8, JSON.stringify([packs.length, own.length]));
  assert.deepEqual(counted, packs);
  await page.evaluate(() => client.resume());
  await w.settled(page);
  const arrivals = Object.fromEntries((await w.server.arrivals("/api/sink")).map((arrival) => [arrival.path, arrival]));
  assert.equal(Object.keys(arrivals).length, ids.length);
  for (const [at, size] of sizes.entries()) {
    const bytes = Buffer.from(Array.from({ length: size }, (_, index) => (index * 7 + at * 31) & 255));
    for (const kind of ["buffer", "blob"]) {
      const { bodySize, bodySha256 } = arrivals[`/api/sink/${kind}/${at}`];
      assert.equal(bodySize, size, `${kind} ${at}`);
      if (size) assert.equal(bodySha256, sha256(bytes), `${kind} ${at}`);
    }
  }
  assert.deepEqual([arrivals["/api/sink/none"].bodySize, arrivals["/api/sink/text"].bodyPreview], [0, "Grüße"]);
  assert.deepEqual(await stored(page), { packs: [], counted: [], own: [] });
});

test("a pack goes with its last job, whether that is delivered, discarded, edited or cleared", async () => {
  const page = await w.open();
  const ids = await together(page, ["zero", "one", "two", "three", "four"]);
  const {
    packs: [pack],
    own,
  } = await stored(page);
  assert.deepEqual([pack, own, await left(page, pack)], [ids[0], [], 5]);

  assert.equal(await page.evaluate((id) => client.discard(id), ids[0]), true);
  assert.equal(await page.evaluate((id) => client.edit(id, { body: "edited" }), ids[1]), true);
  assert.equal(await page.evaluate((id) => client.edit(id, { url: "/api/sink/moved" }), ids[2]), true);
  assert.deepEqual([await left(page, pack), (await stored(page)).own], [3, [ids[1]]]);

  await w.server.faults([{ path: "/api/sink/3", action: { status: 422 } }]);
  await page.evaluate(() => client.resume());
  await w.becomes(page, ids[3], "failed");
  await w.settled(page);
  const bodies = (await w.server.sink()).map(({ path, body }) => [path, body]).sort();
  assert.deepEqual(bodies, [
    ["/api/sink/1", "edited"],
    ["/api/sink/4", "four"],
    ["/api/sink/moved", "two"],
  ]);
  assert.equal(await left(page, pack), 1);
  const [exported] = JSON.parse(await page.evaluate(() => client.exportFailed()));
  assert.equal(exported.body, "three");

  await w.server.faults([]);
  assert.equal(await page.evaluate((id) => client.retry(id), ids[3]), true);
  await w.becomes(page, ids[3], "delivered");
  assert.equal((await w.server.sink("/api/sink/3"))[0].body, "three");
  assert.deepEqual(await stored(page), { packs: [], counted: [], own: [] });

  await together(page, ["a", "b", "c"]);
  assert.equal((await stored(page)).packs.length, 1);
  assert.equal(await page.evaluate(() => client.clear()), 3);
  assert.deepEqual(await stored(page), { packs: [], counted: [], own: [] });
});

test("a pack that is gone or garbled fails its jobs alone, with a reason, and sends nothing in their place", async () => {
  const page = await w.open();
  for (const garble of [
    (pack) => window.onStore("bodies", "readwrite", (bodies) => bodies.delete(`pack ${pack}`)),
    (pack) => window.put("bodies", new Uint8Array(4).buffer, `pack ${pack}`),
    (pack) => window.put("bodies", "zeroonetwo", `pack ${pack}`),
  ]) {
    const ids = await together(page, ["zero", "one", "two"]);
    const other = await w.enqueue(page, { url: "/api/sink/other", method: "POST", body: "other" });
    const before = (await w.server.arrivals()).length;
    await page.evaluate(garble, ids[0]);
    await page.evaluate(() => client.resume());
    await w.becomes(page, other, "delivered");
    for (const id of ids.slice(1)) {
      const job = await w.becomes(page, id, "failed");
      assert.equal(job.error.kind, "unsendable");
    }
    const sent = (await w.server.arrivals()).slice(before).map(({ path }) => path);
    // Of four bytes that are there the first job's "zero" is made, as garbled as they are.
    assert.deepEqual(
      sent.filter((path) => /[12]$/.test(path)),
      [],
    );
    await page.evaluate(() => client.clear());
  }
});

test("a lost count keeps the pack, until a repair recounts", async () => {
  const page = await w.open();
  const ids = await together(page, ["zero", "one"]);
  await page.evaluate((pack) => window.onStore("bodies", "readwrite", (bodies) => bodies.delete(`left ${pack}`)), ids[0]);
  await page.evaluate((id) => client.discard(id), ids[0]);
  await page.evaluate(() => client.resume());
  await w.becomes(page, ids[1], "delivered");
  assert.equal((await w.server.sink())[0].body, "one");
  assert.deepEqual((await stored(page)).packs, [ids[0]]);
  const needed = await together(page, ["a", "b", "c"]);
  await page.evaluate((pack) => window.put("bodies", 7, `left ${pack}`), needed[0]);
  await page.evaluate(() => client.repair());
  assert.deepEqual(
    [await stored(page), await left(page, needed[0])],
    [{ packs: [needed[0]], counted: [needed[0]], own: [] }, 3],
  );
});

test("a purge leaves no bytes of its owner's, where a count is lost, or a row does not parse and has not been noticed", async () => {
  const page = await w.open();
  await page.evaluate(() => client.setOwner("B"));
  const ofB = await together(page, ["of B, zero", "of B, one"]);
  await page.evaluate(() => client.setOwner("A"));
  const lost = await together(page, ["of A, zero", "of A, one"]);
  await page.evaluate((pack) => window.onStore("bodies", "readwrite", (bodies) => bodies.delete(`left ${pack}`)), lost[0]);
  const garbled = await together(page, ["of A, two", "of A, three", "of A, four"]);
  await page.evaluate(async (ids) => {
    const rows = await window.rows("jobs");
    const row = (id) => rows.find((row) => row.id === id);
    await window.put("jobs", { ...row(ids[0]), packed: { pack: ids[0] } });
    // Of this one not even an index knows.
    const { xReady, xState, xExpiry, ...rest } = row(ids[1]);
    await window.put("jobs", { ...rest, state: "confused" });
  }, garbled);
  await page.evaluate(() => client.setOwner("B", { purge: true }));
  assert.deepEqual([await stored(page), await left(page, ofB[0])], [{ packs: [ofB[0]], counted: [ofB[0]], own: [] }, 2]);
  assert.deepEqual(await page.evaluate(() => window.rows("quarantine")), []);
  assert.deepEqual((await page.evaluate(() => window.keys("jobs"))).sort(), [...ofB].sort());
  await page.evaluate(() => client.resume());
  await w.settled(page);
  assert.deepEqual((await w.server.sink()).map(({ body }) => body).sort(), ["of B, one", "of B, zero"]);
});

test("a purge leaves the body of a job that was quarantined and queued again when another was signed in", async () => {
  const page = await w.open();
  await page.evaluate(() => client.setOwner("A"));
  await page.evaluate(() => client.pause());
  const job = {
    request: { url: `${w.server.origin}/api/sink/again`, method: "POST" },
    id: "00000000-0000-4000-8000-000000000001",
  };
  const ask = (repeat) =>
    page.evaluate(
      async (job, repeat) => {
        const { active } = await navigator.serviceWorker.ready;
        const { port1, port2 } = new MessageChannel();
        const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
        const bodies = [new TextEncoder().encode("again").buffer];
        active.postMessage({ shearwater: 1, re: crypto.randomUUID(), op: { enqueue: { jobs: [job], repeat } }, bodies }, [
          port2,
        ]);
        return answer;
      },
      job,
      repeat,
    );
  assert.deepEqual((await ask(false)).ok, [job.id]);
  await page.evaluate(
    async (id) => window.put("jobs", { ...(await window.rows("jobs")).find((row) => row.id === id), state: "confused" }),
    job.id,
  );
  assert.equal((await page.evaluate(() => client.repair())).quarantined, 1);
  await page.evaluate(() => client.setOwner("B"));
  await page.evaluate(() => client.pause());
  assert.deepEqual((await ask(true)).ok, [job.id]);
  await page.evaluate(() => client.setOwner("A"));
  await page.evaluate(() => client.setOwner("B", { purge: true }));
  await page.evaluate(() => client.resume());
  await w.becomes(page, job.id, "delivered");
  assert.deepEqual(
    (await w.server.sink()).map(({ body }) => body),
    ["again"],
  );
});

test("a row of a pack that is quarantined keeps its bytes, until its owner is purged", async () => {
  const page = await w.open();
  await page.evaluate(() => client.setOwner("A"));
  const ids = await together(page, ["of A, zero", "of A, one"]);
  await page.evaluate(
    async (id) => window.put("jobs", { ...(await window.rows("jobs")).find((row) => row.id === id), state: "confused" }),
    ids[1],
  );
  assert.equal((await page.evaluate(() => client.repair())).quarantined, 1);
  await page.evaluate((id) => client.discard(id), ids[0]);
  assert.deepEqual([(await stored(page)).packs, await left(page, ids[0])], [[ids[0]], 1]);
  await page.evaluate(() => client.setOwner("B", { purge: true }));
  assert.deepEqual(await stored(page), { packs: [], counted: [], own: [] });
});

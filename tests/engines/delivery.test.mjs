// In Firefox and WebKit, which have no Background Sync: open pages are the wakes (P6, W5). Judged by the server.

import assert from "node:assert/strict";
import test from "node:test";

import { chromium, others } from "../e2e/harness/engines.mjs";
import { assertForm, makeForm, sha256 } from "../e2e/harness/form.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { numbered, onEngines } from "../e2e/harness/world.mjs";

onEngines(others, (w) => {
  const name = (text) => `${w.engine}: ${text}`;

  test(name("there is no Background Sync here, and connect() says so"), async () => {
    const page = await w.open();
    assert.deepEqual(await page.evaluate(() => window.client.capabilities), { backgroundSync: false, periodicSync: false });
  });

  test(name("under a strict CSP without unsafe-eval, page and worker run"), async () => {
    await w.serve({ strict: true });
    const page = await w.open();
    const { policies, refused } = await page.evaluate(async () => {
      const policies = await Promise.all(
        [location.href, "/sw.js", "/shearwater/worker.js"].map(async (url) =>
          (await fetch(url)).headers.get("content-security-policy"),
        ),
      );
      let refused;
      try {
        refused = new Function("return 'not refused'")();
      } catch (error) {
        refused = error.name;
      }
      return { policies, refused };
    });
    for (const policy of policies) assert.match(policy, /script-src 'self' 'wasm-unsafe-eval';/);
    assert.equal(refused, "EvalError");
    await w.acceptedOnce([await w.enqueue(page, { url: "/api/sink/csp", body: "x" })], page);
    await w.idle(page);
  });

  test(name("a configuration with a misspelt option fails the install, and connect() says why"), async () => {
    const page = await w.open();
    const worker = `/sw.js?config=${encodeURIComponent(JSON.stringify({ queues: { notes: { maxAtempts: 3 } } }))}`;
    const { code, message } = await page.evaluate(
      (worker) => window.connect({ worker, scope: "/elsewhere/" }).catch(({ code, message }) => ({ code, message })),
      worker,
    );
    assert.equal(code, "invalid-config", message);
    assert.match(message, /queues\.notes\.maxAtempts/);
  });

  test(name("queued while the server is down, the tab left open: delivered when it is back, without any call"), async () => {
    const page = await w.open();
    await w.server.down(true);
    const ids = await w.enqueueAll(page, numbered(3));
    await until("a try of each", async () => (await w.list(page)).every((job) => job.unreachable >= 1));
    // The status is told a moment after the commit that list() has read.
    await until("three that wait, none that failed", async () => {
      const { pending, failed } = await w.snapshot(page);
      return pending === 3 && failed === 0;
    });
    await w.server.down(false);
    await w.acceptedOnce(ids, page);
    await w.idle(page);
    assert.equal((await w.server.arrivals("/api/sink")).length, 3, "each was sent once");
  });

  test(name("what is due later than a worker waits for is sent on time, for the open page wakes it"), async () => {
    const page = await w.open();
    // The worker waits for what is due within 20 s of a wake.
    await w.server.faults([{ path: "/api/sink", action: { status: 503, headers: { "retry-after": "21" } }, times: 1 }]);
    const id = await w.enqueue(page, { url: "/api/sink/later", body: "x" });
    await until("one attempt", async () => (await w.get(page, id)).attempts === 1);
    await until("no drain", async () => !(await w.snapshot(page)).isRunning);
    const { nextAttemptAt } = await w.get(page, id);
    await w.acceptedOnce([id], page);
    const [first, second] = await w.server.arrivals("/api/sink");
    assert.ok(second.atMs >= nextAttemptAt - 5 && second.atMs - first.atMs >= 21_000, "not before it was due");
    await w.idle(page);
  });

  test(name("queued while the server is down, the tab closed and opened again: delivered, and the page shows it"), async () => {
    const page = await w.open();
    await w.server.down(true);
    const ids = await w.enqueueAll(page, numbered(5), { key: "line" });
    await w.closeTab(page);
    await w.server.down(false);
    const again = await w.open();
    const sink = await w.acceptedOnce(ids, again);
    assert.deepEqual(
      sink.map(({ body }) => body),
      ["0", "1", "2", "3", "4"],
    );
    await w.idle(again);
    assert.equal((await w.server.arrivals("/api/sink")).length, 5, "each was sent once");
    assert.deepEqual(await w.list(again), []);
    for (const id of ids) assert.equal((await w.get(again, id)).state, "delivered");
  });

  test(name("every kind of body arrives byte for byte"), async () => {
    const page = await w.open();
    const size = 20_000_000;
    await makeForm(page);
    const ids = await page.evaluate((size) => {
      const large = new Uint8Array(size);
      for (let at = 0; at < size; at += 1) large[at] = (at * 31 + (at >> 10)) & 0xff;
      const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
      return window.client.enqueueAll([
        { url: "/api/sink/text", body: "Grüße, 世界 \u{1F30A}\r\n" },
        { url: "/api/sink/json", body: { a: [1, "é", null], b: { c: true } } },
        {
          url: "/api/sink/params",
          body: new URLSearchParams([
            ["a", "1 2"],
            ["b", "ä&="],
          ]),
        },
        { url: "/api/sink/buffer", body: bytes.buffer },
        { url: "/api/sink/view", body: bytes.subarray(10, 20) },
        { url: "/api/sink/blob", body: new Blob(["abc"], { type: "application/x-thing" }) },
        new Request("/api/sink/request", { method: "PUT", body: "payload", headers: { "x-thing": "a, b" } }),
        { url: "/api/sink/none", method: "DELETE" },
        { url: "/api/uploads?name=large", body: new Blob([large]) },
        { url: "/api/notes", method: "POST", body: window.form },
      ]);
    }, size);
    for (const id of ids) await w.becomes(page, id, "delivered");

    const arrivals = await w.server.arrivals();
    assert.equal(arrivals.length, ids.length, "each was sent once");
    assert.deepEqual(arrivals.map(({ idempotencyKey }) => idempotencyKey).sort(), [...ids].sort());
    const of = (path) => arrivals.find((arrival) => arrival.path === `/api/sink/${path}`);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
    const expected = [
      ["text", "Grüße, 世界 \u{1F30A}\r\n", "text/plain;charset=UTF-8"],
      ["json", '{"a":[1,"é",null],"b":{"c":true}}', "application/json"],
      ["params", "a=1+2&b=%C3%A4%26%3D", "application/x-www-form-urlencoded;charset=UTF-8"],
      ["buffer", bytes, null],
      ["view", bytes.subarray(10, 20), null],
      ["blob", "abc", "application/x-thing"],
      ["request", "payload", "text/plain;charset=UTF-8"],
      ["none", "", null],
    ];
    for (const [path, body, contentType] of expected) {
      const arrival = of(path);
      assert.deepEqual([arrival.bodySha256, arrival.bodySize], [sha256(body), Buffer.byteLength(body)], path);
      assert.equal(arrival.contentType ?? null, contentType, path);
    }
    assert.deepEqual([of("request").method, of("request").headers["x-thing"], of("none").method], ["PUT", "a, b", "DELETE"]);
    const large = Buffer.alloc(size);
    for (let at = 0; at < size; at += 1) large[at] = (at * 31 + (at >> 10)) & 0xff;
    const [upload] = await w.server.uploads();
    assert.deepEqual([upload.size, upload.sha256], [size, sha256(large)]);
    const [note] = await w.server.notes();
    assertForm(note);
  });

  test(name("jobs of a key keep their order while its head fails for a time; other keys go on"), async () => {
    const page = await w.open();
    await w.server.faults([{ path: "/api/sink/a/0", action: { status: 503, headers: { "retry-after": "1" } }, times: 2 }]);
    const ids = [];
    for (let at = 0; at < 5; at += 1) {
      for (const key of ["a", "b"]) ids.push(await w.enqueue(page, { url: `/api/sink/${key}/${at}`, body: `${at}` }, { key }));
    }
    const sink = await w.acceptedOnce(ids, page);
    for (const key of ["a", "b"]) {
      assert.deepEqual(
        sink.filter(({ path }) => path.startsWith(`/api/sink/${key}/`)).map(({ body }) => body),
        ["0", "1", "2", "3", "4"],
        key,
      );
    }
    const firstOfA = sink.findIndex(({ path }) => path.startsWith("/api/sink/a/"));
    const lastOfB = sink.findLastIndex(({ path }) => path.startsWith("/api/sink/b/"));
    assert.ok(lastOfB < firstOfA, "b did not wait for a");
    const tries = await w.server.arrivals("/api/sink/a/0");
    assert.deepEqual(
      tries.map(({ status }) => status),
      [503, 503, 200],
    );
    for (const [at, arrival] of tries.slice(1).entries())
      assert.ok(arrival.atMs - tries[at].atMs >= 1_000, "Retry-After is a minimum");
  });

  test(name("three tabs call syncNow at once with 60 jobs queued and a slow server: 60 arrivals"), async () => {
    const tabs = [await w.open(), await w.open(), await w.open()];
    await tabs[0].evaluate(() => window.client.pause());
    const ids = (await Promise.all(tabs.map((tab, at) => w.enqueueAll(tab, numbered(20, `/api/sink/${at}`))))).flat();
    assert.equal((await w.server.arrivals("/api/sink")).length, 0, "paused means that nothing is sent");
    await w.server.faults([{ path: "/api/sink", action: { delayMs: 50 } }]);
    await Promise.all([
      tabs[0].evaluate(() => window.client.resume()),
      ...tabs.flatMap((tab) => [0, 1, 2].map(() => tab.evaluate(() => window.client.syncNow()))),
    ]);
    await w.acceptedOnce(ids, tabs[0]);
    for (const tab of tabs) await w.idle(tab);
    assert.equal((await w.server.arrivals("/api/sink")).length, 60);
    assert.ok((await w.server.stats()).maxInFlight <= 6);
  });

  test(name("what the server refuses is listed with its reason; retried it arrives, discarded it is gone"), async () => {
    const page = await w.open();
    await w.server.faults([{ path: "/api/sink", action: { status: 422, body: "the date is missing" } }]);
    const [retried, discarded] = await w.enqueueAll(page, numbered(2));
    for (const id of [retried, discarded]) {
      const { attempts, error } = await w.becomes(page, id, "failed");
      assert.equal(attempts, 1);
      assert.deepEqual([error.kind, error.status], ["http", 422]);
      assert.match(error.message, /the date is missing/);
    }
    assert.deepEqual(
      (await w.list(page, { state: "failed" })).map(({ id }) => id),
      [retried, discarded],
    );
    assert.equal((await w.snapshot(page)).failed, 2);
    await w.server.faults([]);
    assert.equal(await page.evaluate((id) => window.client.discard(id), discarded), true);
    assert.equal(await page.evaluate((id) => window.client.retry(id), retried), true);
    await w.becomes(page, retried, "delivered");
    assert.equal(await w.get(page, discarded), null);
    await w.idle(page);
    assert.deepEqual(
      (await w.server.sink()).map(({ idempotencyKey }) => idempotencyKey),
      [retried],
    );
    assert.equal((await w.server.arrivals("/api/sink")).length, 3);
  });

  test(name("all tabs show the same, from what is stored"), async () => {
    const tabs = [await w.open(), await w.open(), await w.open()];
    await w.server.faults([{ path: "/api/sink/bad", action: { status: 422, body: "no" } }]);
    await tabs[0].evaluate(() => window.client.pause());
    await w.enqueue(tabs[1], { url: "/api/sink/good", body: "x" });
    await w.enqueue(tabs[2], { url: "/api/sink/bad", body: "x" });
    const same = async (what, is) => {
      for (const tab of tabs) await until(what, async () => is(await w.snapshot(tab)));
      const [one, ...more] = await Promise.all(tabs.map((tab) => w.snapshot(tab)));
      for (const other of more) assert.deepEqual(other, one);
    };
    await same("two pending, paused", ({ pending, state }) => pending === 2 && state === "paused");
    assert.equal((await w.server.arrivals("/api/sink")).length, 0, "paused means that nothing is sent");
    await tabs[2].evaluate(() => window.client.resume());
    await same(
      "one failed",
      ({ pending, failed, state, isRunning }) => pending === 0 && failed === 1 && state === "error" && !isRunning,
    );
    assert.equal((await w.server.sink()).length, 1);
  });
});

onEngines([...others, chromium], (w) => {
  const name = (text) => `${w.engine}: ${text}`;

  test(name("a form is queued as fetch sends it, but for the boundary"), async () => {
    const page = await w.open();
    const id = await page.evaluate(async () => {
      const form = new FormData();
      form.append("", "");
      form.append('a "b"\r\nc\nd\re%22;', "1\n2\r3\r\n4 \u{1F30A}\ud800");
      form.append("same", "1");
      form.append("same", "2");
      form.append("file", new File(["x\ny\rz"], 'ä "b"\r\nc\nd\re%0A.txt', { type: "Text/Plain;charset=utf-8" }));
      form.append("file", new File([], ""));
      form.append("blob", new Blob(["zwei"]));
      form.append("named", new Blob(["drei"], { type: "a/b" }), "c/d.e");
      await fetch("/api/sink/fetch", { method: "POST", body: form });
      return window.client.enqueue({ url: "/api/sink/queue", method: "POST", body: form });
    });
    await w.becomes(page, id, "delivered");
    const bare = async (path) => {
      const [{ contentType, bodyPreview }] = await w.server.arrivals(path);
      const [, boundary] = /^multipart\/form-data; ?boundary=(\S+)$/.exec(contentType);
      return bodyPreview.replaceAll(boundary, "boundary");
    };
    assert.equal(await bare("/api/sink/queue"), await bare("/api/sink/fetch"));
  });

  test(name("batches: items go together, each told apart, and track in pagehide arrives"), async () => {
    const url = "/api/analytics/batch?results=multi";
    const page = await w.open({ config: { queues: { events: { batch: { url, max: 5, wrap: { events: "items" } } } } } });
    await page.evaluate(() => window.client.pause("events"));
    const requests = Array.from({ length: 10 }, (_, n) => ({ url, method: "POST", body: { n, bad: n === 3 } }));
    const ids = await w.enqueueAll(page, requests, { queue: "events" });
    await page.evaluate(() => window.client.resume("events"));
    assert.equal((await w.becomes(page, ids[3], "failed")).error.status, 422);
    await w.settled(page);
    assert.equal((await w.server.arrivals("/api/analytics")).length, 2);
    await page.evaluate(() => window.addEventListener("pagehide", () => window.client.track("events", { n: 10 })));
    if (w.engine === "Firefox") await page.goto("about:blank");
    else await w.closeTab(page);
    await w.open({ config: { queues: { events: { batch: { url, max: 5, wrap: { events: "items" } } } } } });
    const stored = async () => (await w.server.sink("/api/analytics")).map(({ body }) => JSON.parse(body).n);
    await until("the last event", async () => (await stored()).includes(10), 20_000);
    assert.deepEqual(
      (await stored()).sort((a, b) => a - b),
      [0, 1, 2, 4, 5, 6, 7, 8, 9, 10],
    );
  });

  const queueInPagehide = (page) =>
    page.evaluate(() => {
      window.addEventListener("pagehide", () => {
        const form = new FormData();
        form.append("file", new File([new Uint8Array(200_000).fill(7)], "a.bin"));
        const bodies = {
          text: "Grüße",
          json: { a: 1 },
          params: new URLSearchParams("a=1"),
          blob: new Blob(["abc"]),
          large: new Blob([new Uint8Array(1_000_000)]),
          form,
        };
        for (const [name, body] of Object.entries(bodies))
          window.client
            .enqueue({ url: `/api/sink/${name}`, method: "POST", body, headers: { "x-thing": "a" } })
            .catch(() => {});
      });
    });

  /** Waits for `names`, and says of all that came, these and others, that they came whole. */
  const arriveWhole = async (names) => {
    // Where there is no Background Sync, a worker may rest before it has sent all: the next page wakes it.
    const next = await w.open();
    const arrived = async () => {
      const whole = (await w.server.arrivals("/api/sink")).filter(({ bodySize }) => typeof bodySize === "number");
      return whole.map(({ path, bodySize, headers }) => [path.split("/").at(-1), bodySize, headers["x-thing"]]);
    };
    await until(
      "all of them",
      async () => {
        const seen = (await arrived()).map(([name]) => name);
        const done =
          names.every((name) => seen.includes(name)) && (await w.list(next)).every(({ state }) => state === "delivered");
        return done || Promise.reject(new Error(`only ${seen}; listed: ${JSON.stringify(await w.list(next))}`));
      },
      20_000,
    );
    const sizes = { text: 7, json: 7, params: 3, blob: 3, large: 1_000_000 };
    const all = await arrived();
    assert.equal(new Set(all.map(([name]) => name)).size, all.length, "each once");
    for (const [name, size, thing] of all) {
      assert.equal(thing, "a");
      assert.ok(name === "form" ? size > 200_000 : size === sizes[name], `${name} has ${size} bytes`);
    }
  };

  test(name("what a page queues in pagehide arrives, whatever its body"), async () => {
    const page = await w.open();
    await queueInPagehide(page);
    // Chromium would put the page into its back/forward cache, from where it posts nothing.
    if (w.engine === "Chromium") await w.closeTab(page);
    else await page.goto("about:blank");
    await arriveWhole(["text", "json", "params", "blob", "large", "form"]);
  });

  // Of a tab that its driver closes, Firefox cancels the scripts, mostly in the middle of the listener.
  if (w.engine === "WebKitGTK")
    test(
      name("of a tab that is closed, what is queued in pagehide arrives; a Blob whole or, with its process gone, not"),
      async () => {
        const page = await w.open();
        await queueInPagehide(page);
        await w.closeTab(page);
        await arriveWhole(["text", "json", "params"]);
      },
    );

  test(name("a Request whose body is a form with files is queued, or refused with what to do instead"), async () => {
    const page = await w.open();
    const outcome = await page.evaluate(async () => {
      const form = new FormData();
      form.append("file", new File([new Uint8Array(100_000).fill(7)], "a.bin"));
      return window.client
        .enqueue(new Request("/api/sink/request", { method: "POST", body: form }))
        .catch(({ code, message }) => ({ code, message }));
    });
    if (w.engine === "WebKitGTK") {
      assert.equal(outcome.code, "invalid-request");
      assert.match(outcome.message, /body: form\} instead/);
      assert.deepEqual(await w.list(page), []);
    } else {
      await w.becomes(page, outcome, "delivered");
      const [{ bodySize, contentType }] = await w.server.arrivals("/api/sink/request");
      assert.ok(bodySize > 100_000 && contentType.startsWith("multipart/form-data"));
    }
  });

  test(name("the values of a frame are queued as the page's own, and what is no body is refused"), async () => {
    const page = await w.open();
    const { ids, codes } = await page.evaluate(async () => {
      const of = document.body.appendChild(document.createElement("iframe")).contentWindow;
      const object = new of.Object();
      object.a = 1;
      const form = new of.FormData();
      form.append("a", new of.File(["abc"], "a.txt"));
      const bodies = [object, new of.Blob(["abc"]), new of.URLSearchParams("a=1"), new of.Uint8Array([1, 2, 3]), form];
      const ids = await window.client.enqueueAll(bodies.map((body, at) => ({ url: `/api/sink/${at}`, body })));
      const refused = [new Map(), () => {}, Promise.resolve(), new (class {})()];
      const codes = await Promise.all(
        refused.map((body) => window.client.enqueue({ url: "/api/sink/x", body }).catch(({ code }) => code)),
      );
      return { ids, codes };
    });
    for (const id of ids) await w.becomes(page, id, "delivered");
    const sizes = Object.fromEntries(
      (await w.server.arrivals("/api/sink")).map(({ path, bodySize }) => [path.at(-1), bodySize]),
    );
    assert.deepEqual({ ...sizes, 4: 0 }, { 0: 7, 1: 3, 2: 3, 3: 3, 4: 0 });
    assert.ok(sizes[4] > 100);
    assert.deepEqual(codes, Array(4).fill("invalid-request"));
  });

  // Fewer than the six connections that a browser has for a host: the new script has to get through.
  const narrow = { queues: { default: { concurrency: 3 } } };
  const registration = (page) =>
    page.evaluate(async () => {
      const { active, waiting } = await navigator.serviceWorker.getRegistration();
      return {
        active: active?.scriptURL,
        waiting: waiting?.scriptURL,
        controlled: navigator.serviceWorker.controller !== null,
      };
    });

  /** Has `script` come in while three of twenty jobs are in flight, and queues ten more; returns all ids. */
  async function update(page, script) {
    await w.server.faults([{ path: "/api/sink", action: { hold: true }, times: 3 }]);
    const early = await w.enqueueAll(page, numbered(20, "/api/sink/early"));
    await w.held(3);
    const late = await page.evaluate(async (worker) => {
      window.newer = await window.connect({ worker, scope: "/" });
      const requests = Array.from({ length: 10 }, (_, at) => ({ url: `/api/sink/late/${at}`, body: `${at}` }));
      return [...(await window.client.enqueueAll(requests.slice(5))), ...(await window.newer.enqueueAll(requests.slice(0, 5)))];
    }, script);
    await until("the new version to wait for what the old one has in hand", async () =>
      (await registration(page)).waiting?.endsWith(script),
    );
    return [...early, ...late];
  }

  async function afterUpdate(page, ids, script) {
    await w.acceptedOnce(ids, page);
    await until("the new version to be active", async () => (await registration(page)).active.endsWith(script));
    const more = await w.enqueueAll(page, numbered(5, "/api/sink/more"));
    await w.acceptedOnce([...ids, ...more], page);
    await w.idle(page);
    assert.equal((await w.server.arrivals("/api/sink")).length, 35, "each was sent once");
  }

  test(name("a new version of the worker that comes in mid-drain loses nothing and sends nothing twice"), async () => {
    const script = `/sw.js?config=${encodeURIComponent(JSON.stringify({ history: { max: 500 }, ...narrow }))}`;
    // Loaded before there was a worker, the page holds up none.
    const page = await w.open({ config: narrow });
    const ids = await update(page, script);
    await w.server.release();
    await afterUpdate(page, ids, script);
  });

  test(name("one that takes over two open tabs at once loses nothing and sends nothing twice either"), async () => {
    await w.closeTab(await w.open({ config: narrow }));
    const [page, other] = [await w.open({ config: narrow }), await w.open({ config: narrow })];
    assert.ok((await registration(page)).controlled);
    const ids = await update(page, "/skips-waiting.js");
    const asked = other.evaluate(() => window.client.syncNow());
    await w.server.release();
    await asked;
    await afterUpdate(page, ids, "/skips-waiting.js");
    await w.idle(other);
  });
});

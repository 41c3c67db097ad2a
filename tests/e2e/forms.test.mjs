// A form's submission is what the browser would have sent, is stored before anything else, and comes back when it is refused.

import assert from "node:assert/strict";
import test from "node:test";

import { until } from "./harness/wait.mjs";
import { world } from "./harness/world.mjs";

const w = world();

/** A tab with this form, tracked; its events are in `window.events`. */
async function withForm(html, { options = {}, page, ...more } = {}) {
  page ??= await w.open(more);
  await page.evaluate(
    async (html, options) => {
      document.body.innerHTML = html;
      window.form = document.querySelector("form");
      window.events = [];
      const names = ["stored", "queued", "delivered", "failed", "error"].map((name) => `form-${name}`);
      for (const name of [...names, "draft-restored", "draft-conflict", "draft-taken", "draft-error"]) {
        EventTarget.prototype.addEventListener.call(window.form, name, ({ detail }) => {
          window.events.push({ name, detail, code: detail.error?.code, message: detail.error?.message });
        });
      }
      window.tracked = window.client.trackForm(window.form, options);
      await window.tracked.ready;
    },
    html,
    options,
  );
  return page;
}

const heard = (page, name, count = 1) =>
  until(`${count} ${name}`, async () => {
    const events = await page.evaluate(() =>
      window.events.map(({ name, code, message, detail }) => ({ name, code, message, id: detail.id })),
    );
    const found = events.filter((event) => event.name === name);
    return found.length >= count ? found : Promise.reject(new Error(JSON.stringify(events)));
  });

const submit = (page, selector) =>
  page.evaluate((selector) => window.form.requestSubmit(selector ? document.querySelector(selector) : null), selector);

/** Odd forms; `ACTION` is replaced. `submit` is the button's selector. */
const FORMS = {
  "text with line breaks and quotes in name and value":
    '<form method=post action=ACTION><input name=\'a"b&#10;c\' value="x y+&amp;=%é"><textarea name=t>one\ntwo\n</textarea></form>',
  "multipart with line breaks and quotes":
    '<form method=post enctype=multipart/form-data action=ACTION><input name=\'a"b&#10;c\' value="x y+&amp;=%é"><textarea name=t>one\ntwo</textarea></form>',
  "text/plain":
    "<form method=post enctype=text/plain action=ACTION><input name=a value='x=y'><textarea name=t>one\ntwo</textarea></form>",
  "the button's name and value, formaction, formenctype":
    "<form method=get action=/nowhere><input name=a value=1><button id=go name=b value=2 formmethod=post formaction=ACTION formenctype=multipart/form-data>go</button><button name=c value=3>no</button></form>",
  "controls elsewhere, disabled ones, fieldsets, multiple":
    "<form id=f method=post action=ACTION><input name=a value=1 disabled><fieldset disabled><legend><input name=l value=in></legend><input name=b value=2></fieldset><select name=s multiple><option selected>x<option selected value=''>y<option>z</select><select name=o><option disabled selected>no</select><datalist><input name=d value=no></datalist></form><input form=f name=e value=elsewhere>",
  "checkboxes and radios":
    "<form method=post action=ACTION><input type=checkbox name=c checked><input type=checkbox name=c value=2 checked><input type=checkbox name=d><input type=radio name=r value=1><input type=radio name=r value=2 checked></form>",
  dirname:
    "<form method=post action=ACTION dir=rtl><input name=a value=x dirname=a.dir><textarea name=t dirname=t.dir dir=ltr>y</textarea></form>",
  _charset_: "<form method=post action=ACTION><input type=hidden name=_charset_><input name=_charset_ value=x></form>",
  "no entries": "<form method=post action=ACTION></form>",
  "no entries, multipart": "<form method=post enctype=multipart/form-data action=ACTION></form>",
  "no file chosen": "<form method=post enctype=multipart/form-data action=ACTION><input type=file name=f></form>",
  "no file chosen, urlencoded": "<form method=post action=ACTION><input type=file name=f></form>",
  "an image button": "<form method=post action=ACTION><input name=a value=1><input type=image id=go name=i alt=go></form>",
  "controls named as the form's own members":
    "<form method=post enctype=multipart/form-data action=ACTION><input name=method value=get><input name=action value=/x><input name=enctype value=y><input name=elements value=z><input name=addEventListener><input name=getAttribute></form>",
  "an unknown enctype, and empty names":
    "<form method=POST enctype=application/json action=ACTION><input value=unnamed><input name='' value=1><input name=a></form>",
};

for (const [what, html] of Object.entries(FORMS)) {
  test(`the browser's own bytes: ${what}`, async () => {
    const page = await w.open();
    const button = html.includes("id=go") ? "#go" : undefined;
    await page.evaluate(
      (html, button) => {
        document.body.innerHTML = `<iframe name=native></iframe>${html.replace("<form ", "<form target=native ")}`;
        document.querySelector("form").requestSubmit?.call;
        HTMLFormElement.prototype.requestSubmit.call(
          document.querySelector("form"),
          button ? document.querySelector(button) : null,
        );
      },
      html.replace("ACTION", "/api/sink/native"),
      button,
    );
    const [native] = await until("the native submission", async () => {
      const arrivals = await w.server.sink("/api/sink/native");
      return arrivals.length ? arrivals : null;
    });
    await withForm(html.replace("ACTION", "/api/sink/ours"), { page });
    await page.evaluate(
      (button) => HTMLFormElement.prototype.requestSubmit.call(window.form, button ? document.querySelector(button) : null),
      button,
    );
    await heard(page, "form-delivered");
    const [ours] = await w.server.sink("/api/sink/ours");
    const plain = ({ body, contentType, method }) => {
      const boundary = /boundary=(.*)/.exec(contentType ?? "")?.[1];
      return {
        method,
        body: boundary ? body.replaceAll(boundary, "B") : body,
        contentType: contentType?.replace(boundary ?? "", "B"),
      };
    };
    assert.deepEqual(plain(ours), plain(native));
  });
}

const NOTE =
  "<form id=note method=post action=/api/sink/note><textarea name=text required></textarea><input name=n value=1><button>send</button></form>";
const type = (page, selector, text) => page.type(selector, text);

test("files are sent as multipart, byte for byte", async () => {
  const page = await withForm(
    "<form method=post enctype=multipart/form-data action=/api/uploads><input type=file name=file multiple><input name=a value=b></form>",
  );
  await page.evaluate(() => {
    const chosen = new DataTransfer();
    chosen.items.add(new File([new Uint8Array([0, 1, 13, 10, 255])], 'a "b".bin', { type: "image/png" }));
    chosen.items.add(new File(["text"], "c.txt", { type: "text/plain" }));
    document.querySelector("input[type=file]").files = chosen.files;
  });
  await submit(page);
  await heard(page, "form-delivered");
  const uploads = await w.server.uploads();
  assert.equal(uploads.length > 0, true);
  assert.equal((await w.server.arrivals("/api/uploads")).length, 1);
});

test("validation, formdata and a handler that prevents come before", async () => {
  const page = await withForm(NOTE);
  await submit(page);
  assert.deepEqual(await page.evaluate(() => window.events), [], "an empty required field is the browser's to tell of");
  await type(page, "textarea", "hello");
  await page.evaluate(() => window.form.addEventListener("formdata", ({ formData }) => formData.set("added", "yes")));
  await submit(page);
  await heard(page, "form-delivered");
  assert.equal((await w.server.sink("/api/sink/note"))[0].body, "text=hello&n=1&added=yes");
});

test("a form-associated custom element is part of the form", async () => {
  const page = await w.open();
  await page.evaluate(() => {
    customElements.define(
      "x-field",
      class extends HTMLElement {
        static formAssociated = true;
        constructor() {
          super();
          this.attachInternals().setFormValue("from within");
        }
      },
    );
  });
  await withForm("<form method=post action=/api/sink/x><x-field name=x></x-field></form>", { page });
  await submit(page);
  await heard(page, "form-delivered");
  assert.equal((await w.server.sink("/api/sink/x"))[0].body, "x=from+within");
});

test("a GET form is left to the browser", async () => {
  const page = await withForm("<form action=/api/sink/search><input name=q value=1></form>");
  await Promise.all([page.waitForNavigation(), submit(page)]);
  assert.equal(new URL(page.url()).search, "?q=1");
  assert.equal((await w.server.arrivals("/api/sink/search"))[0].idempotencyKey ?? null, null);
});

test("a double tap sends once, a second submission later twice", async () => {
  const page = await withForm(NOTE, { options: { reset: false, doubleTap: 60_000 } });
  await type(page, "textarea", "tap");
  await page.evaluate(() => {
    for (let tap = 0; tap < 3; tap += 1) window.form.requestSubmit();
  });
  const [{ id }] = await heard(page, "form-delivered");
  await submit(page);
  await w.acceptedOnce([id], page);
  assert.deepEqual(
    (await page.evaluate(() => window.events)).filter(({ name }) => name === "form-error"),
    [],
  );
  await type(page, "textarea", "!");
  await submit(page);
  await heard(page, "form-delivered", 2);
  assert.equal((await w.server.sink("/api/sink/note")).length, 2);
});

test("queued with its toast when the server is away, delivered with its file when it is back", async () => {
  await w.server.down(true);
  const page = await withForm(
    "<form method=post enctype=multipart/form-data action=/api/uploads><input type=file name=file><input name=text></form>",
  );
  await type(page, "input[name=text]", "offline");
  await page.evaluate(() => {
    const chosen = new DataTransfer();
    chosen.items.add(new File(["bytes"], "a.txt", { type: "text/plain" }));
    document.querySelector("input[type=file]").files = chosen.files;
  });
  await submit(page);
  const [{ id }] = await heard(page, "form-queued");
  const toast = await until("a toast", () =>
    page.$eval(".shearwater-toast", (element) => element.textContent && [element.textContent, element.getAttribute("role")]),
  );
  assert.deepEqual(toast, ["Your data will be saved when you're back online", "status"]);
  assert.equal(await page.$eval("input[name=text]", ({ value }) => value), "", "what is stored is not in the form any more");
  await w.server.down(false);
  await page.evaluate(() => window.client.syncNow());
  await heard(page, "form-delivered");
  assert.equal((await w.get(page, id)).state, "delivered");
  assert.equal((await w.server.uploads()).length, 1);
});

test("the toast is the app's to word and to prevent", async () => {
  await w.server.down(true);
  const page = await withForm(NOTE, { options: { toast: "später" } });
  await type(page, "textarea", "a");
  await submit(page);
  await until("the app's text", () => page.$eval(".shearwater-toast", ({ textContent }) => textContent === "später"));
  const other = await withForm(NOTE);
  await other.evaluate(() => window.form.addEventListener("form-queued", (event) => event.preventDefault()));
  await type(other, "textarea", "b");
  await submit(other);
  await heard(other, "form-queued");
  assert.equal(await other.$(".shearwater-toast"), null);
});

test("a refused form is filled again, edited, and its new submission replaces the failed job", async () => {
  await w.server.faults([{ path: "/api/sink/note", times: 1, action: { status: 422 } }]);
  const page = await withForm(NOTE);
  await type(page, "textarea", "wrong");
  await submit(page);
  const [{ id }] = await heard(page, "form-failed");
  await page.evaluate(() => window.form.reset());
  assert.equal(await page.evaluate((id) => window.tracked.restore(id), id), true);
  assert.equal(await page.$eval("textarea", ({ value }) => value), "wrong");
  await type(page, "textarea", " right");
  await submit(page);
  await heard(page, "form-delivered");
  assert.equal((await w.list(page)).length, 0);
  assert.equal(await w.get(page, id), null);
  const bodies = (await w.server.sink("/api/sink/note")).map(({ body }) => body);
  assert.deepEqual(bodies, ["text=wrong+right&n=1"]);
});

test("what failed while no page was open is told when the form is tracked again", async () => {
  await w.server.faults([{ path: "/api/sink/note", action: { status: 422 } }]);
  const page = await withForm(NOTE);
  await type(page, "textarea", "later");
  await submit(page);
  const [{ id }] = await heard(page, "form-failed");
  await page.reload();
  await page.waitForFunction("window.ready");
  await page.evaluate(async () => (window.client = await window.connect()));
  await withForm(NOTE, { page });
  assert.equal((await heard(page, "form-failed"))[0].id, id);
});

test("a job that is being sent cannot be replaced: nothing is stored, and it is said", async () => {
  await w.server.faults([{ path: "/api/sink/note", times: 1, action: { status: 422 } }]);
  const page = await withForm(NOTE);
  await type(page, "textarea", "first");
  await submit(page);
  const [{ id }] = await heard(page, "form-failed");
  await page.evaluate((id) => window.tracked.restore(id), id);
  await w.server.faults([{ path: "/api/sink/note", action: { hold: true } }]);
  await page.evaluate((id) => window.client.retry(id), id);
  await w.held(1);
  await type(page, "textarea", " second");
  await submit(page);
  const [{ code }] = await heard(page, "form-error");
  assert.equal(code, "invalid-request");
  assert.equal(await page.$eval("textarea", ({ value }) => value), "first second");
  await w.server.faults([]);
  await w.server.release();
  await w.becomes(page, id, "delivered");
  await submit(page);
  await heard(page, "form-error", 2);
  assert.equal((await w.server.sink("/api/sink/note")).length, 1, "the person is told first");
  await submit(page);
  await heard(page, "form-delivered");
  const bodies = (await w.server.sink("/api/sink/note")).map(({ body }) => new URLSearchParams(body).get("text"));
  assert.deepEqual(bodies, ["first", "first second"]);
});

test("an entry that waits is not sent while it is being edited", async () => {
  await w.server.down(true);
  const page = await withForm(NOTE);
  await type(page, "textarea", "waits");
  await submit(page);
  const [{ id }] = await heard(page, "form-queued");
  await w.resting(page);
  assert.equal(await page.evaluate((id) => window.tracked.restore(id), id), true);
  await w.server.down(false);
  await page.evaluate(() => window.client.syncNow());
  assert.equal((await w.server.sink("/api/sink/note")).length, 0, "it is a draft now");
  await type(page, "textarea", " no more");
  await submit(page);
  await heard(page, "form-delivered");
  assert.deepEqual(
    (await w.server.sink("/api/sink/note")).map(({ body }) => body),
    ["text=waits+no+more&n=1"],
  );
});

test("the next wake delivers a form, no reload is needed", async () => {
  await w.server.down(true);
  const page = await withForm(NOTE, { options: { reset: false } });
  await type(page, "textarea", "wake");
  await submit(page);
  await heard(page, "form-queued");
  await w.server.down(false);
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await heard(page, "form-delivered");
  assert.equal((await w.server.sink("/api/sink/note")).length, 1);
});

test("a CSRF field is not stored, and comes from the before-send hook when the job is sent", async () => {
  const page = await w.open({ options: { worker: "/sw.js?csrf=fields" } });
  for (const enctype of ["application/x-www-form-urlencoded", "multipart/form-data"]) {
    await withForm(
      `<form method=post enctype=${enctype} action=/api/sink/csrf><input type=hidden name=csrf_token value=stale><input name=a value=1></form>`,
      { page },
    );
    await w.server.down(true);
    await submit(page);
    await heard(page, "form-queued");
    const stored = await page.evaluate(async () => {
      const all = [await window.rows("jobs"), await window.rows("bodies"), await window.rows("drafts")].flat();
      const text = await Promise.all(
        all.map((row) => (row instanceof ArrayBuffer || row instanceof Blob ? new Response(row).text() : JSON.stringify(row))),
      );
      return text.join("\n");
    });
    assert.equal(/stale|csrf_token/.test(stored), false);
    await w.server.down(false);
    await page.evaluate(() => window.client.syncNow());
    await heard(page, "form-delivered");
    await page.evaluate(() => window.tracked());
  }
  const [plain, parts] = (await w.server.sink("/api/sink/csrf")).map(({ body }) => body);
  assert.match(plain, /^a=1&csrf_token=fresh\+\d$/);
  assert.match(
    parts,
    /name="a"\r\n\r\n1\r\n--.*\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\nfresh \d\r\n--.*--\r\n$/,
  );
});

test("a CSRF token comes from a meta of a page that the configuration names, and from a cookie", async () => {
  const sources = [
    { config: { csrf: { meta: "csrf-token", page: "/csrf.html", header: "x-csrf-token" } }, token: "of a page" },
    { config: { csrf: { cookie: "XSRF-TOKEN", field: "_csrf" } }, token: "of a cookie" },
  ];
  for (const { config, token } of sources) {
    await w.serve();
    const page = await w.open({ config });
    await page.evaluate(() => cookieStore.set("XSRF-TOKEN", "of%20a%20cookie"));
    await withForm("<form method=post action=/api/sink/csrf><input name=a value=1></form>", { page });
    await submit(page);
    await heard(page, "form-delivered");
    const [{ headers }] = await w.server.arrivals("/api/sink/csrf");
    const [{ body }] = await w.server.sink("/api/sink/csrf");
    assert.ok(
      JSON.stringify([headers, new URLSearchParams(body).get("_csrf")]).includes(token),
      JSON.stringify([headers, body]),
    );
  }
});

test("a CSRF field goes into forms only: JSON beside them is sent as it is, and a text/plain form waits", async () => {
  const page = await w.open({ config: { csrf: { cookie: "XSRF-TOKEN", field: "_csrf" } } });
  await page.evaluate(() => cookieStore.set("XSRF-TOKEN", "token"));
  const id = await w.enqueue(page, { url: "/api/sink/json", method: "POST", body: { a: 1 } });
  await w.becomes(page, id, "delivered");
  assert.deepEqual(JSON.parse((await w.server.sink("/api/sink/json"))[0].body), { a: 1 });
  const text = { url: "/api/sink/text", method: "POST", headers: { "content-type": "text/plain" }, body: "a=1" };
  const withheld = await w.enqueue(page, text);
  await until("why it waits", async () => /a form that takes none/.test((await w.get(page, withheld)).error?.message ?? ""));
  assert.equal((await w.server.arrivals("/api/sink/text")).length, 0);
});

test("a before-send hook supplies a header", async () => {
  const page = await w.open({ options: { worker: "/sw.js?csrf=headers" } });
  const id = await w.enqueue(page, { url: "/api/sink/header", body: "x" });
  await w.becomes(page, id, "delivered");
  const [{ headers }] = await w.server.arrivals("/api/sink/header");
  assert.ok(JSON.stringify(headers).includes("fresh 1"), JSON.stringify(headers));
});

for (const bad of ["throws", "nonsense"]) {
  test(`a before-send hook that ${bad} costs its own job a wait, and no attempt`, async () => {
    const page = await w.open({ options: { worker: `/sw.js?csrf=${bad}` } });
    const id = await w.enqueue(page, { url: "/api/sink/waits", body: "x" });
    await until("it is withheld", async () => (await w.get(page, id))?.error?.kind === "withheld");
    assert.equal((await w.get(page, id)).attempts, 0);
    assert.deepEqual(await w.server.arrivals("/api/sink/waits"), []);
  });
}

test("a form without an action, or with one of another origin, is named", async () => {
  const page = await w.open();
  const message = (html) =>
    page.evaluate(async (html) => {
      document.body.innerHTML = html;
      return window.client.trackForm(document.querySelector("form")).ready.then(
        () => "tracked",
        ({ code, message }) => `${code}: ${message}`,
      );
    }, html);
  assert.match(await message("<form method=post></form>"), /^invalid-request: the form has no action/);
  assert.match(
    await message("<form method=post action=https://other.example/></form>"),
    /^invalid-request: .*https:\/\/other.example/,
  );
  assert.match(await message("<form method=post action=/x accept-charset=latin1></form>"), /^invalid-request: .*latin1/);
});

test("a button of another origin is refused when it is pressed, and nothing is lost", async () => {
  const page = await withForm(
    "<form method=post action=/api/sink/a><input name=t><button>ok</button><button id=far formaction=https://other.example/>far</button></form>",
  );
  await type(page, "input", "kept");
  await submit(page, "#far");
  const [{ message }] = await heard(page, "form-error");
  assert.match(message, /another origin, https:\/\/other.example/);
  assert.equal(await page.$eval("input", ({ value }) => value), "kept");
});

test("declared forms are tracked, those of the page and those that come later, with what they declare", async () => {
  const page = await w.open();
  await page.evaluate(async () => {
    const form = (/** @type {string} */ more) =>
      `<form data-shearwater=form-sync ${more} method=post action=/api/sink/declared><input name=a value=1></form>`;
    document.body.innerHTML = form("id=first data-shearwater-queue=forms data-shearwater-key=k");
    window.stored = [];
    document.addEventListener("form-stored", (event) => window.stored.push(event.detail.id));
    window.untouched = true;
    const { connect } = await import("/shearwater/page.js");
    window.client = await connect();
    window.add = () => document.body.insertAdjacentHTML("beforeend", form("id=second"));
  });
  // What is not tracked yet the browser submits by itself, which would take the page away.
  const submit = (id, count) =>
    until(`the form ${id}`, async () => {
      await page.evaluate((id) => {
        const form = document.getElementById(id);
        // Not by the browser: only who tracks it may act.
        form.addEventListener("submit", (event) => queueMicrotask(() => event.preventDefault()), { once: true });
        form.requestSubmit();
      }, id);
      return (await page.evaluate(() => window.stored.length)) >= count;
    });
  await until("forms.js", () =>
    page.evaluate(() => performance.getEntriesByType("resource").some(({ name }) => name.endsWith("/forms.js"))),
  );
  await submit("first", 1);
  await page.evaluate(() => window.add());
  await submit("second", 2);
  assert.equal(await page.evaluate(() => window.untouched), true);
  const [first, second] = await page.evaluate(() => window.stored);
  for (const id of [first, second]) await w.becomes(page, id, "delivered");
  const sent = (await w.server.sink("/api/sink/declared")).map(({ idempotencyKey }) => idempotencyKey);
  assert.deepEqual(sent.sort(), [first, second].sort());
  const job = await w.get(page, first);
  assert.deepEqual([job.queue, job.key], ["forms", "k"]);
});

test("a before-send hook that hangs withholds its own jobs, which burn no attempt", async () => {
  const page = await w.open({ options: { worker: "/sw.js?csrf=hangs&impatient" } });
  const held = await w.enqueue(page, { url: "/api/sink/held", body: "x" });
  const other = await w.enqueue(page, { url: `${w.server.crossOrigin}/api/sink/other`, body: "x" });
  await until("the other", async () => (await w.server.sink("/api/sink/other")).length === 1);
  const job = await until("a reason", async () => {
    const job = await w.get(page, held);
    return job.error && job;
  });
  assert.deepEqual([job.state, job.attempts, job.error.kind], ["pending", 0, "withheld"]);
  assert.match(job.error.message, /"before-send" hook did not answer in time/);
  assert.equal((await w.get(page, other))?.state, "delivered");
});

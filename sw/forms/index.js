// shearwater/forms: a form keeps what was typed, submits through the queue, and comes back when the server refuses it.
//
// A submission is stored first, always, with the end of its draft in the same transaction; the drain that follows sends it at
// once where there is a network. So nothing hangs on what the page thinks of the network, and a page that goes away has
// handed its form over.

import { ShearwaterError } from "../error.js";
import { attribute, controls, dispatch, listen } from "./dom.js";
import { createDraft } from "./draft.js";
import { decode } from "./encode.js";
import { fillEntries } from "./fields.js";
import { actionOf, build, checkCharset, methodOf } from "./submit.js";
import { showToast } from "./toast.js";

const INTERNAL = Symbol.for("shearwater.internal");
const QUEUED = "Your data will be saved when you're back online";
/** Milliseconds of {@link check}'s options. */
const DEFAULTS = { saveInterval: 500, doubleTap: 1_000, queuedAfter: 5_000 };

/** @type {Record<string, string>} */
const OPTIONS = {
  id: "string",
  queue: "string",
  key: "string",
  priority: "",
  maxAge: "number",
  maxAttempts: "number",
  metadata: "object",
  draft: "boolean",
  saveInterval: "number",
  doubleTap: "number",
  queuedAfter: "number",
  toast: "",
  reset: "boolean",
  credentials: "object",
  onDelivered: "function",
};

/** Forms that are tracked. @type {WeakMap<HTMLFormElement, import("../types/forms.js").TrackedForm>} */
const trackedForms = new WeakMap();

const invalid = (/** @type {string} */ message) => new ShearwaterError("invalid-request", message);

/** @param {Record<string, unknown>} options */
function check(options) {
  for (const [name, value] of Object.entries(options)) {
    if (!(name in OPTIONS))
      throw invalid(`trackForm: there is no option "${name}"; there are ${Object.keys(OPTIONS).join(", ")}`);
    const type = OPTIONS[name];
    if (type && value !== undefined && typeof value !== type) throw invalid(`trackForm: ${name} is a ${type}`);
  }
}

/**
 * The form's name in the store: the same at each visit of this page, and another on other pages.
 *
 * @param {HTMLFormElement} form
 * @param {string} [id]
 */
function nameOf(form, id) {
  const own = attribute(form, "id") || attribute(form, "name");
  const name = id ?? `${location.pathname}${location.search}#${own ?? [...document.forms].indexOf(form)}`;
  // 256 bytes are what a name may have; of a long URL the end tells more.
  return encodeURI(name).slice(-250);
}

/** @type {typeof import("../types/forms.js").trackForm} */
export function trackForm(client, form, options = {}) {
  if (!(form instanceof HTMLFormElement)) throw invalid("trackForm takes a form element");
  check(/** @type {Record<string, unknown>} */ (options));
  const known = trackedForms.get(form);
  if (known) return known;
  const { saveInterval, doubleTap, queuedAfter } = { ...DEFAULTS, ...options };
  const credentials = options.credentials ?? [];
  const name = nameOf(form, options.id);
  // What can be known to be wrong is said now, not when somebody has filled it in.
  checkCharset(form);
  const buttons = controls(form).filter((control) => control.type === "submit" || control.type === "image");
  const posting = [null, ...buttons].filter((button) => methodOf(form, button) === "post");
  if (posting.length > 0 && posting.every((button) => isRefused(form, button))) actionOf(form, posting[0]);

  /** @type {import("./draft.js").Internal} */
  const internal = /** @type {any} */ (client)[INTERNAL];
  const draft = options.draft === false ? null : createDraft({ form, name, internal, interval: saveInterval, credentials });
  /** The submission that is being stored. @type {string | null} */
  let storing = null;
  /** The one before, and when it was made. */
  let last = { mark: "", at: 0 };
  /** The failed job that the next submission stands for. @type {string | null} */
  let replaces = null;
  /** @type {Set<() => void>} */
  const watching = new Set();
  /** Jobs whose failure was told. @type {Set<string>} */
  const told = new Set();

  /** @param {string} state */
  function show(state) {
    Element.prototype.setAttribute.call(form, "data-shearwater-state", state);
  }

  /** @param {SubmitEvent} event */
  function onSubmit(event) {
    if (event.target !== form || event.defaultPrevented) return;
    const submitter = event.submitter;
    if (methodOf(form, submitter) !== "post") return; // the browser's
    event.preventDefault();
    submit(submitter).catch(fail);
  }

  /** @param {unknown} error */
  function fail(error) {
    show("error");
    if (dispatch(form, "form-error", { error })) console.error("[shearwater] a form was not stored:", error);
  }

  /** @param {HTMLElement | null} submitter */
  async function submit(submitter) {
    const { request, parts, mark } = build(form, submitter, credentials);
    const now = performance.now();
    if (storing !== null || (mark === last.mark && now - last.at < doubleTap)) {
      // A double tap. Another submission while one is being stored is the person's to repeat.
      if (storing !== null && storing !== mark) throw invalid("the form is being stored; submit again when that is done");
      return;
    }
    storing = mark;
    last = { mark, at: now };
    show("storing");
    const id = crypto.randomUUID();
    const job = {
      id,
      request,
      options: pick(options, ["queue", "key", "priority", "maxAge", "maxAttempts", "capture"]),
      metadata: JSON.stringify({ ...options.metadata, form: name }),
    };
    const ended = draft?.hold() ?? null;
    const replaced = replaces;
    try {
      const enqueue = { jobs: [job], ...(ended && { draft: ended }), ...(replaced && { replaces: replaced }) };
      await internal.ask({ enqueue }, [parts.every((part) => part === "") ? new ArrayBuffer(0) : parts]);
    } catch (error) {
      last = { mark: "", at: 0 };
      draft?.goOn();
      if (replaced && (await isDelivered(replaced, error))) replaces = null;
      throw error;
    } finally {
      storing = null;
    }
    replaces = null;
    await draft?.ended();
    show("sending");
    dispatch(form, "form-stored", { id });
    follow(id);
  }

  /**
   * Whether a submission was refused because the job that it replaces was delivered after all, as when somebody retried
   * it elsewhere. That is said once; the person decides whether the next one is sent as well.
   *
   * @param {string} id
   * @param {unknown} error
   */
  async function isDelivered(id, error) {
    if (/** @type {{code?: string}} */ (error).code !== "invalid-request") return false;
    const job = await client.get(id).catch(() => null);
    return job?.state === "delivered";
  }

  /** @param {string} id */
  function follow(id) {
    let isQueued = false;
    let isOver = false;
    const end = () => {
      isOver = true;
      clearTimeout(timer);
      stop();
      watching.delete(end);
    };
    /** @param {import("../types/index.js").Job | null} job */
    const queued = (job) => {
      if (isQueued) return;
      isQueued = true;
      clearTimeout(timer);
      show("queued");
      if (dispatch(form, "form-queued", { id, job }) && options.toast !== false) {
        try {
          showToast(typeof options.toast === "string" ? options.toast : QUEUED);
        } catch (error) {
          // Where style sheets cannot be made by scripts; the form is stored all the same.
          console.warn("[shearwater] no toast:", error);
        }
      }
      clear();
    };
    /** @param {import("../types/index.js").Job | null} job */
    const look = (job) => {
      // Told by the watch, and once more by the answer to `get`.
      if (isOver) return;
      if (!job) return end();
      if (job.state === "delivered") {
        end();
        show("delivered");
        dispatch(form, "form-delivered", { id, job });
        options.onDelivered?.(job);
        if (!isQueued) clear();
      } else if (job.state === "failed" || job.state === "conflict") {
        end();
        // What is in the form is what was refused: it is edited, and submitted in its place.
        if (!isQueued && !draft?.isTouched()) replaces = id;
        failed(job);
      } else if (job.state === "blocked" || (job.state === "pending" && (job.error || job.unreachable > 0))) {
        queued(job);
      }
    };
    const timer = setTimeout(() => queued(null), queuedAfter);
    const stop = client.watch(id, look);
    watching.add(end);
    client.get(id).then(look, () => {});
    if (!navigator.onLine || client.getSnapshot().state === "paused") queued(null);
  }

  /** Empties the form of what is stored elsewhere now, unless somebody goes on typing. */
  function clear() {
    if (options.reset === false || draft?.isTouched()) return;
    HTMLFormElement.prototype.reset.call(form);
  }

  /** @param {import("../types/index.js").Job} job */
  function failed(job) {
    if (told.has(job.id)) return;
    told.add(job.id);
    show("failed");
    dispatch(form, "form-failed", { id: job.id, job, restore: () => restore(job.id) });
  }

  /** @param {string | import("../types/index.js").Job} job */
  async function restore(job) {
    const id = typeof job === "string" ? job : job.id;
    const content = await internal.ask({ content: id });
    if (!content || content.state === "syncing") return false;
    const type = content.headers.find((/** @type {string[]} */ [header]) => header === "content-type")?.[1] ?? "";
    const body = await new Response(content.bodies?.[0] ?? "").arrayBuffer();
    const entries = decode(body, type);
    if (!entries) throw invalid(`a form that was sent as ${type || "nothing known"} cannot be filled in again`);
    fillEntries(form, entries);
    if (content.state === "pending") {
      // While it is edited it is a draft, and is not sent.
      const kept = draft ? await draft.saveNow() : false;
      const discarded = kept && (await client.discard(id).catch(waitedFor));
      if (discarded === WAITED_FOR) {
        // It goes on waiting, and the next submission takes its place: jobs are bound to its response.
        replaces = id;
      } else if (!discarded) {
        HTMLFormElement.prototype.reset.call(form);
        await draft?.discard();
        return false;
      }
    } else {
      replaces = id;
    }
    show("editing");
    return true;
  }

  const listening = [
    listen(form, "submit", onSubmit),
    client.on("failed", (job) => isOurs(job) && failed(job)),
    client.on("conflict", (job) => isOurs(job) && failed(job)),
    client.on("job", (job) => {
      if (job.state !== "failed" && job.state !== "conflict") told.delete(job.id);
    }),
  ];
  const isOurs = (/** @type {any} */ job) => job.metadata?.form === name;

  /** Tells of what failed while no page was open. */
  async function tellFailed() {
    for (const state of /** @type {const} */ (["failed", "conflict"])) {
      for (const job of await client.list({ state })) if (isOurs(job)) failed(job);
    }
  }

  const stop = () => {
    trackedForms.delete(form);
    for (const end of [...listening, ...watching]) end();
    draft?.stop();
  };
  const ready = Promise.resolve(draft?.ready).then(tellFailed);
  ready.catch((error) => dispatch(form, "draft-error", { error }));
  const tracked = Object.assign(stop, { ready, restore });
  trackedForms.set(form, tracked);
  return tracked;
}

/** That a job was not removed because others wait for its response. */
const WAITED_FOR = "waited for";

/** @param {any} error */
function waitedFor(error) {
  if (error.code === "has-dependents") return WAITED_FOR;
  throw error;
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 */
function isRefused(form, submitter) {
  try {
    actionOf(form, submitter);
    return false;
  } catch {
    return true;
  }
}

/**
 * @param {object} from
 * @param {string[]} names
 */
const pick = (from, names) =>
  Object.fromEntries(Object.entries(from).filter(([name, value]) => names.includes(name) && value !== undefined));

/** @type {typeof import("../types/forms.js").trackForms} */
export function trackForms(client, root = document) {
  /** @type {Map<HTMLFormElement, () => void>} */
  const tracked = new Map();
  const look = () => {
    for (const [form, stop] of tracked) {
      if (form.isConnected) continue;
      stop();
      tracked.delete(form);
    }
    for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (
      root.querySelectorAll('form[data-shearwater="form-sync"]')
    )) {
      if (tracked.has(form)) continue;
      const said = (/** @type {string} */ name) => attribute(form, `data-shearwater-${name}`) ?? undefined;
      const toast = said("toast");
      try {
        const options = { queue: said("queue"), key: said("key"), id: said("id"), toast: toast === "off" ? false : toast };
        tracked.set(form, trackForm(client, form, pick(options, Object.keys(options))));
      } catch (error) {
        tracked.set(form, () => {});
        dispatch(form, "form-error", { error });
        console.error("[shearwater] a form is not tracked:", error);
      }
    }
  };
  look();
  const observer = new MutationObserver(look);
  observer.observe(root, { childList: true, subtree: true, attributeFilter: ["data-shearwater"] });
  return () => {
    observer.disconnect();
    for (const stop of tracked.values()) stop();
  };
}

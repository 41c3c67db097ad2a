// The draft of one form in one tab: which one is ours, when it is saved, and what happens when another tab has it.
//
// A draft has a name, a UUID, which the tab keeps in `sessionStorage` and holds by a Web Lock. A reloaded tab finds its
// own; a new tab takes one over that no tab holds any more; a duplicated tab has a copy of the name and finds it locked. The
// worker keeps the draft; crates/core/src/drafts says what becomes of messages that are late or come twice.

import { dispatch, listen } from "./dom.js";
import { capture, fill, notePristine } from "./fields.js";

/** The share of a draft's `seq` that one document counts in: a document that loads the draft begins with the next one. */
const TURN = 2 ** 20;
/** Milliseconds for which the tab's own draft may still be held by the document before. */
const HANDOVER = 1_000;

/**
 * @typedef {{ask(op: object, bodies?: unknown[], owner?: string): Promise<any>, owner(): string}} Internal
 *
 * @param {object} given
 * @param {HTMLFormElement} given.form
 * @param {string} given.name  of the form, the same at each visit
 * @param {Internal} given.internal
 * @param {number} given.interval
 * @param {string[]} given.credentials
 */
export function createDraft({ form, name, internal, interval, credentials }) {
  const key = `shearwater-draft ${name}`;
  const owner = internal.owner();
  /** Names of the files that this tab knows, by what tells them apart. @type {Map<string, string>} */
  const fileIds = new Map();
  /** Files that are stored with the draft. @type {Set<string>} */
  const stored = new Set();
  /** What a person has changed in this document. @type {Set<Element>} */
  const touched = new Set();
  let id = "";
  let seq = 0;
  let written = "[]";
  let unlock = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let writing = false;
  let held = false;
  /** The form's draft is known: this tab's of before, another that nobody holds, or a new one. */
  let isFound = false;
  let stopped = false;
  let filling = false;

  /** @param {unknown} error */
  const report = (error) => void dispatch(form, "draft-error", { error });

  /**
   * Holds a draft for as long as this document lives; resolves with what lets it go, or null where another has it.
   *
   * @param {string} draft
   * @param {number} [patience]
   * @returns {Promise<(() => void) | null>}
   */
  const lock = (draft, patience) =>
    new Promise((resolve) => {
      if (!navigator.locks) return resolve(() => {});
      const controller = new AbortController();
      const end = patience ? setTimeout(() => controller.abort(), patience) : undefined;
      const options = patience ? { signal: controller.signal } : { ifAvailable: true };
      navigator.locks
        .request(`shearwater-draft ${draft}`, options, (granted) => {
          clearTimeout(end);
          return granted ? new Promise((release) => resolve(() => release(undefined))) : resolve(null);
        })
        .catch(() => resolve(null));
    });

  /**
   * @param {string} draft
   * @param {() => void} release
   */
  function own(draft, release) {
    unlock();
    unlock = release;
    id = draft;
    seq = 0;
    written = "[]";
    stored.clear();
    // Another draft's file is its own, also where it holds the same bytes.
    fileIds.clear();
    try {
      sessionStorage.setItem(key, id);
    } catch {} // where storage is blocked, a reload finds the draft as a new tab would
  }

  /** Begins a draft that nobody has. */
  async function renew() {
    const fresh = crypto.randomUUID();
    // At once, for a save may come before the lock does.
    own(fresh, () => {});
    unlock = (await lock(fresh)) ?? unlock;
  }

  /** @param {string} draft */
  async function restore(draft) {
    const content = await internal.ask({ "draft-load": draft }, [], owner);
    if (!content || stopped) return;
    seq = (Math.floor(content.seq / TURN) + 1) * TURN;
    // Whatever is saved next is another text than the stored one may be: a form that is emptied at once, too.
    written = "";
    /** @type {import("./fields.js").Field[]} */
    const fields = JSON.parse(content.fields);
    const blobs = new Map(
      content.files.map((/** @type {{id: string}} */ file, /** @type {number} */ at) => [file.id, content.bodies?.[at]]),
    );
    /** @type {Map<string, File>} */
    const files = new Map();
    for (const field of fields) {
      for (const { id: file, name: filename, type, modified } of field.f ?? []) {
        const bytes = blobs.get(file);
        if (!bytes) continue;
        const restored = new File([bytes], filename, { type, lastModified: modified });
        files.set(file, restored);
        fileIds.set(markOf(field.n, restored), file);
        stored.add(file);
      }
    }
    filling = true;
    let missing;
    try {
      missing = fill(form, fields, files, credentials, touched);
    } finally {
      filling = false;
    }
    if (fields.length > 0) dispatch(form, "draft-restored", { savedAt: content.savedAt, missing });
  }

  /**
   * @param {string} field
   * @param {File} file
   */
  const markOf = (field, file) => JSON.stringify([field, file.name, file.size, file.type, file.lastModified]);

  /**
   * @param {string} field
   * @param {File} file
   */
  function idOf(field, file) {
    const mark = markOf(field, file);
    const known = fileIds.get(mark) ?? crypto.randomUUID();
    fileIds.set(mark, known);
    return known;
  }

  const isStale = () => internal.owner() !== owner;

  /**
   * Posts what the form holds now, within the call; resolves with whether all of it is stored.
   *
   * @returns {Promise<boolean>}
   */
  async function save({ withFiles = true, again = true } = {}) {
    // Before the draft is known, nothing can be said to be kept: `start` has it saved then.
    if (held || stopped || !isFound || isStale()) return false;
    const { fields, files } = capture(form, credentials, idOf);
    const chosen = withFiles ? fields : fields.filter((field) => !field.f);
    const text = JSON.stringify(chosen);
    const isAll = chosen.length === fields.length;
    if (text === written) return isAll;
    const draft = id;
    seq += 1;
    const ids = withFiles ? [...files.keys()] : [];
    const bodies = ids.map((file) => (stored.has(file) ? null : files.get(file)));
    writing = true;
    try {
      const kept = await internal.ask(
        { "draft-save": { id: draft, form: name, seq, fields: text, files: ids } },
        bodies,
        owner,
      );
      if (draft !== id || held) return false;
      if (kept) {
        written = text;
        for (const file of ids) stored.add(file);
        return isAll;
      }
      if (!isStale()) {
        // Another tab has taken it, or it was discarded. What is typed from here on is a draft of its own.
        await renew();
        dispatch(form, "draft-taken", {});
        if (touched.size > 0) schedule();
      }
    } catch (error) {
      const code = /** @type {{code?: string}} */ (error).code;
      if (ids.length > 0 && again && code === "invalid-request") {
        stored.clear();
        return await save({ withFiles, again: false });
      } else {
        report(error);
        // The text is worth keeping where its files have no room.
        if (ids.length > 0 && (code === "quota-exceeded" || code === "invalid-request")) {
          await save({ withFiles: false, again: false });
        }
      }
    } finally {
      writing = false;
    }
    return false;
  }

  /** At most one write an interval. */
  function schedule() {
    if (timer !== undefined || stopped) return;
    timer = setTimeout(() => {
      timer = undefined;
      if (writing) schedule();
      else save().catch(report);
    }, interval);
  }

  /** @param {Event} event */
  function onInput(event) {
    if (filling) return;
    const target = event.composedPath()[0];
    if (target instanceof Element) touched.add(target.closest("[data-shearwater-draft][contenteditable]") ?? target);
    schedule();
  }

  function flush() {
    if (timer === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    save().catch(report);
  }

  async function start() {
    notePristine(form);
    try {
      await find();
    } catch (error) {
      // What is typed is a draft of its own: the other's saves would be taken for later ones.
      await renew();
      throw error;
    } finally {
      isFound = true;
      if (touched.size > 0) schedule();
    }
  }

  /** Finds this tab's draft, or one that no tab holds. */
  async function find() {
    /** @type {string | null | undefined} */
    let mine;
    try {
      mine = sessionStorage.getItem(key);
    } catch {} // as above
    /** @type {Array<{id: string, seq: number, savedAt: number}>} */
    const drafts = await internal.ask({ "draft-list": name }, [], owner);
    /** @type {typeof drafts[number] | undefined} */
    let conflict;
    const ours = drafts.find((draft) => draft.id === mine);
    for (const draft of ours ? [ours] : mine ? [] : drafts) {
      const release = await lock(draft.id, ours ? HANDOVER : undefined);
      if (release) {
        own(draft.id, release);
        await restore(draft.id);
        return;
      }
      conflict ??= draft;
    }
    await renew();
    if (conflict) tell(conflict);
  }

  /** @param {{id: string, savedAt: number}} draft */
  function tell({ id: other, savedAt }) {
    dispatch(form, "draft-conflict", {
      savedAt,
      fresh() {},
      async take() {
        await renew();
        const taken = await internal.ask({ "draft-claim": { from: other, to: id } }, [], owner);
        if (taken) await restore(id);
        return taken;
      },
    });
  }

  const listening = [
    listen(form, "input", onInput),
    listen(form, "change", onInput),
    listen(document, "input", (event) => {
      // Controls that the form owns by `form=` stand outside it.
      if (event.target?.form === form && !form.contains(event.target)) onInput(event);
    }),
    listen(window, "pagehide", flush),
    listen(document, "visibilitychange", () => document.visibilityState === "hidden" && flush()),
  ];
  const ready = start();

  return {
    ready,
    /** The draft that ends with a submission, which holds back saves until {@link ended} or {@link goOn}. */
    hold() {
      held = true;
      touched.clear();
      return isStale() ? null : id;
    },
    /** It ended with a job; what is typed from here on is another. */
    async ended() {
      await renew();
      held = false;
      if (touched.size > 0) schedule();
    },
    /** It did not end. */
    goOn() {
      held = false;
      touched.add(form);
      schedule();
    },
    /** Saves now, and resolves with whether it is stored. */
    async saveNow() {
      touched.add(form);
      return await save();
    },
    /** Whether a person has changed anything since the last submission. */
    isTouched: () => touched.size > 0,
    async discard() {
      const draft = id;
      await renew();
      touched.clear();
      return internal.ask({ "draft-discard": draft }, [], owner);
    },
    stop() {
      flush();
      stopped = true;
      for (const end of listening) end();
      unlock();
    },
  };
}

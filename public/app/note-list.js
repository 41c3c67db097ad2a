// The notes as they are on this device, each with what the server does not have of it yet.

import { announce } from "./announce.js";
import { askTwice } from "./ask-twice.js";
import { kindOf } from "./change.js";
import { everySecond } from "./clock.js";
import { byId, instantiate, setText } from "./dom.js";
import { record } from "./events.js";
import { capitalise, formatBytes, formatCount, formatSince, formatTime, shortHash } from "./format.js";
import { KeyedList } from "./keyed-list.js";
import { addPhoto } from "./note-photos.js";

/** Larger photos are linked, and not loaded for a small picture. */
const SHOWN_BYTES = 16_000_000;

/** `settle` is of settle.js. */
export function setUpNoteList(client, jobs, notes, server, settle) {
  const list = new KeyedList(byId("notes"), (id) => createItem(id, client, notes, settle));
  const hint = byId("server-hint");
  /** What waits on this device. */
  let queued = [];
  /** Conflicts that were announced. */
  let told = new Set();

  function render() {
    const state = notes.get();
    if (!state) return;
    const rows = [...state.notes, ...deletedInConflict(state)].map((note) => ({
      ...note,
      change: state.pending.get(note.id),
      conflict: state.conflicts.get(note.id),
      job: queued.find(({ id }) => id === state.pending.get(note.id)?.job),
      photos: state.photos.filter((photo) => photo.note === note.id),
      uploads: queued.filter((job) => job.metadata?.note === note.id),
    }));
    list.show(rows, { onFocusLost: () => byId("notes-heading").focus() });
    byId("notes-empty").hidden = rows.length > 0;
    setText(byId("notes-empty-words"), "No notes yet.");
    showConflicts(state.conflicts);
  }

  function showConflicts(conflicts) {
    byId("conflicts").hidden = conflicts.size === 0;
    setText(byId("conflicts-words"), `${formatCount(conflicts.size, "note was", "notes were")} changed in two places.`);
    for (const id of conflicts.keys()) {
      if (!told.has(id)) announce("A note was changed in two places. It waits for your decision.");
    }
    told = new Set(conflicts.keys());
  }

  function renderHint() {
    const { reach, seenAt } = server.get();
    hint.dataset.reach = reach;
    setText(hint, hintWords(reach, seenAt));
  }

  byId("conflicts-settle").addEventListener("click", () => {
    const [first] = notes.get().conflicts.keys();
    if (first) settle(first, byId("conflicts-settle"));
  });
  notes.subscribe(render);
  jobs.subscribe(({ changes }) => {
    queued = changes;
    render();
  });
  server.subscribe(renderHint);
  everySecond(renderHint);
  renderHint();
}

/** Notes that were deleted here and changed at the server: they are shown as they are there. */
const deletedInConflict = ({ conflicts }) =>
  [...conflicts.values()].filter(({ local, remote }) => !local && remote).map(({ remote }) => remote);

function hintWords(reach, seenAt) {
  if (reach === "ok") return "server reached";
  const seen = seenAt === null ? "" : ` · seen ${formatSince(seenAt)}`;
  return reach === "unreachable" ? `server unreachable${seen}` : `asking the server${seen}`;
}

function createItem(id, client, notes, settle) {
  const { root, parts } = instantiate("note-template");
  const [settling, retry, edit, remove, cancel] = ["settle", "retry", "edit", "delete", "cancel"].map((name) =>
    root.querySelector(`[data-action=${name}]`),
  );
  const { image, form, field, picker } = parts;
  let note;

  image.addEventListener("error", () => (image.hidden = true));
  settling.addEventListener("click", () => settle(id, settling));
  retry.addEventListener("click", () => act(() => client.retry(note.job.id)));
  edit.addEventListener("click", () => {
    field.value = note.text;
    open(true);
    field.focus();
  });
  cancel.addEventListener("click", () => close());
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return field.focus();
    record(client, "note edited");
    void act(async () => {
      if (!(await notes.save(id, text))) throw new Error("This note is gone.");
      close();
    });
  });
  askTwice(
    remove,
    () => "Delete for good?",
    () => {
      record(client, "note deleted");
      void act(async () => {
        await notes.remove(id);
        announce("The note was deleted.");
      });
    },
  );
  picker.addEventListener("change", () => {
    const [file] = picker.files;
    picker.value = "";
    if (!file) return;
    record(client, "photo added");
    void act(() => addPhoto(client, file, id));
  });

  async function act(work) {
    try {
      setText(parts.error, "");
      await work();
    } catch (error) {
      setText(parts.error, error.message);
      announce(error.message);
    }
    parts.error.hidden = parts.error.textContent === "";
  }

  function open(isOpen) {
    form.hidden = !isOpen;
    parts.text.hidden = isOpen;
    showActions();
  }

  function close() {
    open(false);
    edit.focus();
  }

  function showActions() {
    parts.actions.hidden = !form.hidden;
    settling.hidden = !note.conflict;
    retry.hidden = note.job?.state !== "failed";
    const isDeletedHere = note.conflict && !note.conflict.local;
    for (const button of [edit, parts.add, remove]) button.hidden = Boolean(isDeletedHere);
  }

  function update(given) {
    note = given;
    const mark = markOf(note);
    root.dataset.mark = mark?.state ?? "";
    parts.marks.hidden = !mark;
    parts.mark.dataset.state = mark?.state ?? "";
    setText(parts.mark, mark?.words ?? "");
    setText(parts.why, mark?.why ?? "");
    setText(parts.text, note.text);
    parts.time.dateTime = new Date(note.at).toISOString();
    setText(parts.time, formatTime(note.at));
    parts.files.replaceChildren(...note.photos.map(fileLine));
    showActions();
    showPhoto();
  }

  /** The small picture is in the record, so it needs no server; without one, the file itself is shown. */
  function showPhoto() {
    const [photo] = note.photos;
    parts.thumb.hidden = !photo;
    if (!photo) return;
    const url = `/api/uploads/${photo.upload}`;
    parts.thumb.href = url;
    parts.thumb.setAttribute("aria-label", `Open ${photo.name || "the photo"}`);
    const hasThumb = typeof photo.thumb === "string" && photo.thumb.startsWith("data:image/");
    const source = hasThumb ? photo.thumb : photo.size <= SHOWN_BYTES ? url : "";
    if (source && image.getAttribute("src") !== source) image.src = source;
    image.hidden = source === "";
  }

  return { root, update };
}

/** What of a note is not as at the server; null if nothing is. */
function markOf({ change, conflict, job, uploads }) {
  if (conflict)
    return { state: "conflict", words: "In conflict", why: conflict.local ? "" : "deleted here, changed elsewhere" };
  if (job?.state === "failed") return { state: "failed", words: "Refused", why: capitalise(job.error?.message ?? "") };
  if (change)
    return { state: "pending", words: change.change === "create" ? "Not on the server yet" : "Edit not on the server yet" };
  if (uploads.some((upload) => kindOf(upload) === "photo" || kindOf(upload) === "entry"))
    return { state: "pending", words: "Photo not on the server yet" };
  return null;
}

function fileLine({ name, size, sha256 }) {
  const line = document.createElement("li");
  const words = document.createElement("span");
  words.textContent = `${name || "file"} · ${formatBytes(size)}`;
  line.append(words);
  if (sha256) {
    const hash = document.createElement("span");
    hash.className = "hash";
    hash.textContent = `SHA‑256 ${shortHash(sha256)}`;
    hash.title = sha256;
    line.append(hash);
  }
  return line;
}

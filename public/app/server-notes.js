// "On the server": the notes it has, or had when it was last seen, and what can be done to them.

import { announce } from "./announce.js";
import { askTwice } from "./ask-twice.js";
import { kindOf, noteOf } from "./change.js";
import { everySecond } from "./clock.js";
import { byId, instantiate, setText } from "./dom.js";
import { record } from "./events.js";
import { formatBytes, formatSince, formatTime, shortHash } from "./format.js";
import { KeyedList } from "./keyed-list.js";
import { addPhoto, deleteNote, LONGEST_EDIT, saveText } from "./note-changes.js";

/** Larger photos are linked, and not loaded for a small picture. */
const SHOWN_BYTES = 16_000_000;

/** Returns `follow(client, jobs)`, to be called once Shearwater is there; until then notes can be read and deleted. */
export function setUpServerNotes(server) {
  let client = null;
  const list = new KeyedList(byId("server-notes"), (id) => createItem(Number(id), server, () => client));
  const hint = byId("server-hint");
  let reach = "unknown";
  /** Counts how often the server came back: then photos that could not be loaded are asked for again. */
  let returns = 0;
  /** What waits on this device. */
  let changes = [];

  function render() {
    const state = server.get();
    if (state.reach === "ok" && reach !== "ok") returns += 1;
    reach = state.reach;
    const askIn = reach === "ok" ? returns : null;
    list.show(state.notes.map((note) => ({ ...note, askIn, queued: changes.filter((job) => noteOf(job) === note.id) })));
    byId("server-empty").hidden = state.notes.length > 0;
    setText(byId("server-empty-words"), emptyWords(state));
    renderHint();
  }

  function renderHint() {
    const { reach, seenAt } = server.get();
    hint.dataset.reach = reach;
    setText(hint, hintWords(reach, seenAt));
  }

  server.subscribe(render);
  everySecond(renderHint);
  if (server.get().notes.length > 0) render();

  return function follow(connected, jobs) {
    client = connected;
    jobs.subscribe((stored) => {
      changes = stored.changes;
      render();
    });
  };
}

function hintWords(reach, seenAt) {
  if (reach === "ok") return "reachable";
  const seen = seenAt === null ? "" : ` · seen ${formatSince(seenAt)}`;
  return reach === "unreachable" ? `unreachable${seen}` : `asking${seen}`;
}

function emptyWords({ reach, seenAt }) {
  if (reach === "unknown") return "Asking the server…";
  if (reach === "unreachable" && seenAt === null) return "The server cannot be reached.";
  return "The server has no notes yet.";
}

function createItem(id, server, client) {
  const { root, parts } = instantiate("note-template");
  const [edit, remove, cancel] = ["edit", "delete", "cancel"].map((name) => root.querySelector(`[data-action=${name}]`));
  const { image, form, field, picker } = parts;
  let note;
  let askedIn = null;

  field.maxLength = LONGEST_EDIT;
  image.hidden = true;
  image.addEventListener("load", () => (image.hidden = false));
  image.addEventListener("error", () => (image.hidden = true));

  edit.addEventListener("click", () => {
    field.value = textOf(note);
    open(true);
    field.focus();
  });
  cancel.addEventListener("click", () => close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void act("note edited", async () => {
      await saveText(client(), id, field.value);
      close();
    });
  });
  askTwice(
    remove,
    () => "Delete for good?",
    () =>
      act("note deleted", async () => {
        const done = await deleteNote(id);
        announce(done ? `Note ${id} was deleted.` : `The server cannot be reached: the deletion of note ${id} is queued.`);
        if (done) await server.look();
      }),
  );
  picker.addEventListener("change", () => {
    const [file] = picker.files;
    picker.value = "";
    if (file) void act("photo added", () => addPhoto(client(), file, { id }));
  });

  async function act(what, work) {
    if (client()) record(client(), what);
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
    const isGoing = note.queued.some((job) => kindOf(job) === "deletion");
    parts.actions.hidden = isGoing || !form.hidden;
    parts.add.hidden = client() === null;
    edit.hidden = client() === null || note.text.length > LONGEST_EDIT;
  }

  function update(given) {
    note = given;
    setText(parts.text, note.text);
    parts.time.dateTime = new Date(note.createdAt).toISOString();
    setText(parts.time, formatTime(note.createdAt));
    setText(parts.number, ` · note ${note.id}`);
    parts.files.replaceChildren(...note.attachments.map(fileLine));
    const words = queuedWords(note.queued);
    parts.queued.hidden = words === "";
    setText(parts.queuedWords, words);
    showActions();
    showPhoto();
  }

  function showPhoto() {
    const photo = note.attachments.find(({ type, stored }) => stored && type.startsWith("image/"));
    parts.thumb.hidden = !photo;
    if (!photo) return;
    const url = `/api/attachments/${photo.id}`;
    parts.thumb.href = url;
    parts.thumb.setAttribute("aria-label", `Open ${photo.name || "the photo"}`);
    if (!image.hidden || photo.size > SHOWN_BYTES || note.askIn === null || note.askIn === askedIn) return;
    askedIn = note.askIn;
    image.src = url;
  }

  return { root, update };
}

/** The text that the note has once all is delivered. */
const textOf = ({ text, queued }) => queued.findLast((job) => kindOf(job) === "edit")?.metadata?.text ?? text;

const QUEUED = { deletion: "Deletion queued", edit: "New text queued", photo: "Photo queued" };

/** What of this note waits on this device. A refused one is listed there, and is not told as queued. */
function queuedWords(jobs) {
  const kinds = new Set(jobs.filter(({ state }) => state === "pending" || state === "syncing").map(kindOf));
  return Object.keys(QUEUED)
    .filter((kind) => kinds.has(kind))
    .map((kind) => QUEUED[kind])
    .join(" · ");
}

function fileLine({ name, size, sha256 }) {
  const line = document.createElement("li");
  const words = document.createElement("span");
  words.textContent = `${name || "file"} · ${formatBytes(size)}`;
  const hash = document.createElement("span");
  hash.className = "hash";
  hash.textContent = `SHA‑256 ${shortHash(sha256)}`;
  hash.title = sha256;
  line.append(words, hash);
  return line;
}

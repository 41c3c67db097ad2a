// "On the server": the notes it has, or had when it was last seen.

import { everySecond } from "./clock.js";
import { byId, instantiate, setText } from "./dom.js";
import { formatBytes, formatSince, formatTime, shortHash } from "./format.js";
import { KeyedList } from "./keyed-list.js";

/** Larger photos are linked, and not loaded for a small picture. */
const SHOWN_BYTES = 16_000_000;

export function setUpServerNotes(server) {
  const list = new KeyedList(byId("server-notes"), createItem);
  const hint = byId("server-hint");
  let reach = "unknown";
  /** Counts how often the server came back: then photos that could not be loaded are asked for again. */
  let returns = 0;

  function render(state) {
    if (state.reach === "ok" && reach !== "ok") returns += 1;
    reach = state.reach;
    list.show(state.notes.map((note) => ({ ...note, askIn: reach === "ok" ? returns : null })));
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
  if (server.get().notes.length > 0) render(server.get());
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

function createItem() {
  const { root, parts } = instantiate("note-template");
  const { image } = parts;
  let askedIn = null;

  image.hidden = true;
  image.addEventListener("load", () => (image.hidden = false));
  image.addEventListener("error", () => (image.hidden = true));

  function update(note) {
    setText(parts.text, note.text);
    parts.time.dateTime = new Date(note.createdAt).toISOString();
    setText(parts.time, formatTime(note.createdAt));
    setText(parts.number, ` · note ${note.id}`);
    parts.files.replaceChildren(...note.attachments.map(fileLine));
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

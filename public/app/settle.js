// A conflict, before a person: what the note was, what it is here, what it is at the server, and what it is to be.

import { announce } from "./announce.js";
import { byId, setText } from "./dom.js";
import { record } from "./events.js";
import { formatTime } from "./format.js";
import { compare, merge } from "./words.js";

/**
 * Returns `settle(id, opener)`, which opens the dialog. It closes when the conflict is settled, here or in another tab.
 *
 * @param {import("/shearwater/page.js").Client} client
 * @param {ReturnType<typeof import("./notes.js").watchNotes>} notes
 */
export function setUpSettle(client, notes) {
  const dialog = byId("settle");
  const field = byId("settle-text");
  const problem = byId("settle-error");
  const keys = ["settle-local", "settle-remote", "settle-save"].map(byId);
  /** @type {import("/shearwater/page.js").RecordConflict<import("./notes.js").Note> | null} */
  let conflict = null;
  /** What the field was given; while it holds that, a newer row may replace it. */
  let proposed = "";
  let opener = null;
  let busy = false;

  byId("settle-local").addEventListener("click", () => decide("local", "Your side was kept."));
  byId("settle-remote").addEventListener("click", () => decide("remote", "The server’s side was kept."));
  byId("settle-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return field.focus();
    void decide({ ...(conflict.remote ?? conflict.local), text }, "Your text was saved.");
  });
  byId("settle-later").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    const item = conflict && document.querySelector(`#notes [data-id="${CSS.escape(conflict.id)}"] [data-action=edit]`);
    conflict = null;
    const back = [opener, item, byId("notes-heading")].find((node) => node?.isConnected && node.getClientRects().length > 0);
    back?.focus();
  });
  notes.subscribe(({ conflicts }) => {
    if (!conflict || busy) return;
    const now = conflicts.get(conflict.id);
    if (now) show(now);
    else close("This conflict was settled elsewhere.");
  });

  async function decide(choice, done) {
    if (busy || !conflict) return;
    busy = true;
    dim();
    setText(problem, "");
    try {
      const settled = await notes.resolve(conflict.id, choice);
      record(client, "conflict settled");
      close(settled ? done : "This conflict was settled elsewhere.");
    } catch (error) {
      setText(problem, error.message);
    } finally {
      busy = false;
      dim();
    }
  }

  /** Not `disabled`, which would take the focus away. */
  function dim() {
    for (const key of keys) key.setAttribute("aria-disabled", String(busy));
  }

  /** The conflict is over, and the buttons that open the dialog are about to go. */
  function close(words) {
    opener = null;
    announce(words);
    dialog.close();
  }

  function show(given) {
    conflict = given;
    const { base, local, remote } = given;
    showSide("base", base, base?.text ?? "");
    showSide("local", local, base?.text ?? "");
    showSide("remote", remote, base?.text ?? "");
    const since = notes.get().pending.get(given.id)?.since;
    setText(byId("settle-local-time"), since ? `changed here ${formatTime(since)}` : "on this device");
    setText(byId("settle-remote-time"), remote?.updatedAt ? `changed ${formatTime(remote.updatedAt)}` : "");
    const both = local && remote ? merge(base?.text ?? "", local.text, remote.text) : null;
    if (field.value === proposed) field.value = proposed = both ?? (local ?? remote)?.text ?? "";
    setText(
      byId("settle-hint"),
      both === null
        ? "Begins with one side. Change it as you like."
        : "Begins with both sides’ changes. Change it as you like.",
    );
  }

  return function settle(id, from) {
    const found = notes.get()?.conflicts.get(id);
    if (!found || dialog.open) return;
    opener = from;
    field.value = proposed = "";
    setText(problem, "");
    show(found);
    dialog.showModal();
    byId("settle-heading").focus();
  };
}

/** One side's text, with the words marked that differ from what both began from. */
function showSide(side, note, base) {
  const words = byId(`settle-${side}-text`);
  words.classList.toggle("missing", !note);
  if (!note) {
    setText(words, side === "base" ? "There was no note." : "Deleted.");
    return;
  }
  words.replaceChildren(
    ...compare(base, note.text).map(({ kind, text }) => {
      if (kind === "same") return document.createTextNode(text);
      const mark = document.createElement(kind === "added" ? "ins" : "del");
      mark.textContent = text;
      return mark;
    }),
  );
}

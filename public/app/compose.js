// The composer: what is typed is kept as a draft by Shearwater's form tracking, and saved as a record.

import { byId, setText } from "./dom.js";
import { record } from "./events.js";
import { queuePhoto } from "./note-photos.js";
import { setUpPhotoPicker } from "./photo-picker.js";

/** `opened` is the promise of the client and its notes: a note that is submitted sooner waits for it. */
export async function setUpCompose(opened) {
  const form = byId("note-form");
  const text = byId("note-text");
  const photo = setUpPhotoPicker(form);

  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  text.addEventListener("input", (event) => {
    if (!event.isTrusted) return;
    text.removeAttribute("aria-invalid");
    say("", "");
  });

  let early = false;
  /** The note that was saved last here, while the server does not have it. */
  let last = null;
  let saving = false;
  let client = null;
  let notes = null;

  // Before the form is tracked, so that Shearwater keeps the draft and leaves the submission to this.
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (client) return void save();
    early = true;
    say("", "Starting…");
  });
  ({ client, notes } = await opened);

  const tracked = client.trackForm(form);
  tracked.ready.catch((error) => say("error", `Drafts are not kept: ${error.message}`));
  form.addEventListener("draft-restored", () => say("saved", "Your draft is back."));
  form.addEventListener("draft-taken", () => say("waiting", "This draft goes on in another tab."));
  form.addEventListener("draft-conflict", ({ detail: { take } }) => {
    const button = byId("draft-take");
    say("waiting", "Another tab has a draft of a note.");
    button.hidden = false;
    button.onclick = async () => {
      button.hidden = true;
      if (!(await take())) say("waiting", "That draft was saved, or is gone.");
    };
  });

  notes.subscribe(showProgress);
  if (early) form.requestSubmit();

  async function save() {
    if (saving) return;
    const words = text.value.trim();
    if (!words) {
      text.setAttribute("aria-invalid", "true");
      say("error", "A note needs a text.");
      text.focus();
      return;
    }
    saving = true;
    let id;
    let chosen;
    try {
      id = await notes.add(words);
      chosen = photo.take();
      form.reset();
      // The draft ends: it is saved empty.
      text.dispatchEvent(new Event("input", { bubbles: true }));
      last = id;
      say("saved", "Saved on this device.");
      record(client, "note saved");
    } catch (error) {
      say("error", `Not saved: ${error.message}`, error.code);
    } finally {
      // The next note may be written while this one's photo is stored.
      saving = false;
      showProgress(notes.get());
    }
    if (!chosen) return;
    record(client, "photo added");
    await queuePhoto(client, chosen.file, id, chosen.description).catch((error) =>
      say("error", `The note is saved, its photo is not: ${error.message}`),
    );
  }

  function showProgress(state) {
    if (saving || !last || !state || byId("note-outcome").dataset.kind === "error") return;
    const change = state.pending.get(last);
    if (!change) {
      if (state.notes.some(({ id, updatedAt }) => id === last && updatedAt)) {
        say("saved", "Delivered. The server has it.");
        last = null;
      }
      return;
    }
    const { state: doing, error } = client.getSnapshot();
    if (doing === "offline" || doing === "paused" || error?.kind === "network")
      say("waiting", "Kept on this device. You can close this tab: it goes out by itself.");
  }
}

/** Under the button: `kind` is `saved`, `waiting`, `error` or nothing. */
function say(kind, words, code) {
  const outcome = byId("note-outcome");
  outcome.dataset.kind = kind;
  if (code) outcome.dataset.code = code;
  else delete outcome.dataset.code;
  setText(outcome, words);
  byId("draft-take").hidden = true;
}

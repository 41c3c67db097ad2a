// The form: a note goes to Shearwater, and the form is cleared only when it is safely stored.

import { byId, setText } from "./dom.js";
import { formatBytes } from "./format.js";
import { describePhoto } from "./photo.js";

/** Of a long text, so much is kept for the list; the whole text is in the request. */
const SHOWN_CHARACTERS = 400;

/** `connected` is the promise of the client: saving waits for it. */
export function setUpCompose(connected) {
  const form = byId("note-form");
  const text = byId("note-text");
  const save = byId("note-save");
  const photo = setUpPhoto(() => say("", ""));
  let busy = false;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    if (!text.value.trim() && !photo.file()) {
      say("hint", "Write something, or add a photo.");
      text.focus();
      return;
    }
    setBusy(true);
    say("", "");
    try {
      const client = await connected;
      const file = photo.file();
      const body = new FormData();
      body.append("text", text.value);
      if (file) body.append("photo", file);
      const metadata = {
        text: Array.from(text.value).slice(0, SHOWN_CHARACTERS).join(""),
        photo: file?.name,
        ...(await photo.description()),
      };
      await client.enqueue({ url: "/api/notes", method: "POST", body }, { queue: "notes", metadata });
      form.reset();
      photo.clear();
      say("saved", "Saved on this device.");
      text.focus({ preventScroll: true });
    } catch (error) {
      say("error", `Not saved: ${error.message}`, error.code);
    } finally {
      setBusy(false);
    }
  });

  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  text.addEventListener("input", () => say("", ""));

  function setBusy(value) {
    busy = value;
    text.readOnly = value;
    // Stays focusable, unlike a disabled one.
    save.setAttribute("aria-disabled", String(value));
    setText(save, value ? "Saving…" : "Save note");
    photo.freeze(value);
  }
}

/** Under the button: `kind` is `saved`, `error`, `hint` or nothing. */
function say(kind, words, code) {
  const outcome = byId("note-outcome");
  outcome.dataset.kind = kind;
  if (code) outcome.dataset.code = code;
  else delete outcome.dataset.code;
  setText(outcome, words);
}

function setUpPhoto(onChange) {
  const input = byId("note-photo");
  const preview = byId("photo-preview");
  const image = byId("photo-image");
  const remove = byId("photo-remove");
  let description = null;

  input.addEventListener("change", () => {
    show(input.files[0]);
    onChange();
  });
  remove.addEventListener("click", () => {
    clear();
    onChange();
    input.focus();
  });
  image.addEventListener("error", () => (image.hidden = true));

  function show(file) {
    if (image.src) URL.revokeObjectURL(image.src);
    image.removeAttribute("src");
    preview.hidden = !file;
    setText(byId("photo-label"), file ? "Change photo" : "Add a photo");
    setText(byId("photo-name"), file?.name ?? "");
    setText(byId("photo-size"), file ? formatBytes(file.size) : "");
    description = file ? describePhoto(file) : null;
    if (file) {
      image.hidden = false;
      image.src = URL.createObjectURL(file);
    }
  }

  function clear() {
    input.value = "";
    show(undefined);
  }

  return {
    file: () => input.files[0],
    description: async () => description,
    clear,
    freeze(value) {
      input.disabled = value;
      remove.disabled = value;
    },
  };
}

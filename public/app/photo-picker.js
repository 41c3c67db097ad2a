// The composer's photo: chosen, shown, taken back.

import { byId, setText } from "./dom.js";
import { formatBytes } from "./format.js";
import { describePhoto } from "./photo.js";

export function setUpPhotoPicker(form) {
  const input = byId("note-photo");
  const preview = byId("photo-preview");
  const image = byId("photo-image");
  const remove = byId("photo-remove");
  let description = {};

  input.addEventListener("change", () => show(input.files[0]));
  // The form is reset when its note is queued or delivered.
  form.addEventListener("reset", () => show(undefined));
  remove.addEventListener("click", () => {
    clear();
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
    description = {};
    if (!file) return;
    image.hidden = false;
    image.src = URL.createObjectURL(file);
    void describePhoto(file).then((made) => {
      if (input.files[0] === file) description = made;
    });
  }

  function clear() {
    input.value = "";
    show(undefined);
  }

  return {
    /** Takes the photo out, with what is known about it by now; null if there is none. */
    take() {
      const file = input.files[0];
      const known = description;
      clear();
      return file ? { file, description: known } : null;
    },
  };
}

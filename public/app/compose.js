// The composer: a form that Shearwater tracks. What is typed is kept as a draft, and submitted through the queue.

import { excerpt } from "./change.js";
import { byId, setText } from "./dom.js";
import { record } from "./events.js";
import { capitalise } from "./format.js";
import { queuePhoto } from "./note-changes.js";
import { setUpPhotoPicker } from "./photo-picker.js";

const KEPT = "Kept on this device. It goes out when the server is back.";

/**
 * `connected` is the promise of the client: a note that is submitted sooner waits for it.
 * Resolves with `edit(job)`, which opens a stored note in the form again.
 */
export async function setUpCompose(connected) {
  const form = byId("note-form");
  const text = byId("note-text");
  const photo = setUpPhotoPicker(form);

  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  text.addEventListener("input", () => {
    text.removeAttribute("aria-invalid");
    say("", "");
  });

  let early = false;
  function hold(event) {
    event.preventDefault();
    early = true;
    say("", "Starting…");
  }
  // Without this the browser would submit the form itself, and leave the page.
  form.addEventListener("submit", hold);
  const client = await connected;
  form.removeEventListener("submit", hold);

  const tracked = client.trackForm(form, {
    queue: "notes",
    toast: KEPT,
    // Read at each submission, so that the list can show what the job is.
    metadata: {
      get text() {
        return excerpt(text.value);
      },
    },
  });
  tracked.ready.catch((error) => say("error", `Drafts are not kept: ${error.message}`));

  // On the disk. The photo follows as a job of its own, bound to this one: it waits for the note's number.
  form.addEventListener("form-stored", ({ detail: { id } }) => {
    say("saved", "Saved on this device.");
    record(client, "note saved");
    const chosen = photo.take();
    if (!chosen) return;
    record(client, "photo added");
    queuePhoto(client, chosen.file, { job: id }, chosen.description).catch((error) =>
      say("error", `The note is saved, its photo is not: ${error.message}`),
    );
  });
  form.addEventListener("form-queued", () => say("waiting", "Queued. You can close this tab: it goes out by itself."));
  form.addEventListener("form-delivered", () => say("saved", "Delivered. The server has it."));
  form.addEventListener("form-error", ({ detail: { error } }) => say("error", `Not saved: ${error.message}`, error.code));

  // The server refused it, now or while no page was open: it is opened again, and the next submission replaces it.
  form.addEventListener("form-failed", async ({ detail: { job, restore } }) => {
    const reason = capitalise(job.error?.message ?? "the server refused it");
    if (text.value && excerpt(text.value) !== job.metadata?.text) {
      say("error", `An earlier note was refused. Send this one first, then edit that one under “On this device”. ${reason}`);
      return;
    }
    await restore();
    refused(reason);
  });

  form.addEventListener("draft-restored", () => say("saved", "Your draft is back."));
  form.addEventListener("draft-taken", () => say("waiting", "This draft goes on in another tab."));
  form.addEventListener("draft-conflict", ({ detail: { take } }) => {
    const button = byId("draft-take");
    say("waiting", "Another tab has a draft of a note.");
    button.hidden = false;
    button.onclick = async () => {
      button.hidden = true;
      if (!(await take())) say("waiting", "That draft was sent, or is gone.");
    };
  });

  if (early) form.requestSubmit();

  function refused(reason) {
    text.setAttribute("aria-invalid", "true");
    say("error", reason);
    // Nobody is called away from elsewhere on the page.
    if (form.contains(document.activeElement)) text.focus({ preventScroll: true });
  }

  return {
    async edit(job) {
      if (text.value.trim()) {
        text.focus();
        say("waiting", "Send or clear this note first.");
        return;
      }
      if (!(await tracked.restore(job))) {
        say("waiting", "Too late: the note is being sent, or is gone.");
        return;
      }
      text.focus();
      if (job.error && job.state === "failed") refused(capitalise(job.error.message));
      else say("waiting", "Taken out of the queue. Save it to queue it again.");
    },
  };
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

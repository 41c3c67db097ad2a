// "On this device": what Shearwater has stored and not yet delivered, as the store says.

import { announce } from "./announce.js";
import { askTwice } from "./ask-twice.js";
import { kindOf, titleOf } from "./change.js";
import { everySecond } from "./clock.js";
import { byId, instantiate, setText } from "./dom.js";
import { record } from "./events.js";
import { capitalise, formatBytes, formatCount, formatTime, formatUntil, shortHash } from "./format.js";
import { MOST_SHOWN } from "./jobs.js";
import { KeyedList } from "./keyed-list.js";
import { addPhoto } from "./note-changes.js";

const BADGES = {
  pending: "Waiting",
  syncing: "Sending",
  failed: "Failed",
  conflict: "Conflict",
  blocked: "Sign-in needed",
  delivered: "Delivered",
};

/** `jobs` is of jobs.js; `composer.edit(job)` opens a note again. */
export function setUpQueue(client, jobs, composer) {
  const delivered = new Set();
  const items = new Map();
  const list = new KeyedList(byId("queue"), (id) => {
    const item = createItem(id, client, composer);
    items.set(id, item);
    return item;
  });

  function render({ changes, stored }) {
    list.show(
      changes.map((job) => ({ ...job, dependents: dependentsOf(job, changes) })),
      {
        wasDelivered(id) {
          items.get(id)?.settle(delivered.has(id));
          items.delete(id);
          return delivered.delete(id);
        },
        onFocusLost() {
          const button = /** @type {HTMLElement | null} */ (document.querySelector("#queue [data-id] button"));
          (button ?? byId("device-heading")).focus();
        },
      },
    );
    byId("queue-empty").hidden = changes.length > 0;
    setText(byId("queue-count"), stored > 0 ? formatCount(stored, "change", "changes") : "");
    byId("queue-more").hidden = changes.length < MOST_SHOWN;
    setText(byId("queue-more"), `The first ${MOST_SHOWN} of ${stored} are shown.`);
  }

  client.on("delivered", (job) => delivered.add(job.id));
  jobs.subscribe(render);
  everySecond(() => {
    for (const item of items.values()) item.tick();
  });
}

/** How many of the others are bound to this one: the photos of a note that has no number yet. */
const dependentsOf = ({ id }, changes) => changes.filter(({ bind }) => bind?.some(({ job }) => job === id)).length;

function createItem(id, client, composer) {
  const { root, parts } = instantiate("job-template");
  const [retry, edit, discard] = ["retry", "edit", "discard"].map((name) => root.querySelector(`[data-action=${name}]`));
  const { add, photo: picker } = parts;
  let job;
  let acting = false;

  retry.addEventListener("click", () => act(() => client.retry(id), "It is being tried again."));
  edit.addEventListener("click", () => act(() => composer.edit(job)));
  askTwice(
    discard,
    () => (job.dependents > 0 ? "Discard with its photo?" : "Discard for good?"),
    () =>
      // What is bound to a note cannot go without it: Shearwater refuses to discard the one alone.
      act(() => client.discard(id, { cascade: job.dependents > 0 }), "It was discarded."),
  );
  picker.addEventListener("change", () => {
    const [file] = picker.files;
    picker.value = "";
    if (!file) return;
    record(client, "photo added");
    void act(async () => Boolean(await addPhoto(client, file, { job: id })), "The photo waits for its note.");
  });
  parts.image.addEventListener("error", () => (parts.thumb.hidden = true));

  /** Does it, and says so where the action says nothing itself. */
  async function act(action, done = "") {
    if (acting || job.state === "syncing") return;
    acting = true;
    dimButtons();
    try {
      const succeeded = await action();
      if (done) announce(succeeded ? done : "Too late: it is being sent, or is gone already.");
    } catch (error) {
      announce(error.message);
      setText(parts.error, error.message);
      parts.error.hidden = false;
    } finally {
      acting = false;
      dimButtons();
    }
  }

  /** Not `disabled`, which would take the focus away from who works by keyboard. */
  function dimButtons() {
    const dim = String(acting || job.state === "syncing");
    for (const button of [retry, edit, discard]) button.setAttribute("aria-disabled", dim);
  }

  function tick() {
    setText(parts.next, whatNext(job, client.getSnapshot()));
  }

  function update(given) {
    job = given;
    const { thumb, sha256, form } = job.metadata ?? {};
    const kind = kindOf(job);
    const title = titleOf(job);
    root.dataset.state = job.state;
    root.dataset.kind = kind;
    setText(parts.text, title || "No text");
    parts.text.classList.toggle("missing", !title);
    setText(parts.badge, BADGES[job.state] ?? job.state);
    showThumb(thumb);
    parts.error.hidden = !job.error;
    setText(parts.error, capitalise(job.error?.message ?? ""));
    setText(parts.facts, facts(job, sha256));
    parts.facts.title = sha256 ? `SHA-256 ${sha256}` : "";
    // A job that is taken back into the form leaves the queue, which a photo that waits for it does not allow.
    edit.hidden = form === undefined || (job.state === "pending" && job.dependents > 0);
    retry.hidden = job.waitingFor !== undefined;
    add.hidden = kind !== "note" || job.state === "syncing";
    dimButtons();
    tick();
  }

  function showThumb(thumb) {
    const usable = typeof thumb === "string" && thumb.startsWith("data:image/");
    parts.thumb.hidden = !usable;
    if (usable && parts.image.src !== thumb) parts.image.src = thumb;
  }

  /** The last that is seen of it. */
  function settle(wasDelivered) {
    if (!wasDelivered) return;
    setText(parts.badge, BADGES.delivered);
    setText(parts.next, "");
    parts.error.hidden = true;
  }

  return { root, update, tick, settle };
}

function whatNext(job, snapshot) {
  switch (job.state) {
    case "syncing":
      return "on its way";
    case "pending":
      if (snapshot.state === "paused") return "paused";
      if (job.waitingFor) return job.bind ? "waits for its note" : "after the change before it";
      if (!snapshot.isOnline) return "when online again";
      if (job.nextAttemptAt === undefined) return "";
      return job.nextAttemptAt <= Date.now() ? "due now" : `next try ${formatUntil(job.nextAttemptAt)}`;
    case "blocked":
      return "after sign-in";
    default:
      return "kept until you decide";
  }
}

function facts(job, sha256) {
  const facts = [`Queued ${formatTime(job.queuedAt)}`];
  if (job.size !== undefined) facts.push(formatBytes(job.size));
  if (job.attempts > 0) facts.push(`attempt ${job.attempts} of ${job.maxAttempts}`);
  if (job.state === "pending" && job.unreachable > 0) facts.push(`server unreachable ×${job.unreachable}`);
  if (sha256) facts.push(`SHA‑256 ${shortHash(sha256)}`);
  return facts.join(" · ");
}

// "On this device": what Shearwater has stored and not yet delivered, as the store says.

import { announce } from "./announce.js";
import { askTwice } from "./ask-twice.js";
import { kindOf, noteOf, titleOf, wordFor } from "./change.js";
import { everySecond } from "./clock.js";
import { byId, instantiate, setText } from "./dom.js";
import { capitalise, formatBytes, formatCount, formatTime, formatUntil, shortHash } from "./format.js";
import { MOST_SHOWN } from "./jobs.js";
import { KeyedList } from "./keyed-list.js";

const BADGES = {
  pending: "Waiting",
  syncing: "Sending",
  failed: "Failed",
  conflict: "Conflict",
  blocked: "Sign-in needed",
  delivered: "Delivered",
};

/** `jobs` is of jobs.js, `notes` of notes.js, `settle` of settle.js. */
export function setUpQueue(client, jobs, notes, settle) {
  const delivered = new Set();
  const items = new Map();
  const list = new KeyedList(byId("queue"), (id) => {
    const item = createItem(id, client, notes, settle);
    items.set(id, item);
    return item;
  });

  let shown = { changes: [], stored: 0 };

  function render() {
    const { changes, stored } = shown;
    const pending = notes.get()?.pending;
    list.show(
      changes.map((job) => ({
        ...job,
        change: pending?.get(noteOf(job)),
        dependents: dependentsOf(job, changes),
      })),
      {
        wasDelivered(id) {
          items.get(id)?.end(delivered.has(id));
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
  jobs.subscribe((stored) => {
    shown = stored;
    render();
  });
  notes.subscribe(render);
  everySecond(() => {
    for (const item of items.values()) item.tick();
  });
}

/** How many of the others are bound to this one: the entry of a photo that has no number yet. */
const dependentsOf = ({ id }, changes) => changes.filter(({ bind }) => bind?.some(({ job }) => job === id)).length;

function createItem(id, client, notes, settle) {
  const { root, parts } = instantiate("job-template");
  const [retry, settling, discard] = ["retry", "settle", "discard"].map((name) => root.querySelector(`[data-action=${name}]`));
  let job;
  let title = "";
  let acting = false;

  retry.addEventListener("click", () => act(() => client.retry(id), "It is being tried again."));
  settling.addEventListener("click", () => settle(noteOf(job), settling));
  askTwice(
    discard,
    () => (kindOf(job) === "deletion" ? "Bring it back?" : "Discard for good?"),
    () =>
      act(
        () =>
          noteOf(job) === null
            ? // What is bound to a photo cannot go without it: Shearwater refuses to discard the one alone.
              client.discard(id, { cascade: job.dependents > 0 })
            : notes.takeBack(job),
        "It was taken back.",
      ),
  );
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
    for (const button of [retry, settling, discard]) button.setAttribute("aria-disabled", dim);
  }

  function tick() {
    setText(parts.next, whatNext(job, client.getSnapshot()));
  }

  function update(given) {
    job = given;
    const { thumb, sha256 } = job.metadata ?? {};
    const kind = kindOf(job);
    root.dataset.state = job.state;
    root.dataset.kind = kind;
    // Once it is delivered its text is no longer pending, and the job is seen for a moment yet.
    if (job.change || title === "") title = titleOf(job, job.change);
    setText(parts.text, title);
    setText(parts.badge, BADGES[job.state] ?? job.state);
    showThumb(thumb);
    parts.error.hidden = !job.error;
    setText(parts.error, capitalise(job.error?.message ?? ""));
    setText(parts.facts, facts(job, sha256));
    parts.facts.title = sha256 ? `SHA-256 ${sha256}` : "";
    const inConflict = job.state === "conflict" && noteOf(job) !== null;
    settling.hidden = !inConflict;
    retry.hidden = job.waitingFor !== undefined || inConflict;
    // To take one's own side back is to keep the other: that is decided where both are seen.
    discard.hidden = inConflict;
    dimButtons();
    tick();
  }

  function showThumb(thumb) {
    const usable = typeof thumb === "string" && thumb.startsWith("data:image/");
    parts.thumb.hidden = !usable;
    if (usable && parts.image.src !== thumb) parts.image.src = thumb;
  }

  /** The last that is seen of it. */
  function end(wasDelivered) {
    if (!wasDelivered) return;
    setText(parts.badge, BADGES.delivered);
    setText(parts.next, "");
    parts.error.hidden = true;
  }

  return { root, update, tick, end };
}

function whatNext(job, snapshot) {
  switch (job.state) {
    case "syncing":
      return "on its way";
    case "pending":
      if (snapshot.state === "paused") return "paused";
      if (job.waitingFor) return job.bind ? "waits for its photo" : "after the change before it";
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
  const facts = [`${capitalise(wordFor(job))}, queued ${formatTime(job.queuedAt)}`];
  if (job.size !== undefined) facts.push(formatBytes(job.size));
  if (job.attempts > 0) facts.push(`attempt ${job.attempts} of ${job.maxAttempts}`);
  if (job.state === "pending" && job.unreachable > 0) facts.push(`server unreachable ×${job.unreachable}`);
  if (sha256) facts.push(`SHA‑256 ${shortHash(sha256)}`);
  return facts.join(" · ");
}

// "On this device": what Shearwater has stored and not yet delivered, as the store says.

import { announce } from "./announce.js";
import { everySecond } from "./clock.js";
import { byId, instantiate, setText } from "./dom.js";
import { capitalise, formatBytes, formatCount, formatTime, formatUntil, shortHash } from "./format.js";
import { KeyedList } from "./keyed-list.js";

const QUEUE = "notes";
const MOST_SHOWN = 200;
/** How long "Discard" waits for its second click. */
const CONFIRM_WITHIN = 4_000;

const BADGES = {
  pending: "Waiting",
  syncing: "Sending",
  failed: "Failed",
  conflict: "Conflict",
  blocked: "Sign-in needed",
  delivered: "Delivered",
};

export function setUpQueue(client) {
  const delivered = new Set();
  const items = new Map();
  const list = new KeyedList(byId("queue"), (id) => {
    const item = createItem(id, client);
    items.set(id, item);
    return item;
  });

  async function refresh() {
    const jobs = await client.list({ queue: QUEUE, limit: MOST_SHOWN });
    list.show(jobs, {
      wasDelivered(id) {
        items.get(id)?.settle(delivered.has(id));
        items.delete(id);
        return delivered.delete(id);
      },
      onFocusLost() {
        const button = /** @type {HTMLElement | null} */ (document.querySelector("#queue [data-id] button"));
        (button ?? byId("device-heading")).focus();
      },
    });
    const { pending, syncing, failed, conflicts, blocked } = client.getSnapshot();
    const stored = Math.max(jobs.length, pending + syncing + failed + conflicts + blocked);
    byId("queue-empty").hidden = jobs.length > 0;
    setText(byId("queue-count"), stored > 0 ? formatCount(stored, "note", "notes") : "");
    byId("queue-more").hidden = jobs.length < MOST_SHOWN;
    setText(byId("queue-more"), `The first ${MOST_SHOWN} of ${stored} are shown.`);
  }

  const refreshSoon = oncePerFrame(refresh);
  client.on("delivered", (job) => delivered.add(job.id));
  client.on("job", refreshSoon);
  client.on("removed", refreshSoon);
  client.subscribe(refreshSoon);
  everySecond(() => {
    for (const item of items.values()) item.tick();
  });
  refreshSoon();
}

/** Runs `work` at most once per frame, and never twice at the same time. */
function oncePerFrame(work) {
  let state = "resting";
  return function ask() {
    if (state === "running") state = "asked again";
    if (state !== "resting") return;
    state = "waiting";
    requestAnimationFrame(async () => {
      state = "running";
      try {
        await work();
      } catch (error) {
        announce(`The list could not be read. ${error.message}`);
      }
      const again = state === "asked again";
      state = "resting";
      if (again) ask();
    });
  };
}

function createItem(id, client) {
  const { root, parts } = instantiate("job-template");
  const retry = root.querySelector("[data-action=retry]");
  const discard = root.querySelector("[data-action=discard]");
  let job;
  let acting = false;

  retry.addEventListener("click", () => act(() => client.retry(id), "It is being tried again."));
  askTwice(discard, () => act(() => client.discard(id), "The note was discarded."));
  parts.image.addEventListener("error", () => (parts.thumb.hidden = true));

  async function act(action, done) {
    if (acting || job.state === "syncing") return;
    acting = true;
    dimButtons();
    try {
      announce((await action()) ? done : "Too late: the note is being sent, or is gone already.");
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
    retry.setAttribute("aria-disabled", dim);
    discard.setAttribute("aria-disabled", dim);
  }

  function tick() {
    setText(parts.next, whatNext(job, client.getSnapshot()));
  }

  function update(given) {
    job = given;
    const { text, photo, thumb, sha256 } = job.metadata ?? {};
    root.dataset.state = job.state;
    setText(parts.text, text?.trim() || "No text");
    parts.text.classList.toggle("missing", !text?.trim());
    setText(parts.badge, BADGES[job.state] ?? job.state);
    showThumb(thumb);
    parts.error.hidden = !job.error;
    setText(parts.error, capitalise(job.error?.message ?? ""));
    setText(parts.facts, facts(job, photo, sha256));
    parts.facts.title = sha256 ? `SHA-256 ${sha256}` : "";
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
      if (job.waitingFor) return "after the note before it";
      if (!snapshot.isOnline) return "when online again";
      if (job.nextAttemptAt === undefined) return "";
      return job.nextAttemptAt <= Date.now() ? "due now" : `next try ${formatUntil(job.nextAttemptAt)}`;
    case "blocked":
      return "after sign-in";
    default:
      return "kept until you decide";
  }
}

function facts(job, photo, sha256) {
  const facts = [`Queued ${formatTime(job.queuedAt)}`];
  if (job.size !== undefined) facts.push(formatBytes(job.size));
  if (job.attempts > 0) facts.push(`attempt ${job.attempts} of ${job.maxAttempts}`);
  if (job.state === "pending" && job.unreachable > 0) facts.push(`server unreachable ×${job.unreachable}`);
  if (photo) facts.push(photo);
  if (sha256) facts.push(`SHA‑256 ${shortHash(sha256)}`);
  return facts.join(" · ");
}

/** The first click asks, the second within a few seconds acts. */
function askTwice(button, action) {
  const word = button.textContent;
  let timer = null;

  function reset() {
    clearTimeout(timer);
    timer = null;
    button.classList.remove("sure");
    setText(button, word);
  }

  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    if (timer !== null) {
      reset();
      action();
      return;
    }
    button.classList.add("sure");
    setText(button, "Discard for good?");
    announce("Press again to discard this note for good.");
    timer = setTimeout(reset, CONFIRM_WITHIN);
  });
  button.addEventListener("blur", reset);
}

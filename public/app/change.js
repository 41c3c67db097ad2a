// What a stored job means to a person. The mutation of a record says so in its metadata; uploads and events are known by where
// they go.

/** @typedef {"note" | "edit" | "deletion" | "photo" | "entry" | "event" | "request"} Kind */

const CHANGES = { create: "note", update: "edit", delete: "deletion", read: "edit" };

/** @type {Record<Kind, string>} */
const WORDS = {
  note: "note",
  edit: "edit",
  deletion: "deletion",
  photo: "photo",
  entry: "photo’s entry",
  event: "event",
  request: "request",
};

/**
 * @param {{queue: string, metadata?: any}} job
 * @returns {Kind}
 */
export function kindOf({ queue, metadata }) {
  if (queue === "analytics") return "event";
  if (metadata?.collection) return CHANGES[metadata.change] ?? "edit";
  if (metadata?.photo) return "photo";
  return metadata?.entry ? "entry" : "request";
}

/**
 * The id of the note whose mutation a job is; null for other jobs.
 *
 * @param {{metadata?: any}} job
 */
export const noteOf = ({ metadata }) => (metadata?.collection === "notes" ? metadata.id : null);

/** "note", "photo", "edit", "deletion". */
export const wordFor = (job) => WORDS[kindOf(job)];

/**
 * The heading of a job in the list. `change` is the note's pending change.
 *
 * @param {import("/shearwater/page.js").Job} job
 * @param {import("/shearwater/page.js").PendingChange<import("./notes.js").Note>} [change]
 */
export function titleOf(job, change) {
  const metadata = /** @type {any} */ (job.metadata) ?? {};
  const text = (change?.record ?? change?.base)?.text.trim();
  switch (kindOf(job)) {
    case "note":
    case "edit":
      return text ?? "A note";
    case "deletion":
      if (metadata.collection === "photos") return "Delete a photo";
      return text === undefined ? "Delete a note" : `Delete: ${text}`;
    case "photo":
      return `Photo ${metadata.photo}`;
    case "entry":
      return `Add ${metadata.entry} to its note`;
    default:
      return `${job.method} ${new URL(job.url).pathname}`;
  }
}

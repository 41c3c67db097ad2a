// What a stored job means to a person: told by its method and address, for a delivered job has no metadata any more.

/** @typedef {"note" | "edit" | "deletion" | "photo" | "entry" | "event" | "request"} Kind */

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

/** @returns {Kind} */
export function kindOf({ queue, method, url }) {
  if (queue === "analytics") return "event";
  const { pathname } = new URL(url);
  if (pathname === "/api/uploads") return "photo";
  if (!pathname.startsWith("/api/records/")) return "request";
  if (method === "DELETE") return "deletion";
  if (method !== "POST") return "edit";
  return pathname.startsWith("/api/records/photos") ? "entry" : "note";
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

// What a stored job means to a person: told by its method and address, so that a routed fetch, which has no metadata, is
// known as well.

/** @typedef {"note" | "photo" | "edit" | "deletion" | "event"} Kind */

const WORDS = { note: "note", photo: "photo", edit: "edit", deletion: "deletion", event: "event" };

/** @returns {Kind} */
export function kindOf({ queue, method, url }) {
  if (queue === "analytics") return "event";
  if (method === "DELETE") return "deletion";
  if (method === "PUT") return "edit";
  return new URL(url).pathname.endsWith("/photos") ? "photo" : "note";
}

/** The number of the note that an edit or a deletion is for, or a photo of a note that the server has. */
export function noteOf({ url }) {
  const [, id] = /\/api\/notes\/(\d+)/.exec(url) ?? [];
  return id === undefined ? null : Number(id);
}

/** "note", "photo", "edit", "deletion". */
export const wordFor = (job) => WORDS[kindOf(job)];

/** Of a long text, so much is kept with a job for the list; the whole text is in the request. */
export const excerpt = (text) => Array.from(text).slice(0, 400).join("");

/** The heading of a job in the list. */
export function titleOf(job) {
  const { text, photo } = job.metadata ?? {};
  switch (kindOf(job)) {
    case "photo":
      return photo ? `Photo ${photo}` : "Photo";
    case "deletion":
      return `Delete note ${noteOf(job)}`;
    case "edit":
      return `Note ${noteOf(job)}: ${text?.trim() ?? "another text"}`;
    default:
      return text?.trim() ?? "";
  }
}

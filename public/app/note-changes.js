// Changes to a note that the server has: a plain fetch, a job that replaces itself, a photo.

import { describePhoto } from "./photo.js";

/** Longer texts are not edited here: the list, and the next edit, take the text from the job's metadata, 16 KiB at most. */
export const LONGEST_EDIT = 4_000;

/**
 * Deletes a note. An ordinary fetch, as an app had it before: the route in sw.js queues it when it fails, and then the
 * answer is 202. Resolves with whether the server has done it.
 */
export async function deleteNote(id) {
  const response = await fetch(`/api/notes/${id}`, { method: "DELETE" });
  if (response.status === 202) return false;
  if (response.ok || response.status === 404) return true;
  throw new Error(`The server answered ${response.status}.`);
}

/** Saves another text. Of several edits that wait, only the last is sent: it takes the place of the one before. */
export function saveText(client, id, text) {
  return client.enqueue(
    { url: `/api/notes/${id}`, method: "PUT", body: { text } },
    // The key is the route's: an edit and a deletion of one note go in the order they were made.
    { queue: "notes", key: `note-${id}`, onDuplicate: "replace", metadata: { text } },
  );
}

/**
 * Queues a photo of a note. `note` is `{id}`, the server's number, or `{job}`, the job of a note that the server has not
 * numbered yet: then the photo waits for that job, and its address is completed from the answer.
 *
 * @param {import("/shearwater/page.js").Client} client
 * @param {File} file
 * @param {{id: number} | {job: string}} note
 * @param {object} description  from {@link describePhoto}
 */
export function queuePhoto(client, file, note, description) {
  const name = encodeURIComponent(file.name);
  const metadata = { photo: file.name, ...description };
  if ("id" in note) {
    return client.enqueue(
      { url: `/api/notes/${note.id}/photos?name=${name}`, method: "POST", body: file },
      { queue: "notes", metadata },
    );
  }
  return client.enqueue(
    { url: `/api/notes/{note.id}/photos?name=${name}`, method: "POST", body: file },
    { queue: "notes", metadata, bind: { note: { job: note.job, pointer: "/id" } } },
  );
}

/** The same, with the description made first. */
export async function addPhoto(client, file, note) {
  return queuePhoto(client, file, note, await describePhoto(file));
}

// Photos of notes. The file is an upload; which note it belongs to is a record of the collection `photos`.

import { describePhoto } from "./photo.js";

/**
 * Queues the file, and its record, which waits for the number that the server gives to the file. So a record never names a
 * file that is not there. The note may still be unknown to the server: its id is of this device's making.
 *
 * @param {import("/shearwater/page.js").Client} client
 * @param {File} file
 * @param {string} note
 * @param {{thumb?: string, sha256?: string}} description  from {@link describePhoto}
 */
export async function queuePhoto(client, file, note, description) {
  const { name, type, size } = file;
  const { thumb, sha256 } = description;
  const upload = await client.enqueue(
    { url: `/api/uploads?name=${encodeURIComponent(name)}`, method: "POST", body: file },
    { queue: "notes", metadata: { photo: name, note, thumb, sha256 } },
  );
  await client.enqueue(
    {
      url: "/api/records/photos",
      method: "POST",
      body: { id: crypto.randomUUID(), note, name, type, size, sha256, thumb, upload: "{upload}" },
    },
    { queue: "notes", metadata: { entry: name, note }, bind: { upload: { job: upload, pointer: "/id" } } },
  );
}

/** The same, with the description made first. */
export async function addPhoto(client, file, note) {
  return queuePhoto(client, file, note, await describePhoto(file));
}

/**
 * Deletes the photos of a note, and takes back those that are still to be sent.
 *
 * @param {import("/shearwater/page.js").Client} client
 * @param {import("/shearwater/page.js").Collection<import("./notes.js").Photo>} photos
 * @param {string} note
 */
export async function deletePhotos(client, photos, note) {
  await discardPhotos(client, note);
  for (const { id } of await photos.query({ where: { note } })) await photos.delete(id);
}

/** Takes back the photos of a note that are still to be sent. */
export async function discardPhotos(client, note) {
  for (const { id, metadata } of await client.list({ queue: "notes" })) {
    if (metadata?.note === note && metadata.photo) await client.discard(id, { cascade: true });
  }
}

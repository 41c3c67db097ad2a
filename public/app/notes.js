// The notes: records of this device, with what of them the server does not have yet, and what it has otherwise.

import { announce } from "./announce.js";
import { kindOf } from "./change.js";
import { deletePhotos, discardPhotos } from "./note-photos.js";

/** Milliseconds between two pulls while the page is seen and the server is reached. */
const EVERY = 5_000;

/**
 * @typedef {{id: string, text: string, at: number, updatedAt?: string}} Note
 * @typedef {{id: string, note: string, name: string, type: string, size: number, upload: number, sha256?: string, thumb?: string}} Photo
 *
 * `notes` are newest first; `pending` and `conflicts` by the note's id. Null until they are read first.
 * @typedef {object} State
 * @property {Note[]} notes
 * @property {Photo[]} photos
 * @property {Map<string, import("/shearwater/page.js").PendingChange<Note>>} pending
 * @property {Map<string, import("/shearwater/page.js").RecordConflict<Note>>} conflicts
 */

/**
 * @param {import("/shearwater/page.js").Client} client
 */
export function watchNotes(client, jobs, server) {
  /** @type {import("/shearwater/page.js").Collection<Note>} */
  const notes = client.collection("notes");
  /** @type {import("/shearwater/page.js").Collection<Photo>} */
  const photos = client.collection("photos");
  /** @type {Set<(state: State) => void>} */
  const listeners = new Set();
  /** @type {Note[] | null} */
  let listed = null;
  /** @type {Photo[]} */
  let listedPhotos = [];
  /** @type {State | null} */
  let state = null;
  let reading = false;
  let isStale = false;
  let syncing = false;
  let syncAgain = false;
  let timer = null;

  /** What waits is read anew whenever a record or a job has changed; one read at a time. */
  async function read() {
    isStale = true;
    if (reading || !listed) return;
    reading = true;
    try {
      while (isStale) {
        isStale = false;
        const [pending, conflicts] = await Promise.all([notes.pendingChanges(), notes.conflicts()]);
        const byId = (rows) => new Map(rows.map((row) => [row.id, row]));
        state = { notes: listed, photos: listedPhotos, pending: byId(pending), conflicts: byId(conflicts) };
        for (const listener of listeners) listener(state);
      }
    } catch (error) {
      announce(`The notes could not be read. ${error.message}`);
    } finally {
      reading = false;
    }
  }

  /** Pushes and pulls, unless nobody looks, nobody would answer, or the person has paused. */
  async function sync() {
    if (document.hidden || server.get().reach !== "ok" || client.getSnapshot().state === "paused") return;
    syncAgain = true;
    if (syncing) return;
    syncing = true;
    clearTimeout(timer);
    try {
      while (syncAgain) {
        syncAgain = false;
        await notes.sync();
        await photos.sync();
      }
    } catch {
      // The next one may do.
    } finally {
      syncing = false;
      timer = setTimeout(sync, EVERY);
    }
  }

  /** Discarding tells no subscriber of the records; to ask the collection has this page read again. */
  async function discard(collection, id, job) {
    const discarded = await client.discard(job);
    await collection.undo(id);
    return discarded;
  }

  notes.subscribe({ order: "-at" }, (records) => {
    listed = records;
    void read();
  });
  photos.subscribe(undefined, (records) => {
    listedPhotos = records;
    void read();
  });
  jobs.subscribe(read);
  client.on("delivered", (job) => {
    if (kindOf(job) !== "event") void sync();
  });
  let reach = server.get().reach;
  server.subscribe((now) => {
    const came = now.reach === "ok" && reach !== "ok";
    reach = now.reach;
    if (came) void sync();
  });
  document.addEventListener("visibilitychange", () => void sync());
  addEventListener("pageshow", () => void sync());
  void sync();

  return {
    get: () => state,
    /** @param {(state: State) => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      if (state) listener(state);
    },
    /** Resolves with its id once it is on the disk. */
    add: (text) => notes.put({ text, at: Date.now() }),
    /** False: it is gone. */
    save: (id, text) => notes.update(id, { text }),
    async remove(id) {
      await deletePhotos(client, photos, id);
      return notes.delete(id);
    },
    /** Takes a note's mutation back, with what goes with it: photos of a note that never was, deletions of photos. */
    async takeBack(job) {
      const { id } = job.metadata;
      if (kindOf(job) === "note") await discardPhotos(client, id);
      if (kindOf(job) === "deletion") {
        for (const { id: photo, change, base, job } of await photos.pendingChanges())
          if (change === "delete" && base?.note === id && job) await discard(photos, photo, job);
      }
      return discard(notes, id, job.id);
    },
    resolve: notes.resolve,
    sync,
  };
}

// A form whose names, text and files are hard to carry byte for byte, and what the server has to make of it.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

const TEXT = 'Grüße\r\n"quoted"';

/** @param {import("node:crypto").BinaryLike} bytes */
export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/**
 * Makes the form in the page, as `window.form`.
 *
 * @param {{ evaluate: (run: (text: string) => void, text: string) => Promise<unknown> }} page
 */
export const makeForm = (page) =>
  page.evaluate((text) => {
    const form = new FormData();
    form.append("text", text);
    form.append("a", new File([new Uint8Array(200_000).fill(7)], 'ä "b".bin', { type: "application/octet-stream" }));
    form.append("b", new File(["zwei"], "b.txt", { type: "text/plain" }));
    window.form = form;
  }, TEXT);

/**
 * Says that the note which the server stored is this form.
 *
 * @param {{ text: string, attachments: Array<{ size: number, sha256: string }> }} note
 */
export function assertForm(note) {
  assert.equal(note.text, TEXT);
  assert.deepEqual(
    note.attachments.map(({ size, sha256 }) => [size, sha256]),
    [
      [200_000, sha256(Buffer.alloc(200_000, 7))],
      [4, sha256("zwei")],
    ],
  );
}

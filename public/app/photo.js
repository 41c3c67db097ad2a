// What is known about a photo before it is sent: a small picture of it, and its hash.

const THUMB_EDGE = 112;
/** Shearwater keeps 16 KiB of metadata with a job; the picture takes no more than this of it. */
const THUMB_CHARACTERS = 8_000;
/** Larger files are not read into memory for a hash that is only shown. */
const HASHED_BYTES = 64 * 1024 * 1024;

/** `{ thumb, sha256 }`, each only where it could be made; never rejects. */
export async function describePhoto(file) {
  const [thumb, sha256] = await Promise.all([attempt(thumbnail(file)), attempt(hash(file))]);
  return { thumb, sha256 };
}

const attempt = (promise) => promise.catch(() => undefined);

async function hash(file) {
  if (file.size > HASHED_BYTES) return undefined;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function thumbnail(file) {
  const image = await createImageBitmap(file);
  const edge = Math.min(image.width, image.height);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = THUMB_EDGE;
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, (image.width - edge) / 2, (image.height - edge) / 2, edge, edge, 0, 0, THUMB_EDGE, THUMB_EDGE);
  image.close();
  const url = canvas.toDataURL("image/jpeg", 0.7);
  return url.length <= THUMB_CHARACTERS ? url : undefined;
}

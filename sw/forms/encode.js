// Encodes a form as HTML says (4.10.21.7): what a browser would send, but for the boundary.

/** @typedef {[name: string, value: string | File]} Entry */

const crlf = (/** @type {string} */ text) => text.replace(/\r\n?|\n/g, "\r\n");
const quoted = (/** @type {string} */ text) => text.replace(/\n/g, "%0A").replace(/\r/g, "%0D").replace(/"/g, "%22");
const textOf = (/** @type {string | File} */ value) => crlf(typeof value === "string" ? value : value.name);

/**
 * The parts of the body, strings and files by reference, and its content type.
 *
 * @param {Entry[]} entries
 * @param {string} enctype
 * @returns {{parts: Array<string | File>, type: string}}
 */
export function encode(entries, enctype) {
  if (enctype === "multipart/form-data") return multipart(entries);
  if (enctype === "text/plain") {
    return { parts: [entries.map(([name, value]) => `${crlf(name)}=${textOf(value)}\r\n`).join("")], type: enctype };
  }
  const query = new URLSearchParams(entries.map(([name, value]) => [crlf(name), textOf(value)]));
  return { parts: [query.toString()], type: "application/x-www-form-urlencoded" };
}

/** @param {Entry[]} entries */
function multipart(entries) {
  const boundary = `----shearwater-${crypto.randomUUID()}`;
  /** @type {Array<string | File>} */
  const parts = [];
  let text = "";
  for (const [name, value] of entries) {
    text += `--${boundary}\r\nContent-Disposition: form-data; name="${quoted(crlf(name))}"`;
    if (typeof value === "string") {
      text += `\r\n\r\n${crlf(value)}\r\n`;
    } else {
      text += `; filename="${quoted(value.name)}"\r\nContent-Type: ${value.type || "application/octet-stream"}\r\n\r\n`;
      parts.push(text, value);
      text = "\r\n";
    }
  }
  parts.push(`${text}--${boundary}--\r\n`);
  return { parts, type: `multipart/form-data; boundary=${boundary}` };
}

/**
 * The entries of a body that {@link encode} made; null where nobody can tell, as of `text/plain`.
 *
 * @param {ArrayBuffer} body
 * @param {string} type
 * @returns {Entry[] | null}
 */
export function decode(body, type) {
  if (type.startsWith("application/x-www-form-urlencoded")) return [...new URLSearchParams(new TextDecoder().decode(body))];
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)/.exec(type)?.[1];
  if (boundary === undefined) return null;
  // One character a byte, so that places in the text are places in the body.
  const text = new TextDecoder("latin1").decode(body);
  const utf8 = (/** @type {number} */ from, /** @type {number} */ to) => new TextDecoder().decode(body.slice(from, to));
  /** @type {Entry[]} */
  const entries = [];
  const mark = `--${boundary}`;
  for (let at = text.indexOf(mark); at >= 0; ) {
    const end = text.indexOf(`\r\n${mark}`, at + mark.length);
    const content = text.indexOf("\r\n\r\n", at);
    if (end < 0 || content < 0) break;
    const head = utf8(at, content);
    const plain = (/** @type {string | undefined} */ part) =>
      part?.replaceAll("%22", '"').replaceAll("%0D", "\r").replaceAll("%0A", "\n");
    const name = plain(/ name="([^"]*)"/.exec(head)?.[1]) ?? "";
    const filename = plain(/ filename="([^"]*)"/.exec(head)?.[1]);
    const kind = /Content-Type: (.*)/.exec(head)?.[1] ?? "";
    entries.push([
      name,
      filename === undefined
        ? utf8(content + 4, end)
        : new File([body.slice(content + 4, end)], filename, { type: kind === "application/octet-stream" ? "" : kind }),
    ]);
    at = end + 2;
  }
  return entries;
}

// The one kind of error that page and worker reject with.

/** @typedef {import("./types/index.js").ShearwaterError["code"]} Code */

/**
 * An error with a stable `code`. `instanceof` also holds for errors that were created in wasm or by another copy of this
 * class: it checks the name and the code.
 */
export class ShearwaterError extends Error {
  /**
   * @param {Code} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "ShearwaterError";
    /** @readonly @type {Code} */
    this.code = code;
  }

  /**
   * @param {any} value
   * @returns {value is ShearwaterError}
   */
  static [Symbol.hasInstance](value) {
    return typeof value === "object" && value?.name === "ShearwaterError" && typeof value.code === "string";
  }
}

/**
 * Why no worker can be reached, and what to do about it.
 *
 * @param {string} message
 */
export const unavailable = (message) => new ShearwaterError("worker-unavailable", message);

/** @param {string} message */
export const invalidConfig = (message) => new ShearwaterError("invalid-config", message);

/**
 * The thrown value as an `Error`.
 *
 * @param {unknown} thrown
 * @returns {Error & {code?: unknown}}
 */
export const asError = (thrown) => (thrown instanceof Error ? thrown : new ShearwaterError("internal", String(thrown)));

/**
 * The error as it is sent in messages. The `code` of a DOMException is a number, not one of ours.
 *
 * @param {Error & {code?: unknown}} error
 */
export const toWire = ({ code, message }) => ({
  code: /** @type {Code} */ (typeof code === "string" ? code : "internal"),
  message,
});

// The one kind of error that page and worker reject with.

/**
 * An error with a stable `code`. `instanceof` holds for those that were made in wasm, or by another copy of this
 * class, as well: what counts is the name and the code.
 */
export class ShearwaterError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "ShearwaterError";
    this.code = code;
  }

  static [Symbol.hasInstance](value) {
    return typeof value === "object" && value?.name === "ShearwaterError" && typeof value.code === "string";
  }
}

/** What stands in the way of a worker that can be asked, with what to do about it. */
export const unavailable = (message) => new ShearwaterError("worker-unavailable", message);

export const invalidConfig = (message) => new ShearwaterError("invalid-config", message);

/** Whatever was thrown, as an `Error`. */
export const asError = (thrown) => (thrown instanceof Error ? thrown : new ShearwaterError("internal", String(thrown)));

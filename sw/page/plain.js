// What the page's reads of collections share.

import { ShearwaterError } from "../error.js";

/** @param {string} message */
export const invalid = (message) => new ShearwaterError("invalid-request", message);

/**
 * Whether it is `{}` or its like, from whichever frame.
 *
 * @param {any} value
 */
export function isPlain(value) {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** @param {string | null | undefined} text */
export const parse = (text) => (text == null ? null : JSON.parse(text));

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
export const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

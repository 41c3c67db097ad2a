// Builds the request that a form's submission is: as HTML's form submission algorithm does (4.10.21.3), but for the navigation.

import { ShearwaterError } from "../error.js";
import { isCredential } from "./credentials.js";
import { attribute, controls } from "./dom.js";
import { encode } from "./encode.js";

const invalid = (/** @type {string} */ message) => new ShearwaterError("invalid-request", message);

/**
 * `get`, `post` or `dialog`: as the button says that was pressed, or the form.
 *
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 */
export function methodOf(form, submitter) {
  const method = (said(form, submitter, "method") ?? "").toLowerCase();
  return method === "post" || method === "dialog" ? method : "get";
}

/**
 * What the button says where it says anything, else the form.
 *
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 * @param {string} name
 */
const said = (form, submitter, name) => (submitter && attribute(submitter, `form${name}`)) ?? attribute(form, name);

/**
 * Where the form goes.
 *
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 */
export function actionOf(form, submitter) {
  const action = said(form, submitter, "action")?.trim();
  if (!action) throw invalid("the form has no action: give it the URL that takes it");
  /** @type {URL} */
  let url;
  try {
    url = new URL(action, document.baseURI);
  } catch {
    throw invalid(`the form's action "${action}" is not a URL`);
  }
  if (url.origin !== location.origin) {
    throw invalid(`the form's action is of another origin, ${url.origin}: submit it to the app's own, or use client.enqueue`);
  }
  url.hash = "";
  return url.href;
}

/** @param {HTMLFormElement} form */
export function checkCharset(form) {
  const wanted = attribute(form, "accept-charset")?.trim() || document.characterSet;
  if (
    !wanted
      .toLowerCase()
      .split(/[\s,]+/)
      .includes("utf-8")
  ) {
    throw invalid(`the form is to be sent as ${wanted}; forms are sent as UTF-8 only: set accept-charset="utf-8"`);
  }
}

/**
 * The request, its body in parts, and what tells it from another.
 *
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 * @param {string[]} credentials
 */
export function build(form, submitter, credentials) {
  const url = actionOf(form, submitter);
  checkCharset(form);
  const enctype = (said(form, submitter, "enctype") ?? "").toLowerCase();
  /** @type {import("./encode.js").Entry[]} */
  let entries = [...new FormData(form, submitter)];
  // What is left out here is supplied when the job is sent.
  const named = controls(form).filter((control) => control.name && isCredential(control.name, credentials));
  const tokens = new Set(named.filter(({ type }) => type === "hidden").map(({ name }) => name));
  for (const { name, type } of named) if (type !== "hidden") tokens.delete(name);
  entries = entries.filter(([name]) => !tokens.has(name));
  const { parts, type } = encode(entries, enctype);
  const tell = (/** @type {string | File} */ value) =>
    typeof value === "string" ? value : [value.name, value.size, value.type, value.lastModified];
  return {
    request: { url, method: "POST", headers: [["content-type", type]] },
    parts,
    mark: JSON.stringify([url, enctype, entries.map(([name, value]) => [name, tell(value)])]),
  };
}

// What a form's controls hold: taken down for a draft, and put back into a form that may have changed since.

import { isCredential } from "./credentials.js";
import { attribute, controls } from "./dom.js";

/**
 * One control that differs from what the page gave it. `i` counts controls of one name and kind.
 *
 * @typedef {{n: string, k: string, i: number, v?: string, c?: boolean, o?: string[], f?: StoredFile[]}} Field
 * @typedef {{id: string, name: string, type: string, modified: number}} StoredFile
 */

const SECRET = /^(off|one-time-code|current-password|new-password|cc-.*)$/;
const UNTYPED = ["submit", "button", "reset", "image", "password"];

/**
 * Whether a control's content may be kept.
 *
 * @param {HTMLFormElement} form
 * @param {any} control
 * @param {string[]} credentials
 */
function isDrafted(form, control, credentials) {
  const wish = control.closest("[data-shearwater-draft]");
  if (wish && attribute(wish, "data-shearwater-draft") === "off") return false;
  const tokens = (attribute(control, "autocomplete") ?? attribute(form, "autocomplete") ?? "").toLowerCase().split(/\s+/);
  if (tokens.some((token) => SECRET.test(token)) || UNTYPED.includes(control.type)) return false;
  if (isCredential(control.name ?? "", credentials)) return false;
  // The server's own, unless the app says that a person fills it.
  return control.type !== "hidden" || wish === control;
}

/** @param {any} control */
function kindOf(control) {
  if (control instanceof HTMLSelectElement) return "select";
  if (control instanceof HTMLInputElement && ["checkbox", "radio", "file"].includes(control.type)) return control.type;
  if (control instanceof HTMLInputElement || control instanceof HTMLTextAreaElement) return "text";
  return control.localName.includes("-") && typeof control.value === "string" ? "custom" : null;
}

/**
 * The controls that are kept, each with its name, kind and place among those of one name and kind.
 *
 * @param {HTMLFormElement} form
 * @param {string[]} credentials
 */
function* kept(form, credentials) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  const count = (/** @type {string} */ key) => {
    const at = counts.get(key) ?? 0;
    counts.set(key, at + 1);
    return at;
  };
  for (const control of controls(form)) {
    const [kind, name] = [kindOf(control), attribute(control, "name") || control.id];
    if (!kind || !name || !isDrafted(form, control, credentials)) continue;
    const choice = kind === "checkbox" || kind === "radio" ? `\n${control.value}` : "";
    yield { control, kind, name, index: count(`${kind}\n${name}${choice}`) };
  }
  for (const control of Element.prototype.querySelectorAll.call(form, "[contenteditable][data-shearwater-draft]")) {
    const name = attribute(control, "data-shearwater-draft") || control.id;
    if (name && name !== "off") yield { control, kind: "editable", name, index: count(`editable\n${name}`) };
  }
}

/** What editable elements held when the page came. @type {WeakMap<Element, string>} */
const pristine = new WeakMap();

/**
 * Notes what editable elements hold, as no attribute says it.
 *
 * @param {HTMLFormElement} form
 */
export function notePristine(form) {
  for (const { control, kind } of kept(form, [])) {
    if ((kind === "editable" || kind === "custom") && !pristine.has(control)) pristine.set(control, contentOf(control, kind));
  }
}

/**
 * @param {any} control
 * @param {string} kind
 * @returns {string}
 */
// biome-ignore lint/performance/useDomNodeTextContent: the lines that a person sees; `textContent` has none.
const contentOf = (control, kind) => (kind === "editable" ? control.innerText : control.value);

/**
 * Takes down what differs from what the page gave.
 *
 * @param {HTMLFormElement} form
 * @param {string[]} credentials
 * @param {(field: string, file: File) => string} idOf  the name of a file
 */
export function capture(form, credentials, idOf) {
  /** @type {Field[]} */
  const fields = [];
  /** @type {Map<string, File>} */
  const files = new Map();
  for (const { control, kind, name, index } of kept(form, credentials)) {
    const field = { n: name, k: kind, i: index };
    if (kind === "checkbox" || kind === "radio") {
      if (control.checked !== control.defaultChecked) fields.push({ ...field, v: control.value, c: control.checked });
    } else if (kind === "select") {
      const options = [...control.options];
      // One that is chosen by nobody shows its first option.
      const given = options.filter((option) => option.defaultSelected);
      const first = control.multiple || control.size > 1 ? [] : options.filter((option) => !option.disabled).slice(0, 1);
      const usual = given.length ? (control.multiple ? given : given.slice(-1)) : first;
      const chosen = options.filter((option) => option.selected);
      if (chosen.length !== usual.length || chosen.some((option) => !usual.includes(option))) {
        fields.push({ ...field, o: chosen.map((option) => option.value) });
      }
    } else if (kind === "file") {
      if (control.files.length === 0) continue;
      const stored = [...control.files].map((file) => {
        const id = idOf(name, file);
        files.set(id, file);
        return { id, name: file.name, type: file.type, modified: file.lastModified };
      });
      fields.push({ ...field, f: stored });
    } else {
      const value = contentOf(control, kind);
      const usual = kind === "text" ? control.defaultValue : (pristine.get(control) ?? "");
      if (value !== usual) fields.push({ ...field, v: value });
    }
  }
  return { fields, files };
}

/**
 * Puts fields into the form, but for those that a person has changed by now. Returns the names that it has no place for.
 *
 * @param {HTMLFormElement} form
 * @param {Field[]} fields
 * @param {Map<string, File>} files
 * @param {string[]} credentials
 * @param {Set<Element>} touched
 */
export function fill(form, fields, files, credentials, touched) {
  const places = [...kept(form, credentials)];
  /** @type {string[]} */
  const missing = [];
  for (const field of fields) {
    const place = places.find(
      ({ control, kind, name, index }) =>
        name === field.n && kind === field.k && index === field.i && (field.c === undefined || control.value === field.v),
    );
    if (!place || (field.o && !hasOptions(place.control, field.o))) missing.push(field.n);
    if (place && !touched.has(place.control)) put(place.control, field, files);
  }
  return missing;
}

/**
 * @param {HTMLSelectElement} select
 * @param {string[]} values
 */
const hasOptions = (select, values) => values.every((value) => [...select.options].some((option) => option.value === value));

/**
 * @param {any} control
 * @param {Field} field
 * @param {Map<string, File>} files
 */
function put(control, field, files) {
  if (field.f) {
    const chosen = new DataTransfer();
    for (const { id } of field.f) {
      const file = files.get(id);
      if (file) chosen.items.add(file);
    }
    if (chosen.files.length > 0) set(control, "files", chosen.files);
  } else if (field.o) {
    for (const option of control.options) option.selected = field.o.includes(option.value);
  } else if (field.c !== undefined) {
    set(control, "checked", field.c);
  } else if (field.k === "editable") {
    // biome-ignore lint/performance/useDomNodeTextContent: as it was read.
    control.innerText = field.v;
  } else {
    set(control, "value", field.v);
  }
  for (const type of ["input", "change"]) control.dispatchEvent(new Event(type, { bubbles: true }));
}

/**
 * Sets a property past what a framework has put over it, so that the framework sees a change.
 *
 * @param {any} control
 * @param {string} name
 * @param {unknown} value
 */
function set(control, name, value) {
  for (let prototype = Object.getPrototypeOf(control); prototype; prototype = Object.getPrototypeOf(prototype)) {
    const setter = Object.getOwnPropertyDescriptor(prototype, name)?.set;
    if (setter) return void setter.call(control, value);
  }
  control[name] = value;
}

/**
 * Puts what was submitted into the form: each name's values in their order.
 *
 * @param {HTMLFormElement} form
 * @param {import("./encode.js").Entry[]} entries
 */
export function fillEntries(form, entries) {
  /** @type {Map<string, Array<string | File>>} */
  const values = new Map();
  for (const [name, value] of entries) values.set(name, [...(values.get(name) ?? []), value]);
  for (const control of controls(form)) {
    const [kind, name] = [kindOf(control), attribute(control, "name")];
    if (!kind || !name || ["submit", "button", "reset", "image", "hidden"].includes(control.type)) continue;
    const given = values.get(name) ?? [];
    const field = { n: name, k: kind, i: 0 };
    if (kind === "checkbox" || kind === "radio") {
      const at = given.indexOf(control.value);
      if (at >= 0) given.splice(at, 1);
      if (control.checked !== at >= 0) put(control, { ...field, c: at >= 0 }, new Map());
    } else if (kind === "select") {
      const count = control.multiple ? given.length : 1;
      put(control, { ...field, o: given.splice(0, count).map(String) }, new Map());
    } else if (kind === "file") {
      const files = given
        .splice(0, control.multiple ? given.length : 1)
        .filter((value) => value instanceof File && value.size + value.name.length > 0);
      const stored = files.map((_, at) => ({ id: String(at), name: "", type: "", modified: 0 }));
      put(control, { ...field, f: stored }, new Map(files.map((file, at) => [String(at), /** @type {File} */ (file)])));
    } else if (given.length > 0) {
      put(control, { ...field, v: String(given.shift()).replace(/\r\n/g, "\n") }, new Map());
    }
  }
}

// What a form is, whatever its controls are called: an `<input name="method">` hides `form.method`.

/**
 * The form's controls, those of `form=` elsewhere in the document included.
 *
 * @param {HTMLFormElement} form
 * @returns {any[]}
 */
export const controls = (form) => [...Reflect.get(HTMLFormElement.prototype, "elements", form)];

/**
 * @param {Element} element
 * @param {string} name
 * @returns {string | null}
 */
export const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);

/**
 * Listens, and returns what ends it.
 *
 * @param {EventTarget} target
 * @param {string} type
 * @param {(event: any) => void} listener
 */
export function listen(target, type, listener) {
  EventTarget.prototype.addEventListener.call(target, type, listener);
  return () => EventTarget.prototype.removeEventListener.call(target, type, listener);
}

/**
 * Dispatches an event of ours on the form; returns whether nobody prevented what follows.
 *
 * @param {HTMLFormElement} form
 * @param {string} type
 * @param {object} detail
 */
export const dispatch = (form, type, detail) =>
  EventTarget.prototype.dispatchEvent.call(
    form,
    new CustomEvent(type, { detail, bubbles: true, composed: true, cancelable: true }),
  );

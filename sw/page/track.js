// `client.trackForm`: loads forms.js when the first form is tracked, and holds a submission that comes sooner.

/** Where the client keeps what the package's own modules may use. */
export const INTERNAL = Symbol.for("shearwater.internal");

/**
 * @param {import("../types/index.js").Client} client
 * @param {HTMLFormElement} form
 * @param {import("../types/forms.js").FormOptions} [options]
 * @returns {import("../types/forms.js").TrackedForm}
 */
export function trackForm(client, form, options) {
  let stopped = false;
  /** @type {import("../types/forms.js").TrackedForm | undefined} */
  let tracked;
  /** @type {{submitter: HTMLElement | null} | undefined} */
  let held;
  const hold = (/** @type {SubmitEvent} */ event) => {
    const { submitter } = event;
    const method = submitter?.getAttribute("formmethod") ?? Element.prototype.getAttribute.call(form, "method");
    if (event.defaultPrevented || event.target !== form || method?.toLowerCase() !== "post") return;
    event.preventDefault();
    held = { submitter };
  };
  EventTarget.prototype.addEventListener.call(form, "submit", /** @type {EventListener} */ (hold));
  const loading = import("./forms.js")
    .then((forms) => {
      if (!stopped) tracked = forms.trackForm(client, form, options);
    })
    .finally(() => {
      EventTarget.prototype.removeEventListener.call(form, "submit", /** @type {EventListener} */ (hold));
      // Where forms.js cannot be loaded, the browser submits it as it would have without us.
      if (held && !stopped) HTMLFormElement.prototype.requestSubmit.call(form, held.submitter);
    });
  const ready = loading.then(() => tracked?.ready);
  ready.catch((error) => console.error("[shearwater] trackForm:", error.message));
  return Object.assign(
    () => {
      stopped = true;
      tracked?.();
    },
    {
      ready,
      restore: async (/** @type {string | import("../types/index.js").Job} */ job) => {
        await loading;
        return tracked ? tracked.restore(job) : false;
      },
    },
  );
}

/**
 * Tracks the page's `<form data-shearwater="form-sync">`, where there is one.
 *
 * @param {import("../types/index.js").Client} client
 */
export function trackDeclared(client) {
  if (typeof document === "undefined" || !document.querySelector('form[data-shearwater="form-sync"]')) return;
  import("./forms.js")
    .then((forms) => forms.trackForms(client))
    .catch((error) => console.error("[shearwater] forms.js cannot be loaded:", error.message));
}

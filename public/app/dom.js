// Small helpers for the document. Text goes in as text, never as markup.

/**
 * @param {string} id
 * @returns {any} whichever kind of element index.html has there
 */
export const byId = (id) => document.getElementById(id);

/** Writes only what changed, so that screen readers and selections are left in peace. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A copy of a template's only element, and its `data-part`s by name. */
export function instantiate(templateId) {
  const root = byId(templateId).content.firstElementChild.cloneNode(true);
  const parts = {};
  for (const node of root.querySelectorAll("[data-part]")) parts[node.dataset.part] = node;
  return { root, parts };
}

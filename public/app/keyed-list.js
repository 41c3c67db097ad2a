// Keeps a list's elements in step with data, so that an item keeps its element, focus and open buttons.

import { arrive, depart } from "./motion.js";

export class KeyedList {
  #list;
  #create;
  #items = new Map();
  #shown = false;

  /** `create(id)` answers `{ root, update(data) }`. */
  constructor(list, create) {
    this.#list = list;
    this.#create = create;
  }

  /**
   * Shows `rows`, each with an `id`, in this order. `wasDelivered(id)` says how a missing one leaves;
   * `onFocusLost` is called when the focus was in it.
   *
   * @param {Array<{id: string}>} rows
   * @param {{wasDelivered?: (id: string) => boolean, onFocusLost?: () => void}} [options]
   */
  show(rows, { wasDelivered = () => false, onFocusLost = () => {} } = {}) {
    const ids = new Set(rows.map((row) => row.id));
    let focusLost = false;
    for (const [id, { root }] of this.#items) {
      if (ids.has(id)) continue;
      this.#items.delete(id);
      focusLost ||= root.contains(document.activeElement);
      const delivered = wasDelivered(id);
      // What leaves is no longer in the list for anybody who asks.
      delete root.dataset.id;
      root.dataset.state = delivered ? "delivered" : "gone";
      void depart(root, delivered);
    }

    let next = this.#list.firstElementChild;
    for (const row of rows) {
      let item = this.#items.get(row.id);
      const isNew = !item;
      if (isNew) {
        item = this.#create(row.id);
        item.root.dataset.id = row.id;
        this.#items.set(row.id, item);
      }
      item.update(row);
      while (next && !next.dataset.id) next = next.nextElementSibling;
      if (item.root === next) {
        next = next.nextElementSibling;
      } else {
        this.#list.insertBefore(item.root, next);
        if (isNew && this.#shown) arrive(item.root);
      }
    }
    this.#shown = true;
    if (focusLost) onFocusLost();
  }
}

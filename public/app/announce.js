// Tells screen readers what happened elsewhere on the page.

import { byId } from "./dom.js";

const GATHER = 150;
let waiting = [];

/** Says `text`; several at once are said together. */
export function announce(text) {
  if (waiting.length === 0) setTimeout(say, GATHER);
  waiting.push(text.trim());
}

function say() {
  const texts = [...new Set(waiting)].map((text) => {
    const times = waiting.filter((other) => other === text).length;
    return times > 1 ? `${text} (${times} times)` : text;
  });
  waiting = [];
  byId("announcer").textContent = texts.join(" ");
}

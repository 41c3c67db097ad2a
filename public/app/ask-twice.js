// A button that asks before it acts.

import { announce } from "./announce.js";
import { setText } from "./dom.js";

/** How long it waits for the second click. */
const CONFIRM_WITHIN = 4_000;

/** The first click asks, the second within a few seconds acts. */
export function askTwice(button, question, action) {
  const word = button.textContent;
  let timer = null;

  function reset() {
    clearTimeout(timer);
    timer = null;
    button.classList.remove("sure");
    setText(button, word);
  }

  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    if (timer !== null) {
      reset();
      action();
      return;
    }
    button.classList.add("sure");
    setText(button, question());
    announce(`${question()} Press again to go on.`);
    timer = setTimeout(reset, CONFIRM_WITHIN);
  });
  button.addEventListener("blur", reset);
}

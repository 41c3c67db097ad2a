// The switch that takes the demo's server down.

import { announce } from "./announce.js";
import { byId, setText } from "./dom.js";

export function setUpServerSwitch(server) {
  const button = byId("server-switch");
  const word = byId("server-switch-word");
  let switching = false;

  function render({ down, reach }) {
    if (switching) return;
    const known = down !== null;
    button.disabled = !known;
    button.setAttribute("aria-checked", String(known && !down));
    // Without an answer the switch has no position; the word says why.
    setText(word, known ? (down ? "down" : "up") : reach === "unknown" ? "…" : reach === "ok" ? "no switch" : "out of reach");
    button.dataset.known = String(known);
  }

  button.addEventListener("click", async () => {
    if (switching) return;
    const down = !server.get().down;
    switching = true;
    button.setAttribute("aria-checked", String(!down));
    setText(word, down ? "down" : "up");
    try {
      await server.setDown(down);
      announce(down ? "The server is down." : "The server is up.");
    } catch (error) {
      announce(`The switch could not be set. ${error.message}`);
    } finally {
      switching = false;
      render(server.get());
    }
  });

  server.subscribe(render);
}

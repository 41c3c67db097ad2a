// Ticks once a second while the page can be seen, for countdowns and "3 min ago".

const listeners = new Set();
let timer = null;

/** Calls `listener` every second, and at once when the page is seen again. */
export function everySecond(listener) {
  listeners.add(listener);
  wind();
}

function tick() {
  for (const listener of listeners) listener();
}

function wind() {
  clearInterval(timer);
  timer = document.hidden || listeners.size === 0 ? null : setInterval(tick, 1_000);
}

document.addEventListener("visibilitychange", () => {
  wind();
  if (!document.hidden) tick();
});

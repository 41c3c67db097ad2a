// A short message at the edge of the page, which a screen reader says.

const STYLE = `
.shearwater-toast {
  position: fixed; inset-block-end: 1rem; inset-inline: 1rem; margin-inline: auto; inline-size: fit-content;
  max-inline-size: calc(100% - 2rem); box-sizing: border-box; padding: 0.75rem 1rem; border-radius: 0.5rem;
  background: var(--shearwater-toast-background, #1f2937); color: var(--shearwater-toast-color, #fff);
  font: var(--shearwater-toast-font, 1rem/1.4 system-ui, sans-serif); z-index: 2147483647;
}
.shearwater-toast:empty { display: none; }`;
/** Milliseconds that it stays. */
const SHOWN = 6_000;

/** @type {HTMLElement | undefined} */
let region;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/**
 * Shows a text, in place of the one before.
 *
 * @param {string} text
 */
export function showToast(text) {
  if (!region?.isConnected) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
    region = document.createElement("div");
    region.className = "shearwater-toast";
    region.setAttribute("role", "status");
    document.body.append(region);
  }
  const shown = region;
  clearTimeout(timer);
  // Once the region is there: what it holds from the first is not announced.
  requestAnimationFrame(() => (shown.textContent = text));
  timer = setTimeout(() => (shown.textContent = ""), SHOWN);
}

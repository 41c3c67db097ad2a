// dist/diagnose.js: loaded when a worker's script does not start, because browsers tell the page almost nothing about it.

const JAVASCRIPT = /^\s*(text|application)\/(x-)?(java|ecma)script\s*(;|$)/i;

/**
 * Describes in one sentence what is wrong with the script at this URL; undefined if nothing is found.
 *
 * @param {string} script
 * @param {string} [type]
 */
export async function diagnose(script, type = "classic") {
  const { wrong, text = "" } = await look(script);
  if (wrong) return wrong;
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  if (type === "classic" && /^\s*(import\s*["'{*]|import\s+[\w$]+\s*(,|from)|export\s)/m.test(code)) {
    return 'it is a module: connect({type: "module"}), or bundle it to a classic script';
  }
  if (type === "module" && /(^|[^.\w])importScripts\s*\(/.test(code)) {
    return 'it calls importScripts(), which module workers do not have: connect({type: "classic"}), or import instead';
  }
  for (const name of parts(code, type)) {
    if (type === "module" && !/^(\.{0,2}\/|\w+:)/.test(name)) return `it imports "${name}", which only a bundler can resolve`;
    const part = new URL(name, script);
    const { wrong } = await look(part.href);
    if (wrong) return `what it loads as "${name}" cannot be loaded: ${part.pathname}: ${wrong}`;
  }
  return undefined;
}

/**
 * The URLs that the script loads, as far as they are string literals.
 *
 * @param {string} code
 * @param {string} type
 */
function parts(code, type) {
  const calls =
    type === "module"
      ? code.matchAll(/^\s*(?:import|export)\b[^"';]*["']([^"']+)["']/gm)
      : code.matchAll(/\bimportScripts\s*\(([^)]*)\)/g);
  const found = [...calls].map(([, inside]) => inside);
  return type === "module"
    ? found
    : found.flatMap((inside) => [...inside.matchAll(/["'`]([^"'`$]+)["'`]/g)].map(([, name]) => name));
}

/**
 * The script at `url`, or what is wrong with the response; neither where there is no response.
 *
 * @param {string} url
 * @returns {Promise<{text?: string, wrong?: string}>}
 */
async function look(url) {
  let response;
  try {
    response = await fetch(url, { cache: "no-cache" });
  } catch {
    return {};
  }
  if (!response.ok) return { wrong: `the server answered ${response.status}` };
  const type = response.headers.get("content-type") ?? "";
  if (!JAVASCRIPT.test(type)) {
    return {
      wrong: `the server sent ${type || "no content type"} and not JavaScript${/html/.test(type) ? " (a page for unknown paths?)" : ""}`,
    };
  }
  return { text: await response.text() };
}

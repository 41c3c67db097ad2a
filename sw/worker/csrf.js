// Where `csrf` of the configuration finds a token when a job is sent: a cookie, or a `meta` of one of the app's pages.

import { invalidConfig } from "../error.js";

/** @typedef {NonNullable<import("../types/worker.js").WorkerConfig["csrf"]>} Csrf */

/**
 * The `before-send` hook that the configuration stands for.
 *
 * @param {Csrf} csrf
 * @returns {() => Promise<import("../types/worker.js").BeforeSend>}
 */
export function csrfHook(csrf) {
  const text = (/** @type {unknown} */ value) => typeof value === "string" && value !== "";
  const { cookie, meta, page = "/", header, field, ...rest } = /** @type {Record<string, any>} */ (csrf ?? {});
  if (Object.keys(rest).length > 0 || text(cookie) === text(meta) || text(header) === text(field) || !text(page)) {
    throw invalidConfig("csrf: {cookie} or {meta, page}, and {header} or {field}, each a string");
  }
  return async () => {
    const token = text(cookie) ? await ofCookie(cookie) : await ofMeta(page, meta);
    return text(header) ? { headers: { [header]: token } } : { fields: { [field]: token } };
  };
}

/** @param {string} name */
async function ofCookie(name) {
  const store = /** @type {{get(name: string): Promise<{value: string} | null>} | undefined} */ (
    /** @type {any} */ (self).cookieStore
  );
  if (!store) throw new Error("csrf: this browser has no CookieStore; use the before-send hook");
  const cookie = await store.get(name);
  if (!cookie) throw new Error(`csrf: there is no cookie "${name}" that scripts may read`);
  try {
    return decodeURIComponent(cookie.value);
  } catch {
    return cookie.value;
  }
}

/**
 * @param {string} page
 * @param {string} name
 */
async function ofMeta(page, name) {
  const response = await fetch(page, { credentials: "same-origin", cache: "no-store", headers: { accept: "text/html" } });
  // A worker has no parser of HTML; comments are taken off, so that none is taken for the tag.
  const html = (await response.text()).replace(/<!--[\s\S]*?-->/g, "");
  for (const [tag] of html.matchAll(/<meta\s[^>]*>/gi)) {
    const of = (/** @type {string} */ attribute) =>
      new RegExp(`\\s${attribute}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`, "i").exec(tag);
    const [named, content] = [of("name"), of("content")];
    if (content && (named?.[1] ?? named?.[2]) === name) return content[1] ?? content[2];
  }
  throw new Error(`csrf: ${page} has no <meta name="${name}" content="…">`);
}

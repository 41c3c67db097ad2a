// Which requests of the app are routed, and the listener that takes them; first-try.js does the rest.
//
// The decision falls within the `fetch` event, without the wasm, which may not be loaded. A request that no route matches is
// left to the browser: nothing responds to it, reads it, clones it or waits for it. Of several listeners, the first that
// responds is the last that hears of the request (`respondWith` stops it), so nothing is sent twice beside another library.
//
// # What always holds
//
// - The first route that matches counts. That others match as well is said once for each pair.
// - A route has no say over what cannot be repeated: a navigation that is no form of this origin's own pages, a part of a
//   resource (`Range`), what must come from the cache.
// - A form that another site submits is not routed: sent by the worker it would carry the cookies that the browser holds
//   back from other sites.

import { invalidConfig } from "../error.js";

/** The methods of a route that names none. */
const CHANGES = ["POST", "PUT", "PATCH", "DELETE"];

/**
 * @typedef {import("../types/worker.js").RouteConfig} RouteConfig
 * @typedef {import("../types/worker.js").URLPatternLike} URLPatternLike
 *
 * @typedef {object} Route
 * @property {RouteConfig} config
 * @property {URLPatternLike} pattern
 * @property {string[]} methods  in upper case
 * @property {string} text  the pattern as the app wrote it, for the console
 */

/**
 * Builds the patterns of the configuration. What else is wrong with a route, the wasm says when the worker installs.
 *
 * Throws `invalid-config` for a pattern that is none, or that matches everything without `allowAll`.
 *
 * @param {unknown} configs  unchecked
 * @returns {Route[]}
 */
export function compileRoutes(configs) {
  if (!Array.isArray(configs)) return [];
  return configs
    .map((config, at) => (isObject(config) ? compileRoute(config, `routes.${at}`) : undefined))
    .filter((route) => route !== undefined);
}

/**
 * The configuration of routes as the wasm takes it: with the text of each pattern.
 *
 * @param {unknown} configs  unchecked
 */
export function routesForWasm(configs) {
  if (!Array.isArray(configs)) return configs;
  return configs.map((config) => (isPattern(config?.match) ? { ...config, match: textOf(config.match) } : config));
}

/**
 * @param {any} config
 * @param {string} path
 * @returns {Route | undefined}
 */
function compileRoute(config, path) {
  const { match, methods, key, page } = config;
  const pattern = typeof match === "string" ? build(match, path) : match;
  if (!isPattern(pattern)) {
    if (match === undefined) return undefined;
    throw invalidConfig(`start(): ${path}.match is a URLPattern or its text`);
  }
  if (config.allowAll !== true && everywhere().some((url) => pattern.test(url))) {
    throw invalidConfig(
      `start(): ${path}.match matches everything, a sign-in and a payment too: name what is to be queued, or set allowAll: true`,
    );
  }
  if (typeof page === "string" && !isOwn(page)) throw invalidConfig(`start(): ${path}.page is a URL of the app`);
  const strange = groupsOf(key).find((group) => !hasGroup(pattern, group));
  if (strange !== undefined) throw invalidConfig(`start(): ${path}.key: the pattern has no group "${strange}"`);
  const named = Array.isArray(methods) ? methods.map((method) => String(method).toUpperCase()) : CHANGES;
  return { config, pattern, methods: named, text: textOf(match) };
}

/**
 * @param {string} text
 * @param {string} path
 * @returns {URLPatternLike}
 */
function build(text, path) {
  if (typeof URLPattern !== "function") {
    throw invalidConfig(
      `start(): ${path}.match: this browser has no URLPattern; load the package urlpattern-polyfill before start()`,
    );
  }
  try {
    return new URLPattern(text, self.location.href);
  } catch (error) {
    throw invalidConfig(`start(): ${path}.match is no URLPattern: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {string} page */
function isOwn(page) {
  try {
    return new URL(page, self.location.href).origin === self.location.origin;
  } catch {
    return false;
  }
}

/** URLs that only a pattern without any condition matches: of this app, and of somebody else. */
function everywhere() {
  const nowhere = () => crypto.randomUUID();
  const scope = self.registration?.scope ?? self.location.href;
  return [scope, `https://${nowhere()}.example/`].map((base) => new URL(`${nowhere()}/${nowhere()}?${nowhere()}`, base).href);
}

const PARTS = /** @type {const} */ (["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"]);

/**
 * @param {any} value
 * @returns {value is URLPatternLike}
 */
const isPattern = (value) => isObject(value) && typeof value.test === "function" && typeof value.exec === "function";

/**
 * @param {any} value
 * @returns {value is Record<string, any>}
 */
const isObject = (value) => typeof value === "object" && value !== null;

/** @param {string | URLPatternLike} pattern */
const textOf = (pattern) => (typeof pattern === "string" ? pattern : PARTS.map((part) => pattern[part]).join(" "));

/**
 * The groups that a key refers to, as in `note-{id}`.
 *
 * @param {unknown} key
 */
const groupsOf = (key) => (typeof key === "string" ? [...key.matchAll(/\{([^{}]*)\}/g)].map(([, group]) => String(group)) : []);

/**
 * @param {URLPatternLike} pattern
 * @param {string} group
 */
function hasGroup(pattern, group) {
  if (group === "") return false;
  const named = new RegExp(`:${group.replace(/[^\w]/gu, "")}(?!\\w)`, "u");
  return /^\d+$/.test(group) || PARTS.some((part) => named.test(pattern[part]));
}

/**
 * The key of a request's job: the route's, with what the pattern's groups matched.
 *
 * @param {Route} route
 * @param {string} url
 * @returns {string | undefined}
 */
export function keyOf({ config: { key }, pattern }, url) {
  if (key === undefined || groupsOf(key).length === 0) return key;
  const found = pattern.exec(url);
  return key.replace(/\{([^{}]*)\}/g, (_, group) => {
    // A wildcard's number means the path's.
    const parts = /^\d+$/.test(group) ? /** @type {const} */ (["pathname"]) : PARTS;
    return parts.map((part) => found?.[part]?.groups[group]).find((value) => value !== undefined) ?? "";
  });
}

/**
 * Creates the listener; `respond` is called within the event with each request that a route matches.
 *
 * @param {Route[]} routes
 * @param {(event: FetchEvent, route: Route) => Promise<Response>} respond
 * @param {(message: string) => void} warn
 */
export function createFetchListener(routes, respond, warn) {
  const methods = new Set(routes.flatMap((route) => route.methods));
  /** @type {Set<string>} */
  const said = new Set();

  /** @param {string} message */
  function warnOnce(message) {
    if (said.has(message)) return;
    said.add(message);
    warn(message);
  }

  /** @param {Request} request */
  function find({ method, url }) {
    const normal = method.toUpperCase();
    if (!methods.has(normal)) return undefined;
    const matches = (/** @type {Route} */ route) => route.methods.includes(normal) && route.pattern.test(url);
    const at = routes.findIndex(matches);
    const route = routes[at];
    for (const other of route ? routes.slice(at + 1).filter(matches) : []) {
      warnOnce(`a request matches the routes "${route?.text}" and "${other.text}": the first one counts`);
    }
    return route;
  }

  return (/** @type {FetchEvent} */ event) => {
    const route = find(event.request);
    if (route && isRepeatable(event.request)) event.respondWith(respond(event, route));
  };
}

/**
 * Whether the worker can send the request as the browser would, now and later.
 *
 * @param {Request} request
 */
function isRepeatable({ mode, method, referrer, headers, cache }) {
  if (mode === "navigate") return method === "POST" && referrer !== "" && isOwn(referrer);
  return !headers.has("range") && cache !== "only-if-cached";
}

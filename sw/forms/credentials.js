// Which names are credentials: the list of crates/core/src/http/credentials.rs, with which a test of the core compares it.

const PARTS = [
  "accesskey",
  "accesstoken",
  "apikey",
  "authenticationtoken",
  "authenticitytoken",
  "authorization",
  "authtoken",
  "bearer",
  "clientsecret",
  "credential",
  "csrf",
  "idtoken",
  "passwd",
  "password",
  "privatekey",
  "refreshtoken",
  "secretkey",
  "securitytoken",
  "sessionid",
  "sessiontoken",
  "subscriptionkey",
  "usertoken",
  "verificationtoken",
  "xsrf",
];
const NAMES = ["auth", "authentication", "cookie", "jwt", "secret", "sid", "token", "xauth", "xsecret", "xtoken"];

const normalised = (/** @type {string} */ name) => name.toLowerCase().replace(/[^a-z0-9]/g, "");

/**
 * Whether a field of this name holds a credential; `more` are the app's name parts.
 *
 * @param {string} name
 * @param {string[]} more
 */
export function isCredential(name, more) {
  const text = normalised(name);
  return NAMES.includes(text) || [...PARTS, ...more.map(normalised)].some((part) => text.includes(part));
}

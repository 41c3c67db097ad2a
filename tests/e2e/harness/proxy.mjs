// A proxy between browser and server: responses that never come, responses other than the server's, and a slow line.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { brotliCompressSync, constants } from "node:zlib";

/** Bytes that go over the line at once. */
const CHUNK = 1_400;

/** By the hash of what was compressed, for all proxies: it takes longer than to send it. */
const compressed = new Map();

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Starts a proxy before the server at `target`, an origin of its own. `latency`: milliseconds that each request takes
 * besides, and each connection; `bytesPerSecond`: of all responses together; `files`: compressed by brotli, and kept
 * by the browser if it asks each time whether they are still the same, as the usual web server has it.
 */
export async function startProxy(target, { latency = 0, bytesPerSecond = Infinity, files = false } = {}) {
  const rules = new Map();
  /** @type {string[]} */
  const seen = [];
  const connected = new WeakSet();
  let free = 0;

  /** One after the other over one line. */
  const send = async (bytes) => {
    if (bytesPerSecond === Infinity) return;
    free = Math.max(free, performance.now()) + (bytes / bytesPerSecond) * 1_000;
    const wait = free - performance.now();
    if (wait > 2) await pause(wait);
  };

  const fetched = (from) =>
    new Promise((resolve, reject) => {
      const asked = request(
        new URL(from.url, target),
        { method: from.method, headers: { ...from.headers, "accept-encoding": "identity" } },
        (response) => {
          const parts = [];
          response.on("data", (part) => parts.push(part));
          response.on("end", () =>
            resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }),
          );
          response.on("error", reject);
        },
      );
      asked.on("error", reject);
      from.pipe(asked);
    });

  const server = createServer(async (from, to) => {
    const path = String(from.url).split("?")[0];
    seen.push(path);
    const rule = rules.get(path);
    if (latency) await pause(latency + (connected.has(from.socket) ? 0 : latency));
    connected.add(from.socket);
    await rule?.until;
    if (rule?.hang) return;
    if (rule?.drop) return void from.socket.destroy();
    let answer;
    try {
      answer =
        rule?.body !== undefined || rule?.status
          ? { status: rule.status ?? 200, headers: {}, body: Buffer.from(rule.body ?? "") }
          : await fetched(from);
    } catch {
      return void from.socket.destroy();
    }
    if (rule?.lose === from.method) {
      rules.delete(path);
      return void from.socket.destroy();
    }
    const headers = { ...answer.headers, ...rules.get("*")?.headers, ...rule?.headers };
    let { body } = answer;
    const hash = createHash("sha256").update(body).digest("hex");
    if (files && from.method === "GET") {
      headers.etag = `"${hash}"`;
      headers["cache-control"] = "no-cache";
      if (from.headers["if-none-match"] === headers.etag) {
        delete headers["content-length"];
        return void to.writeHead(304, headers).end();
      }
    }
    if (files && body.length > 200 && /br/.test(from.headers["accept-encoding"] ?? "")) {
      if (!compressed.has(hash))
        compressed.set(hash, brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
      body = compressed.get(hash);
      headers["content-encoding"] = "br";
    }
    for (const name of ["transfer-encoding", "connection"]) delete headers[name];
    headers["content-length"] = body.length;
    to.writeHead(answer.status, headers);
    for (let at = 0; at < body.length; at += CHUNK) {
      const part = body.subarray(at, at + CHUNK);
      await send(part.length);
      to.write(part);
    }
    to.end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    origin: `http://localhost:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`,
    /** Paths that were asked for. */
    seen,
    /**
     * From now on: {hang}, {drop}, {status, body, headers}, {until: a promise}, {lose: a method}, whose next response is lost;
     * undefined for the server's own.
     */
    rule: (path, rule) => (rule ? rules.set(path, rule) : rules.delete(path)),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

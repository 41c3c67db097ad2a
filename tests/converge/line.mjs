// The line between one client and the server: it can be cut, and sees what the server accepts.

import { once } from "node:events";
import { createServer, request } from "node:http";

const API = "/api/records/";

/**
 * How a line may fail; only requests for records, so that a browser can be started meanwhile.
 *
 * - `before`: no request arrives
 * - `after`: requests arrive, and no response comes back
 * - `busy`: 503
 */
export const CUTS = ["before", "after", "busy"];

/**
 * Starts the line of a client to the server at `target`; it is an origin of its own.
 *
 * @param {string} target
 * @param {object} options
 * @param {number} options.latency  milliseconds that each request takes besides
 * @param {boolean} [options.blind]  takes If-Match away: the planted fault
 */
export async function startLine(target, { latency, blind = false }) {
  /** Effects by their keys: when the row changed, when the response had come. @type {Map<string, {at: number, seenAt: number}>} */
  const effects = new Map();
  const counts = { pushes: 0, pulls: 0, conflicts: 0, cut: 0 };
  const open = new Set();
  /** @type {string | null} */
  let cut = null;

  const forwarded = (from) =>
    new Promise((resolve, reject) => {
      const headers = { ...from.headers, "accept-encoding": "identity" };
      if (blind) delete headers["if-match"];
      const asked = request(new URL(from.url, target), { method: from.method, headers }, (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("end", () =>
          resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }),
        );
        response.on("error", reject);
      });
      asked.on("error", reject);
      from.on("error", () => asked.destroy());
      from.pipe(asked);
    });

  function note(from, { status, body }) {
    counts[from.method === "GET" ? "pulls" : "pushes"] += 1;
    if (from.method === "GET") return;
    if (status === 409 || status === 412) counts.conflicts += 1;
    // A structured string (RFC 8941), which the log has without its quotes.
    const key = String(from.headers["idempotency-key"] ?? "").replaceAll('"', "");
    if (status < 200 || status > 299 || !key || effects.has(key)) return;
    effects.set(key, { at: Date.parse(JSON.parse(String(body)).updatedAt), seenAt: Date.now() });
  }

  const server = createServer(async (from, to) => {
    const isApi = String(from.url).startsWith(API);
    const fails = () => {
      counts.cut += 1;
      from.socket.destroy();
    };
    if (isApi) open.add(from.socket);
    to.once("close", () => open.delete(from.socket));
    try {
      if (isApi && latency) await new Promise((resolve) => setTimeout(resolve, latency));
      if (isApi && cut === "before") return fails();
      if (isApi && cut === "busy") {
        counts.cut += 1;
        return void to.writeHead(503).end();
      }
      const response = await forwarded(from);
      if (isApi) note(from, response);
      if (isApi && cut) return fails();
      const headers = { ...response.headers };
      for (const name of ["transfer-encoding", "connection"]) delete headers[name];
      to.writeHead(response.status, { ...headers, "content-length": response.body.length }).end(response.body);
    } catch {
      from.socket.destroy();
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    origin: `http://localhost:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`,
    effects,
    counts,
    /** Cuts the line, in one of [`CUTS`]; null mends it. What is on its way is lost, too. */
    cut(how) {
      cut = how;
      if (how) for (const socket of open) socket.destroy();
    },
    get isCut() {
      return cut !== null;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

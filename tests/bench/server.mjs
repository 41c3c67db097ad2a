// The back end of the benchmark: the release build, with keep-alive, so that it is not what is measured.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { createServer } from "node:tls";

import { askOf, root } from "../e2e/harness/server.mjs";

const binary =
  process.env.SHEARWATER_SERVER ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release/shearwater-server");

/** A fresh server on free ports, hence a fresh origin. `tls` puts HTTP/2 over TLS in front of it. */
export async function startServer({ site, tls = false }) {
  if (!existsSync(binary)) throw new Error(`${binary} is not there: cargo build --release -p shearwater-server`);
  const folder = mkdtempSync(join(tmpdir(), "shearwater-bench-"));
  const child = spawn(
    binary,
    [
      "--listen",
      "127.0.0.1:0",
      "--control",
      "127.0.0.1:0",
      "--db",
      join(folder, "server.db"),
      "--fast",
      "--static",
      site,
      "--static-mount",
      `/shearwater=${resolve(root, process.env.SHEARWATER_DIST ?? "", "dist")}`,
    ],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const line = await new Promise((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
  const started = JSON.parse(line);
  const { listen } = started;
  const front = tls ? await startFront(new URL(listen).port) : undefined;
  const ask = askOf(started);
  return {
    origin: front?.origin ?? listen.replace("127.0.0.1", "localhost"),
    faults: (rules) => ask("PUT", "/faults", { down: false, rules }),
    down: (down) => ask("PUT", "/faults", { down, rules: [] }),
    stats: () => ask("GET", "/stats"),
    // Of the collection "notes".
    writeRecord: (row) => ask("POST", "/records/notes", row),
    forgetRecord: (id) => ask("DELETE", `/records/notes/rows/${encodeURIComponent(id)}`),
    arrivals: () => ask("GET", "/arrivals?path=/api/sink/"),
    arrived: async () => (await ask("GET", "/arrivals/count?path=/api/sink/")).count,
    async stop() {
      front?.stop();
      process.off("exit", kill);
      kill();
      await new Promise((resolve) =>
        child.exitCode === null && child.signalCode === null ? child.once("exit", resolve) : resolve(),
      );
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

let pair;

/** A key and a certificate for "localhost", or undefined where there is no openssl. */
export function certificate() {
  if (pair !== undefined) return pair ?? undefined;
  const folder = mkdtempSync(join(tmpdir(), "shearwater-cert-"));
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(folder, name));
  const made = spawnSync("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
    "-keyout",
    key,
    "-out",
    cert,
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost",
  ]);
  pair = made.status === 0 ? { key: readFileSync(key), cert: readFileSync(cert) } : null;
  rmSync(folder, { recursive: true, force: true });
  return pair ?? undefined;
}

/** Ends TLS and passes HTTP/2 on as it is: the server takes it with prior knowledge. */
async function startFront(port) {
  const open = new Set();
  const server = createServer({ ...certificate(), ALPNProtocols: ["h2"] }, (from) => {
    const to = connect({ port: Number(port), host: "127.0.0.1", noDelay: true });
    from.setNoDelay(true);
    for (const [one, other] of [
      [from, to],
      [to, from],
    ]) {
      open.add(one);
      one
        .on("error", () => other.destroy())
        .on("close", () => {
          open.delete(one);
          other.destroy();
        });
    }
    from.pipe(to).pipe(from);
  });
  server.on("tlsClientError", () => {});
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `https://localhost:${server.address().port}`,
    stop() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

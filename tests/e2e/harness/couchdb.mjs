// A server of CouchDB's protocol, express-pouchdb on LevelDB, in a folder of its own.

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import express from "express";
import expressPouchdb from "express-pouchdb";
import PouchDB from "pouchdb";

/** Starts one. */
export async function startCouchdb() {
  const folder = mkdtempSync(join(tmpdir(), "shearwater-couchdb-"));
  const Database = PouchDB.defaults({ prefix: `${folder}/` });
  const app = express();
  /** Methods of requests whose next response is lost. @type {string[]} */
  const losing = [];
  app.use((request, response, next) => {
    response.set("access-control-allow-origin", request.headers.origin ?? "*");
    response.set("access-control-allow-credentials", "true");
    response.set("access-control-allow-methods", "GET, PUT, POST, DELETE");
    response.set("access-control-allow-headers", "content-type, accept");
    if (request.method === "OPTIONS") return response.end();
    const at = losing.indexOf(request.method);
    if (at >= 0) {
      losing.splice(at, 1);
      response.end = () => request.socket.destroy();
    }
    next();
  });
  app.use(
    expressPouchdb(Database, {
      mode: "minimumForPouchDB",
      configPath: join(folder, "config.json"),
      logPath: join(folder, "log.txt"),
    }),
  );
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /** @param {string} name */
    open: (name) => new Database(name),
    /** @param {string} method */
    lose: (method) => losing.push(method),
    async stop() {
      server.closeAllConnections();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// What a story of kills must look like in the end: every promise held, or a finding that says which was not.

import { createHash } from "node:crypto";

import { bytes } from "./page/bytes.mjs";

/** The kinds of findings, in the order in which the table shows them. */
export const KINDS = [
  "lost",
  "doubled",
  "disordered",
  "miscounted",
  "half",
  "leased",
  "resent",
  "altered",
  "unrecorded",
  "stray",
  "stuck",
];

/**
 * Judges one story; returns its findings, none if every promise held.
 *
 * - `calls`: what was handed over, in order: `{n, key, jobs: [{path, refused, …}]}`; `refused` jobs meet a permanent error
 * - `acks`: by number of the call, the ids with which it resolved; a call that is not there did not resolve
 * - `kills`: `{from, to}`, when a worker or browser died
 * - `sink`, `arrivals`: what the server accepted, and every request that it saw
 * - `jobs`, `snapshot`, `states`: what the client lists, shows, and says of each acknowledged id
 */
export function judge({ calls, acks, kills, sink, arrivals, jobs, snapshot, states }) {
  const findings = [];
  const find = (what, detail) => findings.push({ what, detail });
  const accepted = groupBy(sink, (entry) => entry.path);
  const listed = new Map(jobs.map((job) => [job.id, job]));
  const storedAt = groupBy(jobs, (job) => new URL(job.url).pathname);
  const mayWait = blockedPaths(calls);

  for (const call of calls) {
    const ids = acks.get(call.n);
    if (ids && ids.length !== call.jobs.length) find("half", `call ${call.n}: ${ids.length} ids for ${call.jobs.length} jobs`);
    let there = 0;
    call.jobs.forEach((job, at) => {
      const deliveries = accepted.get(job.path) ?? [];
      const stored = storedAt.get(job.path) ?? [];
      there += deliveries.length > 0 || stored.length > 0 ? 1 : 0;
      if (deliveries.length + stored.length > 1) {
        find("doubled", `${job.path}: accepted under ${keysOf(deliveries)}, stored ${stored.map(brief)}`);
      }
      for (const delivery of deliveries) {
        if (delivery.bodySha256 !== digest(job))
          find("altered", `${job.path}: ${delivery.bodySize} bytes arrived, not those handed over`);
        if (ids && delivery.idempotencyKey !== ids[at])
          find("doubled", `${job.path}: accepted under ${delivery.idempotencyKey}, acknowledged as ${ids[at]}`);
      }
      if (!ids || deliveries.length > 0) return;
      const kept = listed.get(ids[at]);
      const dead = job.refused && kept?.state === "failed" && kept.error?.status === 422;
      const waits = mayWait.has(job.path) && kept?.state === "pending" && kept.waitingFor;
      if (!dead && !waits)
        find("lost", `${job.path} (${ids[at]}): not delivered; ${kept ? `listed as ${brief(kept)}` : "not listed"}`);
    });
    if (!ids && there > 0 && there < call.jobs.length)
      find("half", `call ${call.n} did not resolve: ${there} of ${call.jobs.length} are there`);
    if (!ids) continue;
    ids.forEach((id, at) => {
      const delivered = (accepted.get(call.jobs[at]?.path) ?? []).length > 0;
      if (delivered && states[id] !== "delivered")
        find("unrecorded", `${call.jobs[at].path} was accepted; the client says ${states[id]}`);
    });
  }

  const known = new Set(calls.flatMap((call) => call.jobs.map((job) => job.path)));
  for (const path of [...accepted.keys(), ...storedAt.keys()]) if (!known.has(path)) find("stray", path);

  for (const [key, line] of groupBy(
    calls.filter((call) => call.key),
    (call) => call.key,
  )) {
    const place = new Map(line.flatMap((call) => call.jobs).map((job, at) => [job.path, at]));
    const order = sink.filter((entry) => place.has(entry.path)).map((entry) => place.get(entry.path));
    if (order.some((at, index) => index > 0 && at < order[index - 1])) find("disordered", `key ${key}: ${order}`);
  }

  const count = (state) => jobs.filter((job) => job.state === state).length;
  const recount = {
    pending: count("pending"),
    syncing: count("syncing"),
    failed: count("failed"),
    conflicts: count("conflict"),
    blocked: count("blocked"),
  };
  for (const [name, counted] of Object.entries(recount)) {
    if (snapshot[name] !== counted) find("miscounted", `${name}: the snapshot says ${snapshot[name]}, list() gives ${counted}`);
  }
  for (const job of jobs.filter((job) => job.state === "syncing")) find("leased", brief(job));

  for (const [key, sends] of groupBy(
    arrivals.filter((arrival) => arrival.idempotencyKey),
    (arrival) => arrival.idempotencyKey,
  )) {
    for (let at = 1; at < sends.length; at += 1) {
      const [earlier, later] = [sends[at - 1], sends[at]];
      const asked = earlier.status === null || earlier.status === 409 || earlier.status === 503;
      const died = kills.some((kill) => kill.from <= later.atMs && kill.to >= earlier.atMs);
      if (!asked && !died) find("resent", `${key} (${later.path}) after ${earlier.status}, and nothing had died`);
    }
  }
  return findings;
}

/** Jobs that may be held up: those of a key behind one that meets a permanent error. */
function blockedPaths(calls) {
  const blocked = new Set();
  for (const line of groupBy(
    calls.filter((call) => call.key),
    (call) => call.key,
  ).values()) {
    const jobs = line.flatMap((call) => call.jobs);
    const first = jobs.findIndex((job) => job.refused);
    if (first >= 0) for (const job of jobs.slice(first + 1)) blocked.add(job.path);
  }
  return blocked;
}

const digest = (job) =>
  createHash("sha256")
    .update(job.kind === "text" ? job.text : bytes(job))
    .digest("hex");
const brief = (job) =>
  JSON.stringify({
    state: job.state,
    attempts: job.attempts,
    error: job.error,
    waitingFor: job.waitingFor,
    nextAttemptAt: job.nextAttemptAt,
  });
const keysOf = (deliveries) => deliveries.map((delivery) => delivery.idempotencyKey).join(", ");

export function groupBy(list, nameOf) {
  const groups = new Map();
  for (const entry of list) {
    const name = nameOf(entry);
    if (groups.has(name)) groups.get(name).push(entry);
    else groups.set(name, [entry]);
  }
  return groups;
}

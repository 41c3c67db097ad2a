// The page's part in a trial. The server under test serves this folder as /torture.

import { bytes } from "./bytes.mjs";

const work = { open: 0, untold: 0, refused: [] };

/** By key, the end of the calls so far: the next call of a key begins when the one before has ended. */
const lanes = new Map();

const body = (job) => ({ text: () => job.text, bytes: () => bytes(job), blob: () => new Blob([bytes(job)]) })[job.kind]();
const request = (job) => ({ url: job.path, method: "POST", body: body(job) });

/**
 * Hands calls over: those of one key one after the other, the others beside them. The ids of each call that
 * resolved are told to the server at once, for the browser may be dead the next moment; by another name of
 * the same server, for the worker may have all connections to the first one in use.
 */
export function handOver(calls) {
  work.open += calls.length;
  const acks = `http://127.0.0.1:${location.port}/api/sink/ack`;
  const store = async ({ n, key, jobs }) => {
    const options = key ? { key } : {};
    try {
      const ids =
        jobs.length === 1
          ? [await client.enqueue(request(jobs[0]), options)]
          : await client.enqueueAll(jobs.map(request), options);
      work.untold += 1;
      // Not waited for: `untold` says whether it is still on its way.
      void fetch(`${acks}/${n}`, { method: "POST", mode: "no-cors", body: JSON.stringify(ids) }).finally(() => {
        work.untold -= 1;
      });
    } catch (error) {
      work.refused.push(`call ${n}: ${error.code}: ${error.message}`);
    }
    work.open -= 1;
  };
  for (const call of calls) {
    const before = (call.key && lanes.get(call.key)) ?? Promise.resolve();
    const ended = before.then(() => store(call));
    if (call.key) lanes.set(call.key, ended);
  }
}

/** How many calls have not ended yet. */
export const open = () => work.open;

/** Whether all that resolved has been told. */
export const told = () => work.untold === 0;

/** What the client lists and shows; `quiet` when nothing is on its way any more, by itself or by a call. */
export async function look() {
  const jobs = await client.list({ limit: 1_000 });
  const snapshot = client.getSnapshot();
  const ended = (job) => job.state === "failed" || (job.state === "pending" && Boolean(job.waitingFor));
  const quiet = work.open === 0 && work.untold === 0 && !snapshot.isRunning && jobs.every(ended);
  return { quiet, open: work.open, refused: work.refused, jobs, snapshot };
}

/** The state of each of these jobs, as the client tells it. */
export async function states(ids) {
  const jobs = await Promise.all(ids.map((id) => client.get(id)));
  return Object.fromEntries(ids.map((id, at) => [id, jobs[at]?.state ?? null]));
}

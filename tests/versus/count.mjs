// Counts what the server saw of the jobs that were queued. A job is known by its method and path.

const known = ({ method, path, url }) => `${method} ${path ?? new URL(url).pathname}`;

/**
 * @param jobs       what the library took, in the order of queueing
 * @param accepted   the server's sink, in the order of commit; a repeated Idempotency-Key is not in it twice
 * @param arrivals   every request that reached the server, whatever became of it
 * @param remaining  what the library still shows, after it had every chance
 */
export function count({ jobs, accepted, arrivals, remaining, ordered }) {
  const first = new Map();
  const times = new Map();
  accepted.forEach((entry, at) => {
    const job = known(entry);
    if (!first.has(job)) first.set(job, at);
    times.set(job, (times.get(job) ?? 0) + 1);
  });
  const shown = new Map(remaining.map((entry) => [known(entry), entry]));
  const absent = jobs.filter((job) => !first.has(known(job)));
  return {
    queued: jobs.length,
    accepted: jobs.length - absent.length,
    lost: absent.filter((job) => !shown.has(known(job))).length,
    listed: absent.filter((job) => ["failed", "conflict"].includes(shown.get(known(job))?.state)).length,
    waiting: absent.filter((job) => shown.has(known(job)) && !["failed", "conflict"].includes(shown.get(known(job)).state))
      .length,
    // Delivered, and shown as if it were not.
    stale: jobs.filter((job) => first.has(known(job)) && shown.has(known(job))).length,
    doubled: jobs.filter((job) => times.get(known(job)) > 1).length,
    disordered: ordered ? overtaken(jobs.map((job) => first.get(known(job))).filter((at) => at !== undefined)) : null,
    arrivals: arrivals.length,
    reasons: [...new Set(absent.map((job) => shown.get(known(job))?.reason).filter(Boolean))],
  };
}

/** How many were accepted after one that was queued later. */
function overtaken(places) {
  let earliest = Infinity;
  let count = 0;
  for (const place of places.toReversed()) {
    if (place > earliest) count += 1;
    earliest = Math.min(earliest, place);
  }
  return count;
}

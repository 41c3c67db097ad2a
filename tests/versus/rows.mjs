// The scenarios. `ordered` rows give all jobs one `key` in Shearwater; Workbox keeps one order for a whole
// queue. `racy` ones are run more than once. `did` says what is done, `why` what in Workbox's code explains a loss (shown only if there is one).

import { until } from "../e2e/harness/wait.mjs";
import { PATH } from "./arena.mjs";

const always = (action) => [{ path: PATH, action }];
const head = (action) => [{ path: PATH, bodyContains: "job 0.", action }];
const DROPPED = { drop: "before" };

const OTHERS = "others accepted while it failed";

/** A failing head: three replays and some seconds, and how many others arrived meanwhile; then the head is well too. */
const failingHead = (action) => async (t) => {
  await t.store(t.some(0, 10), head(action));
  for (let round = 0; round < 3; round += 1) {
    await t.sync();
    await t.still();
  }
  const others = async () => (await t.server.sink(PATH)).length;
  await until("the others", async () => (await others()) === 9, 6_000).catch(() => {});
  t.notes[OTHERS] = await others();
};

/** What Shearwater promises besides the counts. */
const othersPass = ({ [OTHERS]: others }) =>
  others < 9 && `${9 - others} of 9 independent jobs were held up by the failing one`;

/** The server is well again when the jobs are too old. */
async function tooLate(t) {
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  await t.server.faults([]);
  await t.sync();
  await t.still();
  t.notes["sent although too old"] = (await t.server.sink(PATH)).length;
}

export const rows = [
  {
    title: "down for a while",
    ordered: true,
    did: "10 jobs queued while the server is down; then it is up and a `sync` comes.",
    async run(t) {
      await t.store(t.some(0, 10));
      await t.sync();
    },
  },
  {
    title: "503 on replay",
    ordered: true,
    did: "The first 3 requests that reach the server are answered 503; `sync` events until then, and the server is well.",
    why: "whatever the server answers counts as delivered: only a `fetch` that throws is put back (workbox #2599)",
    async run(t) {
      await t.store(t.some(0, 10), [{ path: PATH, action: { status: 503 }, times: 3 }]);
      while ((await t.arrivals()).length < 3) {
        await t.sync();
        await t.still();
      }
    },
  },
  {
    title: "browser killed while sending",
    ordered: true,
    racy: true,
    ownBrowser: true,
    did: "The server holds the first request, the browser process gets SIGKILL, the request is cut unhandled, the browser starts again.",
    why: "an entry is deleted before its request is sent (workbox #2599)",
    async run(t) {
      await t.store(t.some(0, 10), always({ hold: true, ...DROPPED }));
      await t.sync();
      await t.held(1);
      await t.killBrowser();
    },
  },
  {
    title: "worker killed while sending",
    ordered: true,
    racy: true,
    did: "The same, with only the service worker stopped.",
    why: "an entry is deleted before its request is sent (workbox #2599)",
    async run(t) {
      await t.store(t.some(0, 10), always({ hold: true, ...DROPPED }));
      await t.sync();
      await t.held(1);
      await t.workers.stop();
      await t.server.release();
      await t.server.faults([]);
    },
  },
  {
    title: "browser killed four times over",
    ordered: true,
    racy: true,
    runs: 2,
    ownBrowser: true,
    did: "80 jobs, each answer taking 10 ms; SIGKILL four times, each when 5 more arrived.",
    why: "an entry is deleted before its request is sent (workbox #2599)",
    async run(t) {
      const slow = always({ delayMs: 10 });
      await t.store(t.some(0, 80), slow);
      for (let kill = 1; kill <= 4; kill += 1) {
        const before = (await t.arrivals()).length;
        await t.sync();
        await t.arrived(Math.min(before + 5, 80));
        await t.killBrowser(slow);
      }
    },
  },
  {
    title: "two replays at once",
    ordered: true,
    racy: true,
    did: 'A `sync` event and the app\'s own "send now" together, each answer taking 40 ms.',
    why: "reading the first entry and deleting it are two transactions, and nothing keeps two replays apart (workbox #600)",
    async run(t) {
      await t.store(t.some(0, 20), always({ delayMs: 40 }));
      await Promise.all([t.sync(), t.syncNow()]);
      await t.still();
    },
  },
  {
    title: "two failing replays at once",
    ordered: true,
    racy: true,
    did: "The same two, one after the other; the server holds what they send, then cuts it.",
    why: "an entry goes back under the lowest number less one, looked up in a transaction of its own: two at once pick the same number, and the second is refused (`ConstraintError`) or overtakes",
    async run(t) {
      await t.store(t.some(0, 10), always({ hold: true, ...DROPPED }));
      await t.sync();
      await t.held(1);
      const second = t.syncNow();
      // A library that keeps them apart never holds a second.
      await t.held(2, 1_500).catch(() => {});
      await t.server.release();
      await t.server.faults(always(DROPPED));
      await t.still();
      await t.server.faults([]);
      await second;
    },
  },
  {
    title: "queued while a replay fails",
    ordered: true,
    racy: true,
    did: "While the first request is held, then cut, 30 more jobs are queued.",
    why: "as above: an entry that is put back can land behind one queued meanwhile (workbox #2640)",
    async run(t) {
      await t.server.faults(always({ hold: true, ...DROPPED }));
      await t.queue(t.some(0, 1));
      await t.held(1);
      const more = t.queue(t.some(1, 31));
      await t.server.faults(always(DROPPED));
      await t.server.release();
      await more;
      await t.still();
    },
  },
  {
    title: "the head cannot reach the server",
    did: "The first job's connection is always cut, the other 9 are well: 3 `sync` events and 6 s; then all is well.",
    racy: true,
    run: failingHead(DROPPED),
    broken: othersPass,
  },
  {
    title: "the head is refused with 400",
    did: "The same with the answer 400.",
    why: "a refusal counts as delivered, and there is no list of what failed",
    run: failingHead({ status: 400 }),
    broken: othersPass,
  },
  {
    title: "a handler throws a string",
    config: { workbox: { throwOnce: true }, shearwater: { throwOnce: true } },
    did: "The handler of the first `sync` event throws a string, in W+ an Error. Workbox's is `onSync`, which replays; Shearwater's is the `sync` hook, beside the replay.",
    async run(t) {
      await t.queue(t.some(0, 1));
      const thrown = (timeout) =>
        until("the handler to throw", () => t.page.evaluate(() => window.told.includes("thrown")), timeout);
      const own = await thrown(15_000).catch(() => false);
      // Seen once in many runs on a busy machine: the browser does not fire, although the tag was registered.
      if (!own) await t.sync().then(() => thrown());
      t.notes["the browser fired by itself"] = Boolean(own);
      await t.still();
      t.notes["the browser will come again"] = await t.decided();
      t.notes["delivered before any further event"] = (await t.server.sink(PATH)).length;
    },
  },
  {
    title: "a HEAD request among others",
    did: "POST, HEAD, POST, and two `sync` events.",
    why: "a HEAD is stored with an empty body, with which no Request can be built again; by then it is deleted (workbox #1955 is the same for another reason)",
    async run(t) {
      await t.store([t.job(0), t.job(1, { method: "HEAD" }), t.job(2)]);
      await t.sync();
      await t.still();
    },
  },
  {
    title: "a retention of 0",
    config: { workbox: { maxRetentionTime: 0 }, shearwater: { queues: { default: { maxAge: 0 } } } },
    did: "`maxRetentionTime: 0` and `maxAge: 0`; the server is down when the jobs are queued, and well 2 s later. (Workbox takes 0 for its default, 7 days.)",
    async run(t) {
      await t.server.down(true);
      await t.queue(t.some(0, 5));
      await tooLate(t);
    },
  },
  {
    title: "a retention of 1 s",
    config: { workbox: { maxRetentionTime: 1 / 60 }, shearwater: { queues: { default: { maxAge: 1_000 } } } },
    did: "The same with one second.",
    why: "as documented: what is too old is deleted, and nobody is told",
    async run(t) {
      await t.server.down(true);
      await t.queue(t.some(0, 5));
      await tooLate(t);
    },
  },
  {
    title: "1,000 jobs",
    ordered: true,
    racy: true,
    runs: 2,
    did: '1,000 jobs to a server that is well, with a `sync` event in between and one "send now" more.',
    why: "as with two replays at once",
    async run(t) {
      await t.queue(t.some(0, 500));
      await t.sync();
      await t.queue(t.some(500, 1_000));
      await t.syncNow();
      await t.still(180_000);
    },
  },
  {
    title: "the reply is lost",
    ordered: true,
    did: "For each of the first 3 jobs, the server handles the request and cuts the connection before it answers; 3 `sync` events.",
    why: "the repeat carries nothing to know it by, unless the app sets an Idempotency-Key itself",
    async run(t) {
      await t.store(
        t.some(0, 10),
        [0, 1, 2].map((at) => ({ path: PATH, bodyContains: `job ${at}.`, action: { drop: "after" }, times: 1 })),
      );
      for (let round = 0; round < 3; round += 1) {
        await t.sync();
        await t.still();
      }
    },
  },
  {
    title: "a full disk",
    quota: 3_000_000,
    did: "Jobs of 400 kB, then of 40 kB, until the origin's quota takes no more; two replays whose connections are cut; then the server is well, the disk still full. Only what the library took counts.",
    why: "an entry that was taken out to be sent does not fit in again",
    async run(t) {
      await t.server.down(true);
      const { taken, refused } = await t.queue(
        Array.from({ length: 40 }, (_, at) => t.job(at, { bytes: at < 12 ? 400_000 : 40_000 })),
        { oneByOne: true },
      );
      t.notes.taken = taken;
      t.notes["refused with"] = [...new Set(refused)].join(", ");
      await t.server.faults(always(DROPPED));
      for (let round = 0; round < 2; round += 1) {
        await t.sync();
        await t.still();
      }
    },
    async afterwards(t) {
      t.notes["accepted while the disk was full"] = (await t.server.sink(PATH)).length;
      await t.limitDisk(100_000_000);
      await t.nudge();
      await t.still();
      t.notes["accepted once there was room"] = (await t.server.sink(PATH)).length;
    },
  },
  {
    title: "a new worker in mid-replay",
    ordered: true,
    did: "A new version of the worker is deployed (`skipWaiting`) while a request is held; then all is answered.",
    async run(t) {
      await t.store(t.some(0, 10), [{ path: PATH, action: { hold: true }, times: 1 }]);
      await t.sync();
      await t.held(1);
      t.worker += "&v=2";
      await t.page.evaluate((worker) => window.client.update(worker), t.worker);
      await t.server.release();
      await t.still();
    },
  },
  {
    title: "nobody does anything",
    did: "5 jobs queued while the server is down; it comes back, a page stays open, and nothing is triggered. (Chromium fires a `sync` event that failed again after 5 minutes.)",
    async run(t) {
      await t.store(t.some(0, 5));
      const since = Date.now();
      const limit = 15_000;
      const all = await until("all", async () => (await t.server.sink(PATH)).length >= 5, limit).catch(() => false);
      t.notes["delivered by itself"] = all
        ? `within ${Math.ceil((Date.now() - since) / 1_000)} s`
        : `not within ${limit / 1_000} s`;
    },
  },
];

/** What the control does to its jobs: one lost, one doubled, one out of order. */
export const controlRow = {
  title: "control",
  ordered: true,
  run: (t) => t.queue(t.some(0, 10)),
};

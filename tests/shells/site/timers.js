// Fake timers, for the tests of crates/*/src/tests: `fakeTimers.install()`, then time passes by `advance` alone.

const real = { setTimeout: self.setTimeout, clearTimeout: self.clearTimeout, now: Date.now };

let now = 0;
let timers = new Map();
let last = 0;

/** Lets everything run that waits for no timer: promises, messages, requests to a database. */
const settle = () =>
  new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => real.setTimeout.call(self, resolve, 0);
    channel.port2.postMessage(0);
  });

self.fakeTimers = {
  /** From now on nothing fires by itself, and the clock stands still. */
  install() {
    now = real.now.call(Date);
    timers = new Map();
    // A negative number, which is no real timer: it may be cleared after the test.
    self.setTimeout = (then, ms = 0) => {
      const id = --last;
      timers.set(id, { at: now + Math.max(0, ms), then });
      return id;
    };
    // Or a real one, which was set before.
    self.clearTimeout = (id) => void (timers.delete(id) || real.clearTimeout.call(self, id));
    Date.now = () => now;
  },
  /** How many timers are set. */
  pending: () => timers.size,
  /** Lets `ms` milliseconds pass: fires what is due by then, each at its time. */
  async advance(ms) {
    await settle();
    const end = now + ms;
    for (;;) {
      const due = [...timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      timers.delete(due[0]);
      now = Math.max(now, due[1].at);
      due[1].then();
      await settle();
    }
    now = end;
  },
  settle,
};

export function restoreTimers() {
  self.setTimeout = real.setTimeout;
  self.clearTimeout = real.clearTimeout;
  Date.now = real.now;
}

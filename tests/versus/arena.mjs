// One run of one row for one contender: a server of its own, hence a fresh origin, and a page on it.

import { startChromium } from "../e2e/harness/chromium.mjs";
import { startServer } from "../e2e/harness/server.mjs";
import { until } from "../e2e/harness/wait.mjs";
import { count } from "./count.mjs";

export const PATH = "/api/sink/";
/** Nothing moves for so long, with nothing in flight: it is over. */
const STILL_MS = 500;
const POLL_MS = 100;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Arena {
  static async open({ row, contender, site, chromium }) {
    const arena = new Arena();
    Object.assign(arena, { row, contender, jobs: [], notes: {}, shared: chromium });
    arena.server = await startServer({ site });
    arena.chromium = chromium ?? (await startChromium());
    const config = { ...(contender.page === "workbox" ? row.config?.workbox : row.config?.shearwater), careful: undefined };
    if (contender.careful) config.careful = true;
    arena.worker = contender.worker && `${contender.worker}?config=${encodeURIComponent(JSON.stringify(config))}`;
    if (row.quota) await arena.limitDisk(row.quota);
    await arena.openPage();
    return arena;
  }

  async openPage() {
    const { page: contender, careful } = this.contender;
    this.page = await this.chromium.open(this.server.origin, { options: { contender, careful, worker: this.worker } });
    this.workers = this.contender.tag && (await this.chromium.workers(this.page));
  }

  /** Jobs by number; `more` is what differs from a plain POST. */
  job(at, more = {}) {
    const method = more.method ?? "POST";
    return {
      method,
      url: `${this.server.origin}${PATH}${at}`,
      ...(method === "POST" && !more.bytes && { body: `job ${at}.` }),
      ...more,
    };
  }

  some(from, to) {
    return Array.from({ length: to - from }, (_, at) => this.job(from + at));
  }

  /** Hands requests to the library. Only what it took counts as queued. */
  async queue(requests, options = {}) {
    const outcomes = await this.page.evaluate((requests, options) => window.client.queue(requests, options), requests, {
      ...options,
      ...(this.row.ordered && { key: "one line" }),
    });
    const taken = requests.filter((_, at) => outcomes[at] === null);
    this.jobs.push(...taken);
    return { taken: taken.length, refused: outcomes.filter(Boolean) };
  }

  /**
   * Queues while the server is down, until all is stored and the browser's own `sync` event has come and
   * gone in vain; its next one is minutes away. Then the server is up, with these faults.
   */
  async store(requests, faults = []) {
    await this.server.down(true);
    await this.queue(requests.slice(0, 1));
    await until("a first try", async () => (await this.server.stats()).refused > 0);
    await this.still();
    await this.queue(requests.slice(1));
    await until("all stored", async () => (await this.remaining()).length === this.jobs.length);
    await this.server.faults(faults);
  }

  async sync() {
    if (this.workers) await this.workers.sync(this.server.origin, this.contender.tag);
  }

  /** The library's "send now", to its end. */
  syncNow() {
    return this.page.evaluate(() =>
      window.client.syncNow().then(
        () => {},
        () => {},
      ),
    );
  }

  remaining() {
    return this.page.evaluate(() => window.client.remaining());
  }

  arrivals() {
    return this.server.arrivals(PATH);
  }

  arrived(number) {
    return until(`${number} arrivals`, async () => (await this.arrivals()).length >= number);
  }

  held(number, timeout) {
    return until(`${number} held`, async () => (await this.server.stats()).held >= number, timeout);
  }

  /** Waits until nothing is in flight (but what the server holds) and nothing has moved for a while. */
  async still(limit = 60_000) {
    const end = Date.now() + limit;
    let before = "";
    let since = Date.now();
    while (Date.now() < end) {
      const looked = Date.now();
      const { refused, inFlight, held } = await this.server.stats();
      const now = JSON.stringify([
        refused,
        inFlight,
        held,
        (await this.arrivals()).length,
        (await this.remaining()).map(({ url, state }) => url + state),
      ]);
      if (now !== before || inFlight > held) since = Date.now();
      if (Date.now() - since >= STILL_MS) return;
      before = now;
      // Looking at a thousand arrivals takes its time; leave most of it to those who are measured.
      await pause(Math.max(POLL_MS, 3 * (Date.now() - looked)));
    }
    throw new Error(`it does not come to rest: ${before}`);
  }

  /** The browser process dies; what the server held of it is cut off unhandled; it is started again. */
  async killBrowser(faults = []) {
    await this.chromium.kill();
    await this.server.release();
    await this.server.faults(faults);
    this.chromium = await startChromium({ profile: this.chromium.profile });
    await this.openPage();
  }

  async limitDisk(bytes) {
    const blank = await this.chromium.browser.newPage();
    const { cdp } = await this.chromium.workers(blank);
    await cdp.send("Storage.overrideQuotaForOrigin", { origin: this.server.origin, quotaSize: bytes });
  }

  /** Whether the browser itself will fire another `sync` event. */
  browserWillCome() {
    return this.page.evaluate(
      async (tag) => (await (await navigator.serviceWorker.ready).sync.getTags()).includes(tag),
      this.contender.tag,
    );
  }

  /** Waits until the browser has made up its mind: the same for a while. */
  async decided() {
    let last;
    let since = Date.now();
    while (Date.now() - since < STILL_MS) {
      const now = await this.browserWillCome();
      if (now !== last) since = Date.now();
      last = now;
      await pause(POLL_MS);
    }
    return last;
  }

  /** A `sync` event and then, for two at once are a row of their own, a "send now". */
  async nudge() {
    await this.sync();
    await this.still();
    await this.syncNow();
  }

  /** The server is well, and the library gets every occasion to deliver, until it has nothing or does nothing. */
  async everyChance() {
    await this.server.faults([]);
    await this.server.release();
    await this.still();
    await this.nudge();
    await this.openPage();
    await this.still();
    await this.nudge();
    await this.still();
    const waiting = async () =>
      (await this.remaining()).filter(({ state }) => state !== "failed" && state !== "conflict").length;
    for (let idle = 0, left = await waiting(); left > 0 && idle < 3; ) {
      await this.nudge();
      await this.still();
      const now = await waiting();
      idle = now < left ? 0 : idle + 1;
      left = now;
    }
  }

  async verdict() {
    return {
      ...count({
        jobs: this.jobs,
        accepted: await this.server.sink(PATH),
        arrivals: await this.arrivals(),
        remaining: await this.remaining(),
        ordered: this.row.ordered,
      }),
      notes: this.notes,
    };
  }

  async close() {
    if (this.shared) {
      const [first, ...pages] = await this.chromium.browser.pages();
      for (const page of pages) await page.close().catch(() => {});
      await first?.goto("about:blank").catch(() => {});
    } else {
      await this.chromium.kill();
    }
    await this.server.stop();
  }
}

// The page of the benchmark. `connect` returns the same methods for each peer:
//   one(request)    resolves when it is stored
//   many(requests)  resolves when all are stored
//   drain()         sends what is stored; resolves when all of it was answered
// Times are taken here, in the page, with its own clock.

const peers = { shearwater, workbox, plain };

window.connect = async ({ peer, ...options }) => (window.client = await peers[peer](options));

/** What workers say on the channel "bench". */
window.told = [];
new BroadcastChannel("bench").onmessage = ({ data }) => window.told.push(data);

/** Requests of 250 bytes, by number. */
window.requests = (from, to, body = 250) =>
  Array.from({ length: to - from }, (_, at) => {
    const text = `job ${from + at}: `;
    return {
      method: "POST",
      url: `${location.origin}/api/sink/${from + at}`,
      body: text.padEnd(body, "The quick brown fox jumps over the lazy dog. "),
    };
  });

/** Milliseconds that each of `times` calls took on average, one after the other. */
window.oneByOne = async (times, warm) => {
  for (const request of window.requests(0, warm)) await window.client.one(request);
  const requests = window.requests(warm, warm + times);
  const began = performance.now();
  for (const request of requests) await window.client.one(request);
  return (performance.now() - began) / times;
};

/** The same with a rest before each, and the median. */
window.spaced = async (times, rest) => {
  const took = [];
  for (const request of window.requests(10_000, 10_000 + times)) {
    await new Promise((resolve) => setTimeout(resolve, rest));
    const began = performance.now();
    await window.client.one(request);
    took.push(performance.now() - began);
  }
  return took.sort((a, b) => a - b)[times >> 1];
};

/** The median of `times` fetches in milliseconds, one after the other, replies read. */
window.fetches = async (url, init, times) => {
  const took = [];
  for (let at = -20; at < times; at += 1) {
    const began = performance.now();
    await (await fetch(url, init)).arrayBuffer();
    if (at >= 0) took.push(performance.now() - began);
  }
  return took.sort((a, b) => a - b)[times >> 1];
};

window.manyAtOnce = async (times) => {
  for (const request of window.requests(0, 5)) await window.client.one(request);
  const requests = window.requests(5, 5 + times);
  const began = performance.now();
  await window.client.many(requests);
  return performance.now() - began;
};

window.drained = async (times) => {
  const requests = window.requests(0, times);
  if (!window.client.sends) await window.client.many(requests);
  const began = performance.now();
  await window.client.drain(requests);
  return performance.now() - began;
};

window.ready = true;

async function shearwater({ worker, live, connectOptions }) {
  const { connect } = await import("/shearwater/page.js");
  const client = await connect({ worker, ...connectOptions });
  window.shearwater = client;
  if (!live) await client.pause();
  return {
    one: (request) => client.enqueue(request),
    many: (requests) => client.enqueueAll(requests),
    async drain() {
      const resumed = client.resume();
      const { remaining, failed, retried } = await client.syncNow();
      if (remaining + failed + retried)
        throw new Error(`not all was delivered: ${JSON.stringify({ remaining, failed, retried })}`);
      await resumed;
    },
  };
}

async function asker(worker) {
  await navigator.serviceWorker.register(worker);
  const { active } = await navigator.serviceWorker.ready;
  return async (message) => {
    const { port1, port2 } = new MessageChannel();
    const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
    active.postMessage(message, [port2]);
    const error = await answer;
    if (error) throw new Error(error);
  };
}

async function workbox({ worker, atOnce }) {
  const ask = await asker(worker);
  return { one: (one) => ask({ one }), many: (many) => ask({ many, atOnce }), drain: () => ask({ drain: true }) };
}

async function plain({ worker, parallel = 6 }) {
  const ask = await asker(worker);
  return { one: (one) => ask({ one }), many: (many) => ask({ many }), drain: (sends) => ask({ sends, parallel }), sends: true };
}

window.timed = async (act) => {
  const began = performance.now();
  await act();
  return performance.now() - began;
};

/** Asks the worker what the client asks by itself now and then; resolves with the answer. */
window.asked = async (op) => {
  const { active } = await navigator.serviceWorker.ready;
  const re = crypto.randomUUID();
  const answer = new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("message", function heard({ data }) {
      if (data.re !== re) return;
      navigator.serviceWorker.removeEventListener("message", heard);
      resolve(data);
    });
  });
  active.postMessage({ shearwater: 1, re, op });
  const { error } = await answer;
  if (error) throw new Error(error.message);
};
window.woken = (reason) => window.asked({ wake: reason });

/** Milliseconds of one strict put by the page itself. */
window.putBeside = async () => {
  const settled = (request, name) =>
    new Promise((resolve, reject) => {
      request[name] = resolve;
      request.onerror = reject;
    });
  if (!window.beside) {
    const opening = indexedDB.open("beside");
    opening.onupgradeneeded = () => opening.result.createObjectStore("jobs", { autoIncrement: true });
    await settled(opening, "onsuccess");
    window.beside = opening.result;
  }
  return window.timed(() => {
    const transaction = window.beside.transaction("jobs", "readwrite", { durability: "strict" });
    transaction.objectStore("jobs").put(window.requests(0, 1)[0]);
    return settled(transaction, "oncomplete");
  });
};

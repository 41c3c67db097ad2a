// The page of the comparison. `connect` returns the same four methods for each contender:
//   queue(requests, options)  stores them; one entry each: null, or why it was refused
//   syncNow()                 the library's own "send now", as an app's button would call it
//   remaining()               what the library still has: [{ url, method, state, reason }]
//   update(worker)            deploys another worker script

const contenders = { shearwater, workbox, flawed };

window.connect = async ({ contender, worker, careful }) => {
  const client = await contenders[contender](worker);
  return {
    ...client,
    queue: (requests, options = {}) =>
      client.queue(
        requests.map((request) => dress(request, careful)),
        options,
      ),
    update: (next) => navigator.serviceWorker.register(next).then(() => {}),
  };
};

/** What the worker says by the channel "versus". */
window.told = [];
new BroadcastChannel("versus").onmessage = ({ data }) => window.told.push(data);
window.ready = true;

function dress({ bytes, ...request }, careful) {
  if (bytes) {
    // Random, because the browser compresses what it stores.
    request.body = new Uint8Array(bytes);
    for (let from = 0; from < bytes; from += 60_000) crypto.getRandomValues(request.body.subarray(from, from + 60_000));
  }
  if (careful) request.headers = { ...request.headers, "Idempotency-Key": `"${crypto.randomUUID()}"` };
  return request;
}

async function shearwater(worker) {
  const { connect } = await import("/shearwater/page.js");
  const client = await connect({ worker });
  return {
    async queue(requests, { oneByOne, ...options }) {
      const groups = oneByOne ? requests.map((request) => [request]) : [requests];
      const outcomes = [];
      for (const group of groups) {
        const outcome = await client.enqueueAll(group, options).then(
          () => null,
          ({ code, message }) => code ?? message,
        );
        outcomes.push(...group.map(() => outcome));
      }
      return outcomes;
    },
    syncNow: () => client.syncNow(),
    remaining: async () =>
      (await client.list({ limit: 1_000 })).map(({ url, method, state, error }) => ({
        url,
        method,
        state,
        reason: error?.kind,
      })),
  };
}

async function workbox(worker) {
  await navigator.serviceWorker.register(worker);
  const ask = async (message) => {
    const { active } = await navigator.serviceWorker.ready;
    const { port1, port2 } = new MessageChannel();
    const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
    active.postMessage(message, [port2]);
    return answer;
  };
  return {
    async queue(requests, { oneByOne }) {
      const groups = oneByOne ? requests.map((request) => [request]) : [requests];
      const outcomes = [];
      for (const group of groups) outcomes.push(...(await ask({ push: group })));
      return outcomes;
    },
    syncNow: () => ask({ replay: true }),
    remaining: stored,
  };
}

/** What lies in Workbox's store, read beside it: its own `getAll` deletes what is too old. */
async function stored() {
  if (!(await indexedDB.databases()).some(({ name }) => name === "workbox-background-sync")) return [];
  const settled = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const database = await settled(indexedDB.open("workbox-background-sync"));
  try {
    const entries = await settled(database.transaction("requests").objectStore("requests").getAll());
    return entries.map(({ requestData: { url, method } }) => ({ url, method, state: "pending" }));
  } finally {
    database.close();
  }
}

/** Loses one, doubles one, swaps two: the control, which the counting has to notice. */
async function flawed() {
  return {
    async queue(requests) {
      const [first, _dropped, second, doubled, early, late, ...others] = requests;
      for (const { url, ...init } of [first, second, doubled, doubled, late, early, ...others]) await fetch(url, init);
      return requests.map(() => null);
    },
    syncNow: async () => {},
    remaining: async () => [],
  };
}

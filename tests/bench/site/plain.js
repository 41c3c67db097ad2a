// The floors: IndexedDB with nothing around it, and `fetch` with nothing before it, behind the same message.
importScripts("/tools.js");

const opened = new Promise((resolve, reject) => {
  const request = indexedDB.open("plain", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("jobs", { autoIncrement: true });
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function store(requests) {
  const transaction = (await opened).transaction("jobs", "readwrite", { durability: "relaxed" });
  const jobs = transaction.objectStore("jobs");
  for (const request of requests) jobs.put(request);
  await new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}

async function send(requests, parallel) {
  let next = 0;
  const lane = async () => {
    while (next < requests.length) {
      const { url, ...init } = requests[next++];
      await (await fetch(url, init)).arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: parallel }, lane));
}

async function sendStored() {
  const read = (await opened).transaction("jobs").objectStore("jobs").getAll();
  await new Promise((resolve) => (read.onsuccess = resolve));
  await send(read.result, 6);
}

self.addEventListener("message", (event) => {
  const { one, many, sends, parallel } = event.data;
  event.waitUntil(
    (one ? store([one]) : many ? store(many) : send(sends, parallel)).then(
      () => event.ports[0].postMessage(null),
      (error) => event.ports[0].postMessage(String(error)),
    ),
  );
});
self.addEventListener("sync", (event) => event.waitUntil(sendStored()));

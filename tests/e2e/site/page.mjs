// The page of the tests: puts the package's `connect` where the test runner can call it.
import { connect } from "/shearwater/page.js";

window.connect = connect;

/** Tells the worker of the tests something (see sw.js), which wakes it; returns the response. */
window.tell = async (test) => {
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
  active.postMessage({ test }, [port2]);
  return answer;
};

/** What was heard on the channels of sw.js. */
window.heard = { auth: [], log: [], sync: [], delivered: [] };
for (const [name, list] of Object.entries(window.heard)) {
  new BroadcastChannel(`test:${name}`).onmessage = ({ data }) => list.push(data);
}

/** Sets this page's own clock. */
window.setClock = (offset) => {
  window.RealDate ??= Date;
  const { RealDate } = window;
  window.Date = class extends RealDate {
    constructor(...given) {
      super(...(given.length ? given : [RealDate.now() + offset]));
    }
    static now() {
      return RealDate.now() + offset;
    }
  };
};

/** The name of the worker's database. */
window.database = "shearwater";

/** One transaction on the worker's database, behind its back; `act` gets the store and returns a request. */
window.onStore = async (name, mode, act) => {
  const ask = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const database = await ask(indexedDB.open(window.database));
  try {
    const transaction = database.transaction(name, mode);
    const result = await ask(act(transaction.objectStore(name)));
    await new Promise((resolve) => (transaction.oncomplete = resolve));
    return result;
  } finally {
    database.close();
  }
};
window.rows = (name) => window.onStore(name, "readonly", (store) => store.getAll());
window.keys = (name) => window.onStore(name, "readonly", (store) => store.getAllKeys());
window.put = (name, value, key) => window.onStore(name, "readwrite", (store) => store.put(value, key));

window.ready = true;

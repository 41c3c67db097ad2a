// Starts `sw/worker`, the script side of the shipped worker, on the running test's instance of the wasm.

import { createShearwater } from "../../../sw/worker/runtime.js";
import { current } from "./glue.js";

/**
 * Starts an app with this configuration, whose hooks are an object of functions; a test starts one at most.
 *
 * Its listeners are taken off at the end of the test.
 */
self.startApp = (config, hooks = {}) => {
  const added = [];
  const listen = self.addEventListener;
  self.addEventListener = (name, listener) => {
    added.push([name, listener]);
    listen.call(self, name, listener);
  };
  current.end = () => {
    for (const [name, listener] of added) self.removeEventListener(name, listener);
    current.end = () => {};
  };
  try {
    const shearwater = createShearwater({ "worker.wasm": new URL("worker_bg.wasm", self.location.href).href });
    for (const [name, handler] of Object.entries(hooks)) shearwater.on(name, handler);
    shearwater.start(config);
    return shearwater;
  } finally {
    self.addEventListener = listen;
  }
};

/**
 * Dispatches a real `SyncEvent` at this worker; settles as what it waits for.
 *
 * Of an event that a script made, the platform's own `waitUntil` throws: nobody would wait.
 */
self.dispatchSync = async (tag, lastChance = false) => {
  const event = new SyncEvent("sync", { tag, lastChance });
  const waiting = [];
  event.waitUntil = (promise) => waiting.push(promise);
  self.dispatchEvent(event);
  if (waiting.length === 0) throw new Error("nobody called waitUntil");
  await Promise.all(waiting);
};

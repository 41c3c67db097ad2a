// The page in which the tests of crates/page run, and from which those of crates/worker are run.

import { listTests, runTest } from "./test.js";

const binary = (name) => new URL(`${name}_bg.wasm`, location.href);

window.listTests = (shell) => listTests(binary(shell));

window.runPageTest = (name) => runTest(name, binary("page"));

window.runWorkerTest = async (name) => {
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  const result = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
  active.postMessage({ runTest: name }, [port2]);
  return result;
};

window.ready = navigator.serviceWorker
  .register("service.js")
  .then(() => navigator.serviceWorker.ready)
  .then(() => true);

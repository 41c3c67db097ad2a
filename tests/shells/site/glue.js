// Stands for the glue of worker.wasm in `sw/worker`, which a test may start: its calls go to the running test's instance.

/** The running test's glue; `end` undoes what it has started. */
export const current = { glue: undefined, end: () => {} };

// The instance is there already: the test runs in it.
export default async function init() {}

export const boot = (...given) => current.glue.boot(...given);
export const message = (...given) => current.glue.message(...given);
export const sync = (...given) => current.glue.sync(...given);
export const periodic = (...given) => current.glue.periodic(...given);
export const resume = (...given) => current.glue.resume(...given);
export const overtakes = (...given) => current.glue.overtakes(...given);
export const notBefore = (...given) => current.glue.notBefore(...given);
export const renew = () => {};
export const watchCallbacks = () => {};

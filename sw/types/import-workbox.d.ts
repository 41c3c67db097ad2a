import type { Source } from "./worker.js";

/**
 * What the app's workbox-background-sync left in IndexedDB: `adopt(workboxQueues())` before `start()`.
 * Entries of one Workbox queue keep their order and go one at a time. `queues` renames queues. Take
 * Workbox's own `Queue` or `BackgroundSyncPlugin` out of the worker in the same release.
 */
export function workboxQueues(queues?: Record<string, string>): Source;

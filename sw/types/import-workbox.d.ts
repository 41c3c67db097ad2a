import type { Source } from "./worker.js";

/**
 * The entries that the app's workbox-background-sync left in IndexedDB: call `adopt(workboxQueues())` before `start()`.
 * Entries of one Workbox queue keep their order and are sent one at a time. `queues` renames queues. Remove Workbox's own
 * `Queue` or `BackgroundSyncPlugin` from the worker in the same release.
 */
export function workboxQueues(queues?: Record<string, string>): Source;

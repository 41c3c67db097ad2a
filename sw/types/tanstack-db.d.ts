/**
 * A collection of the page as a TanStack DB collection: live queries and optimistic rows over records that are kept on this
 * device. For `@tanstack/db` 0.15.2 or newer, of which this module loads nothing itself.
 */

import type { BaseCollectionConfig, CollectionConfig, CollectionImpl, InferSchemaOutput } from "@tanstack/db";

import type { Client, PendingChange, RecordConflict } from "./index.js";

/** `StandardSchemaV1`, which `@tanstack/db` does not export by name. */
type StandardSchema = NonNullable<CollectionImpl["config"]["schema"]>;

/** The other options, such as `schema`, `compare`, `startSync`, `gcTime`, are TanStack DB's. */
export interface ShearwaterCollectionConfig<
  T extends object,
  TKey extends string | number = string,
  TSchema extends StandardSchema = never,
> extends Omit<BaseCollectionConfig<T, TKey, TSchema>, "getKey" | "syncMode" | "onInsert" | "onUpdate" | "onDelete"> {
  /**
   * What `connect()` resolves with, its promise, or a function that returns either, called when sync starts: on a server it
   * never does.
   */
  client: Client | PromiseLike<Client> | (() => Client | PromiseLike<Client>);
  /** The name in `WorkerConfig.collections`. */
  collection: string;
  /** The member that is a record's id, the `key` there. Default: `"id"`. A row that is inserted has it, a string. */
  key?: keyof T & string;
  /** The key of a row. Default: its id. */
  getKey?: (record: T) => TKey;
  /** Default: `shearwater:` and the collection's name. */
  id?: string;
}

export interface ShearwaterCollectionUtils<T extends object> {
  /** Pushes, then pulls, as `Collection.sync`. */
  sync(): Promise<{ applied: number; error?: string }>;
  /** What is not at the server yet, conflicts included. */
  pendingChanges(): Promise<PendingChange<T>[]>;
  /** Records that were changed both here and at the server, and wait for `resolve`. */
  conflicts(): Promise<RecordConflict<T>[]>;
  /** Settles a conflict as `Collection.resolve` does. False: there is none. */
  resolve(id: string | number, choice: "local" | "remote" | Partial<T>): Promise<boolean>;
  /**
   * Waits until what was written to a record, or to any, is at the server. `id` may be the one that the record had before the
   * server gave it another. False: it needs a person, for its job has failed or it is in conflict; or another user has signed in.
   */
  awaitSynced(id?: string | number): Promise<boolean>;
  /** Stores what a transaction of your own (`createTransaction`) has changed here; call it in its `mutationFn`. */
  acceptMutations(transaction: { mutations: readonly object[] }): Promise<void>;
}

/**
 * Options for `createCollection`. Sync brings what `client.collection(name)` holds: what was pulled, what other tabs wrote, and
 * nothing of another user.
 *
 * Inserts, updates and deletes are stored on this device; `isPersisted` resolves then, and the push comes later
 * (`utils.awaitSynced`). An update writes the members that it changes. What is refused is rolled back, with a
 * `ShearwaterError`; of several rows in one call, those that were stored stay. Where the server gives a record an id of its own,
 * one row goes and another comes at the same moment.
 *
 * Records are JSON. A `schema` checks what the app writes, and must leave it JSON.
 */
export function shearwaterCollectionOptions<TSchema extends StandardSchema, TKey extends string | number = string>(
  options: ShearwaterCollectionConfig<InferSchemaOutput<TSchema>, TKey, TSchema> & { schema: TSchema },
): Omit<
  CollectionConfig<InferSchemaOutput<TSchema>, TKey, TSchema, ShearwaterCollectionUtils<InferSchemaOutput<TSchema>>>,
  "utils"
> & {
  id: string;
  schema: TSchema;
  utils: ShearwaterCollectionUtils<InferSchemaOutput<TSchema>>;
};
export function shearwaterCollectionOptions<T extends object, TKey extends string | number = string>(
  options: ShearwaterCollectionConfig<T, TKey> & { schema?: never },
): Omit<CollectionConfig<T, TKey, never, ShearwaterCollectionUtils<T>>, "utils"> & {
  id: string;
  schema?: never;
  utils: ShearwaterCollectionUtils<T>;
};

/**
 * Forms that keep what was typed, submit through the queue, and can be filled in again when the server refuses them.
 * `client.trackForm` loads this module by itself; import it where a script of your own is to track forms that come later.
 */

import type { Client, EnqueueOptions, Job, ShearwaterError } from "./index.js";

export interface FormOptions extends Pick<EnqueueOptions, "queue" | "key" | "priority" | "maxAge" | "maxAttempts" | "capture"> {
  /** The form's name in the store. Default: the page's path and query, with the form's `id` or `name`. */
  id?: string;
  /** Your own data, kept with the job; it gets a member `form`, the form's name. */
  metadata?: object;
  /** Keep drafts. Default: true. */
  draft?: boolean;
  /** Milliseconds between two saves of a draft, at least. Default: 500. */
  saveInterval?: number;
  /** Milliseconds within which the same submission again is a double tap, and sent once. Default: 1,000. */
  doubleTap?: number;
  /** Milliseconds after which a submission that is neither delivered nor refused counts as queued. Default: 5,000. */
  queuedAfter?: number;
  /** The text that is shown when a submission is queued; false for none. Default: "Your data will be saved when you're back online". */
  toast?: string | false;
  /** Reset the form when its submission is queued or delivered, unless it was changed since. Default: true. */
  reset?: boolean;
  /** Parts of names besides the built-in ones (`csrf`, `token` …): hidden fields with such names are not stored. */
  credentials?: string[];
  /** Called in the document that submitted, when the job was delivered. */
  onDelivered?(job: Job): void;
}

/** The DOM's types, where the project has them: a worker's has not. */
export type FormElement = typeof globalThis extends { HTMLFormElement: { prototype: infer E } } ? E : never;
type Root = typeof globalThis extends { Document: { prototype: infer D }; Element: { prototype: infer E } } ? D | E : never;

/** Ends the tracking when it is called. */
export interface TrackedForm {
  (): void;
  /** Resolves when the draft is restored. */
  ready: Promise<void>;
  /**
   * Fills the form with what a job is to send; the next submission replaces the job. A job that still waits is taken out of
   * the queue and becomes the form's draft. False: too late, it is being sent or gone.
   */
  restore(job: string | Job): Promise<boolean>;
}

/**
 * Tracks a form; what is wrong with it for good is thrown: no action, one of another origin, a charset other than UTF-8.
 * Events are dispatched on the form: {@link FormEvents}. A form that is tracked already is left as it is.
 */
export function trackForm(client: Client, form: FormElement, options?: FormOptions): TrackedForm;

/** Tracks each `<form data-shearwater="form-sync">` in `root`, those that come later too. Returns a function that ends it. */
export function trackForms(client: Client, root?: Root): () => void;

/** The details of the events, which bubble. */
export interface FormEvents {
  /** The submission is stored, and its draft has ended. */
  "form-stored": { id: string };
  /** It waits for the network, the server or a sign-in; `job` is null while no attempt has ended. Prevented: no toast. */
  "form-queued": { id: string; job: Job | null };
  /** Dispatched in the document that submitted it. */
  "form-delivered": { id: string; job: Job };
  /** The server refused it, now or while no page was open. */
  "form-failed": { id: string; job: Job; restore(): Promise<boolean> };
  /** Nothing was stored, nor lost: the draft goes on. */
  "form-error": { error: ShearwaterError };
  /** `missing`: names of fields that the form has no more. */
  "draft-restored": { savedAt: number; missing: string[] };
  /**
   * Another tab has a draft of this form. `take()` takes it over, and resolves with false where it is gone; `fresh()`, or
   * doing nothing, begins another.
   */
  "draft-conflict": { savedAt: number; take(): Promise<boolean>; fresh(): void };
  /** Another tab has taken this form's draft over; what is typed from here on is another. */
  "draft-taken": Record<string, never>;
  /** The draft could not be saved or restored, as on a full disk. */
  "draft-error": { error: ShearwaterError };
}

//! What page and worker say to each other: one versioned set of messages (rule 3 of the house).
//!
//! A page posts an [`Envelope`] to the worker and gets one [`Response`] with the same `re`. The operation in it and its
//! answer are a line of one table ([`operations`]); [`operation`] has a type for each, which says what it is asked with
//! and what it returns. The response to a change carries the [`view::Status`] after it, so that a page reads its own
//! writes. A message that gets no response is posted again as it was; however often it comes, it takes effect once
//! ([`crate::store::receipts`]). The worker broadcasts [`Broadcast`]s to all pages over a `BroadcastChannel`. Bodies travel
//! beside the operation, in the envelope's `bodies`, so that a `Blob` is passed by reference.
//!
//! A message that is not of this version, or of no known shape, gets the error `invalid-message` and changes nothing.

pub mod broadcast;
pub mod drafts;
pub mod envelope;
pub mod jobs;
pub mod maintenance;
pub mod operations;
pub mod owners;
pub mod records;
pub mod remembered;
pub mod view;

pub use broadcast::{Broadcast, Event, SyncComplete};
pub use drafts::{DraftClaim, DraftContent, DraftView};
pub use envelope::{Envelope, Response, Written, read_answer};
pub use jobs::{Edit, Enqueue, Exported, Removal};
pub use maintenance::{Compact, Measured, QuarantinedRow, Repaired, WithQuarantine};
pub use operations::{Op, Operation, operation};
pub use owners::SetOwner;
pub use remembered::Remembered;

/// The version of these messages; page and worker of different versions refuse each other.
pub const VERSION: u32 = 1;

#[cfg(test)]
mod tests;

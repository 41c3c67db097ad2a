//! Shearwater in the page: hands requests to the worker, shows what is stored, pokes the worker awake.
//!
//! A Rust front end uses [`Client`] directly, with `default-features = false`; JavaScript uses it through `dist/page.js`,
//! whose wasm this crate is, with a face that is all of the feature `javascript`. The page stores nothing and decides
//! nothing about jobs: it asks by message and is answered after the commit (rule 2 of the house).
//!
//! # Example
//!
//! Of a page that saves notes, as the tests run it, once it has `Client::connect(ConnectOptions::default()).await?`:
//!
//! ```ignore
#![doc = include_str!("../../../tests/rust-page/src/notes.rs")]
//! ```
//!
//! # Features
//! `serde`: [`NewRequest::json`] and its like. `javascript`, on by default: `dist/page.js` needs it, and nothing else does.
//!
//! # A question's life
//!
//! A message is posted to the registration's active worker and answered by it. A worker that is killed takes the
//! question with it, or its answer; so what is not answered within a few seconds is posted again as it was. The worker
//! remembers what it has carried out and gives the same answer. The caller is told of a `timeout` only when the worker
//! has given no sign of life for that long.

mod answers;
mod client;
mod error;
mod events;
#[cfg(feature = "javascript")]
mod face;
mod find;
mod lines;
mod link;
mod options;
mod request;
mod stream;
mod wakes;
mod worker;

use shearwater_web as js;

pub use answers::{Capabilities, Exported, Metrics, PeriodicSync, Purge, Storage};
pub use client::Client;
pub use options::{ClientOptions, ConnectOptions};
pub use request::{Body, Change, FetchOptions, NewRequest};
pub use stream::{Event, MOST_EVENTS, Updates};

pub use shearwater_core::{
    Error, ErrorCode, JobId, Millis,
    protocol::{
        QuarantinedRow, Repaired,
        view::{JobState, JobView, Overall, Snapshot, SyncResult},
    },
    queue::{
        binding::Binding,
        capture::Capture,
        enqueue::{OnDuplicate, Priority},
        job::State,
        last_error::{ErrorKind, LastError},
        manage::Compacted,
    },
    schedule::{
        auto_sync::{Profile, Schedule},
        network::{NetworkChange, NetworkPolicy, Restriction},
    },
    store::read::Filter,
};

/// As in the worker: the standard allocator would be a tenth of what ships, and smaller ones join nothing that is
/// free or leave open whether they are sound. A Rust page brings its own.
#[cfg(all(target_arch = "wasm32", feature = "javascript"))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod tests;

//! The queue engine of Shearwater, as a pure state machine.
//!
//! No IO, no clock, no randomness: time comes in as [`Millis`], randomness as a number in `[0, 1)`,
//! storage through the [`store::Tx`] trait. Two shells drive it: `shearwater-worker` in the browser
//! and `shearwater-sim` under simulated faults, so what the simulator proves is what ships.
//!
//! # The life of a job
//!
//! ```text
//!            enqueue                    claim                      2xx, opaque
//!  (page) ────────────▶ pending ─────────────────────▶ syncing ────────────────▶ history
//!                       │  ▲  ▲                          │ │ │
//!                       │  │  └──── retry, interrupted ──┘ │ │   409, 412
//!            expired    │  │                               │ └──────────────▶ conflict
//!                       ▼  │ retry (person)                │ 401
//!                      failed ◀────────────────────────────┼──────────────▶ blocked
//!                          final status, attempts used up ─┘
//! ```
//!
//! A *pending* job stands in one of three places ([`queue::job::Place`]): `ready` (may be claimed now),
//! `due` (waits for its `next_attempt_at`), or `behind` (waits for an earlier job of its key).
//!
//! # What always holds
//!
//! 1. A job leaves the `jobs` store only in the transaction that writes its outcome to the history,
//!    or by a person's `discard` or `clear`.
//! 2. A job is sent only while it is `syncing` under the sender's own lease, and that lease was
//!    committed before the send began.
//! 3. Of the jobs that share owner, queue and key, at most one is `ready`, `due` or `syncing`: the
//!    head of the line. All others are `behind`, or ended (`failed`, `conflict`, `blocked`).
//! 4. The [`store::ledger::Ledger`] is written in the same transaction as the rows it counts.
//! 5. Attempts and times are written before they are acted upon; a restart changes nothing.
//!
//! # Where to look
//!
//! | question | module |
//! |---|---|
//! | what may be queued | [`queue::request`], [`queue::config`], [`queue::enqueue`] |
//! | what a job is, its states | [`queue::job`] |
//! | in which order the jobs of a key go | `queue::key_order` |
//! | what one transaction of a drain does | [`queue::cycle`] |
//! | what a person may do to a job | [`queue::manage`] |
//! | what a response means, when a job is tried again | [`queue::cycle::retry`] |
//! | how long it waits | [`queue::backoff`], [`http::retry_after`], [`http::rate_limit`], [`health::origin`] |
//! | whether the clock is right | [`health::clock`] |
//! | what is stored, in which stores and indexes | [`store`] |
//! | what is queued of the app's own `fetch` calls | [`routes`] |
//! | when the worker is woken, and why | [`schedule`] |
//! | what happens during a wake | [`drain`] |
//! | what becomes of a form that is being filled in | [`drafts`] |
//! | what becomes of a record that both sides write | `collections` (a cargo feature) |
//! | what page and worker say to each other | [`protocol`], [`metrics`] |

#![forbid(unsafe_code)]

pub mod boxed;
pub mod cache_uploads;
#[cfg(feature = "collections")]
pub mod collections;
pub mod drafts;
pub mod drain;
pub mod error;
pub mod health;
pub mod http;
pub mod id;
pub mod metrics;
pub mod protocol;
pub mod queue;
pub mod routes;
pub mod schedule;
pub mod store;
pub mod time;
pub mod wire;

pub use error::{Error, ErrorCode};
pub use id::JobId;
pub use time::Millis;

//! The queue engine of Shearwater, as a pure state machine.
//!
//! No IO, no clock, no randomness: time comes in as [`Millis`], chance as a number in `[0, 1)`,
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
//! A *pending* job stands in one of three places ([`job::Place`]): `ready` (may be claimed now),
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
//! 4. The [`ledger::Ledger`] is written in the same transaction as the rows it counts.
//! 5. Attempts and times are written before they are acted upon; a restart changes nothing.
//!
//! # Where to look
//!
//! | question | module |
//! |---|---|
//! | what may be queued | [`request`], [`config`] |
//! | what a job is, its states | [`job`] |
//! | what a reply means | [`classify`] |
//! | when it is tried again | [`backoff`], [`retry_after`], [`rate_limit`], [`origin`] |
//! | whether the clock is right | [`clock`] |
//! | what a transaction does | [`store`] |
//! | when the worker is woken, and why | [`wake`] |
//! | what happens during a wake | [`drain`] |
//! | what page and worker say to each other | [`protocol`], [`view`], [`metrics`] |

#![forbid(unsafe_code)]

pub mod apart;
pub mod backoff;
pub mod classify;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod drain;
pub mod error;
pub mod fetchable;
mod http_date;
pub mod id;
pub mod job;
pub mod json;
pub mod ledger;
pub mod metrics;
pub mod order;
pub mod origin;
pub mod protocol;
pub mod rate_limit;
pub mod request;
pub mod retry_after;
pub mod store;
pub mod text;
pub mod time;
pub mod view;
pub mod wake;
pub mod wire;

pub use error::{Error, ErrorCode};
pub use id::JobId;
pub use time::Millis;

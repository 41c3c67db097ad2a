//! Collections: records that are kept locally, edited without a network, and converge with the server's (D1–D8, P7).
//!
//! A [`Record`] holds up to four versions of itself: `local`, which readers see; `base`, the server's row that `local` began
//! from; what its queued mutation ([`Push`]) says; and `remote`, a row of the server that was seen and not yet dealt with. What
//! is to be pushed is the difference between `base` and `local`, so writes coalesce by themselves: a record has at most one
//! mutation, and that is an ordinary [`Job`](crate::queue::job::Job) of the queue, with its retries, its idempotency key and its lease.
//!
//! ```text
//!                    local write                     claimed
//!   clean ─────────────────────────▶ dirty, queued ─────────▶ dirty, on its way ──┐
//!   local = base                     local ≠ base             a write here stays, │
//!     ▲  ▲                             ▲   │                  and goes next       │
//!     │  └── undone, or equal again ───┼───┘                                      │
//!     │                                │ written meanwhile: based on the reply    │
//!     └────────── base := the reply ───┴──────────────────────────────────────────┤
//!                                      ▲                                          │ 409, 412; or a pull finds both changed
//!                      strategy, resolve │        ask-user                        ▼
//!                                      └────────────────────── conflict ◀─── strategy
//! ```
//!
//! | what happens | to a clean record | to one that is dirty, queued | to one on its way |
//! |---|---|---|---|
//! | local write | dirty, a mutation is queued | its mutation is made anew | kept for later |
//! | pulled row, as `base` | nothing | nothing | nothing |
//! | pulled row, another | `base` and `local` | its strategy decides | `remote`, until the reply |
//! | reply 2xx | | | `base`; clean, or dirty again by what was written since |
//! | reply 2xx without a row | | | the row is read; what was sent is kept until then |
//! | reply 404 to an update | | | the row is read; where that finds none, it is made again |
//! | reply 410 to an update | | | the row is gone: its strategy decides |
//! | not in a listing of everything | expired: no reader lists it | nothing | nothing |
//! | reply 409, 412 | | | its strategy decides, by the row in the reply, `remote`, or one that is asked for |
//! | kill | nothing | nothing | the same mutation again, under the same key |
//!
//! # What always holds
//!
//! 1. An acknowledged local write is pushed, or listed as failed or in conflict. What a pull brings never takes its place but
//!    by the strategy of its collection.
//! 2. A mutation that may have arrived is sent again as it was, under the same idempotency key, until its outcome is known;
//!    what is written meanwhile goes after it, based on what it returned.
//! 3. The rows of a page and the cursor behind them are written in one transaction, and one pull of a collection runs at a time.
//! 4. A row of a page that was asked for before a record's own push was settled is not believed where it differs from what the
//!    push returned: the page counts up to that row, and the next one is asked for from there ([`pull`]).
//! 5. A record that was deleted leaves a tombstone until a pull has ended that was asked for afterwards.
//! 6. A reader finds a record by its own id and by the one that the server gave it.
//! 7. A record has the entries of the indexes that its collection's row names, unless the row says that it may not have them
//!    yet ([`indexes`]).
//! 8. A record is pushed after those that it refers to, and names them as the server does ([`references`]).
//!
//! A pull or a listing holds the Web Lock of its collection and owner, so one that died holds nobody up.

pub mod adapter;
pub mod config;
pub mod conflict;
pub mod document;
pub mod indexes;
pub mod instant;
pub mod listing;
pub mod mutation;
pub mod pull;
pub mod push;
pub mod record;
pub mod references;

pub use config::CollectionConfig;
pub use record::{Push, PushOp, Record, RecordKey, Row};

//! Answers, records and misbehaves: the real back end of Shearwater's demo and end-to-end tests.
//!
//! A request to `/api` lives like this. The `gate` gives it an arrival number and writes it down,
//! reads its body to the end (hashing it), and asks the fault set what shall become of it. If it
//! is to be handled, its `Idempotency-Key` is claimed, and a route turns it into one effect which is
//! committed to SQLite together with the key and the reply. The answer is noted on the arrival, and sent,
//! or the connection is cut instead.
//!
//! What always holds:
//!
//! * An arrival is queued for the database before its request is handled, and the database works its queue
//!   in order: no effect is ever on disk without its arrival.
//! * An effect, its key and its reply are one transaction. A key has at most one effect, for ever.
//! * Once a body has been read whole, the request is carried to its end even if the client has gone.
//! * A dropped connection is really closed, without a byte of reply.
//!
//! Two listeners: the main one is what an app sees (API, static files, the demo's switch), the control one
//! is for tests (faults, arrivals, everything stored): on loopback, with a token, out of reach of web pages.

#![forbid(unsafe_code)]

mod app;
mod clock;
mod control;
mod cors;
mod faults;
mod gate;
mod guard;
mod idempotency;
mod if_match;
mod journal;
mod options;
mod problem;
mod records;
mod reply;
mod routes;
mod serve;
mod server;
mod spool;
mod statics;
mod store;
mod traffic;

pub use options::{Mount, Options, OptionsError, USAGE};
pub use server::{Server, StartError};
pub use store::{Durability, StoreError};

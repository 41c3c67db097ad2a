//! Shearwater in the page: hands requests to the worker, shows what is stored, pokes the worker awake.
//!
//! `sw/page` finds the worker and loads this wasm, side by side; [`connect`] is given the registration.
//! The page stores nothing and decides nothing about jobs: it asks by message and is answered after
//! the commit (rule 2 of the house). JavaScript uses it through `dist/page.js`; a Rust front end uses
//! [`Client`] directly.
//!
//! # A question's life
//!
//! A message is posted to the registration's active worker and answered by it. A worker that is killed takes the
//! question with it, or its answer; so what is not answered within a few seconds is posted again as it was. The worker
//! remembers what it has carried out and gives the same answer. The caller is told of a `timeout` only when the worker
//! has given no sign of life for that long.

mod client;
mod error;
mod events;
mod form;
mod js;
mod lines;
mod link;
mod options;
mod request;
mod signal;
mod wakes;
mod worker;

pub use client::{Client, connect};

/// As in the worker: the standard allocator would be a tenth of what ships, and smaller ones join nothing that is
/// free or leave open whether they are sound.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

//! Credentials: supplied by the app's `auth` hook when a job is sent, refreshed once when a server refuses
//! them, never stored (Q14).
//!
//! ```text
//!   ask the hook ─▶ send ─┬─ anything but 401, 419, 440 ─▶ done
//!        ▲                └─ refused ─┬─ refreshed by somebody meanwhile ─▶ ask again (3 sends at most)
//!        │                            ├─ not yet ─▶ refresh; all other sends wait for it
//!        └────────────────────────────┘            └─ refused all the same ─▶ blocked until signed in
//! ```
//!
//! What was supplied before a refresh is not used after it: each send asks anew.

use std::cell::{Cell, RefCell};

use crate::latch::Latch;

/// Sends of one job within one claim.
pub const MOST_SENDS: u32 = 3;

/// How the app's credentials fare in this worker.
#[derive(Default)]
pub struct Auth {
    /// Refreshes so far.
    generation: Cell<u64>,
    /// Opened when the refresh under way is over.
    refreshing: RefCell<Option<Latch<()>>>,
}

impl Auth {
    /// Waits until no refresh is under way; answers how many there have been.
    pub async fn settled(&self) -> u64 {
        loop {
            let refreshing = self.refreshing.borrow().clone();
            match refreshing {
                Some(latch) => latch.wait().await,
                None => return self.generation.get(),
            }
        }
    }

    /// Begins a refresh, unless there was one since `generation` or one is under way.
    pub fn begin(&self, generation: u64) -> Option<Refresh<'_>> {
        if self.generation.get() != generation || self.refreshing.borrow().is_some() {
            return None;
        }
        *self.refreshing.borrow_mut() = Some(Latch::new());
        Some(Refresh(self))
    }
}

/// A refresh under way; dropped, it is over.
pub struct Refresh<'a>(&'a Auth);

impl Drop for Refresh<'_> {
    fn drop(&mut self) {
        self.0.generation.set(self.0.generation.get() + 1);
        if let Some(latch) = self.0.refreshing.take() {
            latch.open(());
        }
    }
}

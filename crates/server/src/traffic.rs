//! Counts what is on its way through the API: in flight, the most at once, refused while down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The counters; cheap to share.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
    refused: AtomicU64,
}

impl Traffic {
    /// Counts a request in; it is counted out when the [`Visit`] is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Visit {
        let now = self.in_flight.fetch_add(1, SeqCst) + 1;
        self.max_in_flight.fetch_max(now, SeqCst);
        Visit(Arc::clone(self))
    }

    /// Counts a connection that was closed because the server is "down".
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, SeqCst);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(SeqCst)
    }

    pub(crate) fn max_in_flight(&self) -> u64 {
        self.max_in_flight.load(SeqCst)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(SeqCst)
    }

    /// Starts the totals anew; what is in flight stays counted.
    pub(crate) fn reset(&self) {
        self.refused.store(0, SeqCst);
        self.max_in_flight.store(self.in_flight(), SeqCst);
    }
}

/// One request in flight.
#[derive(Debug)]
pub(crate) struct Visit(Arc<Traffic>);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
    }
}

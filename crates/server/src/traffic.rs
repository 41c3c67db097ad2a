//! Counts what is on its way through the API: in flight, the most at once, refused while down, and how streamed
//! bodies fare.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The counters; cheap to share.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
    refused: AtomicU64,
    body_bytes: AtomicU64,
    open_bodies: AtomicU64,
    cancelled_bodies: AtomicU64,
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

    /// Counts a streamed body in; it is counted out when the [`BodyInFlight`] is dropped.
    pub(crate) fn open_body(self: &Arc<Self>) -> BodyInFlight {
        self.open_bodies.fetch_add(1, SeqCst);
        BodyInFlight { traffic: Arc::clone(self), finished: false }
    }

    /// Bytes of streamed bodies that connections took.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes.load(SeqCst)
    }

    pub(crate) fn open_bodies(&self) -> u64 {
        self.open_bodies.load(SeqCst)
    }

    /// Streamed bodies that ended before their end: the client hung up.
    pub(crate) fn cancelled_bodies(&self) -> u64 {
        self.cancelled_bodies.load(SeqCst)
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
        self.body_bytes.store(0, SeqCst);
        self.cancelled_bodies.store(0, SeqCst);
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

/// A streamed body on its way.
#[derive(Debug)]
pub(crate) struct BodyInFlight {
    traffic: Arc<Traffic>,
    finished: bool,
}

impl BodyInFlight {
    pub(crate) fn count(&self, bytes: u64) {
        self.traffic.body_bytes.fetch_add(bytes, SeqCst);
    }

    /// Marks it as sent to its end.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for BodyInFlight {
    fn drop(&mut self) {
        self.traffic.open_bodies.fetch_sub(1, SeqCst);
        if !self.finished {
            self.traffic.cancelled_bodies.fetch_add(1, SeqCst);
        }
    }
}

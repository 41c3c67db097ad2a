//! Numbers the arrivals and writes each one's life down: its head, its body, its end.
//!
//! Numbers follow the order of the request heads, and the database gets them in that order. A reset begins
//! a new epoch: numbers start at 1 again, and what still comes from a request of an older epoch is refused
//! by the database thread, so that a straggler of one test never shows up in the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use parking_lot::Mutex;
use rusqlite::Connection;

use crate::store::arrivals::{self, BodyFacts, Ending, Head};
use crate::store::{Store, StoreError, schema};

/// Where an arrival stands: its number, and the epoch in which that number means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    pub(crate) n: i64,
    pub(crate) epoch: u64,
}

/// The one place that gives numbers.
#[derive(Debug)]
pub(crate) struct Journal {
    store: Arc<Store>,
    /// The next ticket. Locked while the arrival is queued, so that both orders are the same.
    next: Mutex<Ticket>,
    /// The epoch whose rows the database holds; changed by the database thread only.
    stored_epoch: Arc<AtomicU64>,
}

impl Journal {
    pub(crate) fn new(store: Arc<Store>, last: i64) -> Self {
        Self { store, next: Mutex::new(Ticket { n: last + 1, epoch: 0 }), stored_epoch: Arc::new(AtomicU64::new(0)) }
    }

    /// Gives the next number and queues the arrival's row.
    pub(crate) fn open(self: &Arc<Self>, head: Head) -> OpenArrival {
        let mut next = self.next.lock();
        let ticket = *next;
        next.n += 1;
        self.submit(ticket, move |connection| arrivals::insert(connection, ticket.n, &head));
        OpenArrival { journal: Arc::clone(self), ticket, closed: false }
    }

    /// Does `work` in a transaction unless the ticket's epoch is over.
    ///
    /// # Errors
    /// [`StoreError::Reset`] if it is, or what the work or the commit said.
    pub(crate) async fn commit<T: Send + 'static>(
        &self,
        ticket: Ticket,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.store.run(self.within(ticket, work)).await
    }

    /// Empties the database and begins a new epoch.
    ///
    /// # Errors
    /// What the database said; the old rows are there still, the old epoch is over all the same.
    pub(crate) async fn reset(&self) -> Result<(), StoreError> {
        let emptied = {
            let mut next = self.next.lock();
            *next = Ticket { n: 1, epoch: next.epoch + 1 };
            let (epoch, stored_epoch) = (next.epoch, Arc::clone(&self.stored_epoch));
            let (done, emptied) = tokio::sync::oneshot::channel();
            self.store.submit(move |connection| {
                stored_epoch.store(epoch, SeqCst);
                let outcome = schema::empty(connection);
                let _ = done.send(outcome.clone());
                outcome
            });
            emptied
        };
        emptied.await.map_err(|_| StoreError::Closed)??;
        // Whatever is read from now on is read after the commit of the emptying.
        self.store.run(|_| Ok(())).await
    }

    fn submit(&self, ticket: Ticket, work: impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static) {
        self.store.submit(self.within(ticket, work));
    }

    fn within<T, W>(&self, ticket: Ticket, work: W) -> impl FnOnce(&Connection) -> Result<T, StoreError> + use<T, W>
    where
        W: FnOnce(&Connection) -> Result<T, StoreError>,
    {
        let stored_epoch = Arc::clone(&self.stored_epoch);
        move |connection| {
            if stored_epoch.load(SeqCst) == ticket.epoch { work(connection) } else { Err(StoreError::Reset) }
        }
    }
}

/// An arrival whose end is not known yet. Dropped, it records that the client went before its body was here.
#[derive(Debug)]
pub(crate) struct OpenArrival {
    journal: Arc<Journal>,
    pub(crate) ticket: Ticket,
    closed: bool,
}

impl OpenArrival {
    /// Records what the body was.
    pub(crate) fn record_body(&self, body: BodyFacts) {
        let n = self.ticket.n;
        self.journal.submit(self.ticket, move |connection| arrivals::record_body(connection, n, &body));
    }

    /// Records the end.
    pub(crate) fn close(mut self, ending: Ending) {
        self.closed = true;
        self.record_ending(ending);
    }

    fn record_ending(&self, ending: Ending) {
        let n = self.ticket.n;
        self.journal.submit(self.ticket, move |connection| arrivals::record_ending(connection, n, &ending));
    }
}

impl Drop for OpenArrival {
    fn drop(&mut self) {
        if !self.closed {
            self.record_ending(Ending { fault: Some("body incomplete".to_owned()), ..Ending::default() });
        }
    }
}

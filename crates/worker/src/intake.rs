//! Stores new jobs: calls that come while a commit is on its way share the next one.
//!
//! A strict commit takes a disk some milliseconds, whatever is in it. A page that calls `enqueue` a thousand times
//! without waiting would pay it a thousand times; so whoever comes while one is being written waits for the next
//! transaction, which takes all who wait. Each call stays all or nothing: where a transaction of several fails, each is
//! tried in one of its own, so that nobody is refused for what another asked.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_channel::oneshot;
use shearwater_core::{
    Error, ErrorCode, JobId,
    drafts::{Submission, submit},
    queue::enqueue::Admitted,
    store::{Answer, Caller, ledger::Ledger, receipts::once},
};
use shearwater_web::spawn_local;
use wasm_bindgen::JsValue;

use crate::{clock, engine::Engine, store::Mode};

/// Calls that share a transaction at most.
const MOST_CALLS: usize = 256;

/// Bytes of bodies beyond which no further call joins a transaction.
const MOST_BYTES: u64 = 4 << 20;

/// New jobs on their way to the disk.
#[derive(Default)]
pub struct Intake {
    waiting: RefCell<Vec<Waiting>>,
    writing: Cell<bool>,
}

/// One call.
#[derive(Clone)]
pub struct Arrival {
    /// Who calls.
    pub caller: Caller,
    /// The jobs with their bodies.
    pub jobs: Vec<(Admitted, Option<JsValue>)>,
    /// Whether the ids are of the caller's own making; see [`enqueue`].
    pub repeat: bool,
    /// Bytes of the bodies.
    pub size: u64,
    /// What ends with it.
    pub submission: Submission,
}

/// A call, and who waits for it.
type Waiting = (Arrival, oneshot::Sender<Result<Stored, Error>>);

/// The ledger once a call's jobs are on the disk, and the ids under which they are.
pub type Stored = (Ledger, Vec<JobId>);

impl Engine {
    /// Stores a call's jobs; returns the ledger once they are on the disk, and their ids.
    ///
    /// # Errors
    /// Why nothing of the call was stored.
    pub async fn take_in(self: &Rc<Self>, arrival: Arrival) -> Result<Stored, Error> {
        if !arrival.repeat {
            self.store.expect_room(arrival.size)?;
        }
        let (tell, stored) = oneshot::channel();
        self.intake.waiting.borrow_mut().push((arrival, tell));
        if !self.intake.writing.replace(true) {
            let engine = Rc::clone(self);
            // By itself: whoever came first is not to wait for all who come after.
            spawn_local(async move {
                loop {
                    let batch = engine.intake.next_batch();
                    if batch.is_empty() {
                        break;
                    }
                    engine.write_together(batch).await;
                }
                engine.intake.writing.set(false);
            });
        }
        stored.await.unwrap_or_else(|_| Err(Error::internal("new jobs were dropped on their way to the disk")))
    }

    async fn write_together(&self, batch: Vec<Waiting>) {
        if batch.len() > 1 {
            let arrivals: Vec<&Arrival> = batch.iter().map(|(arrival, _)| arrival).collect();
            if let Ok((ledger, ids)) = self.write(&arrivals).await {
                for ((_, tell), ids) in batch.into_iter().zip(ids) {
                    // Whoever does not wait any more need not be told.
                    let _ = tell.send(Ok((ledger.clone(), ids)));
                }
                return;
            }
        }
        for (arrival, tell) in batch {
            // On a full disk little is tried: where one has found no room, one as large is not written either.
            let has_room = if arrival.repeat { Ok(()) } else { self.store.expect_room(arrival.size) };
            let written = match has_room {
                Ok(()) => self.write(&[&arrival]).await,
                Err(full) => Err(full),
            };
            if written.as_ref().is_err_and(|error| error.code == ErrorCode::QuotaExceeded) {
                self.store.note_full(arrival.size);
            }
            let _ = tell.send(written.map(|(ledger, mut ids)| (ledger, ids.pop().unwrap_or_default())));
        }
    }

    /// Writes calls in one transaction; returns the ids of each.
    async fn write(&self, arrivals: &[&Arrival]) -> Result<(Ledger, Vec<Vec<JobId>>), Error> {
        let now = clock::now();
        self.store
            .run(Mode::Intake, async |db| {
                let mut each = Vec::with_capacity(arrivals.len());
                for arrival in arrivals {
                    let asked = || arrival.jobs.iter().map(|(job, _)| job.id());
                    // A commit whose end was lost with the connection may have been one: its receipt tells.
                    let work = Box::pin(async {
                        let stored =
                            submit(db, now, arrival.jobs.clone(), arrival.repeat, &arrival.submission, &arrival.caller).await?;
                        let same = stored.iter().map(|(id, _)| id).eq(asked());
                        Ok(if same { Answer::Done } else { Answer::Stored(stored.into_iter().map(|(id, _)| id).collect()) })
                    });
                    each.push(match once(db, now, &arrival.caller, work).await? {
                        (Answer::Stored(ids), _) => ids,
                        _ => asked().cloned().collect(),
                    });
                }
                Ok((shearwater_core::store::read_ledger(db).await?, each))
            })
            .await
    }
}

impl Intake {
    /// Those who share the next transaction, in the order in which they came.
    fn next_batch(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.borrow_mut();
        let (mut count, mut bytes) = (0, 0_u64);
        for (arrival, _) in waiting.iter().take(MOST_CALLS) {
            bytes = bytes.saturating_add(arrival.size);
            if count > 0 && bytes > MOST_BYTES {
                break;
            }
            count += 1;
        }
        waiting.drain(..count).collect()
    }
}

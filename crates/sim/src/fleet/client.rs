//! One client of ours: a store of its own, and the drains that ship.
//!
//! What the worker and the page do in a browser, without what only they can meet: transactions succeed,
//! nobody is killed, the network is there.

use std::{cell::RefCell, rc::Rc};

use futures::FutureExt;
use shearwater_core::{
    Error, JobId, Millis,
    drain::{Budget, Command, Drain, Input, Plan},
    http::reply::{AttemptResult, Response},
    queue::{
        config::{DEFAULT_QUEUE, QueueConfig, WorkerConfig},
        cycle::{CycleOutcome, Settings, Settled, cycle},
        enqueue::{EnqueueOptions, NewJob, admit, enqueue},
        job::State,
        request::RequestHead,
    },
    schedule::network::{Connection, Permit},
    schedule::next_wake,
    schedule::wakes::{Facts, SkipBackoff, plan},
    store::{self, Caller, Scope},
    time::unit::SECOND,
};

use super::Scenario;
use crate::{
    rng::Rng,
    store::{Database, Mode, SimTx},
};

const ORIGIN: &str = "https://api.example";

/// When the server went away, by every client's clock.
const BEGIN: Millis = Millis(1_790_000_000_000);

/// What happens to a client.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    /// The app queues one more job.
    Queued,
    /// The time of its last [`Want::Timer`] has come.
    Timer,
    /// `sync`, or a page that opens.
    Woken,
    /// A send is over.
    Answered {
        /// Which job, in the order of queueing.
        job: usize,
        /// 200.
        served: bool,
        /// 503; otherwise, unless served, nobody replied.
        refused: bool,
        /// Milliseconds that the reply asked to wait.
        asked: u64,
    },
}

/// What a client wants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want {
    /// Send this job.
    Send(usize),
    /// Answer [`Signal::Timer`] then, in place of any earlier timer.
    Timer {
        /// Milliseconds since the server went away.
        at: u64,
        /// The worker is up and waits by itself: no page is needed.
        asleep_too: bool,
    },
    /// All that can be tried now was tried; whether something is left that the browser should come again for.
    Rest {
        /// Something is left.
        again: bool,
    },
    /// A job became a dead letter.
    Bury,
}

/// What all clients of a fleet share.
pub(super) struct Setup {
    config: WorkerConfig,
    queue: QueueConfig,
}

impl Setup {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let mut queue = QueueConfig::default();
        queue.max_attempts = scenario.max_attempts.unwrap_or(queue.max_attempts);
        queue.backoff.max = scenario.backoff_max.map_or(queue.backoff.max, |max| u64::from(max) * SECOND);
        let config = WorkerConfig { queues: vec![(DEFAULT_QUEUE.to_owned(), queue.clone())], ..WorkerConfig::default() };
        Self { config, queue }
    }
}

/// One client.
#[derive(Default)]
pub(super) struct Client {
    db: Option<Box<RefCell<Database>>>,
    jobs: Vec<JobId>,
    drain: Option<Box<Drain>>,
    drains: u64,
}

impl Client {
    pub(super) fn handle(&mut self, setup: &Rc<Setup>, now: u64, signal: Signal, rng: &mut Rng, wants: &mut Vec<Want>) {
        let now = BEGIN.after(now);
        match signal {
            Signal::Queued => {
                self.put(setup, now, JobId::from_random(rng.bytes()));
                self.wake(setup, now, SkipBackoff::None, wants);
            }
            Signal::Woken => self.wake(setup, now, SkipBackoff::Unreachable, wants),
            Signal::Timer if self.drain.is_some() => self.feed(setup, now, Input::Tick, wants),
            Signal::Timer => self.wake(setup, now, SkipBackoff::None, wants),
            Signal::Answered { job, served, refused, asked } => {
                let reply = if served || refused {
                    let retry_after = (asked > 0).then(|| (asked / SECOND).to_string());
                    AttemptResult::Status(Response { status: if served { 200 } else { 503 }, retry_after, ..Response::default() })
                } else {
                    AttemptResult::Unreachable
                };
                if let Some(id) = self.jobs.get(job).cloned() {
                    self.feed(setup, now, Input::Attempted { dispatch: id.into(), result: reply, roll: rng.roll() }, wants);
                }
            }
        }
    }

    fn put(&mut self, setup: &Setup, now: Millis, id: JobId) {
        let request = RequestHead { url: [ORIGIN, "/notes"].concat(), method: "POST".to_owned(), ..RequestHead::default() };
        let new = NewJob { id: id.clone(), request, options: EnqueueOptions::default(), metadata: None };
        self.jobs.push(id);
        let db = self.db.get_or_insert_default();
        transact(db, Mode::Write, async |tx| {
            let admitted = admit(new, ORIGIN.to_owned(), None, &setup.config)?;
            enqueue(tx, now, vec![(admitted, None)], false, &Caller::default()).await
        });
    }

    /// Nudges the drain at work, or starts one.
    fn wake(&mut self, setup: &Setup, now: Millis, skip: SkipBackoff, wants: &mut Vec<Want>) {
        let online = true;
        if self.drain.is_some() {
            return self.feed(setup, now, Input::Nudge { skip, online, connection: Connection::default() }, wants);
        }
        self.drains += 1;
        let plan = Plan {
            owner: String::new(),
            queue: DEFAULT_QUEUE.to_owned(),
            holder: format!("drain {}", self.drains),
            concurrency: setup.queue.concurrency,
            budget: Budget::default(),
            skip,
            online,
            connection: Connection::default(),
            exclusive: true,
        };
        self.drain = Some(Box::new(Drain::new(now, plan)));
        self.feed(setup, now, Input::Start, wants);
    }

    fn feed(&mut self, setup: &Setup, now: Millis, input: Input, wants: &mut Vec<Want>) {
        let mut input = Some(input);
        while let Some(given) = input.take() {
            let (Some(drain), Some(db)) = (&mut self.drain, &self.db) else { return };
            drain.handle(now, given);
            while let Some(command) = drain.poll() {
                match command {
                    Command::Cycle(wanted) => {
                        let settings = Settings::new(&setup.config, &setup.queue);
                        let committed = transact(db, Mode::Write, async |tx| cycle(tx, now, &wanted, settings).await);
                        input = committed.map(Input::CycleCommitted);
                        wants.extend(input.iter().flat_map(buried));
                    }
                    Command::Send(dispatch) => {
                        wants.extend(self.jobs.iter().position(|id| dispatch.id == id.clone().into()).map(Want::Send));
                    }
                    Command::Wait(at) => wants.push(Want::Timer { at: at.since(BEGIN), asleep_too: true }),
                    // Nothing of these grows so old that the time matters.
                    Command::AskTime => input = Some(Input::Time { replied: true, date: None }),
                    Command::Tell(_) | Command::Rest(_) => {}
                    Command::Done(summary) => {
                        wants.push(Want::Rest { again: summary.again });
                        wants.extend(next_wake(db, now));
                    }
                }
            }
            if drain.is_over() {
                self.drain = None;
            }
        }
        // Delivered and buried is all the same to the memory of this machine.
        if self.drain.is_none()
            && self.db.as_ref().is_some_and(|db| !db.borrow().jobs().any(shearwater_core::queue::job::Job::is_live))
        {
            self.db = None;
        }
    }
}

/// The page's timer for what is due next.
fn next_wake(db: &RefCell<Database>, now: Millis) -> Option<Want> {
    let next = transact(db, Mode::Read, async |tx| {
        let ledger = store::read_ledger(tx).await?;
        next_wake::next_wake(tx, &ledger, now, Permit::All).await
    });
    let next_due = Some(next.flatten()?);
    // The regular wakes find nothing that these do not.
    let facts = Facts { is_online: true, is_sending: false, next_due };
    let (at, _) = plan(now, facts)?;
    Some(Want::Timer { at: at.since(BEGIN), asleep_too: false })
}

fn buried(input: &Input) -> impl Iterator<Item = Want> {
    let settled = if let Input::CycleCommitted(CycleOutcome { settled, .. }) = input { settled.as_slice() } else { &[] };
    settled.iter().filter(|settled| matches!(settled, Settled::Kept(job) if job.state == State::Failed)).map(|_| Want::Bury)
}

/// Carries out one transaction; the simulated store without faults answers at once.
fn transact<R>(db: &RefCell<Database>, mode: Mode, work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>) -> Option<R> {
    let tx = SimTx::begin(db, mode, Scope::WORK, None, None);
    let answer = work(&tx).now_or_never().and_then(Result::ok);
    debug_assert!(answer.is_some(), "a store without faults refuses nothing");
    tx.commit();
    answer
}

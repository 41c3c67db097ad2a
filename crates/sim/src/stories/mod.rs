//! Tells each bug that the simulator found as a story of a few steps, over the store or one drain alone.

mod batches;
mod bindings;
mod clocks;
mod drafts;
mod drains;
mod key_order;
mod origins;
mod owners;
mod rows;
mod unresponsive;

use std::cell::RefCell;

use futures::FutureExt;
use shearwater_core::{
    Error, JobId, Millis,
    drain::{Budget, Command, Dispatch, Drain, Input, Plan, STALLED_AFTER, Summary},
    health::clock::Time,
    http::reply::{AttemptResult, Response},
    queue::{
        config::{OnFailure, QueueConfig, WorkerConfig},
        cycle::{Cycle, CycleOutcome, Settings, Settlement, Takeover, cycle},
        enqueue::{EnqueueOptions, NewJob, admit, enqueue},
        job::{Job, MOST_INTERRUPTIONS, Place, State},
        last_error::ErrorKind,
        manage::{self, Body, Cancelled, Edit},
        request::RequestHead,
    },
    schedule::{
        network::{Connection, Permit},
        next_wake,
        wakes::SkipBackoff,
    },
    store::{
        self, Caller, Scope,
        read::{self, Filter},
    },
    time::unit::{DAY, HOUR, MINUTE, SECOND},
};

use crate::store::{Database, Mode, SimTx};

const NOON: Millis = Millis(1_790_000_000_000);
const ORIGIN: &str = "https://a.example";
const SILENT: &str = "https://silent.example";

/// A store, a configuration and a clock that stands still unless it is moved.
struct Bench {
    db: RefCell<Database>,
    config: WorkerConfig,
    now: Millis,
    ids: u8,
}

impl Bench {
    fn new(queue: QueueConfig) -> Self {
        let config = WorkerConfig { queues: vec![("q".to_owned(), queue)], ..WorkerConfig::default() };
        Self { db: RefCell::default(), config, now: NOON, ids: 0 }
    }

    fn write<R>(&self, work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>) -> R {
        let tx = SimTx::begin(&self.db, Mode::Write, Scope::ALL, None, None);
        let answer = work(&tx).now_or_never().unwrap().unwrap();
        tx.commit();
        answer
    }

    fn read<R>(&self, work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>) -> R {
        let tx = SimTx::begin(&self.db, Mode::Read, Scope::VIEW, None, None);
        work(&tx).now_or_never().unwrap().unwrap()
    }

    fn put(&mut self, key: Option<&str>) -> JobId {
        self.put_with(key, None)
    }

    fn put_with(&mut self, key: Option<&str>, not_before: Option<Millis>) -> JobId {
        self.put_to(ORIGIN, key, not_before)
    }

    fn put_to(&mut self, origin: &str, key: Option<&str>, not_before: Option<Millis>) -> JobId {
        self.ids += 1;
        let id = JobId::from_random([self.ids; 16]);
        let request =
            RequestHead { url: format!("{origin}/items/{}", self.ids), method: "POST".to_owned(), ..RequestHead::default() };
        let options =
            EnqueueOptions { queue: Some("q".to_owned()), key: key.map(str::to_owned), not_before, ..EnqueueOptions::default() };
        let new = NewJob { id: id.clone(), request, options, metadata: None };
        let admitted = admit(new, origin.to_owned(), None, &self.config).unwrap();
        self.write(async |tx| enqueue(tx, self.now, vec![(admitted, None)], false, &Caller::default()).await);
        id
    }

    fn job(&self, id: &JobId) -> Job {
        self.db.borrow().job(id).unwrap().clone()
    }

    fn cycle(&self, wanted: &Cycle) -> CycleOutcome {
        let queue = self.config.queue_or_default("q");
        let settings = Settings::new(&self.config, &queue);
        self.write(async |tx| cycle(tx, self.now, wanted, settings).await)
    }

    fn first_turn(&self, holder: &str, exclusive: bool, claim: u32) -> CycleOutcome {
        self.cycle(&Cycle { takeover: Some(Takeover { exclusive }), ..later_cycle(holder, claim) })
    }

    fn claim(&self, holder: &str, claim: u32) -> Vec<JobId> {
        self.cycle(&later_cycle(holder, claim)).claimed.into_iter().map(|job| job.id).collect()
    }

    fn sign_in(&self, owner: &str, purge: Option<&str>) {
        self.write(async |tx| manage::set_owner(tx, self.now, owner, purge, &self.config).await);
    }

    fn settle_with(&self, holder: &str, id: &JobId, reply: AttemptResult) -> CycleOutcome {
        let settlement =
            Settlement { id: id.clone(), key: id.as_str().to_owned(), result: reply, at: self.now, roll: 0.5, batch: None };
        self.cycle(&Cycle { settle: vec![settlement], ..later_cycle(holder, 0) })
    }

    fn settle(&self, holder: &str, id: &JobId, status: u16) -> CycleOutcome {
        let settlement = Settlement {
            id: id.clone(),
            key: id.as_str().to_owned(),
            result: answer(status),
            at: self.now,
            roll: 0.5,
            batch: None,
        };
        self.cycle(&Cycle { settle: vec![settlement], ..later_cycle(holder, 0) })
    }

    fn retry(&self, id: &JobId) {
        self.write(async |tx| manage::retry(tx, self.now, id, &self.config).await).unwrap();
    }

    fn next_wake(&self) -> Option<Millis> {
        self.read(async |tx| {
            let ledger = store::read_ledger(tx).await?;
            next_wake::next_wake(tx, &ledger, self.now, Permit::All).await
        })
    }

    /// Starts a drain and carries out its cycles until it wants something else; says what.
    fn drain(&self, concurrency: u32) -> (Drain, Vec<Command>) {
        let plan = Plan {
            queue: "q".to_owned(),
            owner: String::new(),
            holder: "drain".to_owned(),
            concurrency,
            budget: Budget::default(),
            skip: SkipBackoff::None,
            online: true,
            connection: Connection::default(),
            exclusive: true,
        };
        let mut drain = Drain::new(self.now, plan);
        let commands = self.feed(&mut drain, Input::Start);
        (drain, commands)
    }

    fn feed(&self, drain: &mut Drain, input: Input) -> Vec<Command> {
        let mut inputs = vec![input];
        let mut others = Vec::new();
        while let Some(input) = inputs.pop() {
            drain.handle(self.now, input);
            while let Some(command) = drain.poll() {
                match command {
                    Command::Cycle(cycle) => inputs.push(Input::CycleCommitted(self.cycle(&cycle))),
                    Command::Tell(_) | Command::Rest(_) => {}
                    other => others.push(other),
                }
            }
        }
        others
    }
}

fn later_cycle(holder: &str, claim: u32) -> Cycle {
    Cycle {
        time: Time::Unasked,
        connection: Connection::default(),
        asked: false,
        queue: "q".to_owned(),
        owner: String::new(),
        holder: holder.to_owned(),
        takeover: None,
        skip: SkipBackoff::None,
        skip_from: Millis(0),
        settle: Vec::new(),
        release: Vec::new(),
        claim,
        most: u32::MAX,
        share: u32::MAX,
        in_flight: Vec::new(),
    }
}

fn answer(status: u16) -> AttemptResult {
    AttemptResult::Status(Response { status, ..Response::default() })
}

fn replied(id: &JobId, reply: AttemptResult) -> Input {
    Input::Attempted { dispatch: id.clone().into(), result: reply, roll: 0.5 }
}

fn going_on() -> QueueConfig {
    QueueConfig { on_failure: OnFailure::Continue, ..QueueConfig::default() }
}

fn sent(commands: &[Command]) -> Vec<JobId> {
    let jobs =
        commands.iter().filter_map(|command| if let Command::Send(dispatch) = command { Some(&dispatch.jobs) } else { None });
    jobs.flatten().map(|job| job.id.clone()).collect()
}

fn summary(commands: Vec<Command>) -> Option<Summary> {
    commands.into_iter().find_map(|command| if let Command::Done(summary) = command { Some(summary) } else { None })
}

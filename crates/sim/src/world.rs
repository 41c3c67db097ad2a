//! One run: the world, the events in it, and the loop that lets them happen.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use futures::FutureExt;
use shearwater_core::{
    Error, ErrorCode, JobId,
    http::reply::AttemptResult,
    queue::{
        config::WorkerConfig,
        cycle::{Cycle, CycleOutcome},
    },
    schedule::{network::Connection, wakes::SkipBackoff},
    store::Scope,
    time::unit::{DAY, HOUR, MINUTE},
};

use crate::{
    Options, Tally,
    auth::Context,
    batches::{self, Batches},
    check::{Checked, Promise, Violation},
    clock::{Agenda, Clock},
    faults::{Faults, QUEUES, configuration},
    flaw::Flaw,
    locks::Locks,
    oracle::Oracle,
    page::Call,
    rng::Rng,
    server::{ORIGINS, Servers},
    store::{Changes, Database, Mode, SimTx},
    trace::Trace,
    wire::{SendNo, Wire},
    worker::{CONTEXTS, Run, RunNo},
};

/// Sets the stream of what batches draw apart.
const BATCHES: u64 = 0x6261_7463_6865_7300;

/// Sets the stream of what bindings draw apart.
const BINDINGS: u64 = 0x6269_6e64_696e_6773;

/// Stored jobs beyond which pages queue no more, so that checks stay quick.
const MOST_JOBS: usize = 60;

/// Something that happens at its time.
pub(crate) enum Event {
    /// The lock is there.
    Granted(RunNo),
    /// The cycle's transaction runs.
    Cycle(RunNo, Box<Cycle>),
    /// The drain hears of it.
    Heard(RunNo, Box<Result<CycleOutcome, Error>>),
    /// A timer.
    Tick(RunNo, u64),
    /// The answer to the question for the time.
    Time(RunNo),
    /// A request leaves the device.
    Leaves(SendNo),
    /// It is at the server.
    Arrives(SendNo),
    /// Its reply is back.
    Answered(SendNo, AttemptResult),
    /// Its time limit has passed.
    TimeUp(SendNo, u32),
    /// The app's hook comes back, asked for a refresh or not.
    Supplied(SendNo, bool),
    /// Something wakes this context for this queue.
    Wake(usize, String, SkipBackoff),
    /// A page's message arrives, for the first time or again.
    Call(Call),
}

#[derive(Clone, Copy)]
enum Action {
    Call,
    Wake,
    WakeAll,
    Kill,
    Stop,
    Hand,
    Look,
    Network,
    Down,
    Pass,
}

const ACTIONS: [(u32, Action); 10] = [
    (30, Action::Call),
    (20, Action::Wake),
    (6, Action::WakeAll),
    (3, Action::Kill),
    (2, Action::Stop),
    (16, Action::Hand),
    (6, Action::Look),
    (3, Action::Network),
    (3, Action::Down),
    (8, Action::Pass),
];

/// Everything there is.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    /// Of the worker that is active, and of its next version, which an update brings: they share the store.
    configs: [Rc<WorkerConfig>; 2],
    pub(crate) clock: Clock,
    agenda: Agenda<Event>,
    pub(crate) store: Rc<RefCell<Database>>,
    pub(crate) runs: BTreeMap<RunNo, Run>,
    pub(crate) runs_begun: RunNo,
    pub(crate) locks: Locks,
    pub(crate) wire: Wire,
    pub(crate) servers: Servers,
    /// Queues send batches.
    pub(crate) batches: bool,
    /// Jobs are bound to others' responses, and take the places of others.
    pub(crate) bindings: bool,
    /// What bindings draw.
    pub(crate) apart: Rng,
    /// What each key of a batch went out with.
    pub(crate) payloads: BTreeMap<String, String>,
    /// Keys of batches that were broken by hand, or by a row that rotted.
    pub(crate) broken: BTreeSet<String>,
    pub(crate) contexts: [Context; CONTEXTS],
    /// The token that the app holds.
    pub(crate) token: u64,
    pub(crate) oracle: Oracle,
    pub(crate) online: bool,
    /// What the browser tells of the connection.
    pub(crate) connection: Connection,
    /// Nothing goes wrong any more.
    pub(crate) quiescing: bool,
    pub(crate) contents: u64,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) tally: Tally,
    trace: Trace,
}

impl World {
    pub(crate) fn new(seed: u64, options: &Options) -> Self {
        let mut rng = Rng::new(seed);
        let faults = Faults::draw(&mut rng);
        let mut configs = [configuration(&mut rng), configuration(&mut rng)];
        let mut apart = Rng::new(seed ^ BATCHES);
        if options.batches {
            batches::configure(&mut configs, &mut apart);
        }
        let configs = configs.map(Rc::new);
        let mut world = Self {
            rng,
            faults,
            configs,
            clock: Clock::new(),
            agenda: Agenda::new(),
            store: Rc::default(),
            runs: BTreeMap::new(),
            runs_begun: 0,
            locks: Locks::default(),
            wire: Wire::default(),
            servers: Servers::new(options.flaw, Batches::draw(&mut apart)),
            batches: options.batches,
            bindings: options.bindings,
            apart: Rng::new(seed ^ BINDINGS),
            payloads: BTreeMap::new(),
            broken: BTreeSet::new(),
            contexts: Default::default(),
            token: 0,
            oracle: Oracle::default(),
            online: true,
            connection: Connection::default(),
            quiescing: false,
            contents: 0,
            flaw: options.flaw,
            tally: Tally::default(),
            trace: Trace::new(options.tracing),
        };
        world.note(|| format!("{faults:?}"));
        world
    }

    /// A batch cannot be sent again as it was, whether it has arrived or not.
    pub(crate) fn break_batch(&mut self, key: &str) {
        if self.broken.insert(key.to_owned()) {
            self.excuse(key);
        }
    }

    /// What was sent in this batch may be applied once more.
    pub(crate) fn excuse(&mut self, key: &str) {
        let contents = self.wire.under(key).flat_map(|sending| &sending.parts).map(|part| batches::content_of(&part.job));
        self.servers.batches.excused.extend(contents);
    }

    /// Lets `steps` things happen, then calms down and sees that everything is delivered or explained.
    pub(crate) fn live(&mut self, steps: u64) -> Checked {
        while self.tally.steps < steps {
            self.step()?;
        }
        self.quiesce()
    }

    /// The configuration that a context was started with; the last one runs the next version of the app's worker.
    pub(crate) fn config_of(&self, context: usize) -> Rc<WorkerConfig> {
        let [now, next] = &self.configs;
        Rc::clone(if context + 1 == CONTEXTS { next } else { now })
    }

    /// The configuration of the context that runs this drain.
    pub(crate) fn config_of_run(&self, run: RunNo) -> Rc<WorkerConfig> {
        self.config_of(self.runs.get(&run).map_or(0, |run| run.context))
    }

    pub(crate) fn into_tail(self) -> Vec<String> {
        self.trace.into_tail()
    }

    /// The counts of this run.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            sends: self.wire.sends(),
            arrivals: self.servers.arrivals,
            effects: self.servers.effects(),
            accepted: self.oracle.accepted(),
            ..self.tally
        }
    }

    /// Notes a line of the trace.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        self.trace.note(self.clock.elapsed(), line);
    }

    /// Lets `event` happen between `least` and `most` milliseconds from now.
    pub(crate) fn later(&mut self, least: u64, most: u64, event: Event) {
        let at = self.clock.elapsed() + self.rng.between(least, most);
        self.agenda.note(at, event);
    }

    /// Runs one transaction that writes.
    pub(crate) fn transact<R>(
        &mut self,
        scope: Scope,
        work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>,
    ) -> Checked<Result<(R, Changes), Error>> {
        self.attempt(Mode::Write, scope, work)
    }

    /// Runs one transaction that only reads.
    pub(crate) fn read<R>(&mut self, work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>) -> Checked<Result<R, Error>> {
        Ok(self.attempt(Mode::Read, Scope::VIEW, work)?.map(|(answer, _)| answer))
    }

    /// Runs one transaction, which commits when `work` returns `Ok`, unless a fault is injected.
    fn attempt<R>(
        &mut self,
        mode: Mode,
        scope: Scope,
        work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>,
    ) -> Checked<Result<(R, Changes), Error>> {
        let store = Rc::clone(&self.store);
        let breaks = self.rng.happens(self.faults.breaks).then(|| self.rng.below(20));
        let full = mode == Mode::Write && self.rng.happens(self.faults.commit_fails);
        let mut tx = SimTx::begin(&store, mode, scope, breaks, self.flaw);
        if self.flaw == Some(Flaw::IgnoresOwners) {
            tx.mistake_owner(Some(self.rng.pick(crate::page::OWNERS).to_owned()));
        }
        let Some(result) = work(&tx).now_or_never() else {
            return Err(Violation::new(Promise::Live, "a transaction waits for something else than the store"));
        };
        if let Some(store) = tx.strayed() {
            return Err(Violation::new(Promise::Live, format!("a transaction touches {store:?}, which it has not named")));
        }
        Ok(match result {
            Ok(value) if !full => Ok((value, tx.commit())),
            Ok(value) => {
                tx.abort();
                self.tally.aborts += 1;
                if self.flaw == Some(Flaw::TakesAbortsForCommits) {
                    Ok((value, Changes::default()))
                } else {
                    Err(Error::new(ErrorCode::QuotaExceeded, "the simulated disk is full"))
                }
            }
            Err(error) => {
                tx.abort();
                self.tally.aborts += 1;
                Err(error)
            }
        })
    }

    /// One thing happens: the next event of the agenda, or something out of the blue.
    fn step(&mut self) -> Checked {
        self.tally.steps += 1;
        self.trouble();
        if self.agenda.is_empty() || self.rng.happens(0.25) { self.act() } else { self.next_event() }
    }

    /// What nobody does: rows rot, clocks are set.
    fn trouble(&mut self) {
        if self.rng.happens(self.faults.corrupt) {
            let ids: Vec<JobId> = self.store.borrow().rows().keys().cloned().collect();
            if let Some(id) = ids.get(self.rng.index(ids.len())) {
                self.note(|| format!("the row of {id} rots"));
                self.store.borrow_mut().corrupt(id);
            }
        }
        if self.rng.happens(self.faults.ledger_lost) {
            self.note(|| "the ledger rots".to_owned());
            self.store.borrow_mut().lose_ledger();
            self.oracle.time_is_lost = true;
        }
        if self.rng.happens(self.faults.session_ends) {
            self.note(|| "the servers' session ends".to_owned());
            self.servers.session += 1;
        }
        if self.rng.happens(self.faults.clock_set) {
            let ms = if self.rng.happens(0.3) { 365 * DAY } else { self.rng.magnitude(400 * DAY) };
            if self.rng.happens(0.5) {
                self.note(|| format!("the clock is set forward by {ms} ms"));
                self.clock.set_forward(ms);
            } else {
                self.note(|| format!("the clock is set back by {ms} ms"));
                self.clock.set_back(ms);
            }
        }
    }

    fn act(&mut self) -> Checked {
        let action = self.rng.weighted(&ACTIONS).unwrap_or(Action::Pass);
        let context = self.rng.index(CONTEXTS);
        let skip = self.rng.pick([SkipBackoff::None, SkipBackoff::None, SkipBackoff::Unreachable, SkipBackoff::All]);
        match action {
            Action::Call if self.store.borrow().rows().len() < MOST_JOBS => self.call(),
            Action::Call | Action::Wake => {
                let queue = self.rng.pick(QUEUES);
                self.wake(context, queue, skip)
            }
            Action::WakeAll => self.wake_all(skip),
            Action::Kill => {
                if self.faults.kill > 0.0 {
                    self.kill(context);
                }
                Ok(())
            }
            Action::Stop => self.stop(context),
            Action::Hand => self.lay_hands(),
            Action::Look => self.look(),
            Action::Network => {
                self.online = !self.online;
                self.reconnect();
                let online = self.online;
                self.note(|| format!("online: {online}"));
                if online { self.wake_all(SkipBackoff::Unreachable) } else { Ok(()) }
            }
            Action::Down => {
                let (origin, until) = (self.rng.pick(ORIGINS), self.clock.elapsed() + self.rng.magnitude(HOUR));
                self.note(|| format!("{origin} goes down"));
                self.servers.take_down(origin, until);
                Ok(())
            }
            Action::Pass => {
                let until = self.clock.elapsed() + self.rng.magnitude(10 * MINUTE);
                self.pass_until(until)
            }
        }
    }

    /// Lets time pass; what is due meanwhile happens.
    fn pass_until(&mut self, until: u64) -> Checked {
        // One event is one step: what is due happens late, as timers do on a busy device.
        if self.agenda.is_empty() {
            self.clock.pass_until(until);
            Ok(())
        } else {
            self.next_event()
        }
    }

    /// The next event of the agenda happens.
    pub(crate) fn next_event(&mut self) -> Checked {
        let Some((elapsed, event)) = self.agenda.next() else { return Ok(()) };
        if self.is_void(&event) {
            return Ok(());
        }
        self.clock.pass_until(elapsed);
        match event {
            Event::Granted(run) => self.begin(run),
            Event::Cycle(run, cycle) => self.cycle(run, *cycle),
            Event::Heard(run, heard) => self.heard(run, *heard),
            Event::Tick(run, timer) => self.tick(run, timer),
            Event::Time(run) => self.time(run),
            Event::Leaves(send) => self.leaves(send),
            Event::Arrives(send) => self.arrives(send),
            Event::Answered(send, reply) => self.replied(send, reply),
            Event::TimeUp(send, sends) => self.time_up(send, sends),
            Event::Supplied(send, refresh) => self.supplied(send, refresh),
            Event::Wake(context, queue, skip) => self.wake(context, &queue, skip),
            Event::Call(call) => self.serve(call),
        }
    }

    /// Whether a timer was for something that is over: no time has to pass for it.
    fn is_void(&self, event: &Event) -> bool {
        match event {
            Event::TimeUp(send, sends) => !self.is_out(*send, *sends),
            Event::Tick(run, timer) => !self.runs.get(run).is_some_and(|run| run.is_due(*timer)),
            _ => false,
        }
    }

    /// Whether nothing is going to happen by itself.
    pub(crate) fn is_quiet(&self) -> bool {
        self.agenda.is_empty()
    }
}

//! Plays a list of messages, replies and mishaps against the simulator's database.
//!
//! A story is a list. Each item is an operation as a page posts it (`"status"`, `{"retry": "…"}`), or an
//! object with what else happens, one member or more:
//!
//! | member | what happens |
//! |---|---|
//! | `config` | the worker starts with this configuration; only as the first item |
//! | `size` | bodies have this many bytes from now on |
//! | `wait`, `back` | the clock goes on, or is set back, by milliseconds |
//! | `drain` | a drain begins: `{"queue"?, "ripen"?: "unreachable" or "all", "offline"?, "locked"?}` |
//! | `reply` | a send is answered: `{"at"?: its number, "status"?, "headers"?: [[name, value]], "roll"?}`; without a status, `"kind"` says why |
//! | `time` | drains that asked for the time hear this, or by null that nobody answers |
//! | `stop`, `kill` | all drains are told to stop, or are gone |
//! | `fail` | the next transaction loses its database after so many reads |
//! | `rot` | this row, by number, does not parse any more |
//! | `lose` | the ledger does not parse any more |
//! | `row`, `ledger` | this record is in the database; who put it there is not known |
//!
//! After each item the rows and the ledger agree, and each can be read; unless a `row` or a `ledger` was
//! put there, with which everything is survived, and no more.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    pin::pin,
    task::{Context, Poll, Waker},
};

use serde::Deserialize;

use shearwater_core::{
    Error, ErrorCode, Millis,
    collections::{listing, mutation},
    drafts::{self, Draft},
    drain::{Budget, Command, Dispatch, DispatchId, Drain, Input, Plan},
    http::reply::{AttemptResult, Response},
    metrics,
    protocol::{self, Op, view::Status},
    queue::{
        config::{DEFAULT_QUEUE, WorkerConfig, check_name},
        cycle::{self, Settings},
        enqueue::{self, NewJob},
        job::{Job, Place, State},
        manage::{self, Body, Edit},
    },
    schedule::network::{Connection, Permit},
    schedule::next_wake,
    schedule::wakes::SkipBackoff,
    store::{
        Caller, Scope, Tx,
        ledger::{Counts, Ledger},
        read, read_ledger, repair,
    },
    wire::{self, Value, Wire},
};

use crate::{
    check,
    store::{Changes, Database, Mode, SimTx},
    value::Foreign,
};

/// Items that are played; a longer story is cut.
const LONGEST: usize = 96;

/// Drains at once.
const MOST_DRAINS: usize = 3;

/// Commands that one item can set off; more is a drain that never rests.
const MOST_COMMANDS: usize = 20_000;

/// What happens besides operations.
#[derive(Deserialize)]
struct Item {
    size: Option<u64>,
    wait: Option<u64>,
    back: Option<u64>,
    drain: Option<Begin>,
    reply: Option<Answer>,
    time: Option<Millis>,
    stop: Option<bool>,
    kill: Option<bool>,
    fail: Option<u64>,
    rot: Option<u32>,
    lose: Option<bool>,
    row: Option<Job>,
    ledger: Option<Ledger>,
}

#[derive(Deserialize)]
struct Begin {
    #[serde(default = "default_queue")]
    queue: String,
    #[serde(rename = "ripen", default)]
    skip: Wakes,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    locked: bool,
}

fn default_queue() -> String {
    DEFAULT_QUEUE.to_owned()
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wakes {
    #[default]
    Nothing,
    Unreachable,
    All,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    at: u32,
    status: Option<u16>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    kind: Kind,
    #[serde(default = "middle")]
    roll: f64,
}

fn middle() -> f64 {
    0.5
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Opaque,
    #[default]
    Unreachable,
    TimedOut,
    Unsendable,
    Withheld,
}

/// Plays a story; returns whether each item of it could be read.
pub fn play(story: &Foreign) -> bool {
    let items = story.as_list().unwrap_or_default();
    let first = items.first().and_then(|item| item.member("config"));
    let config = first.and_then(|config| WorkerConfig::read(&config).ok()).filter(|config| config.check().is_ok());
    let mut world = World::new(config.unwrap_or_default());
    let mut is_read = items.len() <= LONGEST;
    for item in items.iter().take(LONGEST) {
        is_read &= world.meet(item);
        world.carry_out_all();
        world.check();
    }
    is_read
}

struct Running {
    drain: Drain,
    holder: String,
    queue: String,
    owner: String,
    locked: bool,
    wakes_at: Option<Millis>,
    asks: bool,
}

struct World {
    db: RefCell<Database>,
    config: WorkerConfig,
    now: Millis,
    size: u64,
    /// The next transaction breaks after so many reads.
    fails: Option<u64>,
    /// What is in the database was put there by the core alone.
    honest: bool,
    drains: Vec<Running>,
    begun: u64,
    /// Sends without an answer, and the drains' names.
    sends: Vec<(String, DispatchId)>,
}

impl World {
    fn new(config: WorkerConfig) -> Self {
        Self {
            db: RefCell::default(),
            config,
            now: Millis(1_790_000_000_000),
            size: 3,
            fails: None,
            honest: true,
            drains: Vec::new(),
            begun: 0,
            sends: Vec::new(),
        }
    }

    fn meet(&mut self, item: &Foreign) -> bool {
        if let Ok(op) = Op::read(item) {
            if let Err(error) = self.operate(op) {
                let known = [ErrorCode::InvalidRequest, ErrorCode::UnknownQueue, ErrorCode::StorageUnavailable];
                assert!(known.contains(&error.code), "{error}");
            }
            return true;
        }
        let Ok(happening) = wire::read::<Item, _>(item) else { return false };
        let asked_in_vain = item.names().iter().any(|name| name == "time") && happening.time.is_none();
        self.happen(happening, asked_in_vain);
        true
    }

    /// As the worker's `messages` do.
    fn operate(&mut self, op: Op) -> Result<(), Error> {
        let (now, config, caller) = (self.now, self.config.clone(), Caller::default());
        match op {
            Op::Enqueue(protocol::Enqueue { jobs, repeat, draft, replaces }) => {
                // A page makes a new id for each job, and says so when it asks again.
                let used = |job: &NewJob| self.db.borrow().outcome(&job.id).is_some();
                if !repeat && jobs.iter().any(used) {
                    return Ok(());
                }
                let jobs = jobs.into_iter().map(|job| self.admit(job, &config)).collect::<Result<Vec<_>, _>>()?;
                let submission = drafts::Submission { draft, replaces };
                self.write(async |tx| drafts::submit(tx, now, jobs, repeat, &submission, &caller).await).map(drop)
            }
            Op::DraftSave(save) => {
                let size = self.size;
                let new: Vec<_> = save.files.iter().map(|id| (id.clone(), 1, size)).collect();
                self.write(async |tx| drafts::save(tx, now, &save, &new, &caller, &config.drafts).await).map(drop)
            }
            Op::DraftList(form) => self.look_at_drafts(async |tx| drafts::list(tx, &form, &caller).await),
            Op::DraftLoad(id) => self.look_at_drafts(async |tx| Ok(drafts::find(tx, &id, &caller).await?.into_iter().collect())),
            Op::DraftClaim(protocol::DraftClaim { from, to }) => {
                self.write(async |tx| drafts::claim(tx, now, &from, &to, &caller).await).map(drop)
            }
            Op::DraftDiscard(id) => self.write(async |tx| drafts::discard(tx, now, &id, &caller).await).map(drop),
            Op::Get(id) | Op::Content(id) => {
                self.read(async |tx| read::get(tx, &id, &config).await).map(|view| view.iter().for_each(check::keeps))
            }
            Op::List(filter) | Op::Export(filter) => {
                self.read(async |tx| read::list(tx, &filter, &config).await).map(|views| views.iter().for_each(check::keeps))
            }
            Op::Retry(id) => self.write(async |tx| manage::retry(tx, now, &id, &config).await).map(drop),
            Op::Discard(protocol::Removal { id, cascade }) => {
                self.write(async |tx| manage::discard(tx, now, &id, cascade).await).map(drop)
            }
            Op::Cancel(protocol::Removal { id, cascade }) => {
                self.write(async |tx| manage::cancel(tx, now, &id, cascade, &config).await).map(drop)
            }
            Op::Edit(protocol::Edit { id, request, headers, body }) => {
                let (origin, size) = (origin(&request.url), self.size);
                let idempotency_key = format!("edit {}", self.begun);
                let body = if body { Body::Replace(1, size) } else { Body::Keep };
                let origin = (!request.url.is_empty()).then_some(origin);
                let edit = Edit { request, headers, origin, body, is_json: false, idempotency_key };
                self.write(async |tx| manage::edit(tx, now, &id, edit, &config).await).map(drop)
            }
            Op::Clear(filter) => self.write(async |tx| manage::clear(tx, now, &filter, &caller, &config).await).map(drop),
            Op::Sync(queue) => {
                let queue = queue.unwrap_or_else(|| DEFAULT_QUEUE.to_owned());
                config.queue(&queue)?;
                self.begin(Begin { queue, skip: Wakes::All, offline: false, locked: true });
                Ok(())
            }
            Op::Pause(queue) => self.write(async |tx| manage::pause(tx, queue.as_deref(), true, &caller, &config).await),
            Op::Resume(queue) => self.write(async |tx| manage::pause(tx, queue.as_deref(), false, &caller, &config).await),
            Op::SetNetworkPolicy(change) => self.write(async |tx| manage::set_network(tx, change, &caller).await),
            Op::SetOwner(protocol::SetOwner { owner, purge }) => {
                if let Some(owner) = &owner {
                    check_name("owner", owner)?;
                }
                let owner = owner.unwrap_or_default();
                self.write(async |tx| manage::set_owner(tx, now, &owner, purge.as_deref(), &config).await)
            }
            Op::RecordWrite(write) => self.write(async |tx| mutation::write(tx, now, &write, &caller, &config).await).map(drop),
            Op::RecordUndo(name) => self.write(async |tx| mutation::undo(tx, now, &name, &caller, &config).await).map(drop),
            Op::RecordResolve(resolve) => {
                self.write(async |tx| mutation::resolve(tx, now, &resolve, &caller, &config).await).map(drop)
            }
            Op::RecordCleanUp(request) => {
                self.write(async |tx| listing::clean_up(tx, now, &request, &caller, &config).await).map(drop)
            }
            Op::RecordSync(_) | Op::RecordList(_) => Ok(()),
            Op::Metrics => self.read(async |tx| metrics::read(tx, now, Permit::All).await).map(|metrics| check::keeps(&metrics)),
            Op::Repair => {
                let report = self.write(async |tx| repair::repair(tx).await)?;
                assert!(!(self.honest && report.recounted && report.quarantined == 0), "the counts were wrong: {report:?}");
                check::keeps(&report);
                Ok(())
            }
            Op::Compact(protocol::Compact { failed }) => {
                let compacted = self.write(async |tx| manage::compact(tx, now, failed, &caller, &config).await)?;
                check::keeps(&compacted);
                Ok(())
            }
            Op::Status => {
                let ledger = self.read(async |tx| read_ledger(tx).await)?;
                self.read(async |tx| next_wake::next_wake(tx, &ledger, now, Permit::All).await)?;
                check::keeps(&Status::of(&ledger));
                Ok(())
            }
            Op::Wake(reason) => {
                let (skips, skip) = match reason.retries_unreachable() {
                    true => (Wakes::Unreachable, SkipBackoff::Unreachable),
                    false => (Wakes::Nothing, SkipBackoff::None),
                };
                let ledger = self.read(async |tx| read_ledger(tx).await)?;
                for queue in self.read(async |tx| next_wake::due(tx, &ledger, now, skip).await)? {
                    self.begin(Begin { queue, skip: skips, offline: false, locked: true });
                }
                Ok(())
            }
        }
    }

    fn admit(&self, job: NewJob, config: &WorkerConfig) -> Result<(enqueue::Admitted, Option<u64>), Error> {
        let origin = origin(&job.request.url);
        let size = shearwater_core::queue::request::takes_body(&job.request.method).then_some(self.size);
        Ok((enqueue::admit(job, origin, size, config)?, size.map(|_| 1)))
    }

    fn happen(&mut self, item: Item, asked_in_vain: bool) {
        let Item { size, wait, back, drain, reply, time, stop, kill, fail, rot, lose, row, ledger } = item;
        self.size = size.unwrap_or(self.size);
        self.now = Millis(self.now.after(wait.unwrap_or(0)).since(Millis(back.unwrap_or(0))));
        self.fails = fail.or(self.fails);
        if let Some(begin) = drain {
            self.begin(begin);
        }
        if let Some(answer) = reply {
            self.reply(answer);
        }
        if time.is_some() || asked_in_vain {
            for running in self.drains.iter_mut().filter(|running| running.asks) {
                running.asks = false;
                running.drain.handle(self.now, Input::Time { replied: time.is_some(), date: time });
            }
        }
        if kill == Some(true) {
            self.drains.clear();
            self.sends.clear();
        }
        for running in &mut self.drains {
            if stop == Some(true) {
                running.drain.handle(self.now, Input::Stop);
            }
            if running.wakes_at.is_some_and(|at| at <= self.now) {
                running.wakes_at = None;
                running.drain.handle(self.now, Input::Tick);
            }
        }
        if lose == Some(true) {
            self.db.borrow_mut().lose_ledger();
        }
        if let Some(number) = rot {
            let mut db = self.db.borrow_mut();
            let rows = db.rows().len().max(1);
            if let Some(id) = db.rows().keys().nth(number as usize % rows).cloned() {
                db.corrupt(&id);
            }
        }
        if row.is_some() || ledger.is_some() {
            self.honest = false;
            let _ = self.write(async |tx| {
                // The simulated indexes know no names with control characters.
                if let Some(job) =
                    row.filter(|job| [&job.queue, &job.work.request().origin].iter().all(|name| check_name("", name).is_ok()))
                {
                    tx.put(&job)?;
                }
                ledger.map_or(Ok(()), |ledger| tx.put(&ledger))
            });
        }
    }

    fn begin(&mut self, begin: Begin) {
        let Begin { queue, skip, offline, locked } = begin;
        let skip = match skip {
            Wakes::Nothing => SkipBackoff::None,
            Wakes::Unreachable => SkipBackoff::Unreachable,
            Wakes::All => SkipBackoff::All,
        };
        let now = self.now;
        let owner = self.read(async |tx| read_ledger(tx).await).map(|ledger| ledger.owner).unwrap_or_default();
        let mut others = self.drains.iter_mut().filter(|running| running.queue == queue && running.owner == owner);
        if let Some(running) = others.find(|running| running.locked || locked) {
            // The lock is held, or this browser has none.
            running.drain.handle(now, Input::Nudge { skip, online: !offline, connection: Connection::default() });
            return;
        }
        if self.drains.len() < MOST_DRAINS {
            self.begun += 1;
            let holder = format!("drain {}", self.begun);
            let plan = Plan {
                queue: queue.clone(),
                owner: owner.clone(),
                holder: holder.clone(),
                concurrency: self.config.queue_or_default(&queue).concurrency,
                budget: Budget::default(),
                skip,
                online: !offline,
                connection: Connection::default(),
                exclusive: locked,
            };
            let mut drain = Drain::new(now, plan);
            drain.handle(now, Input::Start);
            self.drains.push(Running { drain, holder, queue, owner, locked, wakes_at: None, asks: false });
        }
    }

    fn reply(&mut self, answer: Answer) {
        let Answer { at, status, headers, kind, roll } = answer;
        if self.sends.is_empty() {
            return;
        }
        let (holder, dispatch) = self.sends.remove(at as usize % self.sends.len());
        let header = |wanted| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let reply = match (status, kind) {
            (Some(status), _) => AttemptResult::Status(Response {
                status,
                retry_after: header("retry-after"),
                date: header("date"),
                rate_limit: header("ratelimit"),
                ..Response::default()
            }),
            (None, Kind::Opaque) => AttemptResult::Opaque,
            (None, Kind::Unreachable) => AttemptResult::Unreachable,
            (None, Kind::TimedOut) => AttemptResult::TimedOut,
            (None, Kind::Unsendable) => AttemptResult::Unsendable("no body".to_owned()),
            (None, Kind::Withheld) => AttemptResult::Withheld("the hook failed".to_owned()),
        };
        let sender = self.drains.iter_mut().find(|running| running.holder == holder);
        if let Some(running) = sender {
            running
                .drain
                .handle(self.now, Input::Attempted { dispatch, result: reply, roll: roll.clamp(0.0, 1.0 - f64::EPSILON) });
        }
    }

    /// Does what the drains want, until they want nothing more.
    fn carry_out_all(&mut self) {
        for _ in 0..MOST_COMMANDS {
            let next = self.drains.iter_mut().enumerate().find_map(|(at, running)| Some((at, running.drain.poll()?)));
            let Some((at, command)) = next else { return };
            match command {
                Command::Cycle(cycle) => {
                    let (now, config, breaks) = (self.now, self.config.clone(), self.fails.is_some());
                    let queue = config.queue_or_default(&cycle.queue);
                    let settings = Settings::new(&config, &queue);
                    let committed = self.write(async |tx| cycle::cycle(tx, now, &cycle, settings).await);
                    let input = match committed {
                        Ok(committed) => Input::CycleCommitted(committed),
                        Err(error) => {
                            assert!(breaks, "a cycle failed: {error}");
                            Input::CycleFailed(error)
                        }
                    };
                    self.feed(at, input);
                }
                Command::Send(dispatch) => self.send(at, dispatch),
                Command::Wait(until) => self.drains[at].wakes_at = Some(until),
                Command::AskTime => self.drains[at].asks = true,
                Command::Done(_) => drop(self.drains.remove(at)),
                _ => {}
            }
        }
        panic!("the drains do not rest");
    }

    fn feed(&mut self, at: usize, input: Input) {
        let now = self.now;
        self.drains[at].drain.handle(now, input);
    }

    fn send(&mut self, at: usize, dispatch: Dispatch) {
        let holder = self.drains[at].holder.clone();
        for job in &dispatch.jobs {
            assert_eq!(job.state, State::Syncing, "{} is sent", job.id);
            assert!(job.lease.as_ref().is_some_and(|lease| lease.holder == holder), "{} is sent under no lease", job.id);
        }
        self.sends.push((holder, dispatch.id));
    }

    fn read<R>(&self, work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>) -> Result<R, Error> {
        let tx = SimTx::begin(&self.db, Mode::Read, Scope::VIEW, None, None);
        let answer = finish(work(&tx));
        tx.abort();
        answer
    }

    fn look_at_drafts(&self, work: impl AsyncFnOnce(&SimTx<'_>) -> Result<Vec<Draft>, Error>) -> Result<(), Error> {
        let tx = SimTx::begin(&self.db, Mode::Read, Scope::DRAFTS, None, None);
        let drafts = finish(work(&tx));
        tx.abort();
        drafts.map(|drafts| drafts.iter().for_each(check::keeps))
    }

    fn write<R>(&mut self, work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>) -> Result<R, Error> {
        let tx = SimTx::begin(&self.db, Mode::Write, Scope::ALL, self.fails.take(), None);
        let answer = finish(work(&tx));
        match answer {
            Ok(_) => {
                let changes = tx.commit();
                if self.honest {
                    self.keeps(&changes);
                }
            }
            Err(_) => tx.abort(),
        }
        answer
    }

    /// What was written can be read, and is the same.
    fn keeps(&self, changes: &Changes) {
        let db = self.db.borrow();
        changes.jobs.values().filter_map(|(_, after)| after.as_ref()).for_each(|job| check::keeps::<Job>(job));
        changes.outcomes.iter().filter_map(|id| db.outcome(id)).for_each(check::keeps);
        db.ledger().iter().for_each(|ledger| check::keeps::<Ledger>(ledger));
    }

    /// The ledger counts what is there, and each row is what its state says.
    fn check(&self) {
        let db = self.db.borrow();
        if !self.honest {
            return;
        }
        let mut counts: BTreeMap<(&str, &str), Counts> = BTreeMap::new();
        let mut moving: BTreeMap<(&str, &str, &str), u32> = BTreeMap::new();
        for job in db.jobs() {
            *counts.entry((&job.queue, &job.owner)).or_default().of(job.state) += 1;
            assert_eq!(job.state == State::Pending, job.place != Place::Out, "{job:?}");
            assert_eq!(job.state == State::Syncing, job.lease.is_some(), "{job:?}");
            if let Some(key) = job.order.key.as_deref().filter(|_| job.is_live() && job.place != Place::Behind) {
                let moving = moving.entry((&job.owner, &job.queue, key)).or_default();
                *moving += 1;
                assert!(*moving == 1, "two of one line move at once: {job:?}");
            }
        }
        let Some(ledger) = db.ledger() else { return };
        for entry in &ledger.queues {
            let recounted = counts.remove(&(entry.queue.as_str(), entry.owner.as_str())).unwrap_or_default();
            assert_eq!(entry.counts, recounted, "{} of {:?}", entry.queue, entry.owner);
        }
        assert!(counts.is_empty(), "the ledger does not know of {counts:?}");
        assert_eq!(ledger.history, db.delivered() as u64, "delivered jobs");
    }
}

/// Runs what waits for nothing but the simulated database, which answers at once.
fn finish<R>(work: impl Future<Output = R>) -> R {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the simulated database never waits"),
    }
}

/// The origin of a URL, near enough: a platform's has no control characters.
fn origin(url: &str) -> String {
    url.split('/').take(3).collect::<Vec<_>>().join("/").replace(char::is_control, "")
}

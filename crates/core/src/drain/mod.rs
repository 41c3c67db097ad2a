//! One wake's work on one queue, as a state machine: inputs in, commands out.
//!
//! ```text
//!            ┌──────────────── Cycle (settle + claim, one transaction) ◀──────────┐
//!            ▼                                                                    │
//!   begin ─ committing ─▶ sending (up to `concurrency` at once) ── Attempted ─────┤
//!                        │                                                        │
//!                        ├─ nothing in flight, something due soon ─▶ resting ─ Tick, Nudge
//!                        └─ nothing in flight, nothing due soon, or the time is up ─▶ Done
//! ```
//!
//! A first cycle that cannot tell whether jobs have expired ([`crate::health::clock`]) claims nothing and asks for
//! the time; the response starts the drain again.
//!
//! Replies that come while a cycle is being committed are settled together by the next one (group
//! commit). A drain claims up to twice its concurrency, so that a slot that falls free has its next
//! job at hand; what is claimed and not sent when the time is up, or when its origin is found in trouble,
//! goes back.
//!
//! # Slots
//!
//! A queue often sends to more than one server, and one that accepts requests and never responds must not hold up the
//! others. So:
//!
//! - while another origin has jobs, no origin takes more than [`fair_share`] of the slots;
//! - a send that has been without a reply for [`STALLED_AFTER`] holds no slot of other origins any more, only of its own;
//! - after a reply that means trouble, nothing more goes to that origin before the cycle that settles the reply, nor
//!   while others of its sends stall: the circuit breaker decides there.
//!
//! # Owners
//!
//! A drain sends the jobs of one owner. When a cycle finds another signed in, the drain claims nothing more, tells
//! pages nothing, and ends when what it has in flight is settled. Meanwhile another drain sends the new owner's jobs.
//!
//! # Clocks
//!
//! When the clock is found set back between two inputs, the drain's own end is moved along, and it looks anew at what is
//! due: a cycle may have told it by the clock before. Sends in flight then stall later; they end by their timeouts.
//!
//! # What always holds
//!
//! - One cycle at a time; a job is sent only after the cycle that claimed it was committed.
//! - Of dispatches that are not stalled there are at most `concurrency`; of one origin's there are never more.
//! - A reply is settled, by this drain or, if it cannot commit any more, by whoever finds its lease dead.
//! - After [`Command::Done`] nothing of this drain is in flight.

mod cycles;
mod dispatch;
mod interface;
mod slots;

use crate::{
    error::Error,
    health::clock::{self, Time},
    http::reply::AttemptResult,
    id::JobId,
    protocol::view::SyncResult,
    queue::{
        batch::{self, SentIn},
        cycle::{Cycle, Settlement, Takeover},
        job::Job,
    },
    schedule::wakes::SkipBackoff,
    time::Millis,
};

use dispatch::take_out;
pub use dispatch::{Dispatch, DispatchId};
pub use interface::{Budget, Command, Input, News, Plan, Summary};
use slots::Flight;
pub use slots::{STALLED_AFTER, fair_share};

/// Cycles that may fail in a row before a drain gives up and leaves its leases to the next one.
const MOST_FAILED_CYCLES: u32 = 4;

/// A drain; see the module.
#[derive(Debug)]
pub struct Drain {
    plan: Plan,
    /// What the clock said at the last input.
    clock: Millis,
    deadline: Millis,
    takeover: Option<Takeover>,
    skip: SkipBackoff,
    skip_from: Millis,
    committing: Option<Cycle>,
    failed_cycles: u32,
    /// There was no room to write: one job at a time, which needs least, until the end of this drain.
    tight: bool,
    claimed: Vec<Dispatch>,
    in_flight: Vec<Flight>,
    settle: Vec<Settlement>,
    release: Vec<JobId>,
    /// Dispatches whose results mean trouble for their origins, and are not settled yet.
    suspects: Vec<Flight>,
    /// Origins that were in trouble when the last cycle was over.
    troubled: Vec<String>,
    /// Jobs that were cancelled while a cycle was being committed.
    cancelled: Vec<JobId>,
    leased_elsewhere: bool,
    exhausted: bool,
    /// A person asked for it, whatever their policy says of the network.
    asked: bool,
    /// Jobs are held by that policy.
    restricted: bool,
    /// It was told to stop; a later reason to send undoes that.
    halted: bool,
    /// The store failed too often.
    gave_up: bool,
    /// Another owner is signed in.
    signed_out: bool,
    /// It sends nothing more, for one of these reasons or because its time is up.
    stopping: bool,
    next_due: Option<Millis>,
    timer: Option<Millis>,
    /// The time was asked for, and no response came yet.
    asking: bool,
    /// The clock when the response came, and what it said.
    time: (Millis, Time),
    error: Option<Error>,
    result: SyncResult,
    done: u64,
    resting: bool,
    over: bool,
    out: Vec<Command>,
}

impl Drain {
    /// A drain that has not begun.
    #[must_use]
    pub fn new(now: Millis, plan: Plan) -> Self {
        Self {
            clock: now,
            deadline: now.after(plan.budget.sending),
            takeover: Some(Takeover { exclusive: plan.exclusive }),
            skip: plan.skip,
            skip_from: Millis(0),
            committing: None,
            failed_cycles: 0,
            tight: false,
            claimed: Vec::new(),
            in_flight: Vec::new(),
            settle: Vec::new(),
            release: Vec::new(),
            suspects: Vec::new(),
            troubled: Vec::new(),
            cancelled: Vec::new(),
            leased_elsewhere: false,
            exhausted: false,
            asked: plan.skip == SkipBackoff::All,
            restricted: false,
            halted: false,
            gave_up: false,
            signed_out: false,
            stopping: false,
            next_due: None,
            timer: None,
            asking: false,
            time: (now, Time::Unasked),
            error: None,
            result: SyncResult::default(),
            done: 0,
            resting: false,
            over: false,
            out: Vec::new(),
            plan,
        }
    }

    /// Takes one input; then take commands from [`Drain::poll`] until there are none.
    pub fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Start => {}
            Input::CycleCommitted(committed) => self.committed(now, committed),
            Input::CycleFailed(error) => self.cycle_failed(now, error),
            Input::Attempted { dispatch, result, roll } => {
                // A reply to nothing that is in flight says nothing.
                if let Some(at) = self.in_flight.iter().position(|flight| flight.id == dispatch) {
                    let flight = self.in_flight.swap_remove(at);
                    self.attempted(now, flight, &result, roll);
                }
            }
            Input::Nudge { skip, online, connection } => {
                self.plan.online = online;
                self.plan.connection = connection;
                self.asked |= skip == SkipBackoff::All;
                self.halted = false;
                if skip > SkipBackoff::None {
                    (self.skip, self.skip_from) = (self.skip.max(skip), Millis(0));
                }
                self.exhausted = false;
            }
            Input::Tick => {
                self.timer = None;
                self.exhausted = false;
            }
            Input::Time { replied, date } => {
                self.asking = false;
                self.time = (now, clock::answer(now, replied, date));
            }
            Input::Cancelled(id) => {
                let others = take_out(&mut self.claimed, |job| job.id == id);
                self.release.extend(others);
                // The cycle that is being committed may have claimed it just before.
                if self.committing.is_some() {
                    self.cancelled.push(id);
                }
            }
            Input::Stop => self.halted = true,
        }
        if clock::is_set_back(self.clock, now) {
            self.clock_set_back(self.clock.since(now));
        }
        self.clock = now;
        self.advance(now);
    }

    /// The clock was set back by so many milliseconds.
    fn clock_set_back(&mut self, by: u64) {
        self.deadline = Millis(self.deadline.0.saturating_sub(by));
        (self.next_due, self.timer, self.exhausted) = (None, None, false);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Command> {
        (!self.out.is_empty()).then(|| self.out.remove(0))
    }

    /// The counts so far.
    #[must_use]
    pub fn result(&self) -> SyncResult {
        self.result
    }

    /// Whether nothing makes it send again: what comes now is for the next drain.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.over || self.gave_up || self.signed_out || (self.stopping && !self.halted)
    }

    /// Whether it is over: no further input is looked at.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Settles each job of a dispatch by its result.
    fn attempted(&mut self, now: Millis, flight: Flight, result: &AttemptResult, roll: f64) {
        let (results, own) = match &flight.batch {
            Some(_) => batch::results_of_each(result, flight.jobs.len()),
            None => (vec![result.clone(); flight.jobs.len()], false),
        };
        for ((id, key), result) in flight.jobs.iter().zip(results) {
            // Lost and claimed again while it was in flight: this is the reply to that claim too.
            let is_same = |job: &Job| {
                job.id == *id && job.idempotency_key == *key && job.batch.as_ref().map(|own| &own.key) == flight.batch.as_ref()
            };
            let others = take_out(&mut self.claimed, is_same);
            self.release.extend(others.into_iter().filter(|other| !flight.carries(other)));
            // A drain that gave up writes nothing.
            if self.failed_cycles < MOST_FAILED_CYCLES {
                let batch = flight.batch.clone().map(|key| SentIn { key, own });
                self.settle.push(Settlement { id: id.clone(), key: key.clone(), result, at: now, roll, batch });
            }
        }
        if result.is_trouble() {
            self.suspects.push(flight);
        }
    }

    fn advance(&mut self, now: Millis) {
        if self.over {
            return;
        }
        self.stopping = self.halted || self.gave_up || self.signed_out || now >= self.deadline;
        self.send(now);
        if self.asking && !self.stopping {
            return;
        }
        if self.committing.is_some()
            || (self.failed_cycles > 0 && self.failed_cycles < MOST_FAILED_CYCLES && self.timer.is_some())
        {
            return;
        }
        if self.failed_cycles < MOST_FAILED_CYCLES && self.begin_cycle(now) {
            return;
        }
        let due = self.next_due.filter(|due| self.room(now) > 0 && *due <= now.after(self.plan.budget.waiting));
        // When the first of the sends that hold all slots stalls, others may go.
        let is_full = !self.stopping && self.live(now) >= self.plan.concurrency as usize;
        let stalls = self.in_flight.iter().filter(|flight| is_full && flight.is_live(now)).map(|flight| flight.since);
        let stalls = stalls.min().map(|since| since.after(STALLED_AFTER));
        if let Some(at) = [due, stalls].into_iter().flatten().min()
            && self.timer.is_none_or(|timer| at < timer)
        {
            self.timer = Some(at);
            self.out.push(Command::Wait(at));
        }
        let idle = self.in_flight.is_empty() && self.claimed.is_empty() && self.settle.is_empty();
        if idle && (self.timer.is_none() || self.stopping) {
            self.finish();
        } else if idle && !self.resting {
            self.resting = true;
            // What comes from here on was not asked for.
            self.asked = false;
            self.out.push(Command::Rest(self.result));
        }
    }

    fn finish(&mut self) {
        self.over = true;
        let error = self.error.take().filter(|_| self.failed_cycles > 0);
        let again = error.is_some()
            || self.next_due.is_some()
            || self.leased_elsewhere
            || (self.result.remaining > 0 && (!self.exhausted || !self.plan.online || self.restricted));
        let again = again && !self.signed_out;
        let (next_due, signed_out) = (self.next_due, self.signed_out);
        self.out.push(Command::Done(Summary { result: self.result, again, next_due, signed_out, error }));
    }
}

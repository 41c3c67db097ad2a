//! One wake's work on one queue, as a state machine: inputs in, commands out.
//!
//! ```text
//!            ┌──────────────── Turn (settle + claim, one transaction) ◀───────────┐
//!            ▼                                                                    │
//!   begin ─ turning ─▶ sending (up to `concurrency` at once) ── Replied ──────────┤
//!                        │                                                        │
//!                        ├─ nothing in flight, something due soon ─▶ resting ─ Tick, Nudge
//!                        └─ nothing in flight, nothing due soon, or the time is up ─▶ Done
//! ```
//!
//! A first turn that cannot tell whether jobs have expired ([`crate::health::clock`]) claims nothing and asks for
//! the time; the answer begins the drain anew.
//!
//! Replies that come while a turn is being committed are settled together by the next one (group
//! commit). A drain claims up to twice its concurrency, so that a slot that falls free has its next
//! job at hand; what is claimed and not sent when the time is up, or when its origin is found in trouble,
//! goes back.
//!
//! # Slots
//!
//! A queue often sends to more than one server, and one that accepts requests and never answers must not hold up the
//! others. So:
//!
//! - while another origin has jobs, no origin takes more than [`fair_share`] of the slots;
//! - a send that has been without a reply for [`STALLED_AFTER`] holds no slot of other origins any more, only of its own;
//! - after a reply that means trouble, nothing more goes to that origin before the turn that settles the reply, nor
//!   while others of its sends stall: the circuit breaker decides there.
//!
//! # Owners
//!
//! A drain sends the jobs of one owner. When a turn finds another signed in, the drain claims nothing more, tells
//! pages nothing, and ends when what it has in flight is settled. Meanwhile another drain sends the new owner's jobs.
//!
//! # What always holds
//!
//! - One turn at a time; a job is sent only after the turn that claimed it was committed.
//! - Of sends that are not stalled there are at most `concurrency`; of one origin's there are never more.
//! - A reply is settled, by this drain or, if it cannot commit any more, by whoever finds its lease dead.
//! - After [`Command::Done`] nothing of this drain is in flight.

use crate::{
    error::{Error, ErrorCode},
    health::{
        clock::{self, Time},
        origin::OriginHealth,
    },
    http::reply::Reply,
    id::JobId,
    protocol::view::SyncResult,
    queue::{
        cycle::{Begin, Fate, Ripen, Settlement, Turn, Turned},
        job::{Job, State},
    },
    store::ledger::Ledger,
    time::{Millis, unit},
};

/// Turns that may fail in a row before a drain gives up and leaves its leases to the next one.
const MOST_FAILED_TURNS: u32 = 4;

/// Milliseconds without a reply after which a send no longer holds a slot of other origins.
pub const STALLED_AFTER: u64 = 5 * unit::SECOND;

/// So many times `concurrency` are in flight at most, the stalled ones included.
const MOST_STALLED: usize = 8;

/// A drain at work for longer than this many milliseconds has a clock that was set.
const LONGEST_WAKE: u64 = 10 * unit::MINUTE;

/// What a wake may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// No new send after this many milliseconds.
    pub sending: u64,
    /// Wait within the wake for what is due within this many milliseconds.
    pub waiting: u64,
}

impl Default for Budget {
    /// Well under Chromium's three minutes for an event, and Firefox's idle limits.
    fn default() -> Self {
        Self { sending: 2 * unit::MINUTE, waiting: 20 * unit::SECOND }
    }
}

/// How a drain starts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The queue.
    pub queue: String,
    /// Whose jobs it sends.
    pub owner: String,
    /// A name that no other drain ever has.
    pub holder: String,
    /// Parallel sends.
    pub concurrency: u32,
    /// What the wake may spend.
    pub budget: Budget,
    /// Whose waiting the wake's reason cuts short.
    pub ripen: Ripen,
    /// Whether the browser says that there is a network.
    pub online: bool,
    /// Whether a lock keeps all other drains of this queue out.
    pub exclusive: bool,
}

/// What happens to a drain.
#[derive(Debug)]
pub enum Input {
    /// It begins.
    Start,
    /// Its turn was committed.
    Turned(Turned),
    /// Its turn was aborted; nothing of it is stored.
    TurnFailed(Error),
    /// A reply came, or its absence is certain.
    Replied {
        /// The job.
        id: JobId,
        /// What came back.
        reply: Reply,
        /// A random number in `[0, 1)`.
        roll: f64,
    },
    /// There may be new work, or a reason not to wait.
    Nudge {
        /// Whose waiting is over.
        ripen: Ripen,
        /// Whether there is a network.
        online: bool,
    },
    /// The time that [`Command::Wait`] named has come.
    Tick,
    /// What came of [`Command::AskTime`].
    Time {
        /// Any reply came.
        replied: bool,
        /// Its `Date`.
        date: Option<Millis>,
    },
    /// A person cancelled this job, which is a dead letter now: it is not sent any more.
    Cancelled(JobId),
    /// Send nothing more.
    Stop,
}

/// What a drain wants done.
#[derive(Debug)]
pub enum Command {
    /// Carry out [`crate::queue::cycle::turn`] and answer `Turned` or `TurnFailed`.
    Turn(Turn),
    /// Send this job and answer `Replied`.
    Send(Box<Job>),
    /// Answer `Tick` at this instant. A later `Wait` replaces an earlier one.
    Wait(Millis),
    /// Ask the app's own server for the time and answer `Time`.
    AskTime,
    /// Tell the pages.
    Tell(Box<News>),
    /// All that can be tried now was tried; what is due soon is waited for. The counts so far.
    Rest(SyncResult),
    /// The drain is over.
    Done(Summary),
}

/// What a turn changed, for the pages.
#[derive(Debug)]
pub struct News {
    /// What became of jobs.
    pub fates: Vec<Fate>,
    /// Jobs that are being sent now.
    pub claimed: Vec<Job>,
    /// Jobs that were claimed, and given back unsent.
    pub released: Vec<Job>,
    /// The ledger as committed.
    pub ledger: Ledger,
    /// Outcomes of this drain so far.
    pub done: u64,
    /// Outcomes to expect of it.
    pub total: u64,
}

/// How a drain ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The counts.
    pub result: SyncResult,
    /// Something is left that a later wake can send without a person's help.
    pub again: bool,
    /// When that is due, as far as it waits for a time.
    pub next_due: Option<Millis>,
    /// Another owner has signed in: their jobs are for another drain.
    pub signed_out: bool,
    /// The store failed and the drain gave up.
    pub error: Option<Error>,
}

#[derive(Debug)]
struct Flight {
    id: JobId,
    key: String,
    origin: String,
    since: Millis,
}

impl Flight {
    /// Whether it is still to be expected that its reply frees its slot soon.
    fn is_live(&self, now: Millis) -> bool {
        now.since(self.since) < STALLED_AFTER
    }
}

/// Slots that one origin takes at most while another has jobs: two thirds, and at least one.
#[must_use]
pub const fn fair_share(concurrency: u32) -> u32 {
    let left = concurrency / 3;
    let share = concurrency.saturating_sub(if left == 0 { 1 } else { left });
    if share == 0 { 1 } else { share }
}

/// A drain; see the module.
#[derive(Debug)]
pub struct Drain {
    plan: Plan,
    deadline: Millis,
    begin: Option<Begin>,
    ripen: Ripen,
    ripen_from: Millis,
    turning: Option<Turn>,
    failed_turns: u32,
    /// There was no room to write: one job at a time, which needs least, until the end of this drain.
    tight: bool,
    claimed: Vec<Job>,
    in_flight: Vec<Flight>,
    settle: Vec<Settlement>,
    release: Vec<JobId>,
    /// Replies that mean trouble and are not settled yet, by job, and the origins that they are about.
    suspects: Vec<(JobId, String)>,
    /// Origins that were in trouble when the last turn was over.
    troubled: Vec<String>,
    /// Jobs that were cancelled while a turn was being committed.
    cancelled: Vec<JobId>,
    leased_elsewhere: bool,
    exhausted: bool,
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
    /// The time was asked for, and no answer came yet.
    asking: bool,
    /// What the clock said when the answer came, and the answer.
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
            deadline: now.after(plan.budget.sending),
            begin: Some(Begin { exclusive: plan.exclusive }),
            ripen: plan.ripen,
            ripen_from: Millis(0),
            turning: None,
            failed_turns: 0,
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
            Input::Turned(turned) => self.turned(now, turned),
            Input::TurnFailed(error) => self.turn_failed(now, error),
            Input::Replied { id, reply, roll } => {
                // A reply to nothing that is in flight says nothing, and a drain that gave up writes nothing.
                if let Some(at) = self.in_flight.iter().position(|flight| flight.id == id) {
                    let Flight { id, key, origin, .. } = self.in_flight.swap_remove(at);
                    if reply.is_trouble() {
                        self.suspects.push((id.clone(), origin));
                    }
                    // Lost and claimed again while it was in flight: this is the reply to that claim too.
                    self.claimed.retain(|job| job.id != id || job.idempotency_key != key);
                    if self.failed_turns < MOST_FAILED_TURNS {
                        self.settle.push(Settlement { id, key, reply, at: now, roll });
                    }
                }
            }
            Input::Nudge { ripen, online } => {
                self.plan.online = online;
                self.halted = false;
                if ripen > Ripen::Nothing {
                    (self.ripen, self.ripen_from) = (self.ripen.max(ripen), Millis(0));
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
                self.claimed.retain(|job| job.id != id);
                // The turn that is being committed may have claimed it just before.
                if self.turning.is_some() {
                    self.cancelled.push(id);
                }
            }
            Input::Stop => self.halted = true,
        }
        self.advance(now);
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

    fn turned(&mut self, now: Millis, turned: Turned) {
        let turn = self.turning.take();
        self.failed_turns = 0;
        self.suspects.retain(|(id, _)| self.settle.iter().any(|settlement| settlement.id == *id));
        let in_trouble = turned.ledger.origins.iter().filter(|origin| origin.is_in_trouble());
        self.troubled = in_trouble.map(|origin| origin.origin.clone()).collect();
        let is_current = turned.ledger.owner == self.plan.owner;
        self.signed_out = !is_current;
        let cancelled = std::mem::take(&mut self.cancelled);
        if turned.asks_time && !self.stopping && is_current {
            self.begin = turn.as_ref().and_then(|turn| turn.begin);
            self.ripen = self.ripen.max(turn.as_ref().map_or(Ripen::Nothing, |turn| turn.ripen));
            self.asking = true;
            self.out.push(Command::AskTime);
        }
        // Unless there was a new reason meanwhile, which begins anew.
        if let (Some(from), Some(turn), Ripen::Nothing) = (turned.ripens_from, &turn, self.ripen) {
            (self.ripen, self.ripen_from) = (turn.ripen, from);
        }
        let asked = turn.map_or(0, |turn| turn.claim);
        self.exhausted = !turned.asks_time && (turned.claimed.len() as u64) < u64::from(asked);
        self.next_due = turned.next_due;
        // What was waited for may be gone; a new wait is set below.
        self.timer = None;
        for fate in &turned.fates {
            self.tally(fate);
        }
        let counts = turned.ledger.queue(&self.plan.queue, &self.plan.owner).map(|queue| queue.counts).unwrap_or_default();
        self.result.remaining = counts.pending + counts.syncing;
        let ours = self.in_flight.len() + self.settle.len() + self.release.len() + self.claimed.len() + turned.claimed.len();
        self.leased_elsewhere = counts.syncing > ours as u64;
        // One that was lost, and answered while it was being claimed again, has its reply already.
        let answered = |job: &&Job| self.settle.iter().any(|reply| reply.id == job.id && reply.key == job.idempotency_key);
        let (cancelled, claimed): (Vec<Job>, Vec<Job>) =
            turned.claimed.iter().filter(|job| !answered(job)).cloned().partition(|job| cancelled.contains(&job.id));
        self.claimed.extend(claimed);
        // It may have been retried since, and claimed anew.
        self.release.extend(cancelled.into_iter().map(|job| job.id));
        self.spare(now, &turned.ledger);
        let is_news = !(turned.fates.is_empty() && turned.claimed.is_empty() && turned.released.is_empty());
        if is_news && is_current {
            self.out.push(Command::Tell(Box::new(News {
                fates: turned.fates,
                claimed: turned.claimed,
                released: turned.released,
                ledger: turned.ledger,
                done: self.done,
                total: self.done + self.result.remaining,
            })));
        }
    }

    /// Gives back what is at hand for an origin that has been found in trouble, or asked for rest, since it was
    /// claimed.
    fn spare(&mut self, now: Millis, ledger: &Ledger) {
        let rests = |job: &Job| ledger.origin(&job.origin).and_then(OriginHealth::opens_at).is_some_and(|at| now < at);
        let (spared, kept) = std::mem::take(&mut self.claimed).into_iter().partition(rests);
        self.claimed = kept;
        self.release.extend(Vec::<Job>::into_iter(spared).map(|job| job.id));
    }

    fn tally(&mut self, fate: &Fate) {
        let count = match fate {
            Fate::Delivered(_) => &mut self.result.delivered,
            Fate::Late => return,
            Fate::Kept(job) => match job.state {
                State::Pending | State::Syncing => {
                    self.result.retried += 1;
                    return;
                }
                State::Failed => &mut self.result.failed,
                State::Conflict => &mut self.result.conflicts,
                State::Blocked => &mut self.result.blocked,
            },
        };
        *count += 1;
        self.done += 1;
    }

    /// Takes everything of the failed turn back, to try it again.
    fn turn_failed(&mut self, now: Millis, error: Error) {
        let Some(turn) = self.turning.take() else { return };
        self.cancelled.clear();
        self.failed_turns += 1;
        self.begin = turn.begin;
        if self.ripen == Ripen::Nothing {
            (self.ripen, self.ripen_from) = (turn.ripen, turn.ripen_from);
        } else {
            (self.ripen, self.ripen_from) = (self.ripen.max(turn.ripen), Millis(0));
        }
        let later = std::mem::replace(&mut self.settle, turn.settle);
        self.settle.extend(later);
        self.release.extend(turn.release);
        self.tight |= error.code == ErrorCode::QuotaExceeded;
        self.error = Some(error);
        if self.failed_turns >= MOST_FAILED_TURNS {
            // What was answered and cannot be written, and what is leased, is for the next drain.
            self.gave_up = true;
            self.settle.clear();
            self.release.clear();
            self.claimed.clear();
        } else {
            self.timer = Some(now.after(100 << (2 * self.failed_turns)));
            self.out.push(Command::Wait(self.timer.unwrap_or(now)));
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
        if self.turning.is_some() || (self.failed_turns > 0 && self.failed_turns < MOST_FAILED_TURNS && self.timer.is_some()) {
            return;
        }
        if self.failed_turns < MOST_FAILED_TURNS && self.take_turn(now) {
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
            self.out.push(Command::Rest(self.result));
        }
    }

    fn send(&mut self, now: Millis) {
        while !self.stopping && self.live(now) < self.plan.concurrency as usize {
            let Some(at) = self.claimed.iter().position(|job| self.may_go(job, now)) else { return };
            let job = self.claimed.remove(at);
            if !job.may_be_sent(now) {
                self.release.push(job.id);
                continue;
            }
            self.in_flight.push(Flight {
                id: job.id.clone(),
                key: job.idempotency_key.clone(),
                origin: job.origin.clone(),
                since: now,
            });
            self.out.push(Command::Send(Box::new(job)));
        }
    }

    /// Sends whose replies are still to be expected soon.
    fn live(&self, now: Millis) -> usize {
        self.in_flight.iter().filter(|flight| flight.is_live(now)).count()
    }

    /// Whether the slots of its origin allow a claimed job to be sent.
    fn may_go(&self, job: &Job, now: Millis) -> bool {
        let concurrency = self.plan.concurrency;
        let most = if self.has_company(&job.origin) { fair_share(concurrency) } else { concurrency } as usize;
        self.in_flight_to(&job.origin) < most
            && self.in_flight.len() < MOST_STALLED * concurrency as usize
            && !self.is_suspect(&job.origin, now)
            && !self.in_flight.iter().any(|flight| flight.id == job.id)
    }

    /// Whether nothing more goes to an origin before what was sent to it is settled: it has met trouble since the last
    /// turn, or had met some and leaves others without a reply.
    fn is_suspect(&self, origin: &String, now: Millis) -> bool {
        self.suspects.iter().any(|(_, suspect)| suspect == origin)
            || (self.troubled.contains(origin) && self.has_stalled(origin, now))
    }

    fn has_stalled(&self, origin: &str, now: Millis) -> bool {
        self.in_flight.iter().any(|flight| flight.origin == origin && !flight.is_live(now))
    }

    /// Whether a claimed job does not go before its origin has answered, however many slots are free.
    fn is_stuck(&self, job: &Job, now: Millis) -> bool {
        self.is_suspect(&job.origin, now)
            || self.has_stalled(&job.origin, now)
            || (self.has_company(&job.origin) && self.in_flight_to(&job.origin) >= fair_share(self.plan.concurrency) as usize)
    }

    /// Whether there is something to send to another origin, or in flight to it.
    fn has_company(&self, origin: &str) -> bool {
        self.in_flight.iter().any(|flight| flight.origin != origin) || self.claimed.iter().any(|job| job.origin != origin)
    }

    fn in_flight_to(&self, origin: &str) -> usize {
        self.in_flight.iter().filter(|flight| flight.origin == origin).count()
    }

    /// How many more jobs to claim: enough to have the next at hand for each slot that falls free.
    fn room(&self, now: Millis) -> u32 {
        if self.stopping || !self.plan.online {
            return 0;
        }
        let at_hand = self.claimed.iter().filter(|job| !self.is_stuck(job, now)).count();
        let held = u32::try_from(self.live(now) + at_hand).unwrap_or(u32::MAX);
        if self.tight { 1_u32.saturating_sub(held) } else { self.plan.concurrency.saturating_mul(2).saturating_sub(held) }
    }

    fn take_turn(&mut self, now: Millis) -> bool {
        if self.stopping {
            self.release.extend(self.claimed.drain(..).map(|job| job.id));
        }
        let claim = self.room(now);
        let wanted = self.begin.is_some()
            || !self.settle.is_empty()
            || !self.release.is_empty()
            || (self.ripen > Ripen::Nothing && !self.stopping)
            || (claim > 0 && !self.exhausted);
        if !wanted {
            return false;
        }
        let mut in_flight: Vec<(String, usize)> = Vec::new();
        let held = self.in_flight.iter().map(|flight| &flight.origin).chain(self.claimed.iter().map(|job| &job.origin));
        for origin in held {
            match in_flight.iter_mut().find(|(name, _)| name == origin) {
                Some((_, count)) => *count += 1,
                None => in_flight.push((origin.clone(), 1)),
            }
        }
        let turn = Turn {
            queue: self.plan.queue.clone(),
            owner: self.plan.owner.clone(),
            holder: self.plan.holder.clone(),
            begin: self.begin.take(),
            ripen: std::mem::take(&mut self.ripen),
            ripen_from: std::mem::take(&mut self.ripen_from),
            time: match self.time {
                // It was asked for at the beginning of this wake, and no wake is longer.
                (at, Time::Is(_)) if now.since(at) > LONGEST_WAKE => Time::Unasked,
                (at, Time::Is(time)) => Time::Is(time.after(now.since(at))),
                (_, time) => time,
            },
            settle: std::mem::take(&mut self.settle),
            release: std::mem::take(&mut self.release),
            claim,
            most: self.plan.concurrency.saturating_mul(2),
            share: fair_share(self.plan.concurrency).saturating_mul(2),
            in_flight,
        };
        self.resting = false;
        self.turning = Some(turn.clone());
        self.out.push(Command::Turn(turn));
        true
    }

    fn finish(&mut self) {
        self.over = true;
        let error = self.error.take().filter(|_| self.failed_turns > 0);
        let again = error.is_some()
            || self.next_due.is_some()
            || self.leased_elsewhere
            || (self.result.remaining > 0 && (!self.exhausted || !self.plan.online));
        let again = again && !self.signed_out;
        let (next_due, signed_out) = (self.next_due, self.signed_out);
        self.out.push(Command::Done(Summary { result: self.result, again, next_due, signed_out, error }));
    }
}

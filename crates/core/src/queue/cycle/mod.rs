//! One cycle of a drain: outcomes in, claims out, in a single transaction.
//!
//! A cycle settles the results that came since the last one and claims what is to be sent next. That both
//! stand in one transaction is what makes a drain fast (one commit for many outcomes) and keeps the
//! line of a key whole (the successor is claimed by the commit that ends its predecessor, or later).
//!
//! | step | module |
//! |---|---|
//! | record the results of attempts | `settle`; what becomes of a job is decided in [`retry`] |
//! | take back what dead drains held | `recover` |
//! | end what is too old, prune the history | `expire` |
//! | choose what is sent next | `claim` |
//! | put batches together, settle them | `batches` |
//! | take the results of records' mutations to their records | `records` |

mod batches;
mod claim;
mod expire;
#[cfg(feature = "collections")]
mod records;
mod recover;
pub mod retry;
mod settle;

use crate::{
    boxed::boxed,
    drafts,
    error::Error,
    health::{
        clock::{self, Time},
        origin::RetryBudget,
    },
    id::JobId,
    queue::{
        config::{DraftsConfig, HistoryConfig, QueueConfig, WorkerConfig},
        job::Job,
        last_error::ErrorKind,
    },
    schedule::{
        network::{Connection, Permit},
        wakes::SkipBackoff,
    },
    store::{Tx, bodies::Leaving, ledger::Ledger, load, save},
    time::Millis,
};

pub use recover::Takeover;
pub use settle::{Settled, Settlement};

/// How many cycles of a drain at work there are to one that sweeps.
const SWEPT_EACH: u64 = 16;

/// Rows moved at once where there may be many.
const PAGE: u32 = 128;

/// What a cycle is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Cycle {
    /// The queue.
    pub queue: String,
    /// Whose jobs the drain sends. While another is signed in it claims nothing.
    pub owner: String,
    /// This drain's name, unique to it.
    pub holder: String,
    /// Set in a drain's first cycle.
    pub takeover: Option<Takeover>,
    /// Which backoffs are over.
    pub skip: SkipBackoff,
    /// Of those, the ones whose time comes at this instant or later; see [`CycleOutcome::more_to_skip_from`].
    pub skip_from: Millis,
    /// What is known of the time.
    pub time: Time,
    /// What the browser tells of the connection.
    pub connection: Connection,
    /// A person asked to send, whatever their policy says of the network.
    pub asked: bool,
    /// Replies to record.
    pub settle: Vec<Settlement>,
    /// Claimed jobs that were not sent and go back.
    pub release: Vec<JobId>,
    /// How many dispatches to claim at most: jobs, or batches of them.
    pub claim: u32,
    /// How many of one origin to hold at most, those in flight included.
    pub most: u32,
    /// The same, as long as another origin has jobs too.
    pub share: u32,
    /// Dispatches in flight per origin, the claimed and not yet sent included.
    pub in_flight: Vec<(String, usize)>,
}

/// What a cycle did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CycleOutcome {
    /// Jobs claimed, in the order to send them.
    pub claimed: Vec<Job>,
    /// What became of the settled, expired and recovered ones.
    pub settled: Vec<Settled>,
    /// When the queue's next job may be claimed; `None` when none waits for a time.
    pub next_due: Option<Millis>,
    /// What [`crate::schedule::next_wake::next_wake`] returns now, where this cycle has looked: it has when it claimed nothing.
    pub next_wake: Option<Option<Millis>>,
    /// There are more whose waiting is over, from this instant on: a cycle moves so many and no more.
    pub more_to_skip_from: Option<Millis>,
    /// Something would expire, and the clock may be wrong: nothing was claimed, and the time is to be asked for.
    pub asks_time: bool,
    /// Claimed jobs that were given back unsent, as they are stored now.
    pub released: Vec<Job>,
    /// It claimed as many jobs as a cycle may: there may be more.
    pub full: bool,
    /// An origin that could not be reached was reached: what waits for it in other queues may go as well.
    pub recovered: bool,
    /// What the owner's policy lets go over the network that there is.
    pub permit: Permit,
    /// Other queues, jobs of which were bound to a value by this cycle and may go.
    pub freed: Vec<String>,
    /// Collections, records of which it changed.
    pub collections: Vec<String>,
    /// The ledger as written.
    pub ledger: Ledger,
}

/// Settings that a cycle needs.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Of the queue.
    pub queue: &'a QueueConfig,
    /// Of the history.
    pub history: HistoryConfig,
    /// Of the drafts.
    pub drafts: DraftsConfig,
    /// Of other queues, whose jobs wait for this one's.
    pub config: &'a WorkerConfig,
    /// See [`crate::queue::config::WorkerConfig::breaker_threshold`].
    pub breaker_threshold: u32,
    /// Of each origin.
    pub retry_budget: RetryBudget,
}

impl<'a> Settings<'a> {
    /// Those of `queue` in this configuration.
    #[must_use]
    pub fn new(config: &'a WorkerConfig, queue: &'a QueueConfig) -> Self {
        Self {
            queue,
            config,
            history: config.history,
            drafts: config.drafts,
            breaker_threshold: config.breaker_threshold,
            retry_budget: config.retry_budget,
        }
    }
}

/// Carries out one cycle.
///
/// # Errors
/// What the transaction's reads and writes return; then nothing was changed.
pub async fn cycle<T: Tx>(tx: &T, now: Millis, cycle: &Cycle, settings: Settings<'_>) -> Result<CycleOutcome, Error> {
    let mut ledger = load(tx).await?;
    let before = ledger.clone();
    let owner = cycle.owner.clone();
    let is_current = owner == ledger.owner;
    let set_back = clock::was_set_back(&ledger, now);
    let permit = if cycle.asked { Permit::All } else { ledger.network_policy(settings.config).permit(cycle.connection) };
    let mut work = CycleRun {
        tx,
        now,
        wall: now,
        in_doubt: false,
        told: None,
        settings,
        permit,
        ledger: &mut ledger,
        settled: Vec::new(),
        released: Vec::new(),
        recovered: Vec::new(),
        freed: Vec::new(),
        collections: Vec::new(),
        has_recovered: false,
        reached_server: false,
        leaving: Leaving::default(),
        first_due: None,
    };
    if set_back {
        boxed(work.forget_times()).await?;
    }
    let asks_time = boxed(work.judge_time(cycle, &owner)).await?;
    let settled: Vec<&JobId> = cycle.settle.iter().map(|settlement| &settlement.id).collect();
    let mut results = cycle.settle.iter().zip(tx.get_each::<Job>(&settled).await?).peekable();
    while let Some((settlement, job)) = results.next() {
        let Some(sent) = &settlement.batch else {
            boxed(work.settle(settlement, job, &cycle.holder)).await?;
            continue;
        };
        let mut jobs = vec![(settlement, job)];
        while let Some(next) = results.next_if(|(next, _)| next.batch.as_ref().is_some_and(|other| other.key == sent.key)) {
            jobs.push(next);
        }
        boxed(work.settle_batch(sent, jobs, &cycle.holder)).await?;
    }
    for id in &cycle.release {
        boxed(work.release(id, &cycle.holder)).await?;
    }
    if let Some(takeover) = cycle.takeover.filter(|_| is_current) {
        boxed(work.recover(cycle, takeover, &owner)).await?;
        if !work.in_doubt {
            boxed(work.expire(&cycle.queue, &owner)).await?;
            if crate::store::receipts::prune(tx, work.wall, work.ledger).await? {
                boxed(drafts::prune(tx, work.wall, &settings.drafts)).await?;
            }
        }
        if work.ledger.history > 0 {
            boxed(work.prune_history()).await?;
        }
    }
    std::mem::take(&mut work.leaving).count_out(tx).await?;
    let (mut claimed, mut full) = (Vec::new(), false);
    let mut next_due = None;
    let mut more_to_skip_from = None;
    for origin in std::mem::take(&mut work.recovered) {
        boxed(work.skip_waits_for(&origin, &cycle.queue, &owner)).await?;
    }
    if is_current && !asks_time && !work.ledger.is_paused(&cycle.queue) {
        if cycle.skip > SkipBackoff::None {
            more_to_skip_from = boxed(work.skip_backoffs(cycle, &owner)).await?;
        }
        (claimed, full) = boxed(work.claim(cycle, &owner)).await?;
        // What is held goes by no time.
        if !matches!(permit, Permit::Nothing(_)) {
            next_due = work.next_due(cycle, &owner, &claimed).await?;
        }
    }
    if !cycle.settle.is_empty() && (claimed.is_empty() || work.ledger.version.is_multiple_of(SWEPT_EACH)) {
        boxed(work.sweep(&cycle.queue, &owner)).await?;
    }
    let looks = claimed.is_empty() && !asks_time && !set_back;
    // Before the ledger is written, for what does not parse is put aside by looking.
    let mut next_wake =
        if looks { Some(boxed(crate::schedule::next_wake::next_wake(tx, work.ledger, now, permit)).await?) } else { None };
    let (settled, wall, in_doubt, told) = (work.settled, work.wall, work.in_doubt, work.told);
    let (released, recovered, reached_server, freed) = (work.released, work.has_recovered, work.reached_server, work.freed);
    let collections = work.collections;
    if cycle.takeover.is_some() && !claimed.is_empty() {
        ledger.sync_count += 1;
        ledger.error = None;
    }
    if !cycle.settle.is_empty() {
        let failed = settled.iter().rev().find_map(|settled| match settled {
            Settled::Kept(job) => job.error.clone(),
            Settled::Delivered(_) | Settled::Late => None,
        });
        ledger.change_outcome(&owner, |last_sync_at, error| {
            if reached_server {
                *last_sync_at = Some(now);
                // It says that no server responds; one does.
                error.take_if(|error| matches!(error.kind, ErrorKind::Network | ErrorKind::Timeout));
            }
            *error = failed.or(error.take());
        });
    }
    let noted_long_ago = set_back || now.since(ledger.device) > clock::TOLERANCE;
    let news = told.is_some_and(|told| ledger.doubts > 0 || told.since(ledger.seen) > clock::TOLERANCE);
    if ledger != before || noted_long_ago || news || tx.quarantined() > 0 {
        ledger.device = now;
        if let Some(told) = told {
            ledger.seen = told;
            ledger.doubts = 0;
        } else if !in_doubt {
            ledger.seen = ledger.seen.max(wall);
        }
        save(tx, &mut ledger).await?;
    }
    let pending = is_current && ledger.queue(&cycle.queue, &ledger.owner).is_some_and(|queue| queue.counts.pending > 0);
    if tx.quarantined() > 0 && pending && !ledger.is_paused(&cycle.queue) {
        // Rows that were put aside may have set others free, too late for this claim.
        next_due = Some(now);
        next_wake = None;
    }
    Ok(CycleOutcome {
        claimed,
        settled,
        next_due,
        next_wake,
        more_to_skip_from,
        asks_time,
        released,
        full,
        recovered,
        permit,
        freed,
        collections,
        ledger,
    })
}

struct CycleRun<'a, T> {
    tx: &'a T,
    now: Millis,
    /// The time that decides whether a job is too old; see [`clock`].
    wall: Millis,
    /// It is not known whether what seems too old is.
    in_doubt: bool,
    /// The time as a reply's `Date` tells it, or the server that was asked.
    told: Option<Millis>,
    settings: Settings<'a>,
    /// What may be sent over the network that there is.
    permit: Permit,
    ledger: &'a mut Ledger,
    settled: Vec<Settled>,
    /// Jobs that were given back.
    released: Vec<Job>,
    /// Other queues, jobs of which may go now.
    freed: Vec<String>,
    /// Collections, records of which were changed.
    collections: Vec<String>,
    /// Origins that were in trouble and were reached by this cycle's replies.
    recovered: Vec<String>,
    /// There were such.
    has_recovered: bool,
    /// A server responded.
    reached_server: bool,
    leaving: Leaving,
    /// When the first job that waits for a time is due; `None` where it was not looked up.
    first_due: Option<Millis>,
}

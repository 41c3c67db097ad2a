//! What each transaction on the store does, over any storage that can scan an index.
//!
//! A shell opens one read-write transaction, calls one of the functions of this module with it, and
//! commits when it returns `Ok`, or aborts when it returns `Err`. Everything here is atomic by
//! that; nothing here waits for anything but the transaction itself.
//!
//! # Stores
//!
//! | store | key | what |
//! |---|---|---|
//! | `jobs` | `id` | one [`Job`] a row, with the entries of [`Index`] |
//! | `bodies` | `id` | the body's bytes, loaded only to be sent |
//! | `bodies` | `pack <id>`, `left <id>` | a *pack*: small bodies of one call behind one another, and how many jobs still need it |
//! | `history` | `id` | one [`Outcome`] a delivered job, bounded |
//! | `meta` | name | the [`Ledger`] |
//! | `session` | name | the [`Session`]: who is signed in, apart, so that a look at it waits for no drain |
//! | `receipts` | instant, request | one [`Answer`] an operation: see [`receipts`] |
//! | `tombstones` | `id` | jobs that were removed lately, so that a repeated message does not bring them back |
//! | `quarantine` | auto | rows that did not parse, as they were |

pub(crate) mod bodies;
pub mod ledger;
pub mod read;
pub mod receipts;
pub mod repair;

use crate::{
    error::Error,
    id::JobId,
    queue::history::Outcome,
    queue::job::{Job, Place, State},
    store::ledger::{Ledger, OwnerState},
    time::Millis,
};

pub use receipts::{Answer, Caller};

/// An index of the `jobs` store. An entry is an array of strings, then numbers, and sorts by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Index {
    /// `[owner, queue, origin] rank, seq`: pending jobs that may be claimed now.
    Ready,
    /// `[owner, queue] nextAttemptAt, seq`: pending jobs that wait for a backoff, which a wake may cut short.
    /// `[owner, queue, "held"] nextAttemptAt, seq`: those that nobody may send before (`notBefore`). They stand apart,
    /// so that a wake does not look at each of them in vain.
    Due,
    /// `[owner, queue, key] seq`: the line of each key.
    Line,
    /// `[owner, queue, state] seq`: all jobs, for listing and recovery.
    State,
    /// `[owner, queue] expiresAt, seq`: jobs that age.
    Expiry,
}

impl Index {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ready, Self::Due, Self::Line, Self::State, Self::Expiry];

    /// The index's name, and that of the row's property that holds its entry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "xReady",
            Self::Due => "xDue",
            Self::Line => "xLine",
            Self::State => "xState",
            Self::Expiry => "xExpiry",
        }
    }

    /// The entry of `job` in this index, where it has one.
    #[must_use]
    pub fn entry(self, job: &Job) -> Option<(Vec<&str>, Vec<u64>)> {
        let (owner, queue) = (job.owner.as_str(), job.queue.as_str());
        match self {
            Self::Ready => {
                (job.place == Place::Ready).then(|| (vec![owner, queue, job.origin()], vec![job.order.rank, job.order.seq]))
            }
            Self::Due if job.place != Place::Due => None,
            Self::Due if job.schedule.hold_until == job.schedule.next_attempt_at => {
                Some((vec![owner, queue, HELD], vec![job.schedule.next_attempt_at.0, job.order.seq]))
            }
            Self::Due => Some((vec![owner, queue], vec![job.schedule.next_attempt_at.0, job.order.seq])),
            Self::Line => {
                let key = job.order.key.as_deref().filter(|_| job.order.line)?;
                Some((vec![owner, queue, key], vec![job.order.seq]))
            }
            Self::State => Some((vec![owner, queue, job.state.as_str()], vec![job.order.seq])),
            Self::Expiry => matches!(job.state, State::Pending | State::Blocked)
                .then(|| (vec![owner, queue], vec![job.schedule.expires_at.0, job.order.seq])),
        }
    }
}

/// Tells the entries of [`Index::Due`] that no wake cuts short from the others.
pub const HELD: &str = "held";

/// A range of an index: entries with exactly these strings, whose first number is within the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan<'a> {
    /// The index.
    pub index: Index,
    /// The strings.
    pub texts: Vec<&'a str>,
    /// The first number at least this.
    pub from: u64,
    /// The first number at most this.
    pub upto: u64,
    /// Rows at most.
    pub limit: u32,
}

impl<'a> Scan<'a> {
    /// Everything under these strings, at most `limit` rows.
    #[must_use]
    pub fn of(index: Index, texts: Vec<&'a str>, limit: u32) -> Self {
        Self { index, texts, from: 0, upto: Millis::MAX.0, limit }
    }

    /// Only entries whose first number is at most `upto`.
    #[must_use]
    pub fn upto(mut self, upto: u64) -> Self {
        self.upto = upto;
        self
    }

    /// Only entries whose first number is at least `from`.
    #[must_use]
    pub fn from(mut self, from: u64) -> Self {
        self.from = from;
        self
    }
}

/// Who is signed in and what they paused: what no row tells, should the ledger be lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// As [`Ledger::owner`].
    pub owner: String,
    /// As [`Ledger::session`].
    pub number: u64,
    /// As [`Ledger::paused`].
    pub paused: bool,
    /// As [`Ledger::paused_queues`].
    pub paused_queues: Vec<String>,
    /// Of those who are not signed in.
    pub others: Vec<OwnerState>,
}

impl Session {
    /// Whether a job that was claimed under `lease` may still be sent: nobody has signed in or out since, on whose behalf it
    /// may have been purged.
    #[must_use]
    pub fn covers(&self, job: &Job) -> bool {
        self.owner == job.owner && job.lease.as_ref().is_some_and(|lease| lease.session == self.number)
    }

    /// The session that this ledger stands for.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        Self {
            owner: ledger.owner.clone(),
            number: ledger.session,
            paused: ledger.paused,
            paused_queues: ledger.paused_queues.clone(),
            others: ledger.others.clone(),
        }
    }
}

/// One read-write transaction, as a shell provides it.
///
/// Writes are issued and not awaited: a write that fails makes the commit fail. Reads see the writes
/// issued before them. A row that does not parse is moved to `quarantine` and counts as absent.
#[expect(async_fn_in_trait, reason = "both shells are single-threaded")]
pub trait Tx {
    /// A body as the shell stores it.
    type Body;

    /// The ledger; `None` when there is none yet or it does not parse.
    async fn ledger(&self) -> Result<Option<Ledger>, Error>;
    /// What the versions of a new ledger begin with: no ledger that this origin has had, in a database that is gone or in
    /// this one, had a version as high. Pages and workers that are still open take a lower one for old news.
    fn first_version(&self) -> u64;
    /// Writes the ledger.
    fn put_ledger(&self, ledger: &Ledger) -> Result<(), Error>;
    /// The session; `None` while nobody has signed in or paused anything since version 3 of the schema.
    async fn session(&self) -> Result<Option<Session>, Error>;
    /// Writes the session.
    fn put_session(&self, session: &Session) -> Result<(), Error>;
    /// The answer to the operation that was asked for at `at` under the name `re`.
    async fn receipt(&self, at: Millis, re: &str) -> Result<Option<Answer>, Error>;
    /// Remembers an answer.
    fn put_receipt(&self, at: Millis, re: &str, answer: &Answer) -> Result<(), Error>;
    /// Forgets the answers to what was asked for before this instant, all but the latest `keep` answers.
    async fn prune_receipts(&self, before: Millis, keep: u32) -> Result<(), Error>;
    /// Whether a job of this id was removed lately.
    async fn is_removed(&self, id: &JobId) -> Result<bool, Error>;
    /// Remembers that a job was removed.
    fn put_tombstone(&self, id: &JobId, at: Millis) -> Result<(), Error>;
    /// Forgets removals of before this instant, all but the latest `keep`, some of them where there are many.
    async fn prune_tombstones(&self, before: Millis, keep: u32) -> Result<(), Error>;
    /// The job of this id.
    async fn job(&self, id: &JobId) -> Result<Option<Job>, Error>;
    /// The jobs of these ids, each where it is there.
    async fn jobs(&self, ids: &[&JobId]) -> Result<Vec<Option<Job>>, Error>;
    /// Jobs in a range of an index, in its order.
    async fn scan(&self, scan: &Scan<'_>) -> Result<Vec<Job>, Error>;
    /// A page of all jobs with an id greater than `after`, in the order of ids; for [`repair`] only.
    async fn all(&self, after: Option<&JobId>, limit: u32) -> Result<Vec<Job>, Error>;
    /// Writes a job with its index entries.
    fn put_job(&self, job: &Job) -> Result<(), Error>;
    /// Writes a job whose id is new; where it is not, here or at the commit, all fails with `invalid-request`.
    fn add_job(&self, job: &Job) -> Result<(), Error>;
    /// Deletes a job's row.
    fn delete_job(&self, id: &JobId) -> Result<(), Error>;
    /// Stores a body in a record of its own.
    fn put_body(&self, id: &JobId, body: &Self::Body) -> Result<(), Error>;
    /// Stores bodies, each with the bytes before it, as a pack that so many jobs need; where one of its name is
    /// there, here or at the commit, all fails with `invalid-request`.
    fn add_pack(&self, pack: &JobId, bodies: &[(u64, &Self::Body)]) -> Result<(), Error>;
    /// Whether a body, a small one, may share a record: its bytes are at hand, and all that is to be known of it.
    fn may_share(body: &Self::Body) -> bool;
    /// How many jobs need each of these packs.
    async fn packs_left(&self, packs: &[&JobId]) -> Result<Vec<Option<u32>>, Error>;
    /// All packs, in the order of their ids.
    async fn packs(&self) -> Result<Vec<JobId>, Error>;
    /// The pack of each row in quarantine that names one.
    async fn packs_aside(&self) -> Result<Vec<JobId>, Error>;
    /// Writes how many jobs need a pack; deletes it when there are none.
    fn put_pack_left(&self, pack: &JobId, left: u32) -> Result<(), Error>;
    /// Deletes a body that has a record of its own.
    fn delete_body(&self, id: &JobId) -> Result<(), Error>;
    /// The history's entry for this job.
    async fn outcome(&self, id: &JobId) -> Result<Option<Outcome>, Error>;
    /// The history's oldest entries.
    async fn oldest_outcomes(&self, limit: u32) -> Result<Vec<Outcome>, Error>;
    /// Writes an entry of the history.
    fn put_outcome(&self, outcome: &Outcome) -> Result<(), Error>;
    /// Deletes an entry of the history.
    fn delete_outcome(&self, id: &JobId) -> Result<(), Error>;
    /// Deletes what lies in quarantine of this owner, or of nobody knows whom; returns whose rows they were.
    async fn purge_quarantine(&self, owner: &str) -> Result<Vec<JobId>, Error>;
    /// Rows moved to quarantine by this transaction so far.
    fn quarantined(&self) -> u32;
}

/// The ledger as it stands.
///
/// # Errors
/// What the transaction returns.
pub async fn read_ledger<T: Tx>(tx: &T) -> Result<Ledger, Error> {
    match tx.ledger().await? {
        Some(ledger) => Ok(ledger),
        None => repair::count(tx, lost(tx).await?).await,
    }
}

/// Reads the ledger, or rebuilds it where there is none that can be read.
pub(crate) async fn load<T: Tx>(tx: &T) -> Result<Ledger, Error> {
    match tx.ledger().await? {
        Some(ledger) => Ok(ledger),
        None => repair::rebuild(tx, lost(tx).await?).await,
    }
}

/// What takes the place of a ledger that cannot be read, before rows are counted.
async fn lost<T: Tx>(tx: &T) -> Result<Ledger, Error> {
    let history = tx.oldest_outcomes(u32::MAX).await?.len() as u64;
    let Session { owner, number: session, paused, paused_queues, others } = tx.session().await?.unwrap_or_default();
    // Whether the clock was set back since nobody knows: let the next cycle look.
    let version = tx.first_version();
    Ok(Ledger { version, history, device: Millis::MAX, owner, session, paused, paused_queues, others, ..Ledger::default() })
}

/// Writes the ledger at the end of a transaction; recounts first where rows went to quarantine.
pub(crate) async fn save<T: Tx>(tx: &T, ledger: &mut Ledger) -> Result<(), Error> {
    if tx.quarantined() > 0 {
        *ledger = repair::rebuild(tx, std::mem::take(ledger)).await?;
    }
    ledger.version += 1;
    tx.put_ledger(ledger)
}

crate::record!(Session {
    owner: "owner",
    number: "number" = 0,
    paused: "paused" = false,
    paused_queues: "pausedQueues" = Vec::new(),
    others: "others" = Vec::new(),
});

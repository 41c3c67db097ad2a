//! What goes into a drain, and what comes out.

use super::dispatch::{Dispatch, DispatchId};
use crate::{
    error::Error,
    http::reply::AttemptResult,
    id::JobId,
    protocol::view::SyncResult,
    queue::{
        cycle::{Cycle, CycleOutcome, Settled},
        job::Job,
    },
    schedule::{network::Connection, wakes::SkipBackoff},
    store::ledger::Ledger,
    time::{Millis, unit},
};

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
    /// Which backoffs the reason of the wake cuts short.
    pub skip: SkipBackoff,
    /// Whether the browser says that there is a network.
    pub online: bool,
    /// What it tells of the connection.
    pub connection: Connection,
    /// Whether a lock keeps all other drains of this queue out.
    pub exclusive: bool,
}

/// What happens to a drain.
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(clippy::large_enum_variant, reason = "there is one at a time, and it is not kept")
)]
#[derive(Debug)]
pub enum Input {
    /// It begins.
    Start,
    /// Its cycle was committed.
    CycleCommitted(CycleOutcome),
    /// Its cycle was aborted; nothing of it is stored.
    CycleFailed(Error),
    /// An attempt ended.
    Attempted {
        /// Which one; each of its jobs is settled by this result.
        dispatch: DispatchId,
        /// What came back.
        result: AttemptResult,
        /// A random number in `[0, 1)`.
        roll: f64,
    },
    /// There may be new work, or a reason not to wait.
    Nudge {
        /// Which backoffs are over.
        skip: SkipBackoff,
        /// Whether there is a network.
        online: bool,
        /// What the browser tells of the connection.
        connection: Connection,
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
    /// Run [`crate::queue::cycle::cycle`] and feed back `CycleCommitted` or `CycleFailed`.
    Cycle(Cycle),
    /// Send this and feed back `Attempted`.
    Send(Dispatch),
    /// Feed back `Tick` at this instant. A later `Wait` replaces an earlier one.
    Wait(Millis),
    /// Ask the app's own server for the time and feed back `Time`.
    AskTime,
    /// Tell the pages.
    Tell(Box<News>),
    /// All that can be tried now was tried; what is due soon is waited for. The counts so far.
    Rest(SyncResult),
    /// The drain is over.
    Done(Summary),
}

/// What a cycle changed, for the pages.
#[derive(Debug)]
pub struct News {
    /// What became of jobs.
    pub settled: Vec<Settled>,
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

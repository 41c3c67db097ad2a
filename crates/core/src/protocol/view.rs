//! What the page gets to see: a job, the status, a drain's result, events.

use serde::{Deserialize, Serialize};

use crate::{
    id::JobId,
    queue::{
        binding::Binding,
        capture::Capture,
        config::WorkerConfig,
        history::Outcome,
        job::{Job, RequestWork, State, Work},
        last_error::LastError,
    },
    schedule::network::{NetworkPolicy, Restriction},
    store::ledger::{Counts, Ledger},
    time::Millis,
};

/// A job's state as shown: the stored ones, and `delivered` for what is in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits to be sent.
    Pending,
    /// Being sent.
    Syncing,
    /// Dead letter.
    Failed,
    /// Waits for a resolution.
    Conflict,
    /// Waits for sign-in.
    Blocked,
    /// Delivered.
    Delivered,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Syncing => Self::Syncing,
            State::Failed => Self::Failed,
            State::Conflict => Self::Conflict,
            State::Blocked => Self::Blocked,
        }
    }
}

/// A job as the page sees it: `Job` of the public surface. Times are milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// The job's id.
    pub id: JobId,
    /// What is happening to it.
    pub state: JobState,
    /// Its queue.
    pub queue: String,
    /// Its key.
    pub key: Option<String>,
    /// What is sent where.
    pub method: String,
    /// What is sent where.
    pub url: String,
    /// 1 to 10.
    pub priority: Option<u8>,
    /// The body's size in bytes.
    pub size: Option<u64>,
    /// The app's own data; JSON text here, parsed for JavaScript.
    pub metadata: Option<String>,
    /// The idempotency key.
    pub idempotency_key: Option<String>,
    /// Attempts that got a response or timed out.
    pub attempts: u32,
    /// Of how many.
    pub max_attempts: Option<u32>,
    /// Tries without a response; they count toward nothing.
    pub unreachable: u32,
    /// When it was queued.
    pub queued_at: Millis,
    /// When it was last tried.
    pub last_tried_at: Option<Millis>,
    /// When it may be tried next; absent when nothing will send it by itself, or it waits for another.
    pub next_attempt_at: Option<Millis>,
    /// When it becomes a dead letter.
    pub expires_at: Option<Millis>,
    /// The job that it waits for: one of the same key, or one whose response it is bound to.
    pub waiting_for: Option<JobId>,
    /// Why the last attempt did not deliver.
    pub error: Option<LastError>,
    /// The status it was delivered with; absent for an opaque reply.
    pub status: Option<u16>,
    /// When it was delivered.
    pub delivered_at: Option<Millis>,
    /// What the queue asked to keep of the response to a delivered job.
    pub response: Option<Capture>,
    /// What it is bound to, without the values.
    pub bind: Option<Vec<Binding>>,
}

impl JobView {
    /// The view of a stored job.
    #[must_use]
    pub fn of(job: Job, waiting_for: Option<JobId>, ledger: &Ledger, config: &WorkerConfig) -> Self {
        let closed_until = ledger.origin(job.origin()).and_then(|origin| origin.closed_until);
        let next = (job.state == State::Pending && waiting_for.is_none())
            .then(|| closed_until.map_or(job.schedule.next_attempt_at, |until| until.max(job.schedule.next_attempt_at)));
        let max_attempts = job.attempts.limit.unwrap_or_else(|| config.queue_or_default(&job.queue).max_attempts);
        let Work::Request(RequestWork { head, size, .. }) = job.work;
        Self {
            id: job.id,
            state: job.state.into(),
            queue: job.queue,
            key: job.order.key,
            method: head.method,
            url: head.url,
            priority: Some(job.order.priority),
            size,
            metadata: job.metadata,
            idempotency_key: Some(job.idempotency_key),
            attempts: job.attempts.made,
            max_attempts: Some(max_attempts),
            unreachable: job.attempts.unreachable,
            queued_at: job.schedule.queued_at,
            last_tried_at: job.attempts.last_tried_at,
            next_attempt_at: next,
            expires_at: Some(job.schedule.expires_at),
            waiting_for,
            error: job.error,
            status: None,
            delivered_at: None,
            response: None,
            // Not their values: lists and broadcasts would carry them.
            bind: job.bind.map(|bind| bind.into_iter().map(|binding| Binding { value: None, ..binding }).collect()),
        }
    }

    /// The view of a delivered job's trace.
    #[must_use]
    pub fn delivered(outcome: Outcome) -> Self {
        Self {
            id: outcome.id,
            state: JobState::Delivered,
            queue: outcome.queue,
            key: outcome.key,
            method: outcome.method,
            url: outcome.url,
            priority: None,
            size: None,
            metadata: None,
            idempotency_key: None,
            attempts: outcome.attempts,
            max_attempts: None,
            unreachable: 0,
            queued_at: outcome.queued_at,
            last_tried_at: Some(outcome.delivered_at),
            next_attempt_at: None,
            expires_at: None,
            waiting_for: None,
            error: None,
            status: outcome.status,
            delivered_at: Some(outcome.delivered_at),
            response: outcome.capture,
            bind: None,
        }
    }
}

/// The status that every open tab sees, read from the ledger (P5).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Orders status messages: a later one has a higher number, also across workers.
    pub version: u64,
    /// Whose status it is; empty when nobody is signed in.
    #[serde(default)]
    pub owner: String,
    /// Jobs waiting.
    pub pending: u64,
    /// Jobs being sent.
    pub syncing: u64,
    /// Dead letters.
    pub failed: u64,
    /// Conflicts.
    pub conflicts: u64,
    /// Jobs waiting for sign-in.
    pub blocked: u64,
    /// Everything is paused.
    pub paused: bool,
    /// Queues that are paused by name.
    pub paused_queues: Vec<String>,
    /// A drain is at work.
    pub is_running: bool,
    /// Outcomes of the running drains so far.
    pub done: u64,
    /// Outcomes to expect of them.
    pub total: u64,
    /// When the last drain ended.
    pub last_sync_at: Option<Millis>,
    /// When something may be sent next.
    pub next_sync_at: Option<Millis>,
    /// What went wrong last, until a drain goes well.
    pub error: Option<LastError>,
    /// Drains that ended.
    pub sync_count: u64,
    /// Rows that did not parse since this worker started.
    pub quarantined: u64,
    /// What is sent over which network.
    #[serde(default)]
    pub network: NetworkPolicy,
    /// Why jobs are held over the network that there is.
    pub restriction: Option<Restriction>,
}

impl Status {
    /// The stored part of the status.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        let mut counts = Counts::default();
        for queue in ledger.own_queues() {
            counts.add(&queue.counts);
        }
        Self {
            version: ledger.version,
            owner: ledger.owner.clone(),
            pending: counts.pending,
            syncing: counts.syncing,
            failed: counts.failed,
            conflicts: counts.conflict,
            blocked: counts.blocked,
            paused: ledger.paused,
            paused_queues: ledger.paused_queues.clone(),
            last_sync_at: ledger.last_sync_at,
            // With nothing left there is nothing to be sorry for.
            error: ledger.error.clone().filter(|_| counts.total() > 0),
            sync_count: ledger.sync_count,
            ..Self::default()
        }
    }
}

/// What a drain did: `SyncResult` of the public surface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResult {
    /// Jobs delivered.
    pub delivered: u64,
    /// Attempts that will be made again.
    pub retried: u64,
    /// Jobs that became dead letters.
    pub failed: u64,
    /// Jobs that met a conflict.
    pub conflicts: u64,
    /// Jobs that wait for a sign-in.
    pub blocked: u64,
    /// Jobs that still wait to be sent.
    pub remaining: u64,
}

impl SyncResult {
    /// What was counted since `earlier`; what remains is as it is now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            delivered: self.delivered.saturating_sub(earlier.delivered),
            retried: self.retried.saturating_sub(earlier.retried),
            failed: self.failed.saturating_sub(earlier.failed),
            conflicts: self.conflicts.saturating_sub(earlier.conflicts),
            blocked: self.blocked.saturating_sub(earlier.blocked),
            remaining: self.remaining,
        }
    }

    /// Adds another queue's result.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.retried += other.retried;
        self.failed += other.failed;
        self.conflicts += other.conflicts;
        self.blocked += other.blocked;
        self.remaining += other.remaining;
    }
}

/// What one page shows: the worker's status, and what only the page knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// In one word.
    pub state: Overall,
    /// A drain is at work.
    pub is_running: bool,
    /// The browser believes that there is a network.
    pub is_online: bool,
    /// Jobs waiting.
    pub pending: u64,
    /// Jobs being sent.
    pub syncing: u64,
    /// Dead letters.
    pub failed: u64,
    /// Conflicts.
    pub conflicts: u64,
    /// Jobs waiting for sign-in.
    pub blocked: u64,
    /// Queues that are paused by name.
    pub paused_queues: Vec<String>,
    /// Of the running drains, 0 to 1.
    pub progress: Option<f64>,
    /// When the last drain ended.
    pub last_sync_at: Option<Millis>,
    /// When something may be sent next.
    pub next_sync_at: Option<Millis>,
    /// What went wrong last.
    pub error: Option<LastError>,
    /// Drains that sent something.
    pub sync_count: u64,
    /// Rows that were put aside.
    pub quarantined: u64,
    /// What is sent over which network.
    pub network: NetworkPolicy,
    /// Why jobs are held over the network that there is.
    pub restriction: Option<Restriction>,
}

/// The state of everything, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// Nothing is being sent.
    Idle,
    /// Something is being sent.
    Syncing,
    /// The last drain ended with a job that was not delivered.
    Error,
    /// There is no network.
    Offline,
    /// Nothing is to be sent.
    Paused,
}

impl Snapshot {
    /// The page's view of `status`. What a person did (pause) outranks what the network does.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share of work, for a progress bar")]
    pub fn of(status: Status, is_online: bool) -> Self {
        let state = if status.paused {
            Overall::Paused
        } else if !is_online {
            Overall::Offline
        } else if status.is_running || status.syncing > 0 {
            Overall::Syncing
        } else if status.error.is_some() {
            Overall::Error
        } else {
            Overall::Idle
        };
        let progress = (status.is_running && status.total > 0).then(|| (status.done as f64 / status.total as f64).min(1.0));
        Self {
            state,
            is_running: status.is_running,
            is_online,
            pending: status.pending,
            syncing: status.syncing,
            failed: status.failed,
            conflicts: status.conflicts,
            blocked: status.blocked,
            paused_queues: status.paused_queues,
            progress,
            last_sync_at: status.last_sync_at,
            next_sync_at: status.next_sync_at,
            error: status.error,
            sync_count: status.sync_count,
            quarantined: status.quarantined,
            network: status.network,
            restriction: status.restriction,
        }
    }
}

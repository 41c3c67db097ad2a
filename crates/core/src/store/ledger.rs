//! The one small row that is read and written with every change: counts, clock, origins, owner.
//!
//! It makes status O(1): what the page shows is this row, never a scan. Written in the same
//! transaction as the rows it counts, it cannot disagree with them; [`crate::store::repair`] rebuilds
//! it from them all the same.

use serde::{Deserialize, Serialize};

use crate::{
    health::origin::OriginHealth,
    queue::{
        config::WorkerConfig,
        job::{Job, State},
        last_error::LastError,
    },
    schedule::network::{NetworkChange, NetworkChoices, NetworkPolicy},
    time::Millis,
};

/// The version written into the row.
pub const LEDGER_VERSION: u32 = 1;

/// Jobs per state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Waiting.
    pub pending: u64,
    /// Leased by a drain.
    pub syncing: u64,
    /// Dead letters.
    pub failed: u64,
    /// Conflicts.
    pub conflict: u64,
    /// Waiting for sign-in.
    pub blocked: u64,
}

impl Counts {
    /// The count of `state`.
    pub fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Pending => &mut self.pending,
            State::Syncing => &mut self.syncing,
            State::Failed => &mut self.failed,
            State::Conflict => &mut self.conflict,
            State::Blocked => &mut self.blocked,
        }
    }

    /// All jobs.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pending + self.syncing + self.failed + self.conflict + self.blocked
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.pending += other.pending;
        self.syncing += other.syncing;
        self.failed += other.failed;
        self.conflict += other.conflict;
        self.blocked += other.blocked;
    }
}

/// One owner's share of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLedger {
    /// The queue.
    pub queue: String,
    /// The owner; empty for nobody.
    pub owner: String,
    /// Jobs per state.
    pub counts: Counts,
    /// Origins that the queue's jobs go to: the lanes of the `ready` index.
    pub origins: Vec<String>,
}

/// What belongs to one owner besides their jobs, kept while another is signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerState {
    /// The owner; empty for nobody.
    pub owner: String,
    /// As [`Ledger::paused`].
    #[serde(default)]
    pub paused: bool,
    /// As [`Ledger::paused_queues`].
    #[serde(default)]
    pub paused_queues: Vec<String>,
    /// As [`Ledger::sync_count`].
    #[serde(default)]
    pub sync_count: u64,
    /// As [`Ledger::last_sync_at`].
    pub last_sync_at: Option<Millis>,
    /// As [`Ledger::error`].
    pub error: Option<LastError>,
    /// As [`Ledger::network`].
    pub network: Option<NetworkChoices>,
}

/// Owners who are not signed in and are remembered, unless they have paused something.
const MOST_OWNERS: usize = 32;

/// The row itself. Pauses, counts of syncs and the last error are the current owner's; those of the others are in
/// [`Ledger::others`], and change places with them at a sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// The row's version.
    pub v: u32,
    /// Raised by every write; orders what pages are told. It begins with [`crate::store::Tx::first_version`].
    pub version: u64,
    /// The sequence number of the next job.
    pub next_seq: u64,
    /// The latest instant that a job was queued at; it never runs backwards.
    pub clock: Millis,
    /// The current owner; empty when nobody is signed in.
    pub owner: String,
    /// The version of the ledger with which they signed in: it tells one session from the next of the same owner.
    #[serde(default)]
    pub session: u64,
    /// Nothing is sent at all.
    pub paused: bool,
    /// Queues that store and do not send.
    pub paused_queues: Vec<String>,
    /// Queues with jobs in them.
    pub queues: Vec<QueueLedger>,
    /// Origins that are in trouble.
    pub origins: Vec<OriginHealth>,
    /// Entries in the history.
    pub history: u64,
    /// Wakes that came to an end.
    pub sync_count: u64,
    /// When the last of them ended.
    pub last_sync_at: Option<Millis>,
    /// The last thing that went wrong; gone with the next wake that goes well.
    pub error: Option<LastError>,
    /// The time when a drain last wrote here, as far as it is to be believed; see [`crate::health::clock`].
    #[serde(default)]
    pub seen: Millis,
    /// What the device's clock said then.
    #[serde(default)]
    pub device: Millis,
    /// How often in a row nobody could say whether the clock is right.
    #[serde(default)]
    pub doubts: u32,
    /// What belongs to owners who are not signed in.
    #[serde(default)]
    pub others: Vec<OwnerState>,
    /// When old receipts and tombstones were last deleted.
    #[serde(default)]
    pub pruned_at: Millis,
    /// What the current owner permits over which network, where they chose.
    pub network: Option<NetworkChoices>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            v: LEDGER_VERSION,
            version: 0,
            next_seq: 1,
            clock: Millis(0),
            owner: String::new(),
            session: 0,
            paused: false,
            paused_queues: Vec::new(),
            queues: Vec::new(),
            origins: Vec::new(),
            history: 0,
            sync_count: 0,
            last_sync_at: None,
            error: None,
            seen: Millis(0),
            device: Millis(0),
            doubts: 0,
            others: Vec::new(),
            pruned_at: Millis(0),
            network: None,
        }
    }
}

impl Ledger {
    /// Moves the clock forward to `now` and gives it back; a `now` in its past changes nothing.
    pub fn tick(&mut self, now: Millis) -> Millis {
        self.clock = self.clock.max(now);
        self.clock
    }

    /// Notes the time at which the first thing is stored that will be too old some day: from then on a clock that is set
    /// forward is wondered about. Returns whether it was the first.
    pub fn begin_time(&mut self, now: Millis) -> bool {
        let is_first = self.seen == Millis(0);
        if is_first {
            self.seen = now;
            // What the clock said before the ledger was lost is for the next cycle to wonder about.
            self.device = if self.device == Millis::MAX { Millis::MAX } else { now };
        }
        is_first
    }

    /// Counts a new job.
    pub fn enter(&mut self, job: &Job) {
        *self.queue_mut(&job.queue, &job.owner).counts.of(job.state) += 1;
        self.add_origin(job);
    }

    /// Notes where a job goes: the lanes of the `ready` index are found by it.
    pub fn add_origin(&mut self, job: &Job) {
        let queue = self.queue_mut(&job.queue, &job.owner);
        if !queue.origins.iter().any(|origin| origin == job.origin()) {
            queue.origins.push(job.origin().to_owned());
        }
    }

    /// Counts a change of state.
    pub fn shift(&mut self, job: &Job, from: State) {
        if from != job.state {
            let queue = self.queue_mut(&job.queue, &job.owner);
            let count = queue.counts.of(from);
            *count = count.saturating_sub(1);
            *queue.counts.of(job.state) += 1;
        }
    }

    /// Counts a job that left the store in state `from`.
    pub fn leave(&mut self, job: &Job, from: State) {
        let queue = self.queue_mut(&job.queue, &job.owner);
        let count = queue.counts.of(from);
        *count = count.saturating_sub(1);
        if queue.counts.total() == 0 {
            self.queues.retain(|queue| queue.counts.total() > 0);
        }
    }

    /// The share of `owner` in `queue`, where it has any job.
    #[must_use]
    pub fn queue(&self, queue: &str, owner: &str) -> Option<&QueueLedger> {
        self.queues.iter().find(|entry| entry.queue == queue && entry.owner == owner)
    }

    /// The current owner's queues.
    pub fn own_queues(&self) -> impl Iterator<Item = &QueueLedger> {
        self.queues_of(&self.owner)
    }

    /// The queues of `owner`.
    pub fn queues_of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a QueueLedger> {
        self.queues.iter().filter(move |entry| entry.owner == owner)
    }

    /// Makes `owner` the current one, with what belongs to them.
    pub fn sign_in(&mut self, owner: &str) {
        if owner == self.owner {
            return;
        }
        self.session = self.version + 1;
        let at = self.others.iter().position(|other| other.owner == owner);
        let next = at.map(|at| self.others.remove(at)).unwrap_or_default();
        let before = OwnerState {
            owner: std::mem::replace(&mut self.owner, owner.to_owned()),
            paused: std::mem::replace(&mut self.paused, next.paused),
            paused_queues: std::mem::replace(&mut self.paused_queues, next.paused_queues),
            sync_count: std::mem::replace(&mut self.sync_count, next.sync_count),
            last_sync_at: std::mem::replace(&mut self.last_sync_at, next.last_sync_at),
            error: std::mem::replace(&mut self.error, next.error),
            network: std::mem::replace(&mut self.network, next.network),
        };
        if before != (OwnerState { owner: before.owner.clone(), ..OwnerState::default() }) {
            self.others.push(before);
        }
        if self.others.len() > MOST_OWNERS
            && let Some(at) =
                self.others.iter().position(|other| !other.paused && other.paused_queues.is_empty() && other.network.is_none())
        {
            self.others.remove(at);
        }
    }

    /// Forgets what belongs to `owner` besides their jobs, and what is known of origins that only they sent to.
    pub fn forget_owner(&mut self, owner: &str) {
        self.others.retain(|other| other.owner != owner);
        if self.owner == owner {
            (self.paused, self.sync_count, self.last_sync_at, self.error) = (false, 0, None, None);
            self.network = None;
            self.paused_queues.clear();
        }
        let queues = &self.queues;
        self.origins.retain(|health| queues.iter().any(|queue| queue.owner != owner && queue.origins.contains(&health.origin)));
    }

    /// Changes the pauses of `owner`: whether everything is paused, and which queues are.
    pub fn change_pauses(&mut self, owner: &str, change: impl FnOnce(&mut bool, &mut Vec<String>)) {
        if owner == self.owner {
            return change(&mut self.paused, &mut self.paused_queues);
        }
        if let Some(other) = self.other_mut(owner) {
            change(&mut other.paused, &mut other.paused_queues);
        }
    }

    /// What belongs to an owner who is not signed in.
    fn other_mut(&mut self, owner: &str) -> Option<&mut OwnerState> {
        let at = self.others.iter().position(|other| other.owner == owner).unwrap_or_else(|| {
            self.others.push(OwnerState { owner: owner.to_owned(), ..OwnerState::default() });
            self.others.len() - 1
        });
        self.others.get_mut(at)
    }

    /// Changes what `owner` permits over which network.
    pub fn change_network(&mut self, owner: &str, change: NetworkChange) {
        let choices =
            if owner == self.owner { Some(&mut self.network) } else { self.other_mut(owner).map(|other| &mut other.network) };
        if let Some(choices) = choices {
            *choices = Some(choices.unwrap_or_default().with(change));
        }
    }

    /// What the current owner permits over which network.
    #[must_use]
    pub fn network_policy(&self, config: &WorkerConfig) -> NetworkPolicy {
        NetworkPolicy::default().with(config.network).with(self.network.unwrap_or_default().change())
    }

    /// Notes when something of `owner`'s was answered last, and what went wrong last.
    pub fn change_outcome(&mut self, owner: &str, change: impl FnOnce(&mut Option<Millis>, &mut Option<LastError>)) {
        if owner == self.owner {
            change(&mut self.last_sync_at, &mut self.error);
        } else if let Some(other) = self.others.iter_mut().find(|other| other.owner == owner) {
            change(&mut other.last_sync_at, &mut other.error);
        }
    }

    /// Whether `queue` may send.
    #[must_use]
    pub fn is_paused(&self, queue: &str) -> bool {
        self.paused || self.paused_queues.iter().any(|paused| paused == queue)
    }

    /// What is known of `origin`; an origin that is not in trouble is not remembered.
    #[must_use]
    pub fn origin(&self, origin: &str) -> Option<&OriginHealth> {
        self.origins.iter().find(|entry| entry.origin == origin)
    }

    /// Changes what is known of `origin`, and forgets it when there is nothing bad to remember.
    pub fn change_origin<R>(&mut self, origin: &str, now: Millis, change: impl FnOnce(&mut OriginHealth) -> R) -> R {
        let at = self.origins.iter().position(|entry| entry.origin == origin);
        let mut health = match at {
            Some(at) => self.origins.swap_remove(at),
            None => OriginHealth::new(origin),
        };
        let answer = change(&mut health);
        if !health.is_well(now) {
            self.origins.push(health);
        }
        answer
    }

    fn queue_mut(&mut self, queue: &str, owner: &str) -> &mut QueueLedger {
        let at = self.queues.iter().position(|entry| entry.queue == queue && entry.owner == owner).unwrap_or_else(|| {
            self.queues.push(QueueLedger { queue: queue.to_owned(), owner: owner.to_owned(), ..QueueLedger::default() });
            self.queues.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut self.queues[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_and_errors_change_places_with_their_owners() {
        let mut ledger = Ledger::default();
        ledger.sign_in("ada");
        ledger.change_pauses("ada", |paused, queues| {
            *paused = true;
            queues.push("q".to_owned());
        });
        ledger.change_outcome("ada", |at, _| *at = Some(Millis(7)));
        ledger.sign_in("bob");
        assert_eq!((ledger.paused, ledger.paused_queues.len(), ledger.last_sync_at), (false, 0, None));
        ledger.sign_in("ada");
        assert_eq!((ledger.paused, ledger.paused_queues.len(), ledger.last_sync_at), (true, 1, Some(Millis(7))));
        assert!(ledger.others.is_empty(), "bob left nothing to remember");
    }

    #[test]
    fn owners_who_left_nothing_paused_are_forgotten_in_the_end() {
        let mut ledger = Ledger::default();
        for n in 0..100 {
            ledger.sign_in(&n.to_string());
            ledger.paused = n == 3;
            ledger.sync_count = 1;
        }
        assert!(ledger.others.len() <= MOST_OWNERS);
        assert!(ledger.others.iter().any(|other| other.owner == "3"));
    }
}

//! Keeps what was promised, apart from the store: which jobs were accepted, and what became of them.
//!
//! The checks compare the store with this oracle. It learns only from what the runtime answered and
//! from what was done by hand, never from the rows.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use shearwater_core::{
    JobId, Millis,
    schedule::network::{NetworkChange, NetworkPolicy},
    store::Answer,
};

use crate::{drafts::Drafts, wire::LineName};

/// An accepted job.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What it says.
    pub(crate) content: u64,
    /// The idempotency key that it has to be sent with.
    pub(crate) key: String,
    /// Whether it has a body.
    pub(crate) body: bool,
    /// A person allowed another send since the last one.
    pub(crate) revived: bool,
    /// When (true time) it may be given up for its age.
    pub(crate) ripe_old: u64,
    /// Where it stood among the accepted jobs of its line.
    line: Option<(LineName, u64)>,
    /// By a dead letter or by hand it may have lost its place in the line.
    touched: bool,
}

impl Entry {
    /// By a dead letter or by hand it may have lost its place in the line.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched
    }
}

/// How a job left the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    Delivered,
    Removed,
    Quarantined,
}

/// The oracle.
#[derive(Default)]
pub(crate) struct Oracle {
    live: BTreeMap<JobId, Entry>,
    gone: BTreeMap<JobId, Departure>,
    /// Per line: the ordinal of acceptance and the key of what was delivered and never touched.
    delivered: BTreeMap<LineName, BTreeSet<(u64, String)>>,
    accepted: u64,
    /// What each delivered job said.
    contents: BTreeMap<JobId, u64>,
    /// The sequence numbers of rows that went to quarantine.
    rotten: BTreeSet<u64>,
    /// Who was last said to be signed in.
    pub(crate) owner: String,
    /// Owners who have paused everything.
    paused: BTreeSet<String>,
    /// Owners and the queues that they have paused by name.
    paused_queues: BTreeSet<(String, String)>,
    /// What each owner permits over which network.
    networks: BTreeMap<String, NetworkPolicy>,
    /// What each message was answered.
    pub(crate) answers: BTreeMap<String, Answer>,
    /// Nobody can know any more which time was believed when.
    pub(crate) time_is_lost: bool,
    /// The highest version of a ledger that a page may have been told of.
    pub(crate) version: Cell<u64>,
    /// What forms were promised.
    pub(crate) drafts: Drafts,
    /// The latest `notBefore` that was asked for.
    pub(crate) latest_start: Millis,
}

impl Oracle {
    pub(crate) fn live(&self) -> &BTreeMap<JobId, Entry> {
        &self.live
    }

    pub(crate) fn entry(&self, id: &JobId) -> Option<&Entry> {
        self.live.get(id)
    }

    pub(crate) fn departure(&self, id: &JobId) -> Option<Departure> {
        self.gone.get(id).copied()
    }

    pub(crate) fn accept(&mut self, id: &JobId, content: u64, body: bool, line: Option<LineName>, ripe_old: u64) {
        self.accepted += 1;
        // Known, and forgotten: it was removed, or its trace is no longer in the history.
        let touched = self.gone.remove(id).is_some() || self.live.contains_key(id);
        let line = line.map(|line| (line, self.accepted));
        self.live
            .insert(id.clone(), Entry { content, key: id.as_str().to_owned(), body, revived: false, ripe_old, line, touched });
    }

    /// The job has another payload now, under another key.
    pub(crate) fn change(&mut self, id: &JobId, content: u64, key: &str, body: bool) {
        if let Some(entry) = self.live.get_mut(id) {
            let (ripe_old, line) = (entry.ripe_old, entry.line.take());
            *entry = Entry { content, key: key.to_owned(), body, revived: false, ripe_old, touched: true, line };
        }
    }

    /// The job ended as a dead letter, or was revived; its place in the line is not what it was.
    pub(crate) fn touch(&mut self, id: &JobId, revived: bool) {
        if let Some(entry) = self.live.get_mut(id) {
            entry.touched = true;
            entry.revived |= revived;
        }
    }

    /// A send has used up what a person allowed.
    pub(crate) fn use_up(&mut self, id: &JobId) {
        if let Some(entry) = self.live.get_mut(id) {
            entry.revived = false;
        }
    }

    pub(crate) fn close(&mut self, id: &JobId, departure: Departure) {
        if let Some(entry) = self.live.remove(id) {
            self.gone.insert(id.clone(), departure);
            if departure == Departure::Delivered {
                self.contents.insert(id.clone(), entry.content);
            }
            if let (Departure::Delivered, Some((line, ordinal)), false) = (departure, entry.line, entry.touched) {
                self.delivered.entry(line).or_default().insert((ordinal, entry.key));
            }
        }
    }

    /// Per line, the keys of what was delivered and never touched, in the order they were queued.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = (&LineName, impl Iterator<Item = &str>)> {
        self.delivered.iter().map(|(line, keys)| (line, keys.iter().map(|(_, key)| key.as_str())))
    }

    /// What a delivered job said.
    pub(crate) fn delivered_content(&self, id: &JobId) -> Option<u64> {
        self.contents.get(id).copied()
    }

    /// What all delivered jobs said.
    pub(crate) fn delivered_contents(&self) -> impl Iterator<Item = (&JobId, u64)> {
        self.contents.iter().map(|(id, content)| (id, *content))
    }

    /// A row went to quarantine.
    pub(crate) fn put_aside(&mut self, seq: u64) {
        self.rotten.insert(seq);
    }

    pub(crate) fn was_put_aside(&self, seq: u64) -> bool {
        self.rotten.contains(&seq)
    }

    /// Whether the current owner has paused a queue.
    pub(crate) fn is_paused(&self, queue: &str) -> bool {
        self.paused.contains(&self.owner) || self.paused_queues.contains(&(self.owner.clone(), queue.to_owned()))
    }

    /// Somebody pauses or resumes.
    pub(crate) fn pause(&mut self, owner: &str, queue: Option<&str>, paused: bool) {
        match (queue, paused) {
            (None, true) => drop(self.paused.insert(owner.to_owned())),
            (None, false) => self.forget_pauses(owner),
            (Some(queue), true) => drop(self.paused_queues.insert((owner.to_owned(), queue.to_owned()))),
            (Some(queue), false) => drop(self.paused_queues.remove(&(owner.to_owned(), queue.to_owned()))),
        }
    }

    /// Somebody chooses what is sent over which network.
    pub(crate) fn choose_network(&mut self, owner: &str, change: NetworkChange) {
        let policy = self.networks.entry(owner.to_owned()).or_default();
        *policy = policy.with(change);
    }

    /// What they chose is forgotten.
    pub(crate) fn forget_network(&mut self, owner: &str) {
        self.networks.remove(owner);
    }

    /// What the current owner permits over which network.
    pub(crate) fn network(&self) -> NetworkPolicy {
        self.networks.get(&self.owner).copied().unwrap_or_default()
    }

    /// Nothing of this owner's is paused any more.
    pub(crate) fn forget_pauses(&mut self, owner: &str) {
        self.paused.remove(owner);
        self.paused_queues.retain(|(other, _)| other != owner);
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }
}

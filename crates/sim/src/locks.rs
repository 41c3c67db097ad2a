//! Simulates Web Locks: exclusive, first come first served, gone with their holder.

use std::collections::{BTreeMap, VecDeque};

use crate::worker::RunNo;

/// One lock per queue.
#[derive(Default)]
pub(crate) struct Locks {
    requests: BTreeMap<String, VecDeque<RunNo>>,
}

impl Locks {
    /// Asks for the lock; says whether it is granted at once.
    pub(crate) fn request(&mut self, queue: &str, run: RunNo) -> bool {
        let requests = self.requests.entry(queue.to_owned()).or_default();
        requests.push_back(run);
        requests.len() == 1
    }

    /// Gives the lock, or the request for it, back; says who holds it next.
    pub(crate) fn release(&mut self, queue: &str, run: RunNo) -> Option<RunNo> {
        let requests = self.requests.get_mut(queue)?;
        let held = requests.front() == Some(&run);
        requests.retain(|other| *other != run);
        if held { requests.front().copied() } else { None }
    }
}

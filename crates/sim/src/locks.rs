//! Simulates Web Locks: exclusive, first come first served, gone with their holder.

use std::collections::{BTreeMap, VecDeque};

use crate::worker::RunNo;

/// An owner and a queue.
type Name = (String, String);

/// One lock for each owner's share of a queue.
#[derive(Default)]
pub(crate) struct Locks {
    requests: BTreeMap<Name, VecDeque<RunNo>>,
}

impl Locks {
    /// Asks for the lock; says whether it is granted at once.
    pub(crate) fn request(&mut self, queue: &Name, run: RunNo) -> bool {
        let requests = self.requests.entry(queue.clone()).or_default();
        requests.push_back(run);
        requests.len() == 1
    }

    /// Gives the lock, or the request for it, back; says who holds it next.
    pub(crate) fn release(&mut self, queue: &Name, run: RunNo) -> Option<RunNo> {
        let requests = self.requests.get_mut(queue)?;
        let held = requests.front() == Some(&run);
        requests.retain(|other| *other != run);
        if held { requests.front().copied() } else { None }
    }
}

//! Remembers every send: who sent it under which lease, and what became of it.

use std::collections::{BTreeMap, BTreeSet};

use shearwater_core::{
    JobId, Millis,
    drain::DispatchId,
    queue::{disposition::Disposition, job::Job},
};

use crate::{auth::Login, worker::RunNo};

/// The number of a send.
pub(crate) type SendNo = usize;

/// A line: owner, queue, key.
pub(crate) type LineName = (String, String, String);

/// What became of a send, as the sender knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// No reply yet.
    InTheAir,
    /// A reply of this meaning came.
    Answered(Disposition),
    /// The time limit passed.
    TimedOut,
    /// The sender died.
    CutOff,
}

/// One job of a send.
#[derive(Debug)]
pub(crate) struct Part {
    /// The row as it was claimed.
    pub(crate) job: Job,
    pub(crate) body: Option<u64>,
    /// What the reply says about this one alone.
    pub(crate) told: Option<Disposition>,
}

/// One send.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) run: RunNo,
    /// What is sent.
    pub(crate) dispatch: DispatchId,
    /// The row as it was claimed; of a batch, that of its lead.
    pub(crate) job: Job,
    /// All jobs of it.
    pub(crate) parts: Vec<Part>,
    /// Of a batch: its body.
    pub(crate) payload: Option<String>,
    /// It was answered with a refusal of the whole.
    pub(crate) refused: bool,
    /// The idempotency key as sent.
    pub(crate) key: String,
    /// When it began, by the device's clock.
    pub(crate) since: Millis,
    /// It left the device: what happens to the sender does not stop it any more.
    pub(crate) left: bool,
    pub(crate) status: Status,
    /// Its credentials.
    pub(crate) login: Login,
    /// Its reply was part of a committed cycle.
    pub(crate) settled: bool,
}

impl Sending {
    /// Whether this job is a part of it.
    pub(crate) fn carries(&self, id: &JobId) -> bool {
        self.parts.iter().any(|part| part.job.id == *id)
    }

    /// The size of all bodies.
    pub(crate) fn size(&self) -> Option<u64> {
        self.parts.iter().filter_map(|part| part.job.size()).reduce(u64::saturating_add)
    }
}

/// All sends of a run.
#[derive(Default)]
pub(crate) struct Wire {
    sendings: Vec<Sending>,
    by_key: BTreeMap<String, Vec<SendNo>>,
    /// The last send of each job.
    by_job: BTreeMap<JobId, SendNo>,
    in_the_air: BTreeSet<SendNo>,
}

impl Wire {
    pub(crate) fn send(&mut self, sending: Sending) -> SendNo {
        let number = self.sendings.len();
        self.by_key.entry(sending.key.clone()).or_default().push(number);
        for part in &sending.parts {
            self.by_job.insert(part.job.id.clone(), number);
        }
        self.in_the_air.insert(number);
        self.sendings.push(sending);
        number
    }

    pub(crate) fn sending(&self, number: SendNo) -> Option<&Sending> {
        self.sendings.get(number)
    }

    pub(crate) fn sending_mut(&mut self, number: SendNo) -> Option<&mut Sending> {
        self.sendings.get_mut(number)
    }

    pub(crate) fn login(&mut self, number: SendNo) -> Option<&mut Login> {
        self.sendings.get_mut(number).map(|sending| &mut sending.login)
    }

    pub(crate) fn leave(&mut self, number: SendNo) {
        if let Some(sending) = self.sendings.get_mut(number) {
            sending.left = true;
        }
    }

    /// Ends a send, unless it has ended; says whether it had not.
    pub(crate) fn end(&mut self, number: SendNo, status: Status) -> bool {
        let was_there = self.in_the_air.remove(&number);
        if was_there && let Some(sending) = self.sendings.get_mut(number) {
            sending.status = status;
        }
        was_there
    }

    /// The sender of these died.
    pub(crate) fn cut_off(&mut self, run: RunNo) {
        let numbers: Vec<SendNo> =
            self.in_the_air().filter(|(_, sending)| sending.run == run).map(|(number, _)| number).collect();
        for number in numbers {
            self.end(number, Status::CutOff);
        }
    }

    /// The reply to `job` that `run` had got was recorded.
    pub(crate) fn settle(&mut self, run: RunNo, job: &JobId) {
        if let Some(sending) = self.sendings.iter_mut().rev().find(|sending| sending.run == run && sending.carries(job)) {
            sending.settled = true;
        }
    }

    /// The last send under this key.
    pub(crate) fn last(&self, key: &str) -> Option<&Sending> {
        self.by_key.get(key).and_then(|numbers| numbers.last()).and_then(|number| self.sendings.get(*number))
    }

    /// Forgets what was sent of this job, which was queued anew.
    pub(crate) fn forget(&mut self, id: &JobId) {
        self.by_key.remove(id.as_str());
        self.by_job.remove(id);
    }

    /// The last send of this job, and its part in it.
    pub(crate) fn last_of(&self, id: &JobId) -> Option<(&Sending, &Part)> {
        let sending = self.sendings.get(*self.by_job.get(id)?)?;
        Some((sending, sending.parts.iter().find(|part| part.job.id == *id)?))
    }

    /// What was sent under this key.
    pub(crate) fn under(&self, key: &str) -> impl Iterator<Item = &Sending> {
        self.by_key.get(key).into_iter().flatten().filter_map(|number| self.sendings.get(*number))
    }

    /// Whether a send under this key, but for the last, ended with nobody knowing whether it had arrived.
    pub(crate) fn is_in_doubt(&self, key: &str) -> bool {
        self.under(key).filter(|sending| crate::check::batches::is_open(sending.status)).count() > 0
    }

    /// Sends that have no reply and whose senders live.
    pub(crate) fn in_the_air(&self) -> impl Iterator<Item = (SendNo, &Sending)> {
        self.in_the_air.iter().filter_map(|number| Some((*number, self.sendings.get(*number)?)))
    }

    pub(crate) fn sends(&self) -> u64 {
        self.sendings.len() as u64
    }
}

/// The line that a job stands in.
pub(crate) fn line_of(job: &Job) -> Option<LineName> {
    Some((job.owner.clone(), job.queue.clone(), job.order.key.clone()?))
}

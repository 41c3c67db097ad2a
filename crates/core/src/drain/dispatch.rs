//! What a drain sends in one piece.
//!
//! The slots, the fair shares and the time of a send are counted in dispatches; leases, outcomes and counts in jobs.
//! A dispatch is one job, or the batch that a cycle put together ([`crate::queue::batch`]), whole and in its order: where
//! one of its jobs is not to be sent, the others go back to the store.

use crate::{
    id::JobId,
    queue::{batch::Batch, job::Job},
};

/// Names a dispatch in flight: by its first job, for a job is never in flight twice in one drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchId(JobId);

impl From<JobId> for DispatchId {
    fn from(first: JobId) -> Self {
        Self(first)
    }
}

/// Claimed jobs that are sent together, all to one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Its name.
    pub id: DispatchId,
    /// The origin that it is sent to.
    pub origin: String,
    /// Its jobs, at least one, in the order in which they were claimed.
    pub jobs: Vec<Job>,
}

impl Dispatch {
    /// The value of the idempotency header, without its quotes.
    #[must_use]
    pub fn key(&self) -> &str {
        match self.jobs.as_slice() {
            [Job { batch: Some(membership), .. }, ..] => membership.key.as_str(),
            [job, ..] => &job.idempotency_key,
            [] => "",
        }
    }

    /// The size of all bodies in bytes, where there is any.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.jobs.iter().filter_map(Job::size).reduce(u64::saturating_add)
    }

    /// The ids of its jobs.
    #[must_use]
    pub fn ids(&self) -> Vec<JobId> {
        self.jobs.iter().map(|job| job.id.clone()).collect()
    }

    /// The dispatch that one job is.
    #[must_use]
    pub fn of(job: Job) -> Self {
        Self { id: job.id.clone().into(), origin: job.origin().to_owned(), jobs: vec![job] }
    }

    /// The batch that it is, if it is one.
    #[must_use]
    pub fn batch(&self) -> Option<&Batch> {
        self.jobs.first()?.batch.as_ref()?.batch.as_ref()
    }

    /// The key of the batch that it is, if it is one.
    pub(super) fn batch_key(&self) -> Option<&JobId> {
        Some(&self.jobs.first()?.batch.as_ref()?.key)
    }
}

/// Groups claimed jobs into dispatches, in their order.
pub(super) fn dispatches(claimed: Vec<Job>) -> Vec<Dispatch> {
    let mut dispatches: Vec<Dispatch> = Vec::new();
    for job in claimed {
        let joins = |last: &&mut Dispatch| {
            job.batch.as_ref().is_some_and(|membership| membership.lead != job.id && last.batch_key() == Some(&membership.key))
        };
        match dispatches.last_mut().filter(joins) {
            Some(last) => last.jobs.push(job),
            None => dispatches.push(Dispatch::of(job)),
        }
    }
    dispatches
}

/// Drops dispatches with jobs that are not to be sent; returns the ids of their other jobs, which go back.
pub(super) fn take_out(claimed: &mut Vec<Dispatch>, unwanted: impl Fn(&Job) -> bool) -> Vec<JobId> {
    let (dropped, kept): (Vec<Dispatch>, Vec<Dispatch>) =
        std::mem::take(claimed).into_iter().partition(|dispatch| dispatch.jobs.iter().any(&unwanted));
    *claimed = kept;
    dropped.into_iter().flat_map(|dispatch| dispatch.jobs).filter(|job| !unwanted(job)).map(|job| job.id).collect()
}

/// The ids of all jobs of these dispatches.
pub(super) fn job_ids(dispatches: impl IntoIterator<Item = Dispatch>) -> impl Iterator<Item = JobId> {
    dispatches.into_iter().flat_map(|dispatch| dispatch.jobs).map(|job| job.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drain::{Budget, Command, Drain, Input, Plan, slots::Flight},
        http::reply::AttemptResult,
        schedule::wakes::SkipBackoff,
        time::Millis,
    };

    #[test]
    fn a_result_settles_every_job_of_its_dispatch_and_no_other() {
        let now = Millis(1_000);
        let plan = Plan {
            queue: "default".to_owned(),
            owner: String::new(),
            holder: "drain".to_owned(),
            concurrency: 6,
            budget: Budget::default(),
            skip: SkipBackoff::None,
            online: true,
            connection: crate::schedule::network::Connection::default(),
            exclusive: true,
        };
        let mut drain = Drain::new(now, plan);
        let job = |number: u8| (JobId::from_random([number; 16]), format!("key {number}"));
        let flight = |jobs: Vec<(JobId, String)>| Flight {
            id: jobs[0].0.clone().into(),
            jobs,
            origin: "https://a.example".to_owned(),
            since: now,
            batch: Some(JobId::from_random([9; 16])),
        };
        drain.in_flight = vec![flight(vec![job(1), job(2)]), flight(vec![job(3)])];
        let input = Input::Attempted { dispatch: job(1).0.into(), result: AttemptResult::TimedOut, roll: 0.5 };
        drain.handle(now, input);
        let Some(Command::Cycle(cycle)) = drain.poll() else { panic!("the results are recorded") };
        let settled: Vec<_> = cycle.settle.into_iter().map(|settlement| (settlement.id, settlement.key)).collect();
        assert_eq!(settled, [job(1), job(2)]);
        assert_eq!(drain.in_flight.len(), 1);
        assert!(drain.is_suspect("https://a.example", now), "until the results are recorded");
    }
}

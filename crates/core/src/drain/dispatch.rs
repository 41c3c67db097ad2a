//! What a drain sends in one piece.
//!
//! The slots, the fair shares and the time of a send are counted in dispatches; leases, outcomes and counts in jobs.
//! Today each dispatch has one job. Batches (one request for several jobs) are made here, by [`dispatches`], and nowhere
//! else: a drain settles every job of a dispatch by its result.

use crate::{id::JobId, queue::job::Job};

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

/// Groups claimed jobs into dispatches, in their order.
pub(super) fn dispatches(claimed: Vec<Job>) -> Vec<Dispatch> {
    claimed
        .into_iter()
        .map(|job| Dispatch { id: job.id.clone().into(), origin: job.origin().to_owned(), jobs: vec![job] })
        .collect()
}

/// Takes jobs out of dispatches that have not been sent; one that has none left is dropped.
pub(super) fn take_out(claimed: &mut Vec<Dispatch>, unwanted: impl Fn(&Job) -> bool) {
    claimed.retain_mut(|dispatch| {
        dispatch.jobs.retain(|job| !unwanted(job));
        !dispatch.jobs.is_empty()
    });
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
            exclusive: true,
        };
        let mut drain = Drain::new(now, plan);
        let job = |number: u8| (JobId::from_random([number; 16]), format!("key {number}"));
        let flight = |jobs: Vec<(JobId, String)>| Flight {
            id: jobs[0].0.clone().into(),
            jobs,
            origin: "https://a.example".to_owned(),
            since: now,
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

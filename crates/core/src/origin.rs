//! Knows how each origin fares: reachable, out of reach, or coming back.
//!
//! ```text
//!              `threshold` different jobs in a row find nobody
//!   reachable ───────────────────────────────────────────────▶ out of reach until T
//!       ▲                                                         │ T passes, or a wake
//!       │ any reply                                               ▼ says the network is back
//!       └───────────────────────────────────────────────────── one probe at a time
//!                                     no reply: out of reach again, longer ◀┘
//! ```
//!
//! Without this, a wake with 10,000 jobs and no server would send 10,000 requests into the void and
//! write 10,000 rows. It takes *different* jobs, so that one job that kills its connection every
//! time holds up nobody else.

use crate::{backoff::Backoff, id::JobId, time::Millis};

/// What is remembered about one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginHealth {
    /// The origin, as `https://host:port`.
    pub origin: String,
    /// Jobs that found nobody since the last reply; at most `threshold` of them.
    pub unreached: Vec<JobId>,
    /// When the next probe may go; set while the origin is out of reach.
    pub closed_until: Option<Millis>,
    /// How often in a row it was found out of reach.
    pub closures: u32,
}

impl OriginHealth {
    /// An origin of which nothing bad is known.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        Self { origin: origin.to_owned(), ..Self::default() }
    }

    /// How many further sends may start at `now`, given those in flight.
    #[must_use]
    pub fn permits(&self, now: Millis, in_flight: usize) -> usize {
        match self.closed_until {
            None => usize::MAX,
            Some(until) if now < until => 0,
            Some(_) => usize::from(in_flight == 0),
        }
    }

    /// Any reply came: the origin is reachable.
    pub fn mark_reached(&mut self) {
        self.unreached.clear();
        self.closed_until = None;
        self.closures = 0;
    }

    /// `job` found nobody.
    pub fn mark_unreached(&mut self, job: &JobId, now: Millis, threshold: u32, backoff: &Backoff, roll: f64) {
        let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
        if self.unreached.len() < threshold && !self.unreached.contains(job) {
            self.unreached.push(job.clone());
        }
        if self.unreached.len() < threshold || self.closed_until.is_some_and(|until| now < until) {
            return;
        }
        self.closures = self.closures.saturating_add(1);
        self.closed_until = Some(now.after(backoff.delay(self.closures, 0, roll)));
    }

    /// The network is said to be back: let a probe go at once.
    pub fn ripen(&mut self, now: Millis) {
        if let Some(until) = &mut self.closed_until {
            *until = (*until).min(now);
        }
    }

    /// A wait that no backoff of ours can explain is a clock that was set back.
    pub fn forget_impossible_waits(&mut self, now: Millis, longest: u64) {
        if let Some(until) = &mut self.closed_until
            && until.since(now) > longest
        {
            *until = now;
        }
    }

    /// Whether there is anything to remember.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.unreached.is_empty() && self.closed_until.is_none()
    }
}

crate::record!(OriginHealth { origin: "origin", unreached: "unreached", closed_until: "closedUntil", closures: "closures" });

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: u8) -> JobId {
        JobId::from_random([n; 16])
    }

    #[test]
    fn one_job_that_never_gets_a_reply_closes_nothing() {
        let mut origin = OriginHealth::new("https://a.example");
        for minute in 0..100 {
            origin.mark_unreached(&job(1), Millis(minute * 60_000), 5, &Backoff::default(), 0.5);
        }
        assert_eq!(origin.permits(Millis(0), 6), usize::MAX);
    }

    #[test]
    fn different_jobs_in_a_row_close_it_and_a_probe_opens_it() {
        let mut origin = OriginHealth::new("https://a.example");
        for n in 0..5 {
            origin.mark_unreached(&job(n), Millis(1_000), 5, &Backoff::default(), 0.9);
        }
        assert_eq!(origin.permits(Millis(1_000), 0), 0);
        assert_eq!(origin.permits(Millis(1_900), 0), 1);
        assert_eq!(origin.permits(Millis(1_900), 1), 0);
        origin.mark_unreached(&job(9), Millis(2_000), 5, &Backoff::default(), 0.9);
        assert_eq!(origin.closed_until, Some(Millis(3_800)), "a failed probe waits longer");
        origin.ripen(Millis(2_100));
        assert_eq!(origin.permits(Millis(2_100), 0), 1);
        origin.mark_reached();
        assert_eq!(origin.permits(Millis(2_100), 5), usize::MAX);
    }

    #[test]
    fn a_reply_in_between_starts_the_count_anew() {
        let mut origin = OriginHealth::new("https://a.example");
        for n in 0..100 {
            origin.mark_unreached(&job(n), Millis(0), 5, &Backoff::default(), 0.9);
            if n % 4 == 3 {
                origin.mark_reached();
            }
        }
        assert!(origin.is_healthy());
    }

    #[test]
    fn a_clock_set_back_does_not_prolong_the_wait() {
        let mut origin = OriginHealth::new("https://a.example");
        origin.closed_until = Some(Millis(10_000_000));
        origin.forget_impossible_waits(Millis(5), 300_000);
        assert_eq!(origin.permits(Millis(5), 0), 1);
    }
}

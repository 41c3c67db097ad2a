//! Knows how each origin fares, and spares the one that suffers.
//!
//! ```text
//!            `threshold` different jobs in a row meet trouble
//!   well ───────────────────────────────────────────────────▶ closed until T
//!     ▲                                                         │ T passes, or a wake
//!     │ any reply but trouble                                   ▼ says the network is back
//!     └───────────────────────────────────────────────────── one probe at a time
//!                                       trouble: closed again, longer ◀┘
//! ```
//!
//! *Trouble* is no reply, a timeout, or a status that means "later" (408, 425, 429, most of 5xx). Without
//! the breaker, a wake with 10,000 jobs and no server would send 10,000 requests into the void and write
//! 10,000 rows; with it, a server that comes back meets one request of each client, then what it can
//! bear. It takes *different* jobs, so that one job that fails every time holds up nobody else. The
//! probe is the job with the fewest failures, so that an outage uses up nobody's attempts.
//!
//! A server that says `RateLimit: …;r=0;t=30` rests for that long ([`crate::http::rate_limit`]).
//!
//! # Retry budget
//!
//! A server that answers some and fails others would be sent every failure again and again, which is
//! load on top of load. So retries have a budget of their own (Google SRE Book, "Handling Overload",
//! asks for a tenth): `burst` at once, then one an `interval`, and each good reply earns `ratio` of one.
//! It is kept as the time at which the next retry would be within the budget had none been saved up
//! (the generic cell rate algorithm): one number, stored with the rest. A retry beyond the budget is
//! put off, never dropped.

use serde::{Deserialize, Serialize};

use crate::{id::JobId, queue::backoff::Backoff, time::Millis};

/// The longest that an origin stays closed, in milliseconds, whatever a queue's backoff says.
pub const LONGEST_CLOSURE: u64 = crate::time::unit::DAY;

/// How many retries an origin gets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "!RetryBudget", default)]
pub struct RetryBudget {
    /// At once.
    pub burst: u32,
    /// Milliseconds for one more.
    pub interval: u64,
    /// What each good reply earns.
    pub ratio: f64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { burst: 10, interval: crate::time::unit::SECOND, ratio: 0.1 }
    }
}

/// What is remembered about one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginHealth {
    /// The origin, as `https://host:port`.
    pub origin: String,
    /// Jobs that met trouble since the last good reply; at most `threshold` of them.
    pub troubled: Vec<JobId>,
    /// When the next probe may go; set while the origin is closed.
    pub closed_until: Option<Millis>,
    /// How often in a row it was found in trouble.
    pub closures: u32,
    /// Until when it asked for rest.
    #[serde(default)]
    pub rests_until: Millis,
    /// When the next retry would be within the budget, had none been saved up.
    #[serde(default)]
    pub retry_slot: Millis,
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
        match self.opens_at() {
            Some(at) if now < at => 0,
            _ if self.is_closed() => usize::from(in_flight == 0),
            _ => usize::MAX,
        }
    }

    /// When it may be sent to, where it may not be always.
    #[must_use]
    pub fn opens_at(&self) -> Option<Millis> {
        self.closed_until.max((self.rests_until > Millis(0)).then_some(self.rests_until))
    }

    /// Whether it has met trouble since its last good reply.
    #[must_use]
    pub fn is_in_trouble(&self) -> bool {
        self.is_closed() || !self.troubled.is_empty()
    }

    /// Whether only probes go.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed_until.is_some()
    }

    /// A reply came that is no trouble: the origin is well.
    pub fn mark_well(&mut self, now: Millis, budget: &RetryBudget) {
        self.troubled.clear();
        self.closed_until = None;
        self.closures = 0;
        let earned = share(budget.interval, budget.ratio);
        self.retry_slot = Millis(self.retry_slot.0.saturating_sub(earned)).max(now);
    }

    /// `job` met trouble; `asked` is how long the reply asked to wait.
    pub fn mark_trouble(&mut self, job: &JobId, now: Millis, threshold: u32, delay: impl FnOnce(u32) -> u64, asked: u64) {
        let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
        if self.troubled.len() < threshold && !self.troubled.contains(job) {
            self.troubled.push(job.clone());
        }
        if self.troubled.len() < threshold || self.closed_until.is_some_and(|until| now < until) {
            return;
        }
        self.closures = self.closures.saturating_add(1);
        self.closed_until = Some(now.after(delay(self.closures).max(asked).min(LONGEST_CLOSURE)));
    }

    /// The origin asked for rest.
    pub fn rest(&mut self, until: Millis) {
        self.rests_until = self.rests_until.max(until);
    }

    /// Takes one retry from the budget, or says when there will be one.
    ///
    /// # Errors
    /// When the next retry is within the budget.
    pub fn take_retry(&mut self, now: Millis, budget: &RetryBudget) -> Result<(), Millis> {
        let saved = budget.interval.saturating_mul(u64::from(budget.burst.saturating_sub(1)));
        let earliest = Millis(self.retry_slot.0.saturating_sub(saved));
        if earliest > now {
            return Err(earliest);
        }
        self.retry_slot = self.retry_slot.max(now).after(budget.interval);
        Ok(())
    }

    /// The network is said to be back: let a probe go at once.
    pub fn allow_probe(&mut self, now: Millis) {
        if let Some(until) = &mut self.closed_until {
            *until = (*until).min(now);
        }
    }

    /// The clock was set back: what was noted by the one before means nothing.
    pub fn forget_times(&mut self, now: Millis) {
        self.allow_probe(now);
        self.rests_until = self.rests_until.min(now);
        self.retry_slot = self.retry_slot.min(now);
    }

    /// Whether there is anything to remember at `now`.
    #[must_use]
    pub fn is_well(&self, now: Millis) -> bool {
        self.troubled.is_empty() && self.closed_until.is_none() && self.rests_until <= now && self.retry_slot <= now
    }
}

/// The delay of a closure: the queue's backoff.
pub fn closure_delay(backoff: &Backoff, roll: f64) -> impl FnOnce(u32) -> u64 {
    move |closures| backoff.delay(closures, 0, roll)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of some seconds; `as` saturates"
)]
fn share(interval: u64, ratio: f64) -> u64 {
    (interval as f64 * ratio) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: u8) -> JobId {
        JobId::from_random([n; 16])
    }

    fn trouble(origin: &mut OriginHealth, n: u8, now: u64) {
        origin.mark_trouble(&job(n), Millis(now), 5, closure_delay(&Backoff::default(), 0.9), 0);
    }

    #[test]
    fn one_job_that_always_fails_closes_nothing() {
        let mut origin = OriginHealth::new("https://a.example");
        for minute in 0..100 {
            trouble(&mut origin, 1, minute * 60_000);
        }
        assert_eq!(origin.permits(Millis(0), 6), usize::MAX);
    }

    #[test]
    fn different_jobs_in_a_row_close_it_and_a_probe_opens_it() {
        let mut origin = OriginHealth::new("https://a.example");
        for n in 0..5 {
            trouble(&mut origin, n, 1_000);
        }
        assert_eq!(origin.permits(Millis(1_000), 0), 0);
        assert_eq!(origin.permits(Millis(1_900), 0), 1);
        assert_eq!(origin.permits(Millis(1_900), 1), 0);
        trouble(&mut origin, 9, 2_000);
        assert_eq!(origin.closed_until, Some(Millis(3_800)), "a failed probe waits longer");
        origin.allow_probe(Millis(2_100));
        assert_eq!(origin.permits(Millis(2_100), 0), 1);
        origin.mark_well(Millis(2_100), &RetryBudget::default());
        assert_eq!(origin.permits(Millis(2_100), 5), usize::MAX);
    }

    #[test]
    fn it_stays_closed_at_least_as_long_as_the_server_asked() {
        let mut origin = OriginHealth::new("https://a.example");
        for n in 0..5 {
            origin.mark_trouble(&job(n), Millis(0), 5, closure_delay(&Backoff::default(), 0.9), 60_000);
        }
        assert_eq!(origin.opens_at(), Some(Millis(60_000)));
    }

    #[test]
    fn a_good_reply_in_between_starts_the_count_anew() {
        let mut origin = OriginHealth::new("https://a.example");
        for n in 0..100 {
            trouble(&mut origin, n, 0);
            if n % 4 == 3 {
                origin.mark_well(Millis(0), &RetryBudget::default());
            }
        }
        assert!(origin.is_well(Millis(0)));
    }

    #[test]
    fn rest_is_kept_even_when_the_network_is_back() {
        let mut origin = OriginHealth::new("https://a.example");
        origin.rest(Millis(30_000));
        origin.allow_probe(Millis(1));
        assert_eq!(origin.permits(Millis(29_999), 0), 0);
        assert_eq!(origin.permits(Millis(30_000), 5), usize::MAX);
        assert!(origin.is_well(Millis(30_000)));
    }

    #[test]
    fn the_budget_is_a_burst_then_one_an_interval_and_good_replies_earn_more() {
        let budget = RetryBudget::default();
        let mut origin = OriginHealth::new("https://a.example");
        let taken = (0..100).filter(|_| origin.take_retry(Millis(5_000), &budget).is_ok()).count();
        assert_eq!(taken, 10);
        assert_eq!(origin.take_retry(Millis(5_000), &budget), Err(Millis(6_000)));
        assert_eq!(origin.take_retry(Millis(6_000), &budget), Ok(()));
        assert!(origin.take_retry(Millis(6_000), &budget).is_err());
        for _ in 0..10 {
            origin.mark_well(Millis(6_000), &budget);
        }
        assert_eq!(origin.take_retry(Millis(6_000), &budget), Ok(()), "ten good replies earn one");
        assert!(origin.take_retry(Millis(6_000), &budget).is_err());
    }

    #[test]
    fn a_clock_set_back_prolongs_nothing() {
        let mut origin = OriginHealth::new("https://a.example");
        for n in 0..5 {
            trouble(&mut origin, n, 10_000_000);
        }
        origin.rest(Millis(10_000_000));
        origin.retry_slot = Millis(20_000_000);
        origin.forget_times(Millis(5));
        assert_eq!(origin.permits(Millis(5), 0), 1);
        assert_eq!(origin.take_retry(Millis(5), &RetryBudget::default()), Ok(()));
    }
}

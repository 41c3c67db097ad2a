//! Counts what a run's requests were, second by second, and when jobs were delivered.

use shearwater_core::time::unit::SECOND;

use super::{OUTAGE, Scenario, server::Verdict};

/// Seconds over which the peak is measured.
pub(super) const WINDOW: usize = 5;

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its conditions.
    pub scenario: Scenario,
    /// Requests in each second since the server went away.
    pub arrivals: Vec<u32>,
    /// When each delivered job was, in milliseconds since the server came back; sorted.
    pub delivered: Vec<u64>,
    /// Requests that met the outage.
    pub wasted_before: u64,
    /// Requests that the server refused once it was back.
    pub wasted_after: u64,
    /// Jobs that became dead letters.
    pub dead: u64,
}

impl Run {
    pub(super) fn new(scenario: Scenario) -> Self {
        Self { scenario, arrivals: Vec::new(), delivered: Vec::new(), wasted_before: 0, wasted_after: 0, dead: 0 }
    }

    pub(super) fn note_arrival(&mut self, now: u64, verdict: Verdict) {
        let second = usize::try_from(now / SECOND).unwrap_or(usize::MAX);
        if self.arrivals.len() <= second {
            self.arrivals.resize(second + 1, 0);
        }
        if let Some(count) = self.arrivals.get_mut(second) {
            *count += 1;
        }
        if !matches!(verdict, Verdict::Served(_)) {
            if now < OUTAGE {
                self.wasted_before += 1;
            } else {
                self.wasted_after += 1;
            }
        }
    }

    pub(super) fn note_delivery(&mut self, now: u64) {
        self.delivered.push(now.saturating_sub(OUTAGE));
    }

    /// Jobs that still waited when the run was ended.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.scenario.total().saturating_sub(self.delivered.len() as u64).saturating_sub(self.dead)
    }

    /// Requests in the worst `seconds` after the return, over what the server bears in these.
    #[must_use]
    pub fn peak(&self, seconds: usize) -> f64 {
        let back = usize::try_from(OUTAGE / SECOND).unwrap_or(usize::MAX);
        let after = self.arrivals.get(back..).unwrap_or_default();
        let most = after.windows(seconds).map(|window| window.iter().copied().map(u64::from).sum::<u64>()).max();
        real(most.unwrap_or(0)) / (self.scenario.capacity() * real(seconds as u64))
    }

    /// Seconds from the return until this share of all jobs was delivered; `None` where it never was.
    #[must_use]
    pub fn until(&self, share: f64) -> Option<f64> {
        let nth = usize::try_from(whole((real(self.scenario.total()) * share).ceil())).ok()?;
        self.delivered.get(nth.checked_sub(1)?).map(|at| real(*at) / real(SECOND))
    }

    /// [`Run::until`] over the ideal time.
    #[must_use]
    pub fn over_ideal(&self, share: f64) -> Option<f64> {
        self.until(share).map(|seconds| seconds / f64::from(self.scenario.ideal))
    }

    /// Seconds from the return to the last delivery, over the ideal time.
    #[must_use]
    pub fn last_over_ideal(&self) -> Option<f64> {
        self.delivered.last().map(|at| real(*at) / real(SECOND) / f64::from(self.scenario.ideal))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds of some days")]
pub(super) fn real(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and nothing here is negative")]
pub(super) fn whole(number: f64) -> u64 {
    number as u64
}

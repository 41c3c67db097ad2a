//! Decides how long a failed job waits: exponential backoff with jitter.
//!
//! Full jitter is `random(0, base·factorⁿ)`, decorrelated `min(max, random(base, prev·3))`, as in the AWS
//! Architecture Blog's "Exponential Backoff and Jitter"; equal here means ±25 %. Once full jitter has grown
//! to `max` it is `random(max/2, max)`: a fleet that waits for its server tries at an even rate by then, and
//! a third less often, and its last job is home no later (`docs/fleet.md`).

use serde::{Deserialize, Serialize};

use crate::{error::Error, time::unit};

/// The longest `backoff.max`, in milliseconds.
pub const LONGEST: u64 = 7 * unit::DAY;

/// How a delay is spread, so that clients of one server do not march in step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Jitter {
    /// The whole delay, give or take a quarter.
    Equal,
    /// Anything from nothing to the whole delay; from half of it once it has grown to the longest.
    #[default]
    Full,
    /// Between `base` and three times the delay before.
    Decorrelated,
}

/// The delays of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "!Backoff", default)]
pub struct Backoff {
    /// The first delay, in milliseconds.
    pub base: u64,
    /// What each further delay is multiplied by.
    pub factor: f64,
    /// The longest delay, in milliseconds.
    pub max: u64,
    /// How delays are spread.
    pub jitter: Jitter,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: unit::SECOND, factor: 2.0, max: 5 * unit::MINUTE, jitter: Jitter::Full }
    }
}

impl Backoff {
    /// Milliseconds to wait after the `failures`-th failure in a row (1 is the first).
    ///
    /// `previous` is the delay before this one, `roll` a random number in `[0, 1)`.
    #[must_use]
    pub fn delay(&self, failures: u32, previous: u64, roll: f64) -> u64 {
        let base = to_f64(self.base);
        let max = to_f64(self.max);
        // The exponent is capped: beyond 64 doublings every delay has long met `max`.
        let exponent = i32::try_from(failures.saturating_sub(1).min(64)).unwrap_or(64);
        let whole = (base * self.factor.powi(exponent)).min(max);
        let roll = roll.clamp(0.0, 1.0);
        let delay = match self.jitter {
            Jitter::Full if whole >= max => max * (0.5 + 0.5 * roll),
            Jitter::Full => roll * whole,
            Jitter::Equal => (whole * (0.75 + 0.5 * roll)).min(max),
            Jitter::Decorrelated => {
                let span = (to_f64(previous) * 3.0 - base).max(0.0);
                (base + roll * span).min(max)
            }
        };
        to_millis(delay)
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// `invalid-config` naming the option that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        if self.base == 0 || self.base > unit::DAY {
            return Err(Error::invalid_config("backoff.base is 1 ms to one day (86400000)"));
        }
        if self.max < self.base || self.max > LONGEST {
            return Err(Error::invalid_config("backoff.max is at least backoff.base and at most seven days (604800000 ms)"));
        }
        if !(1.0..=100.0).contains(&self.factor) {
            return Err(Error::invalid_config("backoff.factor is 1 to 100"));
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "delays are far below 2^53 ms")]
fn to_f64(ms: u64) -> f64 {
    ms as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and delays are not negative")]
fn to_millis(ms: f64) -> u64 {
    ms as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn full_jitter_doubles_up_to_the_cap() {
        let backoff = Backoff::default();
        let at_most: Vec<u64> = (1..=12).map(|n| backoff.delay(n, 0, 1.0)).collect();
        assert_eq!(at_most[..5], [1_000, 2_000, 4_000, 8_000, 16_000]);
        assert_eq!(at_most[11], 300_000);
        assert_eq!(backoff.delay(3, 0, 0.0), 0);
    }

    #[test]
    fn full_jitter_at_the_cap_waits_at_least_half_of_it() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(9, 0, 0.0), 0);
        assert_eq!((backoff.delay(10, 0, 0.0), backoff.delay(10, 0, 1.0)), (150_000, 300_000));
    }

    #[test]
    fn equal_jitter_stays_within_a_quarter() {
        let backoff = Backoff { jitter: Jitter::Equal, ..Backoff::default() };
        assert_eq!(backoff.delay(1, 0, 0.0), 750);
        assert_eq!(backoff.delay(1, 0, 1.0), 1_250);
    }

    proptest! {
        #[test]
        fn no_delay_passes_the_cap(failures in 0u32.., previous in 0u64..1 << 50, roll in 0.0..1.0f64, jitter in 0usize..3) {
            let jitter = [Jitter::Equal, Jitter::Full, Jitter::Decorrelated][jitter];
            let backoff = Backoff { jitter, ..Backoff::default() };
            prop_assert!(backoff.delay(failures, previous, roll) <= backoff.max);
        }

        #[test]
        fn decorrelated_never_falls_below_base(failures in 0u32..100, previous in 0u64..1 << 40, roll in 0.0..1.0f64) {
            let backoff = Backoff { jitter: Jitter::Decorrelated, ..Backoff::default() };
            prop_assert!(backoff.delay(failures, previous, roll) >= backoff.base);
        }
    }
}

//! Runs a fleet of clients whose server was down for an hour and comes back with limited capacity.
//!
//! Each of our clients has its own store and drives the drains, the cycles and the next-wake time that
//! ship (`client`); others are compared with (`plain`) under the same arrivals of jobs. The server is
//! a rate with a short queue; what is above is refused (`server`).
//!
//! # What always holds
//!
//! - A [`Scenario`] with its seed gives one [`Run`], request by request.
//! - Of each job exactly one is true at the end: delivered, a dead letter, or still waiting.

mod client;
mod gauge;
mod plain;
mod plot;
mod report;
mod server;
#[cfg(test)]
mod tests;
mod world;

use shearwater_core::time::unit::{HOUR, SECOND};

pub use gauge::Run;
pub use plot::plot;
pub use report::{AIMS, Section, report, sections, table};

/// Milliseconds that the server was away.
pub const OUTAGE: u64 = HOUR;

/// When a client tries again what was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// As the core decides, with its defaults.
    Ours,
    /// After 1 s, then twice as long each time, at most 5 min, no jitter.
    Doubling,
    /// After this many milliseconds, always.
    Fixed(u64),
}

impl Policy {
    /// Those that are compared.
    pub const ALL: [Self; 3] = [Self::Ours, Self::Doubling, Self::Fixed(30 * SECOND)];

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "Shearwater",
            Self::Doubling => "doubling to 5 min, no jitter",
            Self::Fixed(_) => "every 30 s",
        }
    }
}

/// What a request meets while the server is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Nobody: connection refused.
    Refused,
    /// A proxy that answers 503.
    Proxy,
}

/// When jobs are queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// At any moment of the outage, and a tenth in its first minute.
    Spread,
    /// All within ten seconds, a minute after the server went.
    Together,
}

/// What wakes a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakes {
    /// Its page stays open: timers only, as in Firefox and Safari.
    Page,
    /// Its page stays open, and the browser fires `sync` besides, as Chromium does.
    PageAndSync,
    /// Of half of them the page is closed once the job is queued: `sync` alone wakes these, or a visit
    /// within the day.
    HalfAsleep,
}

/// One run's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// How many clients there are.
    pub clients: u32,
    /// Jobs of each.
    pub jobs: u32,
    /// When these are queued.
    pub arrivals: Arrivals,
    /// What the outage looks like.
    pub outage: Outage,
    /// Seconds that the server needs for all jobs once it is back.
    pub ideal: u32,
    /// Seconds that it asks those to wait whom it refuses.
    pub retry_after: Option<u32>,
    /// What wakes clients.
    pub wakes: Wakes,
    /// `maxAttempts` of our queue, where it is not the default.
    pub max_attempts: Option<u32>,
    /// Seconds of `backoff.max` of our queue, where it is not the default.
    pub backoff_max: Option<u32>,
    /// When a client tries again.
    pub policy: Policy,
    /// Of all randomness.
    pub seed: u64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            clients: 100_000,
            jobs: 1,
            arrivals: Arrivals::Spread,
            outage: Outage::Refused,
            ideal: 400,
            retry_after: None,
            wakes: Wakes::Page,
            max_attempts: None,
            backoff_max: None,
            policy: Policy::Ours,
            seed: 1,
        }
    }
}

impl Scenario {
    /// All jobs of all clients.
    #[must_use]
    pub fn total(&self) -> u64 {
        u64::from(self.clients) * u64::from(self.jobs)
    }

    /// Requests a second that the server bears.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        gauge::real(self.total()) / f64::from(self.ideal)
    }
}

/// Runs one scenario.
#[must_use]
pub fn run(scenario: Scenario) -> Run {
    world::World::new(scenario).live()
}

//! Decides, per seed, how bad things get and how the queues are configured.
//!
//! Some seeds have one kind of trouble only, so that it is not drowned by the others; some have all.

use shearwater_core::{
    queue::{
        backoff::{Backoff, Jitter},
        config::{HistoryConfig, OnFailure, QueueConfig, WorkerConfig},
        disposition::Disposition,
    },
    time::unit::{DAY, HOUR, MINUTE, SECOND},
};

use crate::rng::Rng;

/// The queues of every run.
pub(crate) const QUEUES: [&str; 3] = ["default", "loose", "narrow"];

/// How likely each kind of trouble is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// The browser has Web Locks.
    pub(crate) locks: bool,
    /// The app has an `auth` hook.
    pub(crate) has_auth_hook: bool,
    /// The servers' session ends; per step.
    pub(crate) session_ends: f64,
    /// A context dies before it carries out a command.
    pub(crate) kill: f64,
    /// A commit fails, for want of space for example.
    pub(crate) commit_fails: f64,
    /// A transaction loses its database between two reads.
    pub(crate) breaks: f64,
    /// A server does something else than it should.
    pub(crate) misconduct: f64,
    /// A page never hears that its jobs were stored.
    pub(crate) answer_lost: f64,
    /// A row does not parse any more; per step.
    pub(crate) corrupt: f64,
    /// The ledger does not parse any more; per step.
    pub(crate) ledger_lost: f64,
    /// The device's clock is set; per step.
    pub(crate) clock_set: f64,
}

impl Faults {
    /// Faults as `rng` draws them.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self {
            locks: rng.happens(0.75),
            has_auth_hook: rng.happens(0.5),
            session_ends: rng.pick([0.0, 0.005, 0.05]),
            kill: rng.pick([0.0, 0.0, 0.005, 0.03, 0.1]),
            commit_fails: rng.pick([0.0, 0.0, 0.02, 0.2, 0.5]),
            breaks: rng.pick([0.0, 0.0, 0.02]),
            misconduct: rng.pick([0.0, 0.1, 0.4, 0.8]),
            answer_lost: rng.pick([0.0, 0.1, 0.4]),
            corrupt: rng.pick([0.0, 0.0, 0.005, 0.02]),
            ledger_lost: rng.pick([0.0, 0.0, 0.0, 0.003]),
            clock_set: rng.pick([0.0, 0.0, 0.005, 0.03]),
        }
    }

    /// Nothing goes wrong any more.
    pub(crate) fn none(self) -> Self {
        Self { locks: self.locks, has_auth_hook: self.has_auth_hook, ..Self::default() }
    }
}

/// A configuration as `rng` draws it.
pub(crate) fn configuration(rng: &mut Rng) -> WorkerConfig {
    let queues = QUEUES.into_iter().filter_map(|name| {
        let queue = QueueConfig {
            max_attempts: rng.pick([1, 2, 5, 5]),
            max_age: rng.pick([7 * DAY, 7 * DAY, HOUR, 10 * MINUTE]),
            concurrency: if name == "narrow" { 1 } else { rng.pick([2, 6, 6]) },
            timeout: rng.pick([2 * SECOND, MINUTE]),
            on_failure: if name == "loose" { OnFailure::Continue } else { OnFailure::Block },
            backoff: Backoff {
                max: rng.pick([5 * SECOND, 5 * MINUTE]),
                jitter: rng.pick([Jitter::Full, Jitter::Equal, Jitter::Decorrelated]),
                ..Backoff::default()
            },
            statuses: if rng.happens(0.2) { vec![(404, Disposition::Retry), (503, Disposition::Failed)] } else { Vec::new() },
            ..QueueConfig::default()
        };
        // Some queues are left to the defaults.
        rng.happens(0.8).then(|| (name.to_owned(), queue))
    });
    WorkerConfig {
        queues: queues.collect(),
        history: rng.pick([HistoryConfig::default(), HistoryConfig { max_age: HOUR, max: 5 }]),
        breaker_threshold: rng.pick([1, 2, 5]),
        ..WorkerConfig::default()
    }
}

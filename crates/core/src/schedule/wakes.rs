//! Decides when a page is to wake the worker next, and why (W4, W5).
//!
//! A browser with Background Sync wakes the worker by itself, as a rule: some never fire, Firefox and
//! WebKit have none. A page that is open makes up for it everywhere by the same rules. It knows what is
//! stored (the status that the worker tells after each change) and what it sees itself:
//!
//! | reason | when | what may be tried |
//! |---|---|---|
//! | `load`, `online`, `visible`, `focus` | at once, when it happens | also what got no response before |
//! | `due` | when the next job's time comes | what is due |
//! | `watchdog` | two seconds after a time that has passed with nobody at work: who was to wake the worker did not | what is due |
//! | `silence` | when something is being sent and no news came for 5 to 10 s: the worker may be dead | what its leases held |
//! | `interval` | as [`super::auto_sync`] says | what is due |
//!
//! Nothing is remembered between pages or restarts: the plan follows from the status each time anew.

use serde::{Deserialize, Serialize};

use crate::time::{Millis, unit};

/// Milliseconds past a job's time at which a page wakes the worker: one that is awake has begun by then.
const LATE: u64 = 50;

/// Milliseconds after which a time that has passed unheeded is brought up again.
const OVERDUE: u64 = 2 * unit::SECOND;

/// After one to two times this many milliseconds without news of a send, the worker is asked whether it lives.
const SILENCE: u64 = 5 * unit::SECOND;

/// Why a page wakes the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WakeReason {
    /// A page was opened.
    Load,
    /// The browser says the network is back.
    Online,
    /// The page became visible.
    Visible,
    /// The page got the focus.
    Focus,
    /// What was due at a known time is due.
    Due,
    /// What was due is still there.
    Watchdog,
    /// Something is being sent, and nothing is heard of it.
    Silence,
    /// Some time has passed.
    Interval,
}

impl WakeReason {
    /// Whether it is a reason to retry what got no response.
    #[must_use]
    pub fn retries_unreachable(self) -> bool {
        matches!(self, Self::Load | Self::Online | Self::Visible | Self::Focus)
    }
}

/// Which backoffs a wake cuts short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipBackoff {
    /// None.
    #[default]
    None,
    /// Those of jobs that got no response: the browser says the network is there.
    Unreachable,
    /// All, but for jobs that a server told to wait: a person asked.
    All,
}

/// What a page knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The browser believes that there is a network.
    pub is_online: bool,
    /// Something is being sent.
    pub is_sending: bool,
    /// When something may be sent next.
    pub next_due: Option<Millis>,
}

/// The next wake; none while there is nothing to wake for, or no network: then `online` is the wake.
#[must_use]
pub fn plan(now: Millis, facts: Facts) -> Option<(Millis, WakeReason)> {
    if !facts.is_online {
        return None;
    }
    // In steps, so that a busy worker's news do not set a timer each.
    let step = |length: u64, steps: u64| Millis((now.0 / length + steps) * length);
    let due = facts
        .next_due
        .map(|at| if at < now { (now.after(OVERDUE), WakeReason::Watchdog) } else { (at.after(LATE), WakeReason::Due) });
    let silence = facts.is_sending.then(|| (step(SILENCE, 2), WakeReason::Silence));
    [due, silence].into_iter().flatten().min_by_key(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);
    const HERE: Facts = Facts { is_online: true, is_sending: false, next_due: None };

    #[test]
    fn with_nothing_to_do_or_no_network_nobody_is_woken() {
        assert_eq!(plan(NOW, HERE), None);
        let offline = Facts { is_online: false, next_due: Some(NOW), ..HERE };
        assert_eq!(plan(NOW, offline), None);
    }

    #[test]
    fn what_is_due_is_woken_for_when_it_is_due() {
        let facts = Facts { next_due: Some(NOW.after(3_000)), ..HERE };
        assert_eq!(plan(NOW, facts), Some((NOW.after(3_050), WakeReason::Due)));
    }

    #[test]
    fn a_sync_that_never_fired_is_noticed() {
        let facts = Facts { next_due: Some(Millis(NOW.0 - 1)), ..HERE };
        assert_eq!(plan(NOW, facts), Some((NOW.after(2_000), WakeReason::Watchdog)));
    }

    #[test]
    fn a_silent_worker_is_looked_after_within_ten_seconds() {
        let facts = Facts { is_sending: true, next_due: Some(NOW.after(600_000)), ..HERE };
        let (at, reason) = plan(NOW, facts).unwrap();
        assert!(reason == WakeReason::Silence && (5_000..=10_000).contains(&at.since(NOW)));
    }
}

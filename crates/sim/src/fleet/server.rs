//! The server of a fleet: away, then a rate with a short queue; what is above is refused.

use super::{OUTAGE, Outage, Scenario};

/// Milliseconds that a request may wait for its turn; one that would wait longer is refused.
const QUEUE: f64 = 500.0;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nobody was there.
    NoReply,
    /// 503.
    Refused,
    /// 200, after this many milliseconds in the queue.
    Served(u64),
}

pub(super) struct Server {
    outage: Outage,
    /// Milliseconds of work in a request.
    cost: f64,
    /// When it is through with what it has taken.
    free_at: f64,
}

impl Server {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { outage: scenario.outage, cost: 1_000.0 / scenario.capacity(), free_at: 0.0 }
    }

    /// Takes a request at `now`, in milliseconds since the server went away.
    pub(super) fn take(&mut self, now: u64) -> Verdict {
        if now < OUTAGE {
            return match self.outage {
                Outage::Refused => Verdict::NoReply,
                Outage::Proxy => Verdict::Refused,
            };
        }
        let at = super::gauge::real(now);
        let start = self.free_at.max(at);
        if start - at > QUEUE {
            return Verdict::Refused;
        }
        self.free_at = start + self.cost;
        Verdict::Served(super::gauge::whole(start - at))
    }
}

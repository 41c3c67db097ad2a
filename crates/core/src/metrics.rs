//! Figures about the queue (M1): from counters, and from the bounded history.

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    queue::{history::Outcome, job::State, sort::sorted},
    schedule::{network::Permit, next_wake},
    store::{
        Tx,
        ledger::{Counts, Ledger},
        oldest_outcomes, read_ledger,
    },
    time::Millis,
};

/// `Metrics` of the public surface, as far as the store knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Per queue of the current owner.
    pub queues: Vec<QueueMetrics>,
    /// Delivered jobs that the history remembers.
    pub delivered: u64,
    /// Of all that came to an end, the share that was delivered; none when nothing has.
    pub success_rate: Option<f64>,
    /// Mean milliseconds from queueing to delivery.
    pub mean_time: Option<u64>,
    /// The milliseconds from queueing to delivery that 95 of 100 jobs did not exceed.
    pub p95_time: Option<u64>,
    /// Drains that sent something.
    pub sync_count: u64,
    /// When the last drain ended.
    pub last_sync_at: Option<Millis>,
    /// When something may be sent next.
    pub next_sync_at: Option<Millis>,
    /// Servers in trouble.
    pub origins: Vec<OriginMetrics>,
}

/// One queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueMetrics {
    /// Its name.
    pub queue: String,
    /// Jobs per state.
    pub counts: Counts,
}

/// One server in trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginMetrics {
    /// The origin.
    pub origin: String,
    /// When it may be sent to again; none while it is not closed.
    pub opens_at: Option<Millis>,
    /// How often in a row it was found in trouble.
    pub closures: u32,
}

impl Metrics {
    /// Computes the figures of the current owner.
    #[must_use]
    pub fn of(ledger: &Ledger, history: &[Outcome], next_sync_at: Option<Millis>, now: Millis) -> Self {
        let own = || history.iter().filter(|outcome| outcome.owner == ledger.owner);
        let times = sorted(own().map(|outcome| (outcome.delivered_at.since(outcome.queued_at), 0, 0)).collect());
        let delivered = times.len() as u64;
        let mut counts = Counts::default();
        ledger.own_queues().for_each(|queue| counts.add(&queue.counts));
        let ended = delivered + *counts.of(State::Failed) + *counts.of(State::Conflict);
        #[expect(clippy::cast_precision_loss, reason = "a share, for people")]
        let success_rate = (ended > 0).then(|| delivered as f64 / ended as f64);
        Self {
            queues: ledger.own_queues().map(|queue| QueueMetrics { queue: queue.queue.clone(), counts: queue.counts }).collect(),
            delivered,
            success_rate,
            mean_time: times.iter().map(|(time, ..)| time).sum::<u64>().checked_div(delivered),
            p95_time: times.get((times.len() * 95).div_ceil(100).saturating_sub(1)).map(|(time, ..)| *time),
            sync_count: ledger.sync_count,
            last_sync_at: ledger.last_sync_at,
            next_sync_at,
            // Of those that this owner sends to: where another sends is none of their business.
            origins: ledger
                .origins
                .iter()
                .filter(|health| health.is_in_trouble() || health.rests_until > now)
                .filter(|health| ledger.own_queues().any(|queue| queue.origins.contains(&health.origin)))
                .map(|origin| OriginMetrics {
                    origin: origin.origin.clone(),
                    opens_at: origin.opens_at(),
                    closures: origin.closures,
                })
                .collect(),
        }
    }
}

/// The figures of the current owner; `permit` is what their policy lets go over the network that there is.
///
/// # Errors
/// What the transaction returns.
pub async fn read<T: Tx>(tx: &T, now: Millis, permit: Permit) -> Result<Metrics, Error> {
    let ledger = read_ledger(tx).await?;
    let history = oldest_outcomes(tx, u32::MAX).await?;
    let next = next_wake::next_wake(tx, &ledger, now, permit).await?;
    Ok(Metrics::of(&ledger, &history, next, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JobId, store::ledger::QueueLedger};

    fn outcome(owner: &str, took: u64) -> Outcome {
        Outcome {
            v: 1,
            id: JobId::from_random([0; 16]),
            queue: "q".to_owned(),
            owner: owner.to_owned(),
            key: None,
            method: "POST".to_owned(),
            url: "https://a.example/".to_owned(),
            status: Some(200),
            attempts: 1,
            queued_at: Millis(1_000),
            delivered_at: Millis(1_000 + took),
            capture: None,
            captured: None,
        }
    }

    #[test]
    fn of_nothing_there_is_no_rate() {
        let metrics = Metrics::of(&Ledger::default(), &[], None, Millis(0));
        assert_eq!((metrics.delivered, metrics.success_rate, metrics.mean_time, metrics.p95_time), (0, None, None, None));
    }

    #[test]
    fn a_hundred_times_have_a_mean_and_a_95th() {
        let mut history: Vec<Outcome> = (1..=100).rev().map(|took| outcome("", took)).collect();
        history.push(outcome("another", 1_000_000));
        let counts = Counts { failed: 25, ..Counts::default() };
        let queue = QueueLedger { queue: "q".to_owned(), counts, ..QueueLedger::default() };
        let metrics = Metrics::of(&Ledger { queues: vec![queue], ..Ledger::default() }, &history, None, Millis(0));
        assert_eq!((metrics.delivered, metrics.mean_time, metrics.p95_time), (100, Some(50), Some(95)));
        assert_eq!(metrics.success_rate, Some(0.8));
    }
}

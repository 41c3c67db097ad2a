//! Ends what is older than it may be, and clears away what is left of it: history, index entries.

use super::{Cycle, CycleRun, PAGE};
use crate::{
    error::Error,
    health::clock::{self, Time},
    queue::{
        job::State,
        last_error::{ErrorKind, LastError},
    },
    store::{Index, Scan, Tx},
};

impl<T: Tx> CycleRun<'_, T> {
    /// Decides which time tells what has expired; returns whether it must be asked for first.
    pub(super) async fn judge_time(&mut self, cycle: &Cycle, owner: &str) -> Result<bool, Error> {
        if let Time::Is(time) = cycle.time {
            if clock::is_off(self.now, time) {
                self.wall = time;
            }
            self.told = Some(self.wall);
            return Ok(false);
        }
        if !clock::may_be_ahead(self.ledger, self.now) {
            return Ok(false);
        }
        if self.ledger.doubts >= clock::MOST_DOUBTS {
            self.told = Some(self.now);
            return Ok(false);
        }
        self.in_doubt = true;
        let aged = Scan::of(Index::Expiry, vec![owner, &cycle.queue], 1).upto(self.now.0);
        if cycle.takeover.is_none() || self.tx.scan(&aged).await?.is_empty() {
            return Ok(false);
        }
        if cycle.time == Time::Unknown {
            // Where the browser says that there is no network, nothing is claimed, and nobody need wonder.
            self.ledger.doubts += u32::from(cycle.claim > 0);
            return Ok(false);
        }
        Ok(true)
    }

    /// Moves to the dead letters what is older than it may be.
    pub(super) async fn expire(&mut self, queue: &str, owner: &str) -> Result<(), Error> {
        if self.ledger.queue(queue, owner).is_none() {
            return Ok(());
        }
        loop {
            let scan = Scan::of(Index::Expiry, vec![owner, queue], PAGE).upto(self.wall.0);
            let page = self.tx.scan(&scan).await?;
            let full = page.len() == PAGE as usize;
            for job in page {
                self.dead_letter(job, State::Failed, expired()).await?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Makes the browser remove the index entries of rows that are gone.
    ///
    /// Chromium leaves the index entries of a row that was changed or deleted where they are. Who scans in order to
    /// write removes those that it meets; who only reads passes over them, each time: 5,000 delivered jobs made
    /// `list` five times as slow. Claiming sweeps its own indexes; these are scanned by nobody else who writes.
    pub(super) async fn sweep(&mut self, queue: &str, owner: &str) -> Result<(), Error> {
        for state in [State::Pending, State::Syncing] {
            self.tx.scan(&Scan::of(Index::State, vec![owner, queue, state.as_str()], 1)).await?;
        }
        self.tx.scan(&Scan::of(Index::Expiry, vec![owner, queue], 1)).await?;
        Ok(())
    }

    pub(super) async fn prune_history(&mut self) -> Result<(), Error> {
        let bounds = self.settings.history;
        if self.ledger.history <= u64::from(bounds.max) {
            // The oldest tells whether there is anything to do.
            let oldest = self.tx.oldest_outcomes(1).await?;
            if oldest.first().is_none_or(|oldest| self.in_doubt || self.wall.since(oldest.delivered_at) <= bounds.max_age) {
                return Ok(());
            }
        }
        let excess = self.ledger.history.saturating_sub(u64::from(bounds.max));
        for outcome in self.tx.oldest_outcomes(PAGE.max(u32::try_from(excess).unwrap_or(u32::MAX).min(4 * PAGE))).await? {
            let too_many = self.ledger.history > u64::from(bounds.max);
            if !too_many && (self.in_doubt || self.wall.since(outcome.delivered_at) <= bounds.max_age) {
                break;
            }
            self.tx.delete_outcome(&outcome.id)?;
            self.ledger.history = self.ledger.history.saturating_sub(1);
        }
        Ok(())
    }
}

/// The error of a job that was not delivered in time.
pub(super) fn expired() -> LastError {
    LastError {
        kind: ErrorKind::Expired,
        status: None,
        message: "not delivered within its maxAge; retry to send it anyway".to_owned(),
    }
}

//! Takes back what dead drains held, and keeps waits whole when the clock was set back.

use super::{Cycle, CycleRun, PAGE};
use crate::{
    error::Error,
    queue::job::State,
    store::{Index, Scan, Tx},
};

/// What the first cycle of a drain does in addition: takes over from dead drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// Nobody else can be draining this queue (a Web Lock is held), so every lease but ours is dead.
    pub exclusive: bool,
}

impl<T: Tx> CycleRun<'_, T> {
    /// Takes back what dead drains left behind.
    pub(super) async fn recover(&mut self, cycle: &Cycle, takeover: Takeover, owner: &str) -> Result<(), Error> {
        let counted = self.ledger.queue(&cycle.queue, owner).map_or(0, |queue| queue.counts.syncing);
        if counted == 0 {
            return Ok(());
        }
        let mut after = 0;
        loop {
            let scan = Scan::of(Index::State, vec![owner, &cycle.queue, State::Syncing.as_str()], PAGE).from(after);
            let page = self.tx.scan(&scan).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.order.seq + 1;
            for mut job in page {
                let theirs = job.lease.as_ref().is_none_or(|lease| lease.holder != cycle.holder);
                if theirs && (takeover.exclusive || job.lease_ends(self.now) <= self.now) {
                    let (from, in_line) = (job.state, job.order.line);
                    job.mark_interrupted(self.now, self.settings.queue.on_failure);
                    self.keep(job, from, in_line).await?;
                }
            }
        }
    }

    /// Keeps the length of every wait and counts it from now, for the clock was set back.
    pub(super) async fn forget_times(&mut self) -> Result<(), Error> {
        let (now, device) = (self.now, self.ledger.device);
        let names: Vec<_> = self.ledger.queues.iter().map(|queue| (queue.owner.clone(), queue.queue.clone())).collect();
        for origin in &mut self.ledger.origins {
            origin.forget_times(now);
        }
        for (owner, queue) in &names {
            let mut after = 0;
            loop {
                let scan = Scan::of(Index::State, vec![owner, queue, State::Pending.as_str()], PAGE).from(after);
                let page = self.tx.scan(&scan).await?;
                let Some(last) = page.last() else { break };
                after = last.order.seq + 1;
                for mut job in page {
                    if job.forget_times(now, device) {
                        self.tx.put(&job)?;
                    }
                }
            }
        }
        Ok(())
    }
}

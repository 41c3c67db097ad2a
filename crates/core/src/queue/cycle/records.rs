//! Takes the result of a record's mutation to the record, in the transaction that takes the job out of the queue.

use super::{
    CycleRun,
    retry::Next,
    settle::{Settled, Settlement},
};
use crate::{
    boxed::boxed,
    collections::{
        mutation::of_job,
        push::{Verdict, settle, verdict, withdraw},
    },
    error::Error,
    queue::job::{Job, State},
    store::Tx,
    time::Millis,
};

impl<T: Tx> CycleRun<'_, T> {
    /// Settles a mutation. What the record makes nothing of is the queue's, as of any other job.
    pub(super) async fn settle_mutation(&mut self, job: Job, settlement: &Settlement, next: Next) -> Result<(), Error> {
        let Some(record) = of_job(self.tx, &job).await? else { return self.record(job, settlement, next).await };
        let collections = &self.settings.config.collections;
        let Some((name, config)) = collections.iter().find(|(name, _)| *name == record.collection) else {
            return self.record(job, settlement, next).await;
        };
        let verdict = verdict(&record, &settlement.result, next, config);
        let queue = job.queue.clone();
        let mut made = 0;
        match verdict {
            Verdict::Other => return self.record(job, settlement, next).await,
            Verdict::Done(_) => self.deliver(job, settlement).await?,
            Verdict::Met(_) | Verdict::Unknown | Verdict::NameTaken => {
                made = job.attempts.made;
                boxed(withdraw(self.tx, self.now, self.ledger, &mut self.leaving, &job)).await?;
            }
        }
        if !self.collections.contains(name) {
            self.collections.push(name.clone());
        }
        let worker = self.settings.config;
        let settled = settle(self.tx, self.now, self.ledger, &mut self.leaving, record, verdict, config, worker, made);
        let next = boxed(settled).await?;
        if let Some(mut next) = next {
            if made >= self.settings.queue.max_attempts {
                // One after the other was refused: a person looks at it.
                self.exhaust(&mut next, settlement)?;
            } else if made > 1 && next.state == State::Pending {
                let wait = self.settings.queue.backoff.delay(made, next.attempts.last_delay, settlement.roll);
                let at = self.now.after(wait);
                let error = crate::queue::last_error::LastError::of(&settlement.result, self.settings.queue);
                let from = next.state;
                next.attempts.last_delay = wait;
                next.schedule(at, Millis(0), error);
                self.ledger.shift(&next, from);
                self.tx.put(&next)?;
            }
            if next.queue != queue && !self.freed.contains(&next.queue) {
                self.freed.push(next.queue.clone());
            }
            if made > 0 {
                self.settled.push(Settled::Kept(Box::new(next)));
            }
        }
        Ok(())
    }

    fn exhaust(&mut self, job: &mut Job, settlement: &Settlement) -> Result<(), Error> {
        let error = crate::queue::last_error::LastError::of(&settlement.result, self.settings.queue);
        let from = job.state;
        job.dead_letter(State::Failed, error, self.settings.queue.on_failure);
        self.ledger.shift(job, from);
        self.tx.put(job)
    }
}

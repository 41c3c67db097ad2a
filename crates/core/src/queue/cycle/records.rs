//! Takes the result of a record's mutation to the record, in the transaction that takes the job out of the queue.

use super::{
    CycleRun,
    retry::Next,
    settle::{Settled, Settlement},
};
use crate::{
    boxed::boxed,
    collections::{
        CollectionConfig, Record, document,
        mutation::{find, of_job, plan, queue_of, state_of, store},
        push::{Verdict, settle, verdict, withdraw},
        record::PushOp,
        references::{self, Referred},
    },
    error::Error,
    queue::{
        job::{Job, State},
        last_error::{ErrorKind, LastError},
    },
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
        // It was told that the row was made, and there is none: to make another might make a second.
        let is_lost = record.sent.is_some() && record.base.is_none() && verdict == Verdict::Unknown;
        match verdict {
            Verdict::Other => {
                self.record(job, settlement, next).await?;
                if next != Next::Failed {
                    return Ok(());
                }
                let (owner, id) = (record.owner.clone(), record.id.clone());
                self.supersede(record, config).await?;
                return self.look_at_waiting(name, &owner, &id, &queue).await;
            }
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
        let (owner, id) = (record.owner.clone(), record.id.clone());
        let settled = settle(self.tx, self.now, self.ledger, &mut self.leaving, record, verdict, config, worker, made);
        let next = boxed(settled).await?;
        if let Some(mut next) = next {
            if is_lost {
                let message = "the server accepted the record, and has no row of its id: it has to respond with the row";
                let error = LastError { kind: ErrorKind::Http, status: None, message: message.to_owned() };
                self.give_up(&mut next, error)?;
            } else if made >= self.settings.queue.max_attempts {
                // One after the other was refused: a person looks at it.
                self.give_up(&mut next, LastError::of(&settlement.result, self.settings.queue))?;
            } else if made > 1 && next.state == State::Pending {
                let wait = self.settings.queue.backoff.delay(made, next.attempts.last_delay, settlement.roll);
                let at = self.now.after(wait);
                let error = LastError::of(&settlement.result, self.settings.queue);
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
        // Last: it may take away a mutation that refers to this one, and make another.
        self.look_at_waiting(name, &owner, &id, &queue).await
    }

    /// Looks again at the records that wait for this one.
    async fn look_at_waiting(&mut self, name: &str, owner: &str, id: &str, queue: &str) -> Result<(), Error> {
        let worker = self.settings.config;
        let released = references::release(self.tx, self.now, self.ledger, &mut self.leaving, name, owner, id, worker);
        for other in boxed(released).await? {
            let config = worker.collections.iter().find(|(name, _)| *name == other);
            let freed = config.map(|(name, config)| queue_of(config, name));
            self.freed.extend(freed.filter(|freed| *freed != queue && !self.freed.contains(freed)));
            if !self.collections.contains(&other) {
                self.collections.push(other);
            }
        }
        Ok(())
    }

    /// Of a mutation that was refused for good, what was written since takes the place.
    async fn supersede(&mut self, mut record: Record, config: &CollectionConfig) -> Result<(), Error> {
        let Some(push) = record.push.as_ref().filter(|push| push.op != PushOp::Read) else { return Ok(()) };
        // What it refers to was unknown when it was made, and has come since.
        let has_come = match &record.waits_for {
            Some(Referred { collection, id }) => find(self.tx, collection, &record.owner, id).await?.is_some(),
            None => false,
        };
        if !has_come && !document::differ(push.data.as_deref(), record.local.as_deref(), config) {
            return Ok(());
        }
        let (worker, leaving) = (self.settings.config, &mut self.leaving);
        let next = boxed(plan(self.tx, self.now, self.ledger, leaving, &mut record, config, worker)).await?;
        let state = state_of(self.tx, &record.collection, &record.owner).await?;
        store(self.tx, &mut record, &state)?;
        if let Some(next) = next
            && !self.freed.contains(&next.queue)
        {
            self.freed.push(next.queue);
        }
        Ok(())
    }

    fn give_up(&mut self, job: &mut Job, error: LastError) -> Result<(), Error> {
        let from = job.state;
        job.dead_letter(State::Failed, error, self.settings.queue.on_failure);
        self.ledger.shift(job, from);
        self.tx.put(job)
    }
}

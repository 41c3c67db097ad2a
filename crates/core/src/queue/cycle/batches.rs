//! Puts batches together as jobs are claimed, and settles them. What always holds is said in [`crate::queue::batch`].

use super::{
    Cycle, CycleRun, PAGE,
    retry::{Next, Retry, decide},
    settle::{Settled, Settlement},
};
use crate::{
    boxed::boxed,
    error::Error,
    id::JobId,
    queue::{
        batch::{self, BatchConfig, SentIn},
        config::QueueConfig,
        job::{Job, Place, State},
        last_error::{ErrorKind, LastError},
    },
    store::{Index, Scan, Tx},
    time::{Millis, unit},
    wire::text::Text,
};

/// Rows looked at beyond those that fit into a batch, to find its items among others.
const SPARE: u32 = 64;

/// Milliseconds that a batch waits whose member another drain still holds.
const HELD_ELSEWHERE: u64 = unit::SECOND;

/// What has become of the batch that a job is in.
enum Stored {
    /// All of it may go: the members in their order.
    Whole(Vec<Job>),
    /// All of it waits.
    Held(Millis),
    /// It cannot be sent as it was.
    Broken,
}

impl<T: Tx> CycleRun<'_, T> {
    /// All that is sent together with `job`, which may go: its batch as it was, a new one, or itself. Nothing where they
    /// all wait. `seen` takes the ids of the others, whose rows were changed.
    pub(super) async fn assemble(
        &mut self,
        cycle: &Cycle,
        owner: &str,
        mut job: Job,
        seen: &mut Vec<JobId>,
    ) -> Result<Vec<Job>, Error> {
        let mut dissolved = None;
        if job.batch.is_some() {
            let members = boxed(batch::members(self.tx, &job)).await?;
            seen.extend(members.iter().map(|member| member.id.clone()));
            match self.stored(&job, members.clone()) {
                Stored::Whole(jobs) => return Ok(jobs),
                Stored::Held(until) => {
                    for member in members.into_iter().filter(|member| member.state == State::Pending) {
                        self.put_off(member, until, None)?;
                    }
                    return Ok(Vec::new());
                }
                Stored::Broken => {
                    for mut member in members.into_iter().filter(|member| member.state == State::Pending) {
                        member.batch = None;
                        self.tx.put(&member)?;
                    }
                    dissolved = job.batch.take().map(|membership| membership.key);
                }
            }
        }
        let Some(config) = self.settings.queue.batch.as_ref().filter(|_| job.is_item()) else {
            // What was sent by itself once goes by itself for good: it may have arrived under its own key.
            job.work.request_mut().item = None;
            return Ok(vec![job]);
        };
        let mut jobs = boxed(self.company(cycle, owner, job, config, dissolved.as_ref())).await?;
        seen.extend(jobs.iter().map(|job| job.id.clone()));
        batch::bind(&mut jobs, self.ledger.version, &config.envelope);
        Ok(jobs)
    }

    /// Looks at the batch of `job`, given the members that are left of it, in their order.
    fn stored(&self, job: &Job, members: Vec<Job>) -> Stored {
        let lead = job.batch.as_ref().map(|membership| &membership.lead);
        let plan = members.iter().find(|member| Some(&member.id) == lead).and_then(|lead| lead.batch.as_ref()?.batch.as_ref());
        let is_whole = plan.is_some_and(|plan| plan.members.iter().eq(members.iter().map(|member| &member.id)));
        let (mut until, now) = (Millis(0), self.now);
        for member in &members {
            match (member.state, member.place) {
                (State::Pending, Place::Ready | Place::Due) if member.schedule.expires_at > self.wall => {
                    // Of one that is ready the wait is over, also where the clock was set back since.
                    if member.place == Place::Due {
                        until = until.max(member.schedule.hold_until.min(member.schedule.next_attempt_at));
                    }
                }
                (State::Syncing, _) => until = until.max(member.lease_ends(now)).max(now.after(HELD_ELSEWHERE)),
                _ => return Stored::Broken,
            }
        }
        match is_whole {
            true if until > now => Stored::Held(until),
            true => Stored::Whole(members),
            false => Stored::Broken,
        }
    }

    /// A job and the items that go with it, in the order of claiming; those of the batch that was `dissolved` are free, though
    /// their rows may not say so yet.
    async fn company(
        &self,
        cycle: &Cycle,
        owner: &str,
        job: Job,
        config: &BatchConfig,
        dissolved: Option<&JobId>,
    ) -> Result<Vec<Job>, Error> {
        let mut bytes = config.envelope.size().saturating_add(job.size().unwrap_or(0));
        let mut jobs = vec![job];
        let Some(lead) = jobs.first().cloned() else { return Ok(jobs) };
        let ready = Scan::of(Index::Ready, vec![owner, &cycle.queue, lead.origin()], config.max.saturating_add(SPARE));
        let mut others = self.tx.scan(&ready).await?;
        if config.wait > 0 {
            others.extend(self.waiting(&cycle.queue, owner, config).await?);
        }
        for other in others {
            if jobs.len() >= config.max as usize {
                break;
            }
            let is_fit =
                other.id != lead.id && batch::are_alike(&lead, &other, dissolved) && other.schedule.expires_at > self.wall;
            if !is_fit || other.origin() != lead.origin() || !self.permit.allows(&other) {
                continue;
            }
            let more = other.size().unwrap_or(0).saturating_add(1);
            // The order of the line is worth more than a full request.
            if bytes.saturating_add(more) > config.max_bytes {
                break;
            }
            bytes += more;
            jobs.push(other);
        }
        Ok(jobs)
    }

    /// Items that wait for company and nothing else, the oldest first.
    async fn waiting(&self, queue: &str, owner: &str, config: &BatchConfig) -> Result<Vec<Job>, Error> {
        let limit = config.max.saturating_add(SPARE).max(PAGE);
        let scan = Scan::of(Index::Due, vec![owner, queue], limit).upto(self.now.after(config.wait).0);
        let mut jobs = self.tx.scan(&scan).await?;
        jobs.retain(Job::waits_for_company);
        Ok(jobs)
    }

    /// Lets items go that wait for company and have enough of it.
    pub(super) async fn open_full_batches(&mut self, queue: &str, owner: &str) -> Result<(), Error> {
        let Some(config) = self.settings.queue.batch.as_ref().filter(|config| config.wait > 0) else { return Ok(()) };
        self.shorten_waits(queue, owner, config).await?;
        let mut waiting = self.waiting(queue, owner, config).await?;
        let (mut count, mut bytes, mut full) = (0, config.envelope.size(), 0);
        for (at, job) in waiting.iter().enumerate() {
            let more = job.size().unwrap_or(0).saturating_add(1);
            if count > 0 && bytes.saturating_add(more) > config.max_bytes {
                (full, count, bytes) = (at, 0, config.envelope.size());
            }
            bytes = bytes.saturating_add(more);
            count += 1;
            if count == config.max as usize {
                (full, count, bytes) = (at + 1, 0, config.envelope.size());
            }
        }
        waiting.truncate(full);
        for mut job in waiting {
            job.place = Place::Ready;
            job.schedule.next_attempt_at = self.now;
            self.first_due = None;
            self.tx.put(&job)?;
        }
        Ok(())
    }

    /// Nobody waits for company for longer than the configuration says: who seems to was queued before the clock was set back,
    /// or before an update made the wait shorter.
    async fn shorten_waits(&mut self, queue: &str, owner: &str, config: &BatchConfig) -> Result<(), Error> {
        let latest = self.now.after(config.wait);
        let scan = Scan::of(Index::Due, vec![owner, queue], PAGE).from(latest.0 + 1);
        for mut job in self.tx.scan(&scan).await?.into_iter().filter(Job::waits_for_company) {
            job.schedule.next_attempt_at = latest;
            self.first_due = None;
            self.tx.put(&job)?;
        }
        Ok(())
    }

    /// Records the result of a batch for each of its jobs.
    pub(super) async fn settle_batch(
        &mut self,
        sent: &SentIn,
        jobs: Vec<(&Settlement, Option<Job>)>,
        holder: &str,
    ) -> Result<(), Error> {
        let config = self.settings.queue;
        // What a success has to look like is said of the response, not of its parts.
        let of_items = QueueConfig { expect: config.expect.clone().filter(|_| !sent.own), ..config.clone() };
        let alone = jobs.len() == 1;
        let mut is_noted = false;
        let mut ours = Vec::with_capacity(jobs.len());
        for (settlement, job) in jobs {
            let Some(mut job) = job else {
                self.settled.push(Settled::Late);
                continue;
            };
            let at = settlement.at.min(self.now);
            let next = decide(&job, &settlement.result, &of_items, at, settlement.roll);
            // To its server a batch is one request; and one that tells its items apart fares well.
            if !std::mem::replace(&mut is_noted, true) {
                self.note_origin(&job, settlement, if sent.own { Next::Delivered } else { next });
            }
            let same_key = job.idempotency_key == settlement.key;
            let is_in = job.batch.as_ref().is_some_and(|membership| membership.key == sent.key);
            if job.lease.as_ref().is_some_and(|lease| lease.holder == holder) && same_key && is_in {
                ours.push((job, settlement, next));
            } else if next == Next::Delivered && job.state != State::Syncing && same_key {
                // Another drain took the lease for dead. A delivery is the truth all the same.
                boxed(self.deliver(job, settlement)).await?;
            } else {
                if sent.own && is_in && job.state == State::Pending {
                    // What became of the others is known too: they are no batch any more.
                    job.batch = None;
                    self.tx.put(&job)?;
                }
                self.settled.push(Settled::Late);
            }
        }
        if let Some((_, settlement, next)) = ours.first()
            && !sent.own
            && !alone
            && batch::splits(*next, &settlement.result)
        {
            let refused = LastError::of(&settlement.result, config);
            return self.split(ours.into_iter().map(|(job, ..)| job).collect(), &refused).await;
        }
        let (mut together, mut waits) = (None::<Retry>, 0);
        for (.., next) in &ours {
            if let Next::Retry(retry) = next {
                let least = together.unwrap_or(*retry);
                together =
                    Some(Retry { at: least.at.max(retry.at), hold_until: least.hold_until.max(retry.hold_until), ..least });
                waits += 1;
            }
        }
        // Some have no attempt left, which the others have.
        let parts = waits != ours.len() && together.is_some();
        for (mut job, settlement, next) in ours {
            let next = match (next, together) {
                (Next::Retry(retry), Some(together)) if !sent.own => {
                    Next::Retry(Retry { at: together.at, hold_until: together.hold_until, ..retry })
                }
                _ => next,
            };
            if sent.own || parts {
                job.batch = None;
            }
            job.attempts.made = job.attempts.made.saturating_add(u32::from(next.burns_attempt()));
            boxed(self.record(job, settlement, next)).await?;
        }
        Ok(())
    }

    /// Makes two batches of one that was refused, each under a key of its own.
    async fn split(&mut self, mut jobs: Vec<Job>, refused: &LastError) -> Result<(), Error> {
        let envelope = jobs.iter().find_map(|job| Some(job.batch.as_ref()?.batch.as_ref()?.envelope.clone()));
        let error = LastError {
            kind: ErrorKind::Http,
            status: refused.status,
            message: ["refused in a batch with others, which is sent in halves: ", &refused.message].text(),
        };
        let mut later = jobs.split_off(jobs.len().div_ceil(2));
        for half in [&mut jobs, &mut later] {
            match &envelope {
                Some(envelope) => batch::bind(half, self.ledger.version, envelope),
                // The lead was cancelled meanwhile: they are put together anew.
                None => half.iter_mut().for_each(|job| job.batch = None),
            }
        }
        for mut job in jobs.into_iter().chain(later) {
            let (from, in_line) = (job.state, job.order.line);
            job.split_off(self.now, error.clone());
            self.keep(job, from, in_line).await?;
        }
        Ok(())
    }
}

//! Carries requests to the servers and replies back.
//!
//! A request that has left arrives whatever becomes of its sender; a reply reaches only a sender
//! that is still there and still waits.

use shearwater_core::{
    JobId,
    drain::Input,
    http::reply::AttemptResult,
    queue::{batch, cycle::retry::disposition},
    time::unit::SECOND,
};

use crate::{
    batches::{self, Item},
    check::{self, Checked},
    flaw::Flaw,
    server::Request,
    wire::{Part, SendNo, Status},
    world::{Event, World},
};

impl World {
    /// The request leaves the device, or finds that there is no network.
    pub(crate) fn leaves(&mut self, number: SendNo) -> Checked {
        if !self.wire.sending(number).is_some_and(|sending| sending.status == Status::InTheAir) {
            return Ok(());
        }
        if !self.online {
            self.later(1, 30, Event::Answered(number, AttemptResult::Unreachable));
            return Ok(());
        }
        self.wire.leave(number);
        let transit = if self.rng.happens(self.faults.misconduct / 8.0) { self.rng.magnitude(100 * SECOND) } else { 0 };
        self.later(transit + 1, transit + 100, Event::Arrives(number));
        Ok(())
    }

    /// The request is at the server.
    pub(crate) fn arrives(&mut self, number: SendNo) -> Checked {
        let Some(sending) = self.wire.sending(number) else { return Ok(()) };
        let request = Request {
            origin: sending.job.origin(),
            method: &sending.job.work.request().head.method,
            key: &sending.key,
            content: batches::content_of(&sending.job),
            body: sending.parts.first().and_then(|part| part.body),
            items: sending.payload.is_some().then(|| {
                let item = |part: &Part| Item {
                    content: batches::content_of(&part.job),
                    body: part.body,
                    key: part.job.idempotency_key.clone(),
                };
                sending.parts.iter().map(item).collect()
            }),
            token: sending.login.token,
        };
        let answer = self.servers.take(&request, self.clock.elapsed(), self.faults.misconduct, &mut self.rng)?;
        let seq = sending.job.order.seq;
        self.note(|| format!("the server gets #{seq} and says {:?} after {} ms", answer.reply, answer.after));
        if let Some(mut reply) = answer.reply {
            if let AttemptResult::Status(response) = &mut reply
                && self.rng.happens(0.3)
            {
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(self.clock.true_time().0);
                response.date = Some(httpdate::fmt_http_date(time));
            }
            self.later(answer.after, answer.after, Event::Answered(number, reply));
        }
        Ok(())
    }

    /// A send is over, and its drain hears of it.
    pub(crate) fn finish(&mut self, number: SendNo, mut result: AttemptResult) -> Checked {
        let Some(sending) = self.wire.sending(number) else { return Ok(()) };
        if self.flaw == Some(Flaw::SettlesAllByFirst)
            && let AttemptResult::Status(response) = &mut result
            && let Some(items) = &mut response.items
            && let Some(first) = items.first().cloned()
        {
            items.fill(first);
        }
        let (run, dispatch, job) = (sending.run, sending.dispatch.clone(), sending.job.clone());
        self.read_body(&job, &mut result);
        let Some(sending) = self.wire.sending(number) else { return Ok(()) };
        let queue = self.config_of_run(run).queue_or_default(&sending.job.queue);
        let status = match &result {
            AttemptResult::TimedOut => Status::TimedOut,
            result => Status::Answered(disposition(&sending.job.work.request().head.method, result, &queue)),
        };
        let method = sending.job.work.request().head.method.clone();
        if !self.wire.end(number, status) {
            return Ok(());
        }
        if let Some(sending) = self.wire.sending_mut(number).filter(|sending| sending.payload.is_some()) {
            let (each, own) = batch::results_of_each(&result, sending.parts.len());
            let each: Vec<_> = each.iter().map(|result| disposition(&method, result, &queue)).collect();
            // A success that does not tell its items apart is none.
            if let (false, Some(first), Status::Answered(_)) = (own, each.first(), sending.status) {
                sending.status = Status::Answered(*first);
            }
            check::batches::read(sending, &result, &each, own);
        }
        let roll = self.rng.roll();
        self.feed(run, Input::Attempted { dispatch, result, roll })
    }

    /// The sends of this job are aborted: a person cancelled it. What has left may arrive.
    pub(crate) fn abort(&mut self, id: &JobId) -> Checked {
        let numbers: Vec<SendNo> =
            self.wire.in_the_air().filter(|(_, sending)| sending.carries(id)).map(|(number, _)| number).collect();
        numbers.into_iter().try_for_each(|number| self.revoke(number))?;
        let runs: Vec<_> = self.runs.keys().copied().collect();
        runs.into_iter().try_for_each(|run| self.feed(run, Input::Cancelled(id.clone())))
    }
}

/// What the request to this URL says.
pub(crate) fn content_of(url: &str) -> u64 {
    url.rsplit('/').next().and_then(|content| content.parse().ok()).unwrap_or(0)
}

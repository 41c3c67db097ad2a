//! Requests on their way: drains' cycles, pulls and listings send them, the server handles them, answers come or are lost.

use serde_json::json;
use shearwater_core::{
    Millis,
    collections::{
        listing::{self, Listing, Step},
        mutation, pull,
    },
    health::clock::Time,
    http::reply::{AttemptResult, Response},
    queue::{
        cycle::{self, Cycle, Settings, Settlement, Takeover},
        job::Job,
    },
    schedule::{network::Connection, wakes::SkipBackoff},
};

use super::{NOTES, Records, server::Answer};
use crate::{
    check::{Checked, Promise, Violation},
    flaw::Flaw,
};

/// What a request is for.
#[derive(Clone)]
pub(super) enum What {
    Mutation { job: Box<Job>, body: Option<String> },
    Page { holder: String, url: String },
    Listing { listing: Box<Listing>, url: String },
}

/// A request on its way.
pub(super) struct Flight {
    pub(super) client: usize,
    /// The life of the worker that sent it: one that died hears no answer.
    pub(super) life: u64,
    pub(super) what: What,
    pub(super) answer: Option<Answer>,
}

impl Records {
    pub(super) fn drain(&mut self, client: usize) -> Checked {
        let holder = self.holder(client);
        let Some(state) = self.clients.get_mut(client) else { return Ok(()) };
        let takeover = std::mem::take(&mut state.takes_over).then_some(Takeover { exclusive: true });
        let settle = std::mem::take(&mut state.settlements);
        self.lose_what_was_written_meanwhile(client, &settle);
        let cycle = Cycle {
            queue: NOTES.to_owned(),
            owner: String::new(),
            holder,
            takeover,
            skip: if self.rng.happens(0.3) || self.quiescing { SkipBackoff::All } else { SkipBackoff::None },
            skip_from: Millis(0),
            time: Time::Unasked,
            connection: Connection::default(),
            asked: false,
            settle: settle.clone(),
            release: Vec::new(),
            claim: 4,
            most: 12,
            share: 12,
            in_flight: Vec::new(),
        };
        let now = self.now;
        let done = self.transact(client, async |tx, config| {
            let queue = config.queue_or_default(NOTES);
            cycle::cycle(tx, now, &cycle, Settings::new(config, &queue)).await
        })?;
        let Some(state) = self.clients.get_mut(client) else { return Ok(()) };
        let Ok(done) = done else {
            // As a drain does: all of it again.
            state.settlements.splice(0..0, settle);
            state.takes_over |= takeover.is_some();
            return Ok(());
        };
        let life = state.life;
        for job in done.claimed {
            let body = self
                .records_of(client)
                .into_iter()
                .find(|record| record.push.as_ref().is_some_and(|push| push.job == job.id))
                .and_then(|record| record.push?.body);
            self.flights.push(Flight { client, life, what: What::Mutation { job: Box::new(job), body }, answer: None });
        }
        Ok(())
    }

    pub(super) fn holder(&self, client: usize) -> String {
        format!("{client} {}", self.clients.get(client).map_or(0, |client| client.life))
    }

    pub(super) fn begin_pull(&mut self, client: usize) -> Checked {
        let now = self.now;
        if self.clients.get(client).is_some_and(|client| !client.has_requeued) {
            let requeued = self.transact(client, async |tx, config| mutation::requeue(tx, now, NOTES, "", config).await)?;
            self.clients.iter_mut().skip(client).take(1).for_each(|client| {
                client.has_requeued = requeued.is_ok();
                client.has_discarded &= requeued.is_err();
            });
        }
        self.counter += 1;
        let holder = format!("pull {}", self.counter);
        if self.flaw == Some(Flaw::PullsSideBySide) {
            self.spoil(client, |state| state.running = None);
        }
        let begun = self.transact(client, async |tx, config| pull::begin(tx, now, NOTES, &holder, "", false, config).await)?;
        if let Ok(Some(head)) = begun {
            let life = self.clients.get(client).map_or(0, |client| client.life);
            self.flights.push(Flight { client, life, what: What::Page { holder, url: head.url }, answer: None });
        }
        Ok(())
    }

    /// A client compares all rows, if it is not pulling.
    pub(super) fn begin_listing(&mut self, client: usize) -> Checked {
        let now = self.now;
        self.counter += 1;
        let holder = format!("listing {}", self.counter);
        let begun =
            self.transact(client, async |tx, config| listing::begin(tx, now, NOTES, &holder, "", false, &[], config).await)?;
        if let Ok(step) = begun {
            self.go_on_listing(client, step);
        }
        Ok(())
    }

    fn go_on_listing(&mut self, client: usize, step: Step) {
        let life = self.clients.get(client).map_or(0, |client| client.life);
        match step {
            Step::Page(listing, head) => {
                self.flights.push(Flight { client, life, what: What::Listing { listing, url: head.url }, answer: None });
            }
            Step::Done(report) => self.note(|| format!("{client} has listed: {report:?}")),
        }
    }

    /// A request reaches the server.
    pub(super) fn reach(&mut self) -> Checked {
        let waiting: Vec<usize> =
            self.flights.iter().enumerate().filter(|(_, flight)| flight.answer.is_none()).map(|(at, _)| at).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(waiting.len());
        let Some(at) = waiting.get(at).copied() else { return Ok(()) };
        if let Some(Flight { client, what: What::Mutation { body: Some(body), .. }, .. }) = self.flights.get(at) {
            self.check_body(*client, body)?;
        }
        let Some(flight) = self.flights.get_mut(at) else { return Ok(()) };
        let answer = if !self.quiescing && self.rng.happens(0.08) {
            Answer { status: self.rng.pick([500, 503, 429, 401]), body: None }
        } else {
            match &flight.what {
                What::Page { url, .. } | What::Listing { url, .. } => {
                    self.server.handle("GET", url, "", None, None, self.flaw, &mut self.rng)
                }
                What::Mutation { job, body } => {
                    let head = &job.work.request().head;
                    let if_match = head.headers.iter().find(|(name, _)| name == "if-match").map(|(_, value)| value.as_str());
                    self.server.handle(
                        &head.method,
                        &head.url,
                        &job.idempotency_key,
                        if_match,
                        body.as_deref(),
                        self.flaw,
                        &mut self.rng,
                    )
                }
            }
        };
        let what = match &flight.what {
            What::Page { url, .. } | What::Listing { url, .. } => url.clone(),
            What::Mutation { job, body } => {
                format!("{} {} {} {body:?}", job.work.request().head.method, job.work.request().head.url, job.idempotency_key)
            }
        };
        let client = flight.client;
        flight.answer = Some(answer.clone());
        self.note(|| format!("   server handles {what} of {client}: {} {:?}", answer.status, answer.body));
        Ok(())
    }

    /// An answer arrives, or is lost on its way; so is a request that has not reached the server.
    pub(super) fn answer(&mut self) -> Checked {
        if self.flights.is_empty() {
            return Ok(());
        }
        let is_lost = !self.quiescing && self.rng.happens(0.15);
        let ready: Vec<usize> =
            self.flights.iter().enumerate().filter(|(_, flight)| is_lost || flight.answer.is_some()).map(|(at, _)| at).collect();
        if ready.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(ready.len());
        let Some(at) = ready.get(at).copied() else { return Ok(()) };
        let Flight { client, life, what, answer } = self.flights.remove(at);
        if self.clients.get(client).is_none_or(|client| client.life != life) {
            return Ok(());
        }
        let result = match answer.filter(|_| !is_lost) {
            None => AttemptResult::Unreachable,
            Some(Answer { status, body }) => AttemptResult::Status(Response { status, body, ..Response::default() }),
        };
        let now = self.now;
        self.note(|| {
            format!(
                "{client} hears {result:?} of {}",
                match &what {
                    What::Mutation { job, .. } => job.idempotency_key.clone(),
                    What::Page { holder, .. } => holder.clone(),
                    What::Listing { .. } => "a listing".to_owned(),
                }
            )
        });
        match what {
            What::Mutation { job, .. } => {
                if !is_lost {
                    self.server.replied(&job.idempotency_key);
                }
                let roll = self.rng.roll();
                if let Some(client) = self.clients.get_mut(client) {
                    client.settlements.push(Settlement {
                        id: job.id.clone(),
                        key: job.idempotency_key.clone(),
                        result,
                        at: now,
                        roll,
                        batch: None,
                    });
                }
                if self.rng.happens(0.7) { self.drain(client) } else { Ok(()) }
            }
            What::Listing { listing, .. } => {
                let body = match &result {
                    AttemptResult::Status(Response { status: 200, body: Some(body), .. }) => Some(body.clone()),
                    _ if self.flaw == Some(Flaw::TakesFailedPagesForLast) => Some(json!({"items": []}).to_string()),
                    _ => None,
                };
                let next = self.transact(client, async |tx, config| match &body {
                    Some(body) => listing::apply(tx, now, &listing, body, config).await,
                    None => listing::failed(tx, now, &listing, "no page", config).await,
                })?;
                if let Ok(step) = next {
                    self.go_on_listing(client, step);
                }
                Ok(())
            }
            What::Page { holder, .. } => {
                self.spoil_page(client, &holder);
                let body = match &result {
                    AttemptResult::Status(Response { status: 200, body: Some(body), .. }) => Some(body.clone()),
                    _ => None,
                };
                let next = self.transact(client, async |tx, config| match &body {
                    Some(body) => pull::apply(tx, now, NOTES, &holder, "", body, config).await,
                    None => pull::failed(tx, now, NOTES, &holder, "", "no page").await,
                })?;
                match next {
                    Ok(pull::Next::Page(head)) => {
                        self.flights.push(Flight { client, life, what: What::Page { holder, url: head.url }, answer: None })
                    }
                    Ok(pull::Next::Failed(why)) if body.is_some() => {
                        return Err(Violation::new(Promise::Live, format!("client {client}: a good page was refused: {why}")));
                    }
                    _ => {}
                }
                Ok(())
            }
        }
    }

    pub(super) fn fly(&mut self) -> Checked {
        while !self.flights.is_empty() {
            self.reach()?;
            self.answer()?;
        }
        Ok(())
    }
}

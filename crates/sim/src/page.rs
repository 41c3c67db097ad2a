//! Simulates pages and the people before them: they queue, ask again, look, and lay hands on jobs.

use std::rc::Rc;

use shearwater_core::{
    JobId,
    request::RequestHead,
    store::{
        enqueue::{EnqueueOptions, NewJob, Priority, admit, enqueue},
        hands::{self, Body, Edit},
        read::{self, Filter},
        turn::Ripen,
    },
    time::unit::{DAY, HOUR, MINUTE},
    view::Status,
};

use crate::{
    check::{self, Cause, Checked, Hand, Promise},
    server::ORIGINS,
    weather::QUEUES,
    worker::CONTEXTS,
    world::{Event, World},
};

/// Those who use the app.
pub(crate) const OWNERS: [&str; 3] = ["", "ada", "bob"];

/// A page's call of `enqueue`, kept until it is answered.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) jobs: Vec<Asked>,
    pub(crate) repeat: bool,
}

/// One job of a call.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) new: NewJob,
    pub(crate) origin: &'static str,
    pub(crate) content: u64,
    pub(crate) size: Option<u64>,
}

impl World {
    /// A page queues something.
    pub(crate) fn call(&mut self) -> Checked {
        let count = self.chance.pick([1, 1, 1, 2, 5]);
        let jobs = (0..count).map(|_| self.ask()).collect();
        self.enqueue(Call { jobs, repeat: false })
    }

    fn ask(&mut self) -> Asked {
        let (request, origin, content, size) = self.request();
        let chance = &mut self.chance;
        let key = chance.happens(0.6).then(|| chance.pick(["a", "a", "b", "c"]).to_owned());
        let not_before = chance.happens(0.1).then(|| self.clock.device().after(chance.magnitude(2 * DAY)));
        self.book.latest_start = self.book.latest_start.max(not_before.unwrap_or_default());
        let options = EnqueueOptions {
            queue: Some(chance.pick(QUEUES).to_owned()),
            priority: chance.happens(0.3).then(|| chance.pick([1, 3, 8, 10])).and_then(|level| Priority::new(level).ok()),
            not_before,
            max_age: chance.happens(0.1).then(|| chance.pick([0, MINUTE, HOUR])),
            max_attempts: chance.happens(0.1).then(|| chance.pick([1, 3])),
            key,
        };
        Asked { new: NewJob { id: JobId::from_random(chance.bytes()), request, options, metadata: None }, origin, content, size }
    }

    /// A request that says something no other says.
    fn request(&mut self) -> (RequestHead, &'static str, u64, Option<u64>) {
        self.contents += 1;
        let (content, chance) = (self.contents, &mut self.chance);
        let origin = chance.pick(ORIGINS);
        let method = chance.pick(["POST", "POST", "PUT", "DELETE", "GET"]);
        let size = (method != "GET" && chance.happens(0.7))
            .then(|| if chance.happens(0.1) { 8 << 20 } else { chance.magnitude(1 << 16) });
        let request =
            RequestHead { url: format!("{origin}/items/{content}"), method: method.to_owned(), ..RequestHead::default() };
        (request, origin, content, size)
    }

    /// A call reaches the worker, which stores its jobs and answers; the answer may get lost.
    pub(crate) fn enqueue(&mut self, call: Call) -> Checked {
        let (now, config) = (self.clock.device(), Rc::clone(&self.config));
        let mut admitted = Vec::new();
        for asked in &call.jobs {
            match admit(asked.new.clone(), asked.origin.to_owned(), asked.size, &config) {
                Ok(job) => admitted.push((job, asked.size.map(|_| asked.content))),
                Err(error) => {
                    return Err(check::Violation::new(check::Promise::Durable, format!("a sound job was refused: {error}")));
                }
            }
        }
        let stored = self.transact(async |tx| enqueue(tx, now, admitted, call.repeat).await)?;
        let heard = match stored {
            Ok((answers, changes)) => {
                self.note(|| format!("enqueued{} {}", if call.repeat { " again" } else { "" }, check::tell(&answers)));
                check::accepts::record(self, &call, &answers)?;
                check::committed(self, &Cause::Enqueue, &changes)?;
                !self.chance.happens(self.weather.answer_lost)
            }
            Err(error) => {
                self.note(|| format!("enqueue failed: {error}"));
                // The page knows that nothing was stored; some people press the button again.
                self.chance.happens(0.5)
            }
        };
        if !heard {
            let delay = self.chance.magnitude(HOUR);
            self.later(delay, delay, Event::Enqueue(Call { repeat: true, ..call.clone() }));
        }
        if self.chance.happens(0.7) {
            let context = self.chance.index(CONTEXTS);
            for asked in call.jobs {
                let queue = asked.new.options.queue.unwrap_or_default();
                self.later(0, 5, Event::Wake(context, queue, Ripen::Nothing));
            }
        }
        Ok(())
    }

    /// A person does something to a job, or to many.
    pub(crate) fn lay_hands(&mut self) -> Checked {
        match self.chance.below(10) {
            0..3 => self.retry(),
            3..5 => self.discard(),
            5..7 => self.edit(),
            7 => self.clear(),
            8 => {
                let (queue, paused) = (self.chance.happens(0.7).then(|| self.chance.pick(QUEUES)), self.chance.happens(0.4));
                self.pause(queue, paused)
            }
            _ => {
                let owner = self.chance.pick(OWNERS);
                self.sign_in(owner)
            }
        }
    }

    /// Some job's id: mostly of one that is stored, most likely of one that ended.
    fn some_id(&mut self) -> JobId {
        let ended = self.chance.happens(0.5);
        let store = self.store.borrow();
        let ids: Vec<&JobId> = store.jobs().filter(|job| !ended || !job.is_live()).map(|job| &job.id).collect();
        match ids.get(self.chance.index(ids.len())) {
            Some(id) => (*id).clone(),
            None => JobId::from_random(self.chance.bytes()),
        }
    }

    fn retry(&mut self) -> Checked {
        let (id, now, config) = (self.some_id(), self.clock.device(), Rc::clone(&self.config));
        let in_time = check::hands::in_time(self, &id);
        if let Ok((job, changes)) = self.transact(async |tx| hands::retry(tx, now, &id, &config).await)? {
            self.note(|| format!("retry {id}: {}", job.is_some()));
            check::hands::answered(&id, in_time, job.is_some())?;
            check::committed(self, &Cause::Hand(Hand::Retry(&id)), &changes)?;
        }
        Ok(())
    }

    fn discard(&mut self) -> Checked {
        let (id, now) = (self.some_id(), self.clock.device());
        let in_time = check::hands::in_time(self, &id);
        if let Ok((job, changes)) = self.transact(async |tx| hands::discard(tx, now, &id).await)? {
            self.note(|| format!("discard {id}: {}", job.is_some()));
            check::hands::answered(&id, in_time, job.is_some())?;
            check::committed(self, &Cause::Hand(Hand::Discard(&id)), &changes)?;
        }
        Ok(())
    }

    fn edit(&mut self) -> Checked {
        let (id, now, config) = (self.some_id(), self.clock.device(), Rc::clone(&self.config));
        let (request, origin, content, size) = self.request();
        let key = JobId::from_random(self.chance.bytes()).to_string();
        let body = size.map_or(Body::None, |size| Body::Replace(content, size));
        let change = Edit { request, headers: true, origin: Some(origin.to_owned()), body, idempotency_key: key.clone() };
        let in_time = check::hands::in_time(self, &id);
        if let Ok((job, changes)) = self.transact(async |tx| hands::edit(tx, now, &id, change, &config).await)? {
            self.note(|| format!("edit {id}: {}", job.is_some()));
            check::hands::answered(&id, in_time, job.is_some())?;
            if job.is_some() {
                self.book.change(&id, content, &key, size.is_some());
            }
            check::committed(self, &Cause::Hand(Hand::Edit(&id)), &changes)?;
        }
        Ok(())
    }

    fn clear(&mut self) -> Checked {
        let now = self.clock.device();
        let state = self.chance.pick([shearwater_core::job::State::Failed, shearwater_core::job::State::Pending]);
        let filter = Filter { queue: Some(self.chance.pick(QUEUES).to_owned()), state: Some(state), ..Filter::default() };
        if let Ok((cleared, changes)) = self.transact(async |tx| hands::clear(tx, now, &filter).await)? {
            self.note(|| format!("clear {filter:?}: {cleared}"));
            check::committed(self, &Cause::Hand(Hand::Clear(&filter)), &changes)?;
        }
        Ok(())
    }

    /// Pauses or resumes.
    pub(crate) fn pause(&mut self, queue: Option<&str>, paused: bool) -> Checked {
        if let Ok((_, changes)) = self.transact(async |tx| hands::pause(tx, queue, paused).await)? {
            self.note(|| format!("{} {queue:?}", if paused { "pause" } else { "resume" }));
            match queue {
                None => {
                    self.book.paused = paused;
                    if !paused {
                        self.book.paused_queues.clear();
                    }
                }
                Some(queue) if paused => drop(self.book.paused_queues.insert(queue.to_owned())),
                Some(queue) => drop(self.book.paused_queues.remove(queue)),
            }
            check::committed(self, &Cause::Hand(Hand::Pause), &changes)?;
        }
        Ok(())
    }

    /// Somebody signs in.
    pub(crate) fn sign_in(&mut self, owner: &str) -> Checked {
        let (now, config) = (self.clock.device(), Rc::clone(&self.config));
        let purge = !self.calm && self.chance.happens(0.1);
        if purge {
            // As the worker does before it purges: what is claimed and not on its way is not sent.
            (0..CONTEXTS).try_for_each(|context| self.stop(context))?;
        }
        if let Ok((_, changes)) = self.transact(async |tx| hands::set_owner(tx, now, owner, purge, &config).await)? {
            self.note(|| format!("{owner:?} signs in{}", if purge { ", what was before is purged" } else { "" }));
            let before = std::mem::replace(&mut self.book.owner, owner.to_owned());
            let hand = if purge { Hand::Purge(&before) } else { Hand::SignIn };
            check::committed(self, &Cause::Hand(hand), &changes)?;
            let left = self.store.borrow().jobs().find(|job| purge && job.owner == before).map(|job| job.id.clone());
            check::ensure(left.is_none(), Promise::Private, || format!("{left:?} of {before:?} outlived a purge"))?;
        }
        Ok(())
    }

    /// A page looks at what is stored.
    pub(crate) fn look(&mut self) -> Checked {
        let config = Rc::clone(&self.config);
        if self.chance.happens(0.5) {
            let id = self.some_id();
            if let Ok(view) = self.read(async |tx| read::get(tx, &id, &config).await)? {
                check::hands::seen(self, &id, view.as_ref())?;
            }
            return Ok(());
        }
        let filter = Filter { limit: Some(1_000), ..Filter::default() };
        if let Ok(views) = self.read(async |tx| read::list(tx, &filter, &config).await)? {
            let status = self.store.borrow().ledger().map(Status::of);
            check::hands::listed(self, &views, status)?;
        }
        Ok(())
    }
}

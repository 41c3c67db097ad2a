//! Simulates pages and the people before them: they queue, ask again, look, and manage jobs.

use shearwater_core::{
    JobId,
    protocol::view::Status,
    queue::{
        config::WorkerConfig,
        enqueue::{Admitted, EnqueueOptions, NewJob, Priority, address, admit, enqueue},
        job::State,
        manage::{self, Body, Cancelled, Edit},
        request::RequestHead,
    },
    schedule::{network::NetworkChange, wakes::SkipBackoff},
    store::{
        Scope,
        read::{self, Filter},
        receipts::{Answer, Caller, once},
        repair,
    },
    time::unit::{DAY, HOUR, MINUTE},
};

use crate::{
    check::{self, Cause, Checked, Hand, Promise, Violation},
    drafts::Form,
    faults::QUEUES,
    flaw::Flaw,
    server::ORIGINS,
    store::Changes,
    worker::CONTEXTS,
    world::{Event, World},
};

/// Those who use the app.
pub(crate) const OWNERS: [&str; 3] = ["", "ada", "bob"];

/// A page's message, kept until it is answered: it may be lost, come late, and come again.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) ask: Ask,
}

/// What a page asks for.
#[derive(Clone)]
pub(crate) enum Ask {
    Enqueue(Vec<Asked>),
    Retry(JobId),
    Discard(JobId, bool),
    Cancel(JobId, bool),
    Edit { id: JobId, request: Box<RequestHead>, origin: &'static str, content: u64, size: Option<u64>, key: String },
    Clear(Filter),
    Compact { failed: Option<u64> },
    Repair,
    Pause { queue: Option<&'static str>, paused: bool },
    SetOwner { owner: &'static str, purge: Option<String> },
    Network(NetworkChange),
    Draft(Form),
}

/// One job of a call.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) new: NewJob,
    pub(crate) origin: &'static str,
    pub(crate) content: u64,
    pub(crate) size: Option<u64>,
}

impl Asked {
    /// Checks it as the worker does, which takes whatever a page of the simulation asks for.
    pub(crate) fn admit(&self, config: &WorkerConfig) -> Checked<(Admitted, Option<u64>)> {
        let mut new = self.new.clone();
        let known = address(&mut new, config);
        let origin = ORIGINS.into_iter().find(|origin| new.request.url.starts_with(origin)).unwrap_or(self.origin);
        match known.and_then(|()| admit(new, origin.to_owned(), self.size, config)) {
            Ok(job) => Ok((job, self.size.map(|_| self.content))),
            Err(error) => Err(Violation::new(Promise::Durable, format!("a sound job was refused: {error}"))),
        }
    }
}

impl World {
    /// A page queues something.
    pub(crate) fn call(&mut self) -> Checked {
        if self.rng.happens(0.25) {
            return self.use_form();
        }
        let count = self.rng.pick([1, 1, 1, 2, 5]);
        let jobs = (0..count).map(|_| self.ask()).collect();
        self.post(Ask::Enqueue(jobs))
    }

    pub(crate) fn ask(&mut self) -> Asked {
        let (request, origin, content, size) = self.request();
        let rng = &mut self.rng;
        let key = rng.happens(0.6).then(|| rng.pick(["a", "a", "b", "c"]).to_owned());
        let not_before = rng.happens(0.1).then(|| self.clock.device().after(rng.magnitude(2 * DAY)));
        self.oracle.latest_start = self.oracle.latest_start.max(not_before.unwrap_or_default());
        let options = EnqueueOptions {
            queue: Some(rng.pick(QUEUES).to_owned()),
            priority: rng.happens(0.3).then(|| rng.pick([1, 3, 8, 10])).and_then(|level| Priority::new(level).ok()),
            not_before,
            max_age: rng.happens(0.1).then(|| rng.pick([0, MINUTE, HOUR])),
            max_attempts: rng.happens(0.1).then(|| rng.pick([1, 3])),
            key,
            ..EnqueueOptions::default()
        };
        if self.batches && rng.happens(0.8) {
            let request = RequestHead::default();
            let size = Some(rng.magnitude(1 << 12));
            let metadata = Some(content.to_string());
            let options = EnqueueOptions { queue: Some(rng.pick(["default", "default", "narrow"]).to_owned()), ..options };
            return Asked {
                new: NewJob { id: JobId::from_random(rng.bytes()), request, options, metadata },
                origin,
                content,
                size,
            };
        }
        let new = NewJob { id: JobId::from_random(rng.bytes()), request, options, metadata: None };
        let mut asked = Asked { new, origin, content, size };
        if self.bindings {
            self.bind(&mut asked);
        }
        asked
    }

    /// A request that says something no other says.
    fn request(&mut self) -> (RequestHead, &'static str, u64, Option<u64>) {
        self.contents += 1;
        let (content, rng) = (self.contents, &mut self.rng);
        let origin = rng.pick(ORIGINS);
        let method = rng.pick(["POST", "POST", "PUT", "DELETE", "GET"]);
        let size = (method != "GET" && rng.happens(0.7)).then(|| if rng.happens(0.1) { 8 << 20 } else { rng.magnitude(1 << 16) });
        let request =
            RequestHead { url: format!("{origin}/items/{content}"), method: method.to_owned(), ..RequestHead::default() };
        (request, origin, content, size)
    }

    /// A page posts a message as the owner it knows of, which another tab may have changed. The message arrives, or
    /// gets lost with a worker and is posted again, or takes its time and is overtaken by its own repetition.
    pub(crate) fn post(&mut self, ask: Ask) -> Checked {
        let stale = !self.quiescing && self.rng.happens(0.05);
        let owner = if stale { self.rng.pick(OWNERS).to_owned() } else { self.oracle.owner.clone() };
        let re = JobId::from_random(self.rng.bytes()).to_string();
        let call = Call { caller: Caller { re, at: Some(self.clock.device()), owner: Some(owner) }, ask };
        let unlucky = self.rng.happens(self.faults.answer_lost);
        if !unlucky {
            return self.serve(call);
        }
        let (delay, again) = (self.rng.magnitude(10 * MINUTE), self.rng.magnitude(10 * MINUTE));
        self.later(again, again, Event::Call(call.clone()));
        if self.rng.happens(0.5) {
            // Late: both arrive in the end, in either order.
            self.later(delay, delay, Event::Call(call));
        }
        Ok(())
    }

    /// A message reaches a worker, which carries it out and answers; the answer may get lost, and the message come again.
    pub(crate) fn serve(&mut self, call: Call) -> Checked {
        if let Ask::Draft(form) = call.ask.clone() {
            return self.serve_form(call, &form);
        }
        let mut caller = call.caller.clone();
        if self.flaw == Some(Flaw::StampsWithTheCurrentOwner) {
            caller.owner = None;
        }
        // The next version may know no batches.
        let context = if self.batches && matches!(call.ask, Ask::Enqueue(_)) { 0 } else { self.rng.index(CONTEXTS) };
        let (now, config) = (self.clock.device(), self.config_of(context));
        let in_time = match &call.ask {
            Ask::Retry(id) | Ask::Discard(id, _) | Ask::Edit { id, .. } => check::manage::in_time(self, id),
            Ask::Cancel(id, _) => check::manage::is_there(self, id),
            _ => false,
        };
        if let Ask::SetOwner { purge: Some(_), .. } = &call.ask {
            // As the worker does before it purges: what is claimed and not on its way is not sent.
            (0..CONTEXTS).try_for_each(|context| self.stop(context))?;
        }
        let mut admitted = Vec::new();
        if let Ask::Enqueue(jobs) = &call.ask {
            for asked in jobs {
                admitted.push(asked.admit(&config)?);
            }
        }
        let (mut stored, mut stopped) = (Vec::new(), None);
        // What signs in or pauses writes the session, too.
        let scope =
            if matches!(call.ask, Ask::SetOwner { .. } | Ask::Pause { .. } | Ask::Network(_)) { Scope::ALL } else { Scope::WORK };
        let carried_out = self.transact(scope, async |tx| {
            let work = Box::pin(async {
                Ok(match &call.ask {
                    Ask::Enqueue(_) => {
                        stored = enqueue(tx, now, admitted, false, &caller).await?;
                        Answer::Done
                    }
                    Ask::Retry(id) => Answer::InTime(manage::retry(tx, now, id, &config).await?.is_some()),
                    Ask::Discard(id, cascade) => Answer::InTime(!manage::discard(tx, now, id, *cascade).await?.is_empty()),
                    Ask::Cancel(id, cascade) => {
                        let cancelled = manage::cancel(tx, now, id, *cascade, &config).await?;
                        stopped = matches!(cancelled, Cancelled::Stopped(_)).then(|| id.clone());
                        Answer::InTime(cancelled != Cancelled::TooLate)
                    }
                    Ask::Edit { id, request, origin, content, size, key } => {
                        let body = size.map_or(Body::None, |size| Body::Replace(*content, size));
                        let (request, origin) = ((**request).clone(), Some((*origin).to_owned()));
                        let change = Edit { request, headers: true, origin, body, is_json: true, idempotency_key: key.clone() };
                        Answer::InTime(manage::edit(tx, now, id, change, &config).await?.is_some())
                    }
                    Ask::Clear(filter) => Answer::Removed(manage::clear(tx, now, filter, &caller, &config).await?),
                    Ask::Compact { failed } => Answer::Compacted(manage::compact(tx, now, *failed, &caller, &config).await?),
                    Ask::Repair => Answer::Repaired(repair::repair(tx).await?),
                    Ask::Pause { queue, paused } => {
                        manage::pause(tx, *queue, *paused, &caller, &config).await?;
                        Answer::Done
                    }
                    Ask::SetOwner { owner, purge } => {
                        manage::set_owner(tx, now, owner, purge.as_deref(), &config).await?;
                        Answer::Done
                    }
                    Ask::Network(change) => {
                        manage::set_network(tx, *change, &caller).await?;
                        Answer::Done
                    }
                    Ask::Draft(_) => Answer::Done,
                })
            });
            once(tx, now, &caller, work).await
        })?;
        let heard = match carried_out {
            Ok(((answer, repeated), changes)) => {
                self.note(|| format!("{}{}: {answer:?}", call.ask.name(), if repeated { " again" } else { "" }));
                check::manage::once(self, &call.caller.re, &answer, repeated, &changes)?;
                if repeated {
                    check::committed(self, &Cause::Hand(Hand::Nothing), &changes)?;
                } else {
                    if let Ask::Retry(id) | Ask::Discard(id, _) | Ask::Cancel(id, _) | Ask::Edit { id, .. } = &call.ask {
                        check::manage::answered(id, in_time, answer == Answer::InTime(true))?;
                    }
                    self.carried_out(&call, &answer, &stored, &config, &changes)?;
                    if let Some(id) = stopped {
                        self.abort(&id)?;
                    }
                }
                !self.rng.happens(self.faults.answer_lost)
            }
            Err(error) => {
                self.note(|| format!("{} failed: {error}", call.ask.name()));
                // The page knows that nothing was stored; some people press the button again.
                self.rng.happens(0.5)
            }
        };
        if !heard && !self.quiescing {
            let delay = self.rng.magnitude(HOUR);
            self.later(delay, delay, Event::Call(call.clone()));
        }
        if let Ask::Enqueue(jobs) = call.ask
            && self.rng.happens(0.7)
        {
            let context = self.rng.index(CONTEXTS);
            for asked in jobs {
                let queue = asked.new.options.queue.unwrap_or_default();
                self.later(0, 5, Event::Wake(context, queue, SkipBackoff::None));
            }
        }
        Ok(())
    }

    /// Writes into the oracle what a message did, and checks it.
    fn carried_out(
        &mut self,
        call: &Call,
        answer: &Answer,
        stored: &[(JobId, bool)],
        config: &WorkerConfig,
        changes: &Changes,
    ) -> Checked {
        let owner = call.caller.owner.clone().unwrap_or_default();
        match &call.ask {
            Ask::Draft(_) => Ok(()),
            Ask::Enqueue(jobs) => {
                check::accepts::record(self, jobs, &owner, stored, config)?;
                check::committed(self, &Cause::Enqueue, changes)
            }
            Ask::Retry(id) => check::committed(self, &Cause::Hand(Hand::Retry(id)), changes),
            Ask::Discard(id, cascade) => check::committed(self, &Cause::Hand(Hand::Discard(id, *cascade)), changes),
            Ask::Cancel(id, cascade) => check::committed(self, &Cause::Hand(Hand::Cancel(id, *cascade)), changes),
            Ask::Edit { id, content, size, key, .. } => {
                if *answer == Answer::InTime(true) {
                    self.oracle.change(id, *content, key, size.is_some());
                }
                check::committed(self, &Cause::Hand(Hand::Edit(id)), changes)
            }
            Ask::Clear(filter) => check::committed(self, &Cause::Hand(Hand::Clear(filter, &owner)), changes),
            Ask::Compact { failed } => {
                let filter = Filter { state: Some(State::Failed), ..Filter::default() };
                let hand = failed.map_or(Hand::Nothing, |_| Hand::Clear(&filter, &owner));
                check::committed(self, &Cause::Hand(hand), changes)
            }
            Ask::Repair => check::committed(self, &Cause::Hand(Hand::Nothing), changes),
            Ask::Pause { queue, paused } => {
                self.oracle.pause(&owner, *queue, *paused);
                check::committed(self, &Cause::Hand(Hand::Nothing), changes)
            }
            Ask::Network(change) => {
                self.oracle.choose_network(&owner, *change);
                check::committed(self, &Cause::Hand(Hand::Nothing), changes)
            }
            Ask::SetOwner { owner, purge } => {
                if *owner == self.oracle.owner {
                    return check::committed(self, &Cause::Hand(Hand::SignIn), changes);
                }
                (*owner).clone_into(&mut self.oracle.owner);
                let purged = purge.as_deref().filter(|purged| purged != owner);
                if let Some(purged) = purged {
                    self.oracle.forget_pauses(purged);
                    self.oracle.forget_network(purged);
                    self.oracle.drafts.purge(purged);
                }
                check::committed(self, &Cause::Hand(purged.map_or(Hand::SignIn, Hand::Purge)), changes)?;
                let left = self.store.borrow().jobs().find(|job| purged == Some(&job.owner)).map(|job| job.id.clone());
                check::ensure(left.is_none(), Promise::Private, || format!("{left:?} of {purged:?} outlived a purge"))
            }
        }
    }

    /// A person does something to a job, or to many.
    pub(crate) fn lay_hands(&mut self) -> Checked {
        let ask = match self.rng.below(12) {
            0..3 => Ask::Retry(self.some_id()),
            3..5 => Ask::Discard(self.some_id(), self.bindings && self.apart.happens(0.5)),
            5..7 => {
                let (id, (request, origin, content, size)) = (self.some_id(), self.request());
                Ask::Edit {
                    id,
                    request: Box::new(request),
                    origin,
                    content,
                    size,
                    key: JobId::from_random(self.rng.bytes()).to_string(),
                }
            }
            7 => {
                let state = self.rng.pick([State::Failed, State::Pending]);
                Ask::Clear(Filter { queue: Some(self.rng.pick(QUEUES).to_owned()), state: Some(state), ..Filter::default() })
            }
            8 if self.bindings && self.apart.happens(0.5) => self.choose_network(),
            8 => {
                let queue = self.rng.happens(0.7).then(|| self.rng.pick(QUEUES));
                Ask::Pause { queue, paused: self.rng.happens(0.4) }
            }
            9 => Ask::Cancel(self.some_id(), self.bindings && self.apart.happens(0.5)),
            10 if self.rng.happens(0.5) => Ask::Repair,
            10 => Ask::Compact { failed: self.rng.happens(0.5).then(|| self.rng.pick([0, HOUR])) },
            _ => {
                let owner = self.rng.pick(OWNERS);
                let purge = self.rng.happens(0.1).then(|| self.oracle.owner.clone());
                Ask::SetOwner { owner, purge }
            }
        };
        self.post(ask)
    }

    /// Some job's id: mostly of one that is stored, most likely of one that ended.
    fn some_id(&mut self) -> JobId {
        let ended = self.rng.happens(0.5);
        let store = self.store.borrow();
        let ids: Vec<&JobId> = store.jobs().filter(|job| !ended || !job.is_live()).map(|job| &job.id).collect();
        match ids.get(self.rng.index(ids.len())) {
            Some(id) => (*id).clone(),
            None => JobId::from_random(self.rng.bytes()),
        }
    }

    /// Resumes everything of the current owner's, over any network.
    pub(crate) fn resume(&mut self) -> Checked {
        if self.bindings {
            let change = NetworkChange { auto_sync: Some(true), ..NetworkChange::default() };
            self.post(Ask::Network(change))?;
        }
        self.post(Ask::Pause { queue: None, paused: false })
    }

    /// Somebody signs in.
    pub(crate) fn sign_in(&mut self, owner: &'static str) -> Checked {
        self.post(Ask::SetOwner { owner, purge: None })
    }

    /// A page looks at what is stored.
    pub(crate) fn look(&mut self) -> Checked {
        let config = self.config_of(0);
        if self.rng.happens(0.5) {
            let id = self.some_id();
            if let Ok(view) = self.read(async |tx| read::get(tx, &id, &config).await)? {
                check::manage::seen(self, &id, view.as_ref())?;
            }
            return Ok(());
        }
        let filter = Filter { limit: Some(1_000), ..Filter::default() };
        if let Ok(views) = self.read(async |tx| read::list(tx, &filter, &config).await)? {
            let status = self.store.borrow().ledger().map(Status::of);
            check::manage::listed(self, &views, status)?;
        }
        Ok(())
    }
}

impl Ask {
    fn name(&self) -> String {
        match self {
            Self::Enqueue(jobs) => format!("enqueue of {}", check::listed(jobs.iter().map(|asked| &asked.new.id))),
            Self::Retry(id) => format!("retry of {id}"),
            Self::Discard(id, cascade) => format!("discard of {id}, cascade: {cascade}"),
            Self::Cancel(id, cascade) => format!("cancel of {id}, cascade: {cascade}"),
            Self::Edit { id, .. } => format!("edit of {id}"),
            Self::Clear(filter) => format!("clear of {filter:?}"),
            Self::Compact { failed } => format!("compact of {failed:?}"),
            Self::Repair => "repair".to_owned(),
            Self::Network(change) => format!("choice of {change:?}"),
            Self::Draft(form) => format!("{form:?}"),
            Self::Pause { queue, paused } => format!("{} of {queue:?}", if *paused { "pause" } else { "resume" }),
            Self::SetOwner { owner, purge } => format!("sign-in of {owner:?}, purging {purge:?}"),
        }
    }
}

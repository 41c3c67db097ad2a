//! Simulates the app's `auth` hook and the sessions at the servers, and checks how the shell uses them.
//!
//! The app holds one token; the servers' session ends now and then, after which they refuse it. A refresh gets the app a
//! token of the current session, fails, or finds no user signed in.

use shearwater_core::{
    health::auth::{Authorization, Credentials, MOST_SENDS, Step, Supplied},
    http::reply::AttemptResult,
    queue::{cycle::retry::disposition_of_status, disposition::Disposition},
    store::Session,
    time::unit::SECOND,
};

use crate::{
    check::{self, Checked, Promise, ensure},
    flaw::Flaw,
    server::ORIGINS,
    wire::{SendNo, Sending, Status},
    world::{Event, World},
};

/// The origins that the hook is for.
const AUTHORIZED: &[&str] = &[ORIGINS[0], ORIGINS[1]];

/// What one context knows of the app's credentials; gone with the context.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// How often it has died.
    life: u64,
    shared: Credentials,
    /// Sends that wait for a refresh to end.
    waiting: Vec<SendNo>,
    /// Refreshes that began and did not end, as the checks count them.
    under_way: u32,
    /// Refreshes that ended, as the checks count them.
    ended: u64,
}

/// One send's part of it.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) context: usize,
    /// How often the context had died before.
    life: u64,
    authorization: Authorization,
    /// Whether the hook is for its origin.
    asks: bool,
    /// What the hook supplied last.
    pub(crate) token: Option<u64>,
    /// How many refreshes had ended when it was asked for.
    asked: u64,
    /// Requests that were made.
    sends: u32,
    refreshes: u32,
    /// A request is on its way.
    is_out: bool,
    /// A person cancelled the job.
    revoked: bool,
    result: AttemptResult,
}

impl Login {
    fn new(context: usize, life: u64, asks: bool) -> Self {
        Self {
            context,
            life,
            authorization: Authorization::new(asks),
            asks,
            token: None,
            asked: 0,
            sends: 0,
            refreshes: 0,
            is_out: false,
            revoked: false,
            result: AttemptResult::Withheld("the auth hook failed".to_owned()),
        }
    }

    /// Whether it was cancelled before its request left, which will therefore never leave.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.revoked && !self.is_out
    }
}

impl World {
    /// A send of a job to `origin` begins in this context.
    pub(crate) fn login(&self, context: usize, origin: &str) -> Login {
        let life = self.contexts.get(context).map(|context| context.life).unwrap_or_default();
        Login::new(context, life, self.faults.has_auth_hook && AUTHORIZED.contains(&origin))
    }

    /// Takes the next step of a send, until it waits for something.
    pub(crate) fn authorize(&mut self, number: SendNo) -> Checked {
        let Some(sending) = self.wire.sending(number).filter(|sending| sending.status == Status::InTheAir) else { return Ok(()) };
        if sending.login.authorization.is_ready()
            && let Some(why) = self.withheld(sending)
        {
            return self.finish(number, AttemptResult::Withheld(why.to_owned()));
        }
        let context = sending.login.context;
        let Some(shared) = self.contexts.get(context).map(|context| context.shared) else { return Ok(()) };
        let Some(login) = self.wire.login(number) else { return Ok(()) };
        match login.authorization.step(&shared) {
            Step::Wait => self.contexts.get_mut(context).into_iter().for_each(|context| context.waiting.push(number)),
            Step::Ask { refresh } => {
                if self.flaw == Some(Flaw::KeepsStaleCredentials) && !refresh && login.token.is_some() {
                    let mut ignored = shared;
                    login.authorization.supplied(&mut ignored, Supplied::Credentials);
                    return self.authorize(number);
                }
                self.ask_hook(number, context, refresh)?;
            }
            Step::Send => self.leave(number, context)?,
            Step::Done => {
                let result = login.result.clone();
                self.finish(number, result)?;
            }
        }
        Ok(())
    }

    /// Why it must not leave after all, looked at in the last moment.
    fn withheld(&self, sending: &Sending) -> Option<&'static str> {
        let is_covered = Session::covers(self.store.borrow().session(), &sending.job);
        if !is_covered && self.flaw != Some(Flaw::SendsForAnyOwner) {
            Some("another user is signed in")
        } else if sending.login.revoked {
            Some("cancelled before it left")
        } else if sending.login.asks && !sending.job.may_be_sent(self.clock.device()) {
            Some("the auth hook took too long")
        } else {
            None
        }
    }

    fn ask_hook(&mut self, number: SendNo, context: usize, refresh: bool) -> Checked {
        let (Some(place), Some(login)) = (self.contexts.get_mut(context), self.wire.login(number)) else { return Ok(()) };
        login.asked = place.ended;
        if refresh {
            place.under_way += 1;
            login.refreshes += 1;
            ensure(place.under_way == 1, Promise::Patient, || format!("{} refreshes are under way at once", place.under_way))?;
            ensure(login.refreshes == 1, Promise::Patient, || "one send refreshes credentials twice".to_owned())?;
        }
        let delay = if self.rng.happens(self.faults.misconduct / 8.0) {
            self.rng.magnitude(60 * SECOND)
        } else {
            self.rng.between(0, 50)
        };
        self.later(delay, delay, Event::Supplied(number, refresh));
        Ok(())
    }

    /// The request is sent: with nothing that was asked for before a refresh.
    fn leave(&mut self, number: SendNo, context: usize) -> Checked {
        let limit = {
            let Some(sending) = self.wire.sending(number) else { return Ok(()) };
            self.config_of_run(sending.run).queue_or_default(&sending.job.queue).send_limit(sending.size())
        };
        check::sends::leaves(self, number)?;
        let (Some(place), Some(sending)) = (self.contexts.get(context), self.wire.sending_mut(number)) else { return Ok(()) };
        sending.left = false;
        let login = &mut sending.login;
        login.sends += 1;
        login.is_out = true;
        let sends = login.sends;
        ensure(sends <= MOST_SENDS, Promise::Patient, || format!("{} is sent {sends} times in one claim", sending.job.id))?;
        let stale = login.token.is_some() && (place.under_way > 0 || login.asked != place.ended);
        ensure(!stale, Promise::Private, || {
            format!("{} is sent with credentials that were asked for before a refresh", sending.job.id)
        })?;
        for part in &sending.parts {
            self.oracle.use_up(&part.job.id);
        }
        self.later(0, 5, Event::Leaves(number));
        self.later(limit, limit, Event::TimeUp(number, sends));
        Ok(())
    }

    /// The hook comes back.
    pub(crate) fn supplied(&mut self, number: SendNo, refresh: bool) -> Checked {
        let fails = self.rng.happens(self.faults.misconduct / 16.0);
        let nobody = self.rng.happens(self.faults.misconduct / 16.0);
        if refresh && !fails && !nobody {
            self.token = self.servers.session;
        }
        let token = self.token;
        let Some(login) = self.wire.login(number) else { return Ok(()) };
        let context = login.context;
        // Its context may have died since.
        let Some(place) = self.contexts.get_mut(context).filter(|place| place.life == login.life) else { return Ok(()) };
        let supplied = match (fails, nobody) {
            (true, _) => Supplied::Failed,
            (false, true) => Supplied::Nothing,
            (false, false) => Supplied::Credentials,
        };
        login.token = (supplied == Supplied::Credentials).then_some(token);
        if refresh {
            place.under_way -= 1;
            place.ended += 1;
            login.asked = place.ended;
        }
        login.authorization.supplied(&mut place.shared, supplied);
        if supplied == Supplied::Failed {
            login.result = AttemptResult::Withheld("the auth hook failed".to_owned());
        }
        self.authorize(number)?;
        self.resume_waiting(context)
    }

    /// A reply to a request came: whether the server wants other credentials decides how it goes on.
    pub(crate) fn replied(&mut self, number: SendNo, result: AttemptResult) -> Checked {
        let own = self.flaw == Some(Flaw::RefreshesForEachSend);
        let Some(sending) = self.wire.sending_mut(number).filter(|sending| sending.status == Status::InTheAir) else {
            return Ok(());
        };
        let method = &sending.job.work.request().head.method;
        let refused = result.status().is_some_and(|status| disposition_of_status(method, status) == Disposition::Blocked);
        sending.login.result = result;
        sending.login.is_out = false;
        let context = sending.login.context;
        let Some(place) = self.contexts.get_mut(context) else { return Ok(()) };
        if own {
            sending.login.authorization.replied(&mut Credentials::default(), refused);
        } else {
            sending.login.authorization.replied(&mut place.shared, refused);
        }
        self.authorize(number)
    }

    /// No refresh is under way any more: those that waited go on.
    fn resume_waiting(&mut self, context: usize) -> Checked {
        let waiting = match self.contexts.get_mut(context) {
            Some(place) if !place.shared.is_refreshing() => std::mem::take(&mut place.waiting),
            _ => return Ok(()),
        };
        waiting.into_iter().try_for_each(|number| self.authorize(number))
    }

    /// The limit of time has passed for a request.
    pub(crate) fn time_up(&mut self, number: SendNo, sends: u32) -> Checked {
        if self.is_out(number, sends) { self.replied(number, AttemptResult::TimedOut) } else { Ok(()) }
    }

    /// Whether this request of the send's is the one on its way.
    pub(crate) fn is_out(&self, number: SendNo, sends: u32) -> bool {
        self.wire
            .sending(number)
            .is_some_and(|sending| sending.status == Status::InTheAir && sending.login.is_out && sending.login.sends == sends)
    }

    /// A person cancelled the job: what is on its way is aborted, what waits for the hook does not leave.
    pub(crate) fn revoke(&mut self, number: SendNo) -> Checked {
        let Some(login) = self.wire.login(number) else { return Ok(()) };
        login.revoked = true;
        if login.is_out { self.replied(number, AttemptResult::Withheld("the send was cancelled".to_owned())) } else { Ok(()) }
    }

    /// A context died, and what it knew with it.
    pub(crate) fn forget_credentials(&mut self, context: usize) {
        if let Some(place) = self.contexts.get_mut(context) {
            *place = Context { life: place.life + 1, ..Context::default() };
        }
    }
}

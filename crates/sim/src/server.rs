//! Simulates the servers: what they do with a request, and what they remember of it.
//!
//! A server honours the idempotency key: the first request of a key that it handles has an effect,
//! every later one gets the same answer and has none. Everything else a server does wrong on demand:
//! it is down, drops the request before or after it was handled, hangs, is slow, fails with any
//! status, asks for patience, or wants a sign-in.

use std::collections::BTreeMap;

use shearwater_core::{
    http::reply::{AttemptResult, Response},
    time::unit::{MINUTE, SECOND},
};

use crate::{
    batches::{Batches, Item},
    bindings,
    check::{Checked, Promise, Violation},
    flaw::Flaw,
    rng::Rng,
};

/// The origins that jobs are sent to.
pub(crate) const ORIGINS: [&str; 3] = ["https://a.example", "https://b.example", "https://c.example:8443"];

/// A request as it arrives.
pub(crate) struct Request<'a> {
    pub(crate) origin: &'a str,
    pub(crate) method: &'a str,
    /// `Idempotency-Key`.
    pub(crate) key: &'a str,
    /// What it says, as the URL names it.
    pub(crate) content: u64,
    /// What it says, as the body has it, where there is one.
    pub(crate) body: Option<u64>,
    /// Of a batch: its items.
    pub(crate) items: Option<Vec<Item>>,
    /// The session that `Authorization` names.
    pub(crate) token: Option<u64>,
}

/// What the client gets to see, and after how long; no reply at all from a server that hangs.
pub(crate) struct Answer {
    pub(crate) reply: Option<AttemptResult>,
    pub(crate) after: u64,
}

/// All servers.
#[derive(Default)]
pub(crate) struct Servers {
    /// Until when (true time) each origin is down.
    down_until: BTreeMap<String, u64>,
    /// What each key said when it had its effect.
    effects: BTreeMap<String, u64>,
    /// How many effects each content had.
    by_content: BTreeMap<u64, u32>,
    /// When a request of each key was first handled with success, as an ordinal.
    handled: BTreeMap<String, u64>,
    pub(crate) arrivals: u64,
    /// The session whose token is taken.
    pub(crate) session: u64,
    flaw: Option<Flaw>,
    pub(crate) batches: Batches,
}

#[derive(Clone, Copy)]
enum Conduct {
    Handles,
    Drops,
    DropsAfterHandling,
    Hangs,
    HangsAfterHandling,
    Fails(u16),
    FailsAfterHandling(u16),
}

impl Servers {
    pub(crate) fn new(flaw: Option<Flaw>, batches: Batches) -> Self {
        Self { flaw, batches, ..Self::default() }
    }

    /// Takes `origin` down until `elapsed`.
    pub(crate) fn take_down(&mut self, origin: &str, elapsed: u64) {
        self.down_until.insert(origin.to_owned(), elapsed);
    }

    /// Brings all of them up.
    pub(crate) fn bring_up(&mut self) {
        self.down_until.clear();
    }

    /// Whether a request of this key was answered, or would have been, as delivered.
    pub(crate) fn has_handled(&self, key: &str) -> bool {
        self.handled.contains_key(key)
    }

    /// The ordinal of the first handling of this key.
    pub(crate) fn handled_as(&self, key: &str) -> Option<u64> {
        self.handled.get(key).copied()
    }

    pub(crate) fn effects(&self) -> u64 {
        self.effects.len() as u64
    }

    /// A request arrives.
    pub(crate) fn take(&mut self, request: &Request<'_>, elapsed: u64, misconduct: f64, rng: &mut Rng) -> Checked<Answer> {
        self.arrivals += 1;
        let after = if rng.happens(misconduct / 3.0) { rng.magnitude(3 * MINUTE) } else { rng.between(1, 300) };
        if self.down_until.get(request.origin).is_some_and(|until| elapsed < *until) {
            return Ok(Answer { reply: Some(AttemptResult::Unreachable), after });
        }
        if request.token.is_some_and(|token| token != self.session) {
            return Ok(Answer { reply: Some(failure(401, rng)), after });
        }
        let mut conduct = if rng.happens(misconduct) { misbehave(rng) } else { Conduct::Handles };
        if request.method == "DELETE" && matches!(conduct, Conduct::Fails(404)) {
            // Not a failure: what was to go is gone.
            conduct = Conduct::Handles;
        }
        if self.batches.knows(request.key) && matches!(conduct, Conduct::Fails(400..500)) {
            // A key that was answered gets its answer again.
            conduct = Conduct::Handles;
        }
        let reply = match conduct {
            Conduct::Drops => Some(AttemptResult::Unreachable),
            Conduct::Hangs => None,
            Conduct::Fails(status) => Some(failure(status, rng)),
            Conduct::Handles => Some(self.handle(request, rng)?),
            Conduct::DropsAfterHandling => self.handle(request, rng).map(|_| Some(AttemptResult::Unreachable))?,
            Conduct::HangsAfterHandling => self.handle(request, rng).map(|_| None)?,
            Conduct::FailsAfterHandling(status) => self.handle(request, rng).map(|_| Some(failure(status, rng)))?,
        };
        Ok(Answer { reply, after })
    }

    fn handle(&mut self, request: &Request<'_>, rng: &mut Rng) -> Checked<AttemptResult> {
        if let Some(items) = &request.items {
            let (applied, answer) = self.batches.handle(request.key, items, rng)?;
            for item in applied {
                let ordinal = self.handled.len() as u64;
                self.handled.entry(item.key.clone()).or_insert(ordinal);
                self.effects.insert(item.key, item.content);
                self.apply(item.content)?;
            }
            return Ok(answer);
        }
        if request.body.is_some_and(|body| body != request.content) {
            return Err(Violation::new(Promise::Durable, format!("{} arrived with another request's body", request.key)));
        }
        let gone = request.method == "DELETE" && rng.happens(0.3) && !self.effects.contains_key(request.key);
        let ordinal = self.handled.len() as u64;
        self.handled.entry(request.key.to_owned()).or_insert(ordinal);
        if gone {
            return Ok(status(rng.pick([404, 410])));
        }
        let known = self.effects.insert(request.key.to_owned(), request.content);
        if known.is_some_and(|known| known != request.content) {
            return Err(Violation::new(Promise::Once, format!("the key {} stands for two payloads", request.key)));
        }
        if known.is_none() || self.flaw == Some(Flaw::ServerForgetsKeys) {
            self.apply(request.content)?;
        }
        let mut reply = if rng.happens(0.05) { AttemptResult::Opaque } else { status(rng.pick([200, 201, 204])) };
        if let AttemptResult::Status(response) = &mut reply {
            response.body = Some(bindings::response_to(request.content));
        }
        Ok(reply)
    }

    /// Something has its effect.
    fn apply(&mut self, content: u64) -> Checked {
        let effects = self.by_content.entry(content).or_default();
        *effects += 1;
        if *effects > 1 && !self.batches.excused.contains(&content) {
            return Err(Violation::new(Promise::Once, format!("content {content} had {effects} effects")));
        }
        Ok(())
    }
}

fn misbehave(rng: &mut Rng) -> Conduct {
    let server_error = rng.pick([500, 502, 503, 429, 408]);
    let refusal = rng.pick([400, 401, 403, 404, 409, 412, 422, 501, 507]);
    rng.weighted(&[
        (4, Conduct::Drops),
        (4, Conduct::DropsAfterHandling),
        (1, Conduct::Hangs),
        (1, Conduct::HangsAfterHandling),
        (6, Conduct::Fails(server_error)),
        (2, Conduct::FailsAfterHandling(server_error)),
        (4, Conduct::Fails(refusal)),
    ])
    .unwrap_or(Conduct::Handles)
}

fn status(status: u16) -> AttemptResult {
    AttemptResult::Status(Response { status, ..Response::default() })
}

fn failure(status: u16, rng: &mut Rng) -> AttemptResult {
    let patience = matches!(status, 429 | 503) && rng.happens(0.6);
    let retry_after = patience.then(|| match rng.below(8) {
        0 => "soon".to_owned(),
        1 => "99999999999".to_owned(),
        _ => (rng.magnitude(10 * MINUTE) / SECOND).to_string(),
    });
    let exhausted = status == 429 && rng.happens(0.5);
    let rate_limit = exhausted.then(|| format!("\"default\";r=0;t={}", rng.below(600)));
    AttemptResult::Status(Response { status, retry_after, rate_limit, ..Response::default() })
}

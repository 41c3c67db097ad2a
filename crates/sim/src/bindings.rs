//! Simulates what bindings bring with them: jobs that wait for the response of another, responses with and without the value,
//! and new jobs that take the place of one that waits.
//!
//! All that is random here is drawn from a stream of its own, so that a seed without bindings is the run that it was.

use shearwater_core::{
    JobId,
    http::reply::{AttemptResult, Response},
    queue::{
        binding::{NewBinding, fill_head, pointer::Pointer},
        enqueue::OnDuplicate,
        job::Job,
    },
    schedule::network::{Connection, NetworkChange},
};

use crate::{
    check::{Checked, Promise, ensure},
    page::{Ask, Asked},
    world::World,
};

/// What the value is called in requests.
const NAME: &str = "p";

/// The value in the response to a request that says this; some have none.
fn value_of(content: u64) -> Option<String> {
    (!content.is_multiple_of(9)).then(|| format!("\"v{content}\""))
}

/// The JSON of the response to a request that says this.
pub(crate) fn response_to(content: u64) -> String {
    value_of(content).map_or_else(|| "{\"other\":1}".to_owned(), |value| format!("{{\"id\": {value} }}"))
}

impl World {
    /// Has a new job wait for another, capture its response, or take the place of one that waits.
    pub(crate) fn bind(&mut self, asked: &mut Asked) {
        let options = &mut asked.new.options;
        if options.key.is_some() && self.apart.happens(0.3) {
            let has_body = asked.size.is_some();
            let on_duplicate = self.apart.pick([OnDuplicate::Keep, OnDuplicate::Replace, OnDuplicate::Merge]);
            options.on_duplicate = Some(on_duplicate).filter(|wanted| *wanted != OnDuplicate::Merge || has_body);
            asked.new.request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        if self.apart.happens(0.2) {
            options.capture = Pointer::parse("/id").into_iter().collect();
        }
        if !self.apart.happens(0.5) {
            return;
        }
        let store = self.store.borrow();
        let own = |job: &&Job| job.owner == self.oracle.owner;
        let mut ids: Vec<JobId> = store.jobs().filter(own).map(|job| job.id.clone()).collect();
        ids.extend(self.oracle.delivered_contents().map(|(id, _)| id.clone()).take(ids.len() / 4 + 1));
        drop(store);
        if let Some(job) = ids.get(self.apart.index(ids.len())) {
            options.bind = vec![NewBinding { name: NAME.to_owned(), job: job.clone(), pointer: Pointer::parse("/id") }];
            let (origin, content) = (asked.origin, asked.content);
            asked.new.request.url = format!("{origin}/{{{NAME}}}/items/{content}");
        }
    }

    /// The device is on another network.
    pub(crate) fn reconnect(&mut self) {
        if self.bindings {
            let told = [None, Some(false), Some(true)];
            let (cellular, metered) = (self.apart.pick(told), self.apart.pick(told));
            self.connection = Connection { cellular, metered, save_data: self.apart.pick(told) };
        }
    }

    /// A person chooses what is sent over which network.
    pub(crate) fn choose_network(&mut self) -> Ask {
        let mut choice = || self.apart.happens(0.5).then(|| self.apart.happens(0.5));
        let (auto_sync, mobile_data, metered) = (choice(), choice(), choice());
        Ask::Network(NetworkChange { auto_sync, mobile_data, metered, save_data: choice(), critical_override: choice() })
    }

    /// What a sender reads of a response: all that was asked for, and what nobody has asked for only when it comes soon.
    pub(crate) fn read_body(&mut self, job: &Job, result: &mut AttemptResult) {
        if let AttemptResult::Status(Response { body, .. }) = result
            && job.captures.is_none()
            && (!self.bindings || self.apart.happens(0.3))
        {
            *body = None;
        }
    }
}

/// Looks at a job that is about to be sent: each value is the one of its predecessor's response.
pub(crate) fn check(world: &World, job: &Job) -> Checked {
    for binding in job.bindings() {
        let content = world.oracle.delivered_content(&binding.job);
        let expected = content.and_then(value_of);
        ensure(binding.value.is_some() && binding.value == expected, Promise::Once, || {
            format!("{} is sent with {binding:?}, was to have {expected:?}", job.id)
        })?;
    }
    let filled = fill_head(job).map(|head| head.url);
    ensure(filled.as_ref().is_ok_and(|url| !url.contains('{')), Promise::Once, || format!("{} is sent to {filled:?}", job.id))
}

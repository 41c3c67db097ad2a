//! Tells every open page what is stored: the status, and the jobs that changed (P5).

use shearwater_bridge::{encode, spawn_local};
use shearwater_core::{
    drain::News,
    protocol::{
        Broadcast, Event, VERSION,
        view::{JobView, Status},
    },
    queue::cycle::Settled,
    store::ledger::Ledger,
    wire::text::Text,
};

use std::rc::Rc;

use crate::{engine::Engine, js};

/// A job as the app sees it: its metadata is what the app gave, not its JSON text, and headers are an object.
fn parse_metadata(job: wasm_bindgen::JsValue) -> wasm_bindgen::JsValue {
    let response = js::get(&job, "response");
    if let Ok(headers) = js_sys::Object::from_entries(&js::get(&response, "headers")) {
        js::set(&response, "headers", &headers);
    }
    if let Some(metadata) = js::get(&job, "metadata").as_string().and_then(|text| js_sys::JSON::parse(&text).ok()) {
        js::set(&job, "metadata", &metadata);
    }
    job
}

impl Engine {
    /// The status as of this ledger, with what this worker is doing.
    pub fn status(&self, ledger: &Ledger) -> Status {
        let mut status = Status::of(ledger);
        // What is still in flight for somebody who has signed out is nothing to whoever is signed in.
        let running = self.running.borrow();
        let own = || running.iter().filter(|running| running.active.get() && running.owner == ledger.owner);
        status.is_running = own().next().is_some();
        status.quarantined = self.store.quarantined();
        if status.pending + status.syncing > 0 {
            status.error = self.trouble.borrow().clone().or(status.error);
        }
        for (done, total) in own().map(|running| running.progress.get()) {
            status.done += done;
            status.total += total;
        }
        status
    }

    /// Tells pages what a cycle of a drain changed.
    pub fn tell_news(&self, news: News) {
        let mut jobs = Vec::with_capacity(news.settled.len() + news.claimed.len());
        for settled in news.settled {
            match settled {
                Settled::Delivered(outcome) => jobs.push(JobView::delivered(*outcome)),
                Settled::Kept(job) => jobs.push(JobView::of(*job, None, &news.ledger, &self.config)),
                Settled::Late => {}
            }
        }
        for job in news.claimed.into_iter().chain(news.released) {
            jobs.push(JobView::of(job, None, &news.ledger, &self.config));
        }
        self.tell(self.status(&news.ledger), jobs, None);
    }

    /// Calls a hook of the app's that is told what happened and decides nothing; what it throws is reported.
    pub fn tell_hook(self: &Rc<Self>, name: &'static str, job: &JobView) {
        if !self.host.has_hook(name) {
            return;
        }
        let (engine, detail) = (Rc::clone(self), parse_metadata(encode(job)));
        spawn_local(async move {
            if let Err(error) = engine.host.hook(name, &detail).await {
                engine.log_error(&error.message);
            }
        });
    }

    /// Broadcasts to all pages.
    pub fn tell(&self, status: Status, jobs: Vec<JobView>, event: Option<Event>) {
        let broadcast = Broadcast { shearwater: VERSION, status, jobs, event };
        let posted = self.channel.as_ref().map_or(Ok(()), |channel| channel.post(&encode(&broadcast)));
        if let Err(error) = posted {
            self.log_error(&["pages could not be told: ", &js::message_of(&error)].text());
        }
    }
}

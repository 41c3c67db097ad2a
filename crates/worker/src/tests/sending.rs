//! What the tests of sending share: an engine, a job in its store, a send of it.

use std::rc::Rc;

use shearwater_core::{
    http::reply::{AttemptResult, Response},
    queue::{
        config::WorkerConfig,
        enqueue::{admit, enqueue},
        job::{Job, Lease},
    },
    store::{Caller, Tx},
};
use shearwater_web::Js;
use wasm_bindgen::prelude::*;

use super::{new_job, new_name, script, settle};
use crate::{clock, drain::fetch, engine::Engine, host::Host, store::Mode};

/// A script side without hooks, whose instance lives for ever.
pub const NO_HOOKS: &str = "{ death: new Promise(() => {}), hook: () => undefined }";

/// An engine with a database of its own, whose configuration and script side are objects in JavaScript.
pub fn engine(config: &str, host: &str) -> Rc<Engine> {
    let mut config: WorkerConfig = WorkerConfig::read(&Js(script(config))).unwrap();
    config.name = new_name();
    Engine::new(config, Host::new(script(host)))
}

/// An engine with nothing special about it.
pub fn plain_engine() -> Rc<Engine> {
    engine("{}", NO_HOOKS)
}

/// An engine whose app has this `auth` hook for the origin of [`new_job`]s.
pub fn engine_with_auth(hook: &str) -> Rc<Engine> {
    engine(
        "{}",
        &format!(
            "{{ death: new Promise(() => {{}}), hasHook: () => true, authOrigins: () => ['https://api.example'],
                calls: self.calls = [], hook(name, detail) {{ this.calls.push(detail); return ({hook})(detail, this.calls.length); }} }}"
        ),
    )
}

/// A stored job without a body, claimed as by a drain that is about to send it.
pub async fn job(engine: &Rc<Engine>) -> Job {
    let new = new_job("{}");
    let id = new.id.clone();
    let jobs = vec![(admit(new, "https://api.example".to_owned(), None, &engine.config).unwrap(), None)];
    let store = async |db: &crate::store::Db| {
        enqueue(db, clock::now(), jobs.clone(), false, &Caller::default()).await?;
        db.get::<Job>(&id).await
    };
    let mut job = engine.store.run(Mode::Intake, store).await.unwrap().unwrap();
    let now = clock::now();
    job.claim(now, Lease { holder: "this test".to_owned(), until: now.after(30 * 60 * 1000), session: 0 });
    job
}

/// Sends a new job; the network is what `fake_fetch` says.
pub async fn send(engine: &Rc<Engine>) -> AttemptResult {
    let job = job(engine).await;
    fetch::send(engine, &job, None).await
}

/// The same beside everything else; the reply lies there once it is known.
pub fn begin_send(engine: &Rc<Engine>, job: &Job) -> Rc<std::cell::RefCell<Option<AttemptResult>>> {
    let (engine, job, reply) = (Rc::clone(engine), job.clone(), Rc::default());
    let there: Rc<std::cell::RefCell<Option<AttemptResult>>> = Rc::clone(&reply);
    shearwater_web::spawn_local(async move {
        let came = fetch::send(&engine, &job, None).await;
        there.replace(Some(came));
    });
    reply
}

/// Waits for a reply, while no time passes.
pub async fn known(reply: &std::cell::RefCell<Option<AttemptResult>>) -> AttemptResult {
    loop {
        if let Some(reply) = reply.take() {
            return reply;
        }
        settle().await;
    }
}

/// The response of a reply that has one.
pub fn response(reply: AttemptResult) -> Response {
    match reply {
        AttemptResult::Status(response) => response,
        other => panic!("no response: {other:?}"),
    }
}

/// A header of a request that was fetched.
pub fn header(request: &JsValue, name: &str) -> Option<String> {
    let headers = crate::js::get(request, "headers");
    crate::js::http::header(headers.unchecked_ref(), name)
}

//! Tests of this crate's modules, which run in a real page: `make test-shells`.
//!
//! Each test has an instance of the wasm of its own. There is no worker: a test plays its part ([`Worker`]).

mod events;
mod face;
mod form;
mod lines;
mod link;
mod request;
mod signal;
mod wakes;

use std::rc::Rc;

use js_sys::Array;
use shearwater_core::protocol::{VERSION, view::Status};
use shearwater_web::{
    decode,
    testing::{advance, awaited, begin, install_timers, known, promise, script, settle, timers_pending},
};
use wasm_bindgen::prelude::*;

use crate::{events::Events, js, link::Link};

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

/// The stable code of an error.
fn code(error: &JsValue) -> String {
    js::get(error, "code").as_string().unwrap_or_default()
}

/// The text of an error.
fn message(error: &JsValue) -> String {
    js::message_of(error)
}

/// A configuration's name that no other test has: broadcasts of one test reach no other.
fn new_name() -> String {
    js::random::uuid()
}

/// An object with these members besides.
fn assigned(object: &JsValue, members: &str) -> JsValue {
    let (object, members): (&js_sys::Object, js_sys::Object) = (object.unchecked_ref(), script(members).unchecked_into());
    js_sys::Object::assign(object, &members).into()
}

/// A status in which nothing waits, with these members besides.
fn status(members: &str) -> JsValue {
    let status = shearwater_web::encode(&Status::default());
    assigned(&status, members)
}

/// The worker's side of a registration: what is posted to it, with the port for the answer.
#[derive(Clone)]
struct Worker {
    registration: JsValue,
}

impl Worker {
    fn new() -> Self {
        Self { registration: script("{ posted: [], active: undefined }") }.installed()
    }

    fn installed(self) -> Self {
        let install = js_sys::Function::new_with_args(
            "registration",
            "registration.active = { postMessage: (message, ports) => void registration.posted.push({ message: structuredClone(message), port: ports[0] }) }",
        );
        install.call1(&JsValue::NULL, &self.registration).unwrap();
        self
    }

    /// A link to it, and what it is told by.
    fn link(&self, timeout: u32) -> (Rc<Link>, Rc<Events>) {
        let events = Events::new(&new_name());
        (Link::new(self.registration.clone().unchecked_into(), timeout, Rc::clone(&events)), events)
    }

    /// What was posted so far.
    async fn messages(&self) -> Vec<JsValue> {
        settle().await;
        Array::from(&js::get(&self.registration, "posted")).iter().map(|posted| js::get(&posted, "message")).collect()
    }

    /// What was asked for so far, each as JSON.
    async fn ops(&self) -> Vec<String> {
        let text = |message| js_sys::JSON::stringify(&js::get(message, "op")).unwrap().as_string().unwrap();
        self.messages().await.iter().map(text).collect()
    }

    /// Answers what was posted at this place, with these members of an answer.
    async fn answer(&self, at: u32, answer: &str) {
        settle().await;
        let posted = Array::from(&js::get(&self.registration, "posted")).get(at);
        let re = js::get(&js::get(&posted, "message"), "re").as_string().unwrap();
        let answer = script(&format!("Object.assign({{ shearwater: {VERSION}, re: '{re}' }}, {answer})"));
        let port = js::get(&posted, "port");
        js::get(&port, "postMessage").unchecked_into::<js_sys::Function>().call1(&port, &answer).unwrap();
        settle().await;
    }
}

/// The status that this object is.
fn status_of(object: &JsValue) -> Status {
    decode(object).unwrap()
}

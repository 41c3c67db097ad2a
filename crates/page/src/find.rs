//! Finds the app's worker for a Rust page. A JavaScript page has `sw/page/register.js` for that, which also tells ours from
//! another library's worker of the same scope.

use std::pin::pin;

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use js_sys::{Array, Object, Promise};
use shearwater_core::{Error, ErrorCode, protocol::VERSION, time::unit, wire::text::Text};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageChannel, RegistrationOptions, ServiceWorkerRegistration};

use crate::{
    error::unavailable,
    js::{self, Listener, time::sleep},
    options::ConnectOptions,
    worker,
};

/// Milliseconds after which a greeting is posted again: a worker that is killed takes it with it.
const AGAIN: u64 = 2 * unit::SECOND;

/// Registers the worker and returns the registration once its worker is active.
pub(crate) async fn register(options: &ConnectOptions) -> Result<ServiceWorkerRegistration, Error> {
    let container = js::scope::navigator().service_worker();
    if !container.is_object() {
        return Err(unavailable(
            "this browser, or this window, has no service workers: use https or localhost, and no private window",
        ));
    }
    let how = RegistrationOptions::new();
    if let Some(scope) = &options.scope {
        how.set_scope(scope);
    }
    if options.module {
        how.set_type("module");
    }
    let registration: ServiceWorkerRegistration = JsFuture::from(container.register_with_options(&options.worker, &how))
        .await
        .map(JsCast::unchecked_into)
        .map_err(|error| unavailable([&options.worker, " cannot be registered: ", &js::message_of(&error)].text()))?;
    while worker::active(&registration).is_none() {
        let Some(coming) = registration.installing().or_else(|| registration.waiting()) else {
            return Err(unavailable([&options.worker, " did not install; see the console for the script's error"].text()));
        };
        let (tell, changed) = oneshot::channel();
        let mut tell = Some(tell);
        let listener = Listener::new(&coming, "statechange", move || {
            if let Some(tell) = tell.take() {
                let _ = tell.send(());
            }
        });
        let _ = changed.await;
        drop(listener);
    }
    Ok(registration)
}

/// Greets the active worker until it returns the greeting; returns the name of its configuration.
pub(crate) async fn greet(registration: &ServiceWorkerRegistration) -> Result<String, Error> {
    loop {
        let Some(worker) = worker::active(registration) else {
            return Err(unavailable("the registration has no active worker"));
        };
        let channel = js::sure(MessageChannel::new());
        let ours = channel.port1();
        let answer = Promise::new(&mut |heard, _| ours.set_onmessage(Some(&heard)));
        let greeting = Object::new();
        js::set(&greeting, "shearwater", &js::number(u64::from(VERSION)));
        js::set(&greeting, "re", &JsValue::from_str(&js::random::uuid()));
        js::set(&greeting, "op", &JsValue::from_str("hello"));
        worker
            .post_message_with_transferable(&greeting, &Array::of1(&channel.port2()))
            .map_err(|error| unavailable(["the worker takes no messages: ", &js::message_of(&error)].text()))?;
        let heard = match select(JsFuture::from(answer), pin!(sleep(AGAIN))).await {
            Either::Left((heard, _)) => heard.unwrap_or_default(),
            Either::Right(_) => JsValue::UNDEFINED,
        };
        ours.close();
        let data = js::get(&heard, "data");
        if data.is_object() {
            let error = js::get(&data, "error");
            return if error.is_object() {
                Err(shearwater_web::decode(&error).unwrap_or_else(|_| Error::internal(js::message_of(&error))))
            } else {
                Ok(js::get2(&data, "ok", "name").as_string().unwrap_or_else(|| "shearwater".to_owned()))
            };
        }
    }
}

/// What `work` returns, or `timeout` after so many milliseconds.
pub(crate) async fn within<T>(timeout: u32, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match select(pin!(work), pin!(sleep(u64::from(timeout)))).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(Error::new(
            ErrorCode::Timeout,
            "the worker is not there, or does not answer: does it load Shearwater and call shearwater.start() at its top level?",
        )),
    }
}

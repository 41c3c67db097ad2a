//! Finds the app's worker for a Rust page. A JavaScript page has `sw/page/register.js` for that, which also tells ours from
//! another library's worker of the same scope.

use js_sys::{Array, Object, Promise};
use shearwater_core::{Error, ErrorCode, protocol::VERSION, time::unit, wire::text::Text};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    error::unavailable,
    js::{self, EventTarget, MessageChannel, MessagePort},
    options::ConnectOptions,
    worker,
};

/// Milliseconds after which a greeting is posted again: a worker that is killed takes it with it.
const AGAIN: u64 = 2 * unit::SECOND;

/// Registers the worker and returns the registration once its worker is active.
pub(crate) async fn register(options: &ConnectOptions) -> Result<JsValue, Error> {
    let container = js::get(&js::global("navigator"), "serviceWorker");
    if !container.is_object() {
        return Err(unavailable(
            "this browser, or this window, has no service workers: use https or localhost, and no private window",
        ));
    }
    let how = Object::new();
    if let Some(scope) = &options.scope {
        js::set(&how, "scope", &JsValue::from_str(scope));
    }
    if options.module {
        js::set(&how, "type", &JsValue::from_str("module"));
    }
    let registration = js::call_method(&container, "register", &[JsValue::from_str(&options.worker), how.into()])
        .await
        .map_err(|error| unavailable([&options.worker, " cannot be registered: ", &js::message_of(&error)].text()))?;
    while worker::active(&registration).is_none() {
        let coming = ["installing", "waiting"].map(|name| js::get(&registration, name)).into_iter().find(JsValue::is_object);
        let Some(coming) = coming else {
            return Err(unavailable([&options.worker, " did not install; see the console for the script's error"].text()));
        };
        let changed = Promise::new(&mut |changed, _| coming.unchecked_ref::<EventTarget>().listen("statechange", &changed));
        let _ = JsFuture::from(changed).await;
    }
    Ok(registration)
}

/// Greets the active worker until it returns the greeting; returns the name of its configuration.
pub(crate) async fn greet(registration: &JsValue) -> Result<String, Error> {
    loop {
        let Some(worker) = worker::active(registration) else {
            return Err(unavailable("the registration has no active worker"));
        };
        let channel = MessageChannel::new();
        let ours = js::get(&channel, "port1");
        let answer = Promise::new(&mut |heard, _| js::set(&ours, "onmessage", &heard));
        let greeting = Object::new();
        js::set(&greeting, "shearwater", &js::number(u64::from(VERSION)));
        js::set(&greeting, "re", &JsValue::from_str(&js::random_uuid()));
        js::set(&greeting, "op", &JsValue::from_str("hello"));
        worker
            .post(&greeting, &Array::of1(&js::get(&channel, "port2")))
            .map_err(|error| unavailable(["the worker takes no messages: ", &js::message_of(&error)].text()))?;
        let heard = JsFuture::from(Promise::race(&Array::of2(&answer, &after(AGAIN)))).await.unwrap_or_default();
        ours.unchecked_ref::<MessagePort>().close();
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
    let mut limit = std::pin::pin!(JsFuture::from(after(u64::from(timeout))));
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        if let std::task::Poll::Ready(outcome) = work.as_mut().poll(context) {
            return std::task::Poll::Ready(outcome);
        }
        limit.as_mut().poll(context).map(|_| {
            Err(Error::new(
                ErrorCode::Timeout,
                "the worker is not there, or does not answer: does it load Shearwater and call shearwater.start() at its top level?",
            ))
        })
    })
    .await
}

/// Resolves after so many milliseconds.
fn after(ms: u64) -> Promise {
    Promise::new(&mut |resolve, _| drop(js::set_timeout(&resolve, i32::try_from(ms).unwrap_or(i32::MAX))))
}

use shearwater_core::JobId;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{Worker, begin, known, message, promise, script, settle};
use crate::{face::signal::Signals, js};

/// Signals of these controllers, which lie in a global array.
fn signals(count: u32) -> Signals {
    script(&format!("self.controllers = Array.from({{ length: {count} }}, () => new AbortController())"));
    let mut signals = Signals::default();
    for at in 0..count {
        signals.add(script(&format!("self.controllers[{at}].signal")));
    }
    signals
}

fn abort(at: u32, reason: &str) {
    script(&format!("self.controllers[{at}].abort({reason})"));
}

fn id() -> JobId {
    JobId::from_random([1; 16])
}

#[wasm_bindgen_test]
fn a_signal_that_was_aborted_before_is_found_with_its_reason() {
    let signals = signals(2);
    assert!(signals.check().is_ok());
    abort(1, "'why'");
    assert_eq!(signals.check().unwrap_err(), "why");
}

#[wasm_bindgen_test]
fn what_is_no_signal_is_none() {
    let mut signals = Signals::default();
    signals.add(JsValue::UNDEFINED);
    signals.add(JsValue::NULL);
    assert!(signals.is_empty() && signals.check().is_ok());
}

#[wasm_bindgen_test]
async fn an_abort_before_the_answer_rejects_at_once_and_what_is_stored_all_the_same_is_discarded() {
    let worker = Worker::new();
    let (link, _) = worker.link(60_000);
    let (stored, answer) = promise();
    let raced = begin(wasm_bindgen_futures::JsFuture::from(signals(1).race(stored, vec![id()], link)));
    settle().await;
    assert!(raced.borrow().is_none());
    abort(0, "");
    settle().await;
    assert_eq!(js::get(&known(&raced).await.unwrap_err(), "name"), "AbortError");
    assert!(worker.ops().await.is_empty(), "it may never be stored");
    answer.call1(&JsValue::NULL, &"id".into()).unwrap();
    settle().await;
    assert_eq!(worker.ops().await, [format!("{{\"discard\":\"{}\"}}", id().as_str())]);
}

#[wasm_bindgen_test]
async fn an_abort_after_the_answer_changes_nothing() {
    let worker = Worker::new();
    let (link, _) = worker.link(60_000);
    let (stored, answer) = promise();
    let raced = begin(wasm_bindgen_futures::JsFuture::from(signals(1).race(stored, vec![id()], link)));
    answer.call1(&JsValue::NULL, &"id".into()).unwrap();
    settle().await;
    abort(0, "");
    settle().await;
    assert_eq!(known(&raced).await.unwrap(), "id");
    assert!(worker.ops().await.is_empty());
}

#[wasm_bindgen_test]
async fn what_was_not_stored_is_not_discarded() {
    let worker = Worker::new();
    let (link, _) = worker.link(60_000);
    let mut reject = None;
    let stored = js_sys::Promise::new(&mut |_, no| reject = Some(no));
    let raced = begin(wasm_bindgen_futures::JsFuture::from(signals(1).race(stored, vec![id()], link)));
    abort(0, "new Error('why')");
    settle().await;
    assert_eq!(message(&known(&raced).await.unwrap_err()), "why");
    reject.unwrap().call1(&JsValue::NULL, &"full".into()).unwrap();
    settle().await;
    assert!(worker.ops().await.is_empty());
}

#[wasm_bindgen_test]
async fn any_of_several_signals_aborts() {
    let worker = Worker::new();
    let (link, _) = worker.link(60_000);
    let (stored, _answer) = promise();
    let raced = begin(wasm_bindgen_futures::JsFuture::from(signals(3).race(stored, vec![id()], link)));
    abort(2, "'third'");
    settle().await;
    assert_eq!(known(&raced).await.unwrap_err(), "third");
}

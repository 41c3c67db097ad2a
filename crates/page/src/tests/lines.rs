use std::rc::Rc;

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{begin, latch, script, settle};
use crate::lines::Lines;

/// The lines of a client that is closed at the end of the test.
struct Closed(Rc<Lines>);

impl std::ops::Deref for Closed {
    type Target = Rc<Lines>;

    fn deref(&self) -> &Rc<Lines> {
        &self.0
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Whether a promise has settled by now.
async fn is_settled(promise: &Promise) -> bool {
    let outcome = begin(wasm_bindgen_futures::JsFuture::from(promise.clone()));
    settle().await;
    outcome.borrow().is_some()
}

#[wasm_bindgen_test]
async fn a_job_waits_for_the_one_before_it_of_its_key_and_for_no_other() {
    let lines = Closed(Lines::new());
    assert!(lines.turn("key").is_none(), "the first goes at once");
    let (stored, settle_it) = latch();
    lines.join("key".to_owned(), &stored);
    assert!(lines.turn("other").is_none());
    let turn = lines.turn("key").unwrap();
    assert!(!is_settled(&turn).await);
    settle_it.call0(&JsValue::NULL).unwrap();
    assert!(is_settled(&turn).await);
    assert!(lines.turn("key").is_none(), "the line is empty again");
}

#[wasm_bindgen_test]
async fn each_waits_for_the_last_that_came_before_it() {
    let lines = Closed(Lines::new());
    let ((first, settle_first), (second, settle_second)) = (latch(), latch());
    lines.join("key".to_owned(), &first);
    lines.join("key".to_owned(), &second);
    let turn = lines.turn("key").unwrap();
    settle_first.call0(&JsValue::NULL).unwrap();
    assert!(!is_settled(&turn).await);
    settle_second.call0(&JsValue::NULL).unwrap();
    assert!(is_settled(&turn).await);
}

#[wasm_bindgen_test]
async fn one_that_failed_holds_up_nobody() {
    let lines = Closed(Lines::new());
    let failed = Promise::reject(&"on purpose".into());
    lines.join("key".to_owned(), &failed);
    let turn = lines.turn("key").unwrap();
    assert!(is_settled(&turn).await);
    assert!(lines.turn("key").is_none());
}

#[wasm_bindgen_test]
async fn a_page_that_goes_waits_for_nothing_until_it_is_back() {
    let lines = Closed(Lines::new());
    lines.join("key".to_owned(), &latch().0);
    let turn = lines.turn("key").unwrap();
    script("dispatchEvent(new PageTransitionEvent('pagehide'))");
    assert!(is_settled(&turn).await, "what waits is let go");
    assert!(lines.turn("key").is_none(), "and nobody waits anew");
    script("dispatchEvent(new PageTransitionEvent('pageshow'))");
    assert!(!is_settled(&lines.turn("key").unwrap()).await);
}

#[wasm_bindgen_test]
async fn a_page_that_is_hidden_waits_again_once_its_listeners_were_called() {
    let lines = Closed(Lines::new());
    lines.join("key".to_owned(), &latch().0);
    script("Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true })");
    let turn = lines.turn("key").unwrap();
    script("document.dispatchEvent(new Event('visibilitychange'))");
    assert!(lines.turn("key").is_none());
    assert!(is_settled(&turn).await);
    script("delete document.visibilityState");
    settle().await;
    assert!(!is_settled(&lines.turn("key").unwrap()).await);
}

#[wasm_bindgen_test]
async fn a_closed_client_listens_to_nothing() {
    let lines = Closed(Lines::new());
    lines.join("key".to_owned(), &latch().0);
    lines.close();
    script("dispatchEvent(new PageTransitionEvent('pagehide'))");
    assert!(lines.turn("key").is_some());
}

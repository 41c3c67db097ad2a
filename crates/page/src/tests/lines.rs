use std::{cell::RefCell, rc::Rc};

use wasm_bindgen_test::wasm_bindgen_test;

use super::{begin, script, settle};
use crate::lines::{Lines, Place};

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

/// Whether it is this one's turn by now.
async fn may_go(place: Place) -> (bool, Rc<RefCell<Option<Place>>>) {
    let waiting = begin(async move {
        let mut place = place;
        place.turn().await;
        place
    });
    settle().await;
    let may_go = waiting.borrow().is_some();
    (may_go, waiting)
}

fn join(lines: &Closed, key: &str) -> Place {
    lines.join(key.to_owned())
}

#[wasm_bindgen_test]
async fn a_job_waits_for_the_one_before_it_of_its_key_and_for_no_other() {
    let lines = Closed(Lines::new());
    let (first, place) = may_go(join(&lines, "key")).await;
    assert!(first, "the first goes at once");
    assert!(may_go(join(&lines, "other")).await.0);
    let (second, waiting) = may_go(join(&lines, "key")).await;
    assert!(!second);
    drop(place);
    settle().await;
    assert!(waiting.take().is_some());
    assert!(may_go(join(&lines, "key")).await.0, "the line is empty again");
}

#[wasm_bindgen_test]
async fn each_waits_for_the_last_that_came_before_it() {
    let lines = Closed(Lines::new());
    let (first, second) = (join(&lines, "key"), may_go(join(&lines, "key")).await.1);
    let (third, waiting) = may_go(join(&lines, "key")).await;
    drop(first);
    settle().await;
    assert!(!third && waiting.borrow().is_none());
    drop(second.take());
    settle().await;
    assert!(waiting.borrow().is_some());
}

#[wasm_bindgen_test]
async fn one_that_is_given_up_before_its_turn_lets_nobody_overtake() {
    let lines = Closed(Lines::new());
    let first = join(&lines, "key");
    drop(join(&lines, "key"));
    let (third, waiting) = may_go(join(&lines, "key")).await;
    assert!(!third);
    drop(first);
    settle().await;
    assert!(waiting.borrow().is_some());
}

#[wasm_bindgen_test]
async fn a_page_that_goes_waits_for_nothing_until_it_is_back() {
    let lines = Closed(Lines::new());
    let _first = join(&lines, "key");
    let (_, waiting) = may_go(join(&lines, "key")).await;
    script("dispatchEvent(new PageTransitionEvent('pagehide'))");
    settle().await;
    assert!(waiting.borrow().is_some(), "what waits is let go");
    let (anew, _place) = may_go(join(&lines, "key")).await;
    assert!(anew, "and nobody waits anew");
    script("dispatchEvent(new PageTransitionEvent('pageshow'))");
    assert!(!may_go(join(&lines, "key")).await.0);
}

#[wasm_bindgen_test]
async fn a_page_that_is_hidden_waits_again_once_its_listeners_were_called() {
    let lines = Closed(Lines::new());
    let _first = join(&lines, "key");
    let (_, waiting) = may_go(join(&lines, "key")).await;
    script("Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true })");
    script("document.dispatchEvent(new Event('visibilitychange'))");
    let third = join(&lines, "key");
    script("delete document.visibilityState");
    assert!(may_go(third).await.0 && waiting.borrow().is_some());
    let _fourth = join(&lines, "key");
    assert!(!may_go(join(&lines, "key")).await.0);
}

#[wasm_bindgen_test]
async fn a_closed_client_listens_to_nothing() {
    let lines = Closed(Lines::new());
    let _first = join(&lines, "key");
    lines.close();
    script("dispatchEvent(new PageTransitionEvent('pagehide'))");
    assert!(!may_go(join(&lines, "key")).await.0);
}

use std::{cell::RefCell, rc::Rc};

use shearwater_web::spawn_local;
use wasm_bindgen_test::wasm_bindgen_test;

use super::settle;
use crate::latch::Latch;

#[wasm_bindgen_test]
async fn everyone_who_waits_gets_the_value_in_the_order_in_which_they_came() {
    let (latch, heard) = (Latch::new(), Rc::new(RefCell::new(Vec::new())));
    for waiter in 0..3 {
        let (latch, heard) = (latch.clone(), Rc::clone(&heard));
        spawn_local(async move {
            let value: u32 = latch.wait().await;
            heard.borrow_mut().push((waiter, value));
        });
    }
    settle().await;
    assert!(heard.borrow().is_empty(), "nobody gets past a closed latch");
    latch.open(7);
    settle().await;
    assert_eq!(*heard.borrow(), [(0, 7), (1, 7), (2, 7)]);
}

#[wasm_bindgen_test]
async fn whoever_comes_after_the_opening_gets_the_first_value_at_once() {
    let latch = Latch::new();
    latch.open("first");
    latch.open("second");
    assert_eq!(latch.wait().await, "first");
    assert_eq!(latch.clone().wait().await, "first");
}

#[wasm_bindgen_test]
async fn a_waiter_that_is_dropped_holds_up_nobody() {
    let (latch, has_passed) = (Latch::new(), Rc::new(RefCell::new(false)));
    let mut waiter = Box::pin(latch.wait());
    assert!(futures_poll(waiter.as_mut()).is_none());
    drop(waiter);
    spawn_local({
        let (latch, has_passed) = (latch.clone(), Rc::clone(&has_passed));
        async move {
            latch.wait().await;
            has_passed.replace(true);
        }
    });
    settle().await;
    latch.open(());
    settle().await;
    assert!(*has_passed.borrow());
}

#[wasm_bindgen_test]
fn only_clones_are_the_same_latch() {
    let latch: Latch<()> = Latch::new();
    assert!(latch.is(&latch.clone()));
    assert!(!latch.is(&Latch::new()));
}

/// Polls once, with nobody to be woken.
fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

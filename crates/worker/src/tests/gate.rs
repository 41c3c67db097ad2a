use std::{cell::RefCell, rc::Rc};

use shearwater_bridge::spawn_local;
use wasm_bindgen_test::wasm_bindgen_test;

use super::settle;
use crate::gate::Gate;

#[wasm_bindgen_test]
async fn everyone_who_waits_gets_the_value_in_the_order_in_which_they_came() {
    let (gate, heard) = (Gate::new(), Rc::new(RefCell::new(Vec::new())));
    for waiter in 0..3 {
        let (gate, heard) = (gate.clone(), Rc::clone(&heard));
        spawn_local(async move {
            let value: u32 = gate.passed().await;
            heard.borrow_mut().push((waiter, value));
        });
    }
    settle().await;
    assert!(heard.borrow().is_empty(), "nobody passes a closed gate");
    gate.open(7);
    settle().await;
    assert_eq!(*heard.borrow(), [(0, 7), (1, 7), (2, 7)]);
}

#[wasm_bindgen_test]
async fn whoever_comes_after_the_opening_passes_at_once_with_the_first_value() {
    let gate = Gate::new();
    gate.open("first");
    gate.open("second");
    assert_eq!(gate.passed().await, "first");
    assert_eq!(gate.clone().passed().await, "first");
}

#[wasm_bindgen_test]
async fn a_waiter_that_is_dropped_holds_up_nobody() {
    let (gate, passed) = (Gate::new(), Rc::new(RefCell::new(false)));
    let mut waiter = Box::pin(gate.passed());
    assert!(futures_poll(waiter.as_mut()).is_none());
    drop(waiter);
    spawn_local({
        let (gate, passed) = (gate.clone(), Rc::clone(&passed));
        async move {
            gate.passed().await;
            passed.replace(true);
        }
    });
    settle().await;
    gate.open(());
    settle().await;
    assert!(*passed.borrow());
}

#[wasm_bindgen_test]
fn only_clones_are_the_same_gate() {
    let gate: Gate<()> = Gate::new();
    assert!(gate.is(&gate.clone()));
    assert!(!gate.is(&Gate::new()));
}

/// Polls once, with nobody to be woken.
fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

use std::{cell::Cell, rc::Rc};

use wasm_bindgen_test::wasm_bindgen_test;

use super::{advance, install_timers, timers_pending};
use crate::clock::{Timer, now, unique_name};

/// A timer, and how often it has fired.
fn counted(ms: u64) -> (Timer, Rc<Cell<u32>>) {
    let fired = Rc::new(Cell::new(0));
    let timer = Timer::start(ms, {
        let fired = Rc::clone(&fired);
        move || fired.set(fired.get() + 1)
    });
    (timer, fired)
}

#[wasm_bindgen_test]
async fn a_timer_fires_once_when_its_time_has_come() {
    install_timers();
    let (_timer, fired) = counted(100);
    advance(99).await;
    assert_eq!(fired.get(), 0);
    advance(1).await;
    assert_eq!(fired.get(), 1);
    advance(10_000).await;
    assert_eq!(fired.get(), 1);
}

#[wasm_bindgen_test]
async fn a_dropped_timer_never_fires() {
    install_timers();
    let (timer, fired) = counted(100);
    assert_eq!(timers_pending(), 1);
    drop(timer);
    assert_eq!(timers_pending(), 0);
    advance(10_000).await;
    assert_eq!(fired.get(), 0);
}

#[wasm_bindgen_test]
async fn a_timer_that_has_fired_may_be_dropped() {
    install_timers();
    let (timer, fired) = counted(0);
    advance(0).await;
    drop(timer);
    assert_eq!(fired.get(), 1);
}

#[wasm_bindgen_test]
async fn a_delay_that_no_browser_takes_does_not_fire_at_once() {
    let (_timer, fired) = counted(u64::MAX);
    let (_short, short) = counted(50);
    while short.get() == 0 {
        super::settle().await;
    }
    assert_eq!(fired.get(), 0);
}

#[wasm_bindgen_test]
async fn the_clock_is_the_wall_clock() {
    install_timers();
    let before = now();
    advance(1_234).await;
    assert_eq!(now().since(before), 1_234);
}

#[wasm_bindgen_test]
fn no_two_names_are_the_same() {
    assert_ne!(unique_name(), unique_name());
}

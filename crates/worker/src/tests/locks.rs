use std::{cell::RefCell, rc::Rc};

use shearwater_web::spawn_local;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{host, new_name, script, settle};
use crate::{
    drain::locks::{Held, ask},
    host::Host,
    js,
};

type Log = Rc<RefCell<Vec<(&'static str, Held)>>>;

/// Asks for a lock, and notes under `who` when it is granted.
fn ask_as(who: &'static str, host: &Host, name: &str, log: &Log) {
    let (asked, log) = (ask(host, name), Rc::clone(log));
    spawn_local(async move {
        let held = asked.granted().await;
        log.borrow_mut().push((who, held));
    });
}

fn holders(log: &Log) -> Vec<&'static str> {
    log.borrow().iter().map(|(who, _)| *who).collect()
}

/// Waits until so many hold or have held the lock; what the browser does takes its time.
async fn until_granted(log: &Log, count: usize) {
    while log.borrow().len() < count {
        settle().await;
    }
}

#[wasm_bindgen_test]
async fn a_lock_is_granted_to_one_at_a_time_in_the_order_in_which_they_asked() {
    let (host, name, log) = (host(), new_name(), Log::default());
    for who in ["first", "second", "third"] {
        ask_as(who, &host, &name, &log);
    }
    for expected in ["first", "second", "third"] {
        until_granted(&log, 1).await;
        settle().await;
        assert_eq!(holders(&log), [expected], "one at a time");
        let (_, held) = log.borrow_mut().remove(0);
        assert!(held.exclusive);
        drop(held);
    }
}

#[wasm_bindgen_test]
async fn locks_of_different_names_do_not_wait_for_each_other() {
    let (host, log) = (host(), Log::default());
    ask_as("one", &host, &new_name(), &log);
    ask_as("other", &host, &new_name(), &log);
    until_granted(&log, 2).await;
}

#[wasm_bindgen_test]
async fn a_lock_that_is_not_wanted_any_more_goes_to_the_next() {
    let (host, name, log) = (host(), new_name(), Log::default());
    ask_as("first", &host, &name, &log);
    until_granted(&log, 1).await;
    let unwanted = ask(&host, &name);
    ask_as("last", &host, &name, &log);
    drop(unwanted);
    log.borrow_mut().clear();
    until_granted(&log, 1).await;
    assert_eq!(holders(&log), ["last"]);
}

#[wasm_bindgen_test]
async fn a_dead_instance_holds_no_lock() {
    let dying = script(
        "(() => { let die; const death = new Promise((_, reject) => (die = reject)); death.catch(() => {}); return { death, die }; })()",
    );
    let (name, log) = (new_name(), Log::default());
    ask_as("dead", &Host::new(dying.clone()), &name, &log);
    until_granted(&log, 1).await;
    ask_as("next", &host(), &name, &log);
    settle().await;
    assert_eq!(holders(&log), ["dead"]);
    js_sys::Function::from(js::get(&dying, "die")).call0(&dying).unwrap();
    until_granted(&log, 2).await;
    assert_eq!(holders(&log), ["dead", "next"]);
}

#[wasm_bindgen_test]
async fn without_navigator_locks_everyone_is_let_in_and_told() {
    script("Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true })");
    let (host, name) = (host(), new_name());
    let (one, other) = (ask(&host, &name).granted().await, ask(&host, &name).granted().await);
    assert!(!one.exclusive && !other.exclusive);
}

#[wasm_bindgen_test]
async fn a_request_that_the_browser_refuses_locks_nobody_out() {
    for refusal in [
        "() => Promise.reject(new DOMException('', 'SecurityError'))",
        "() => { throw new DOMException('', 'InvalidStateError') }",
    ] {
        script(&format!("Object.defineProperty(navigator, 'locks', {{ value: {{ request: {refusal} }}, configurable: true }})"));
        assert!(!ask(&host(), &new_name()).granted().await.exclusive);
    }
}

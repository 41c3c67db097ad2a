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
    gate.open(7);
    assert_eq!(gate.passed().await, 7);
    settle().await;
    assert_eq!(*heard.borrow(), [(0, 7), (1, 7), (2, 7)]);
}

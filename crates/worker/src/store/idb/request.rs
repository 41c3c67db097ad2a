//! One `IDBRequest` as a future.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use shearwater_core::Error;
use wasm_bindgen::prelude::*;

use super::set_handler;
use crate::{fault::storage_error, js};

/// Resolves with the request's result. To be awaited within the transaction's own futures only.
pub struct Request {
    request: JsValue,
    state: Rc<RefCell<State>>,
    _on_end: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct State {
    done: bool,
    waker: Option<Waker>,
}

impl Request {
    /// Listens to a request that was just made.
    pub fn new(request: JsValue) -> Self {
        let state = Rc::new(RefCell::new(State::default()));
        let on_end = Closure::<dyn FnMut()>::new({
            let state = Rc::clone(&state);
            move || {
                let waker = {
                    let mut state = state.borrow_mut();
                    state.done = true;
                    state.waker.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        });
        set_handler(&request, "onsuccess", on_end.as_ref().unchecked_ref());
        set_handler(&request, "onerror", on_end.as_ref().unchecked_ref());
        Self { request, state, _on_end: on_end }
    }
}

impl Future for Request {
    type Output = Result<JsValue, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.state.borrow_mut();
        if !state.done {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let error = js::get(&self.request, "error");
        Poll::Ready(if error.is_object() { Err(storage_error(&error)) } else { Ok(js::get(&self.request, "result")) })
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        js::set(&self.request, "onsuccess", &JsValue::NULL);
        js::set(&self.request, "onerror", &JsValue::NULL);
    }
}

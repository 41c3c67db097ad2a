//! One `IDBRequest` as a future.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use shearwater_core::Error;
use wasm_bindgen::prelude::*;
use web_sys::IdbRequest;

use crate::fault::storage_error;

/// Resolves with the request's result. To be awaited within the transaction's own futures only.
pub struct Request {
    request: IdbRequest,
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
    pub fn new(request: IdbRequest) -> Self {
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
        request.set_onsuccess(Some(on_end.as_ref().unchecked_ref()));
        request.set_onerror(Some(on_end.as_ref().unchecked_ref()));
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
        // Neither throws of a request that is done.
        Poll::Ready(match self.request.error() {
            Ok(Some(error)) => Err(storage_error(&error)),
            _ => Ok(self.request.result().unwrap_or_default()),
        })
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.request.set_onsuccess(None);
        self.request.set_onerror(None);
    }
}

//! A value that is set once and may be awaited by many.
//!
//! Where one alone waits, it is a `oneshot` channel's instead. `futures`' own, a `Shared` receiver behind the same
//! functions, made worker.wasm 3.2 KB of brotli larger than this.

use std::{
    cell::RefCell,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

/// See the module.
pub struct Latch<T>(Rc<RefCell<Inner<T>>>);

struct Inner<T> {
    value: Option<T>,
    wakers: Vec<Waker>,
}

impl<T> Clone for Latch<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: Clone> Latch<T> {
    /// A closed latch.
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(Inner { value: None, wakers: Vec::new() })))
    }

    /// Whether both are the same latch.
    pub fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Opens it; the first value stays.
    pub fn open(&self, value: T) {
        let wakers = {
            let mut inner = self.0.borrow_mut();
            inner.value.get_or_insert(value);
            std::mem::take(&mut inner.wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }

    /// Waits until it is open.
    pub async fn wait(&self) -> T {
        poll_fn(|context| {
            let mut inner = self.0.borrow_mut();
            match &inner.value {
                Some(value) => Poll::Ready(value.clone()),
                None => {
                    inner.wakers.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

//! A value that is set once and may be awaited by many.
//!
//! Where one alone waits, it is a `oneshot` channel's instead.

use std::{cell::Cell, rc::Rc};

use futures_channel::oneshot;
use futures_util::future::{FutureExt as _, Shared, pending};

/// See the module.
pub struct Latch<T: Clone> {
    /// Taken by whoever opens it.
    opener: Rc<Cell<Option<oneshot::Sender<T>>>>,
    value: Shared<oneshot::Receiver<T>>,
}

impl<T: Clone> Clone for Latch<T> {
    fn clone(&self) -> Self {
        Self { opener: Rc::clone(&self.opener), value: self.value.clone() }
    }
}

impl<T: Clone> Latch<T> {
    /// A closed latch.
    pub fn new() -> Self {
        let (opener, value) = oneshot::channel();
        Self { opener: Rc::new(Cell::new(Some(opener))), value: value.shared() }
    }

    /// Whether both are the same latch.
    pub fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.opener, &other.opener)
    }

    /// Opens it; the first value stays.
    pub fn open(&self, value: T) {
        if let Some(opener) = self.opener.take() {
            let _ = opener.send(value);
        }
    }

    /// Waits until it is open.
    pub async fn wait(&self) -> T {
        match self.value.clone().await {
            Ok(value) => value,
            // It is held by whoever waits: nothing but `open` takes the sender.
            Err(oneshot::Canceled) => pending().await,
        }
    }
}

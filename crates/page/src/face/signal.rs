//! The `AbortSignal`s of requests that are being stored.

use std::{cell::Cell, rc::Rc};

use js_sys::{Array, Promise};
use shearwater_core::{JobId, protocol::Op};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::AbortSignal;

use super::notify;
use crate::{js::Listener, link::Link};

/// The signals of one call: it is aborted by any of them.
#[derive(Clone, Default)]
pub struct Signals {
    signals: Vec<AbortSignal>,
    aborted: Rc<Cell<bool>>,
    /// What they are for is done: whoever aborts now comes too late.
    settled: Rc<Cell<bool>>,
}

impl Signals {
    /// Adds a signal, or nothing.
    pub fn add(&mut self, signal: JsValue) {
        if signal.is_object() {
            self.signals.push(signal.unchecked_into());
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.signals.is_empty()
    }

    /// Goes on unless a signal was aborted.
    ///
    /// # Errors
    /// The reason of the first signal that was.
    pub fn check(&self) -> Result<(), JsValue> {
        self.signals.iter().find(|signal| signal.aborted()).map_or(Ok(()), |signal| Err(signal.reason()))
    }

    /// Heeds no signal any more.
    pub fn settle(&self) {
        self.settled.set(true);
    }

    /// The outcome of `stored`, whose jobs are `ids`, or the signal's reason should that be first; then what was
    /// stored all the same is discarded, unless it is being sent.
    pub fn race(self, stored: Promise, ids: Vec<JobId>, link: Rc<Link>) -> Promise {
        if self.signals.is_empty() {
            return stored;
        }
        let mut abort = None;
        let aborted = Promise::new(&mut |_, reject| abort = Some(reject));
        let raced = Promise::race(&Array::of2(&stored, &aborted));
        let signals = Rc::new(self);
        let listen = |signal: &AbortSignal| {
            let (signals, abort) = (Rc::clone(&signals), abort.clone());
            Listener::new(signal, "abort", move || {
                if let (false, Err(reason), Some(reject)) = (signals.settled.get(), signals.check(), &abort) {
                    signals.aborted.set(true);
                    notify(reject, &reason);
                }
            })
        };
        let listeners: Vec<_> = signals.signals.iter().map(listen).collect();
        spawn_local(async move {
            let outcome = JsFuture::from(stored).await;
            drop(listeners);
            if signals.aborted.get() && outcome.is_ok() {
                for id in ids {
                    let _ = link.ask(Op::Discard(id.into()), Array::new()).await;
                }
            }
        });
        raced
    }
}

//! One `IDBRequest` as a future.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_channel::oneshot;
use shearwater_core::Error;
use wasm_bindgen::prelude::*;
use web_sys::IdbRequest;

use crate::fault::storage_error;

/// Resolves with the request's result. To be awaited within the transaction's own futures only.
pub struct Request {
    request: IdbRequest,
    ended: oneshot::Receiver<()>,
    _on_end: Closure<dyn FnMut()>,
}

impl Request {
    /// Listens to a request that was just made.
    pub fn new(request: IdbRequest) -> Self {
        let (tell, ended) = oneshot::channel();
        let mut tell = Some(tell);
        let on_end = Closure::<dyn FnMut()>::new(move || {
            if let Some(tell) = tell.take() {
                let _ = tell.send(());
            }
        });
        request.set_onsuccess(Some(on_end.as_ref().unchecked_ref()));
        request.set_onerror(Some(on_end.as_ref().unchecked_ref()));
        Self { request, ended, _on_end: on_end }
    }
}

impl Future for Request {
    type Output = Result<JsValue, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let _ = ready!(Pin::new(&mut self.ended).poll(context));
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

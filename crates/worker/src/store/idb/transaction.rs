//! One transaction: reads are awaited, writes are issued, the end is always known.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_channel::oneshot;
use js_sys::Array;
use shearwater_core::{
    Error, ErrorCode,
    store::{Scope, Store},
};
use wasm_bindgen::prelude::*;
use web_sys::{IdbDatabase, IdbObjectStore, IdbRequest, IdbTransaction};

use super::Request;
use crate::{
    fault::storage_error,
    js::{self, externs::DurableDatabase},
};

/// What a transaction may do, and how sure its commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reads only.
    Read,
    /// Writes that survive a killed process; a power cut may lose them.
    Relaxed,
    /// Writes that are on the disk when the commit is reported.
    Strict,
    /// As strict; takes new work in, and so leaves the reserve alone that a full disk is worked off with.
    Intake,
}

impl Mode {
    /// Whether it writes.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

/// A running transaction. Dropped without [`Transaction::commit`], it is aborted.
pub struct Transaction {
    inner: IdbTransaction,
    stores: RefCell<Vec<(Store, IdbObjectStore)>>,
    /// Whether it was committed.
    end: oneshot::Receiver<bool>,
    settled: bool,
    _on_end: [Closure<dyn FnMut()>; 2],
}

impl Transaction {
    pub(super) fn begin(database: &IdbDatabase, scope: Scope, mode: Mode) -> Result<Self, Error> {
        let options = js_sys::Object::new();
        let durability = if matches!(mode, Mode::Strict | Mode::Intake) { "strict" } else { "relaxed" };
        js::set(&options, "durability", &JsValue::from_str(durability));
        let names = js::array(scope.stores().map(|store| JsValue::from_str(store.as_str())));
        let access = if mode.writes() { "readwrite" } else { "readonly" };
        let database: &DurableDatabase = database.unchecked_ref();
        let inner = database.transaction(&names, access, &options).map_err(|error| storage_error(&error))?;
        let (tell, end) = oneshot::channel();
        let tell = Rc::new(Cell::new(Some(tell)));
        let on_end = [true, false].map(|completed| {
            let tell = Rc::clone(&tell);
            Closure::<dyn FnMut()>::new(move || {
                if let Some(tell) = tell.take() {
                    let _ = tell.send(completed);
                }
            })
        });
        inner.set_oncomplete(Some(on_end[0].as_ref().unchecked_ref()));
        inner.set_onabort(Some(on_end[1].as_ref().unchecked_ref()));
        Ok(Self { inner, stores: RefCell::default(), end, settled: false, _on_end: on_end })
    }

    /// Commits, and waits until the browser says that it is done.
    ///
    /// # Errors
    /// Why it was aborted: `quota-exceeded`, `storage-unavailable` …; then nothing of it is stored.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.settled = true;
        // It commits by itself when its last write has succeeded. `IDBTransaction.commit()` would save a message, but
        // in Firefox it commits what is left when a write fails, as that of a body does on a full disk.
        if (&mut self.end).await == Ok(true) {
            return Ok(());
        }
        let no_reason = "the browser aborted the transaction; nothing was stored, try again";
        Err(match self.inner.error() {
            Some(reason) => storage_error(&reason),
            None => Error::new(ErrorCode::StorageUnavailable, no_reason),
        })
    }

    /// The value at `key`, or undefined.
    ///
    /// # Errors
    /// What `IndexedDB` answers.
    pub async fn get(&self, store: Store, key: &str) -> Result<JsValue, Error> {
        let request = self.with_store(store, |store| store.get(&JsValue::from_str(key)))?;
        Request::new(request).await
    }

    /// The values at `keys`, each or undefined. All are asked for before the first is awaited.
    ///
    /// # Errors
    /// What `IndexedDB` answers.
    pub async fn get_each(&self, store: Store, keys: &[impl AsRef<str>]) -> Result<Vec<JsValue>, Error> {
        let mut requests = Vec::with_capacity(keys.len());
        for key in keys {
            let request = self.with_store(store, |store| store.get(&JsValue::from_str(key.as_ref())))?;
            requests.push(Request::new(request));
        }
        let mut values = Vec::with_capacity(requests.len());
        for request in requests {
            values.push(request.await?);
        }
        Ok(values)
    }

    /// At most `limit` values of `range`, in the order of keys.
    ///
    /// # Errors
    /// What `IndexedDB` answers.
    pub async fn get_all(&self, store: Store, index: Option<&str>, range: &JsValue, limit: u32) -> Result<Array, Error> {
        let request = self.with_store(store, |store| match index {
            Some(index) => store.index(index)?.get_all_with_key_and_limit(range, limit),
            None => store.get_all_with_key_and_limit(range, limit),
        })?;
        Ok(Request::new(request).await?.unchecked_into())
    }

    /// At most `limit` keys of `range`, in their order.
    ///
    /// # Errors
    /// What `IndexedDB` answers.
    pub async fn get_all_keys(&self, store: Store, range: &JsValue, limit: u32) -> Result<Array, Error> {
        let request = self.with_store(store, |store| store.get_all_keys_with_key_and_limit(range, limit))?;
        Ok(Request::new(request).await?.unchecked_into())
    }

    /// How many values there are.
    ///
    /// # Errors
    /// What `IndexedDB` answers.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; a count is not negative")]
    pub async fn count(&self, store: Store) -> Result<u32, Error> {
        let request = self.with_store(store, IdbObjectStore::count)?;
        Ok(Request::new(request).await?.as_f64().unwrap_or_default() as u32)
    }

    /// Issues a write of a value that carries its key, or of one `at` a key.
    ///
    /// # Errors
    /// What `IndexedDB` throws at once; later failures abort the transaction.
    pub fn put(&self, store: Store, value: &JsValue, at: Option<&str>) -> Result<(), Error> {
        self.with_store(store, |store| match at {
            Some(key) => store.put_with_key(value, &JsValue::from_str(key)),
            None => store.put(value),
        })
        .map(drop)
    }

    /// Issues a write of a value whose key is new: one that it carries, or one that it is stored `at`.
    ///
    /// # Errors
    /// As [`Transaction::put`]; that the key is taken fails the commit.
    pub fn add(&self, store: Store, value: &JsValue, at: Option<&str>) -> Result<(), Error> {
        self.with_store(store, |store| match at {
            Some(key) => store.add_with_key(value, &JsValue::from_str(key)),
            None => store.add(value),
        })
        .map(drop)
    }

    /// Issues a deletion at a key, or in a range of them.
    ///
    /// # Errors
    /// What `IndexedDB` throws at once; later failures abort the transaction.
    pub fn delete(&self, store: Store, key: &JsValue) -> Result<(), Error> {
        self.with_store(store, |store| store.delete(key)).map(drop)
    }

    fn with_store(
        &self,
        name: Store,
        act: impl FnOnce(&IdbObjectStore) -> Result<IdbRequest, JsValue>,
    ) -> Result<IdbRequest, Error> {
        let mut stores = self.stores.borrow_mut();
        let at = match stores.iter().position(|(open, _)| *open == name) {
            Some(at) => at,
            None => {
                let store = self.inner.object_store(name.as_str()).map_err(|error| self.reason(&error))?;
                stores.push((name, store));
                stores.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        act(&stores[at].1).map_err(|error| self.reason(&error))
    }

    /// Why a call was refused: where an earlier write has failed, the call says only that the transaction is over.
    fn reason(&self, thrown: &JsValue) -> Error {
        self.inner.error().map_or_else(|| storage_error(thrown), |reason| storage_error(&reason))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.settled {
            let _ = self.inner.abort();
        }
        self.inner.set_oncomplete(None);
        self.inner.set_onabort(None);
    }
}

//! The little of `IndexedDB` that the store needs, without the traps.
//!
//! - A transaction's end is listened for from its beginning, so that it cannot be missed; an abort is
//!   an error, with the reason's name.
//! - The write behind an acknowledged enqueue is `strict`; others are `relaxed`.
//! - Before the first write, Chromium is made to begin a fresh log; see `sw/worker/database.js`.
//! - The connection closes on `versionchange`, so that nobody's upgrade waits for us, and says when
//!   the browser has closed it.
//!
//! Why not rexie, here: it has no durability option, answers `Ok(Aborted)` when the disk is full, hides
//! the connection's `close` and `versionchange` events, and its builder deletes every store that it
//! is not told of, which is not to happen to anybody's jobs.

mod request;
mod transaction;

use std::{cell::Cell, rc::Rc};

use js_sys::Promise;
use shearwater_core::{Error, ErrorCode, store::Scope};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{IdbDatabase, IdbKeyRange, IdbTransaction, IdbVersionChangeEvent};

use crate::{fault::storage_error, js};

pub use request::Request;
pub use transaction::{Mode, Transaction};

/// An open connection.
pub struct Connection {
    database: IdbDatabase,
    lost: Rc<Cell<bool>>,
    _on_end: Closure<dyn FnMut()>,
}

impl Connection {
    /// Opens the database, creating or upgrading it by `upgrade(database, transaction, old_version, loss)`; `loss` is why
    /// the browser threw away the one that was there, where it says so (Chromium does). One that is `opened` already
    /// is used if it is that and of this version.
    ///
    /// # Errors
    /// `storage-unavailable` or `quota-exceeded`.
    pub async fn open(
        name: &str,
        version: u32,
        opened: Option<Promise>,
        upgrade: impl Fn(&IdbDatabase, &IdbTransaction, u32, Option<String>) -> Result<(), JsValue> + 'static,
    ) -> Result<Self, Error> {
        let Some(factory) = js::scope::indexed_db() else {
            return Err(Error::new(ErrorCode::StorageUnavailable, "there is no IndexedDB in this context"));
        };
        let opened = match opened {
            Some(opened) => JsFuture::from(opened).await.unwrap_or_default(),
            None => JsValue::UNDEFINED,
        };
        // The browser says it once, to whom asks first.
        let lost_before = js::get(&opened, "loss").as_string();
        let database = js::get(&opened, "database");
        if database.is_object() {
            let database: IdbDatabase = database.unchecked_into();
            #[expect(clippy::float_cmp, reason = "versions are whole numbers")]
            if database.name() == name && database.version() == f64::from(version) {
                return Ok(Self::of(database));
            }
            database.close();
        }
        let opening = factory.open_with_u32(name, version).map_err(|error| storage_error(&error))?;
        let on_upgrade = Closure::<dyn FnMut(IdbVersionChangeEvent)>::new({
            let opening = opening.clone();
            move |event: IdbVersionChangeEvent| {
                let old = event.old_version();
                let database: IdbDatabase = opening.result().unwrap_or_default().unchecked_into();
                let is_lost = js::get(&event, "dataLoss").as_string().is_some_and(|loss| loss != "none");
                let loss = is_lost.then(|| js::get(&event, "dataLossMessage").as_string().unwrap_or_default());
                let loss = loss.or_else(|| lost_before.clone());
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "our own version numbers are small")]
                if let Some(transaction) = opening.transaction()
                    && upgrade(&database, &transaction, old as u32, loss).is_err()
                {
                    let _ = transaction.abort();
                }
            }
        });
        opening.set_onupgradeneeded(Some(on_upgrade.as_ref().unchecked_ref()));
        let opened = Request::new(opening.clone().into()).await;
        opening.set_onupgradeneeded(None);
        Ok(Self::of(opened?.unchecked_into()))
    }

    fn of(database: IdbDatabase) -> Self {
        let lost = Rc::new(Cell::new(false));
        let on_end = Closure::<dyn FnMut()>::new({
            let (lost, database) = (Rc::clone(&lost), database.clone());
            move || {
                lost.set(true);
                database.close();
            }
        });
        database.set_onversionchange(Some(on_end.as_ref().unchecked_ref()));
        database.set_onclose(Some(on_end.as_ref().unchecked_ref()));
        Self { database, lost, _on_end: on_end }
    }

    /// Whether the browser, or somebody's upgrade, has ended it.
    pub fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Begins a transaction on these stores.
    ///
    /// # Errors
    /// `storage-unavailable` when the connection is gone.
    pub fn begin(&self, scope: Scope, mode: Mode) -> Result<Transaction, Error> {
        Transaction::begin(&self.database, scope, mode)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.database.set_onversionchange(None);
        self.database.set_onclose(None);
        self.database.close();
    }
}

/// The range of array keys that begin with `texts` and whose next number is in `from..=upto`; without texts, of such numbers.
pub fn range(texts: &[&str], from: u64, upto: u64) -> Result<JsValue, Error> {
    if texts.is_empty() {
        return IdbKeyRange::bound(&js::number(from), &js::number(upto))
            .map(JsValue::from)
            .map_err(|error| storage_error(&error));
    }
    let with = |number: u64| {
        let key = js::array(texts.iter().map(|text| JsValue::from_str(text)));
        key.push(&js::number(number));
        key
    };
    let upper = with(upto);
    // An array sorts after every number: the key is above all those that go on with a number.
    upper.push(&js::array([]));
    IdbKeyRange::bound(&with(from), &upper).map(JsValue::from).map_err(|error| storage_error(&error))
}

/// All keys from `lower` to `upper`.
pub fn between(lower: &str, upper: &str) -> Result<JsValue, Error> {
    IdbKeyRange::bound(&JsValue::from_str(lower), &JsValue::from_str(upper))
        .map(JsValue::from)
        .map_err(|error| storage_error(&error))
}

/// All keys above `key`.
pub fn above(key: &str) -> Result<JsValue, Error> {
    IdbKeyRange::lower_bound_with_open(&JsValue::from_str(key), true).map(JsValue::from).map_err(|error| storage_error(&error))
}

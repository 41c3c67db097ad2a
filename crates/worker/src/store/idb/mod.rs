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

use js_sys::{Function, Promise};
use shearwater_core::{Error, ErrorCode, store::Scope};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{fault::storage_error, js, latch::Latch};

pub use request::Request;
pub use transaction::{Mode, Transaction};

#[wasm_bindgen]
extern "C" {
    #[derive(Clone)]
    type IdbFactory;
    #[wasm_bindgen(method, catch)]
    fn open(this: &IdbFactory, name: &str, version: u32) -> Result<JsValue, JsValue>;

    /// An `IDBDatabase`.
    #[derive(Clone)]
    pub type IdbDatabase;
    #[wasm_bindgen(method)]
    fn close(this: &IdbDatabase);
    #[wasm_bindgen(method, catch, js_name = createObjectStore)]
    pub fn create_object_store(this: &IdbDatabase, name: &str, options: &JsValue) -> Result<IdbStore, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn transaction(this: &IdbDatabase, stores: &JsValue, mode: &str, options: &JsValue) -> Result<IdbTransaction, JsValue>;

    /// An `IDBTransaction`.
    #[derive(Clone)]
    pub type IdbTransaction;
    #[wasm_bindgen(method, catch, js_name = objectStore)]
    fn object_store(this: &IdbTransaction, name: &str) -> Result<IdbStore, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn abort(this: &IdbTransaction) -> Result<(), JsValue>;
    #[wasm_bindgen(method, getter)]
    fn error(this: &IdbTransaction) -> JsValue;

    /// An `IDBObjectStore`.
    pub type IdbStore;
    #[wasm_bindgen(method, catch, js_name = createIndex)]
    pub fn create_index(this: &IdbStore, name: &str, path: &str) -> Result<IdbIndex, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn index(this: &IdbStore, name: &str) -> Result<IdbIndex, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn get(this: &IdbStore, key: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getAll)]
    fn get_all(this: &IdbStore, range: &JsValue, limit: u32) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getAllKeys)]
    fn get_all_keys(this: &IdbStore, range: &JsValue, limit: u32) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn count(this: &IdbStore) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub fn put(this: &IdbStore, value: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn add(this: &IdbStore, value: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = add)]
    fn add_at(this: &IdbStore, value: &JsValue, key: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = put)]
    fn put_at(this: &IdbStore, value: &JsValue, key: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn delete(this: &IdbStore, key: &JsValue) -> Result<JsValue, JsValue>;

    /// An `IDBIndex`.
    pub type IdbIndex;
    #[wasm_bindgen(method, catch, js_name = getAll)]
    fn get_all(this: &IdbIndex, range: &JsValue, limit: u32) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_namespace = IDBKeyRange, catch, js_name = bound)]
    fn bound(lower: &JsValue, upper: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = IDBKeyRange, catch, js_name = lowerBound)]
    fn lower_bound(lower: &JsValue, open: bool) -> Result<JsValue, JsValue>;
}

/// An open connection.
pub struct Connection {
    database: IdbDatabase,
    lost: Rc<Cell<bool>>,
    _on_end: Closure<dyn FnMut()>,
}

impl Connection {
    /// Opens the database, creating or upgrading it by `upgrade(database, old_version, loss)`; `loss` is why
    /// the browser threw away the one that was there, where it says so (Chromium does). One that is `opened` already
    /// is used if it is that and of this version.
    ///
    /// # Errors
    /// `storage-unavailable` or `quota-exceeded`.
    pub async fn open(
        name: &str,
        version: u32,
        opened: Option<Promise>,
        upgrade: impl Fn(&IdbDatabase, u32, Option<String>) -> Result<(), JsValue> + 'static,
    ) -> Result<Self, Error> {
        let factory = js::global("indexedDB");
        if !factory.is_object() {
            return Err(Error::new(ErrorCode::StorageUnavailable, "there is no IndexedDB in this context"));
        }
        let factory = factory.unchecked_into::<IdbFactory>();
        let opened = match opened {
            Some(opened) => JsFuture::from(opened).await.unwrap_or_default(),
            None => JsValue::UNDEFINED,
        };
        // The browser says it once, to whom asks first.
        let lost_before = js::get(&opened, "loss").as_string();
        let database = js::get(&opened, "database");
        if database.is_object() {
            let is_ours = js::get(&database, "name").as_string().as_deref() == Some(name)
                && js::get(&database, "version").as_f64() == Some(f64::from(version));
            let database: IdbDatabase = database.unchecked_into();
            if is_ours {
                return Ok(Self::of(database));
            }
            database.close();
        }
        let opening = factory.open(name, version).map_err(|error| storage_error(&error))?;
        let failed: Latch<JsValue> = Latch::new();
        let on_upgrade = Closure::<dyn FnMut(JsValue)>::new({
            let (failed, opening) = (failed.clone(), opening.clone());
            move |event: JsValue| {
                let old = js::get(&event, "oldVersion").as_f64().unwrap_or_default();
                let database: IdbDatabase = js::get(&opening, "result").unchecked_into();
                let is_lost = js::get(&event, "dataLoss").as_string().is_some_and(|loss| loss != "none");
                let loss = is_lost.then(|| js::get(&event, "dataLossMessage").as_string().unwrap_or_default());
                let loss = loss.or_else(|| lost_before.clone());
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "our own version numbers are small")]
                if let Err(error) = upgrade(&database, old as u32, loss) {
                    failed.open(error);
                    let transaction: IdbTransaction = js::get(&opening, "transaction").unchecked_into();
                    let _ = transaction.abort();
                }
            }
        });
        js::set(&opening, "onupgradeneeded", on_upgrade.as_ref());
        let opened = Request::new(opening.clone()).await;
        js::set(&opening, "onupgradeneeded", &JsValue::NULL);
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
        js::set(&database, "onversionchange", on_end.as_ref());
        js::set(&database, "onclose", on_end.as_ref());
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
        js::set(&self.database, "onversionchange", &JsValue::NULL);
        js::set(&self.database, "onclose", &JsValue::NULL);
        self.database.close();
    }
}

/// The range of array keys that begin with `texts` and whose next number is in `from..=upto`; without texts, of such numbers.
pub fn range(texts: &[&str], from: u64, upto: u64) -> Result<JsValue, Error> {
    if texts.is_empty() {
        return bound(&js::number(from), &js::number(upto)).map_err(|error| storage_error(&error));
    }
    let with = |number: u64| {
        let key = js::array(texts.iter().map(|text| JsValue::from_str(text)));
        key.push(&js::number(number));
        key
    };
    let upper = with(upto);
    // An array sorts after every number: the key is above all those that go on with a number.
    upper.push(&js::array([]));
    bound(&with(from), &upper).map_err(|error| storage_error(&error))
}

/// All keys from `lower` to `upper`.
pub fn between(lower: &str, upper: &str) -> Result<JsValue, Error> {
    bound(&JsValue::from_str(lower), &JsValue::from_str(upper)).map_err(|error| storage_error(&error))
}

/// All keys above `key`.
pub fn above(key: &str) -> Result<JsValue, Error> {
    lower_bound(&JsValue::from_str(key), true).map_err(|error| storage_error(&error))
}

fn set_handler(target: &JsValue, name: &'static str, handler: &Function) {
    js::set(target, name, handler);
}

//! The core's transaction over one of `IndexedDB`'s, generic over its row types.
//!
//! What depends on the type is its key, its parsing and its writing; everything else works on JavaScript's values and is
//! there once.

use std::{
    any::Any,
    borrow::Cow,
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::Array;
use shearwater_core::{
    Error, JobId,
    queue::{binding::merge::merge, job::Job},
    store::{Aside, Key, Keyed, Record, Row, RowIndex, Scan, Scope, Store, Tx, ledger::Ledger, row::DraftFileKey},
    wire::text::Text,
};
use wasm_bindgen::prelude::*;

use super::{
    codec::encode_row,
    idb::{self, Transaction},
};
use crate::{body, clock, js};

/// Versions of ledgers that one millisecond has room for; see [`Tx::first_version`]. Numbers in JavaScript are
/// exact up to 2⁵³.
const VERSIONS_PER_MILLISECOND: u64 = 1024;

/// The latest time by which versions begin, in the year 2109: half of all versions are above it.
const LATEST_CLOCK: u64 = 1 << 42;

/// The core's view of one `IndexedDB` transaction.
pub struct Db {
    pub(super) tx: Transaction,
    pub(super) scope: Scope,
    pub(super) writable: bool,
    pub(super) has_ledger: Rc<Cell<bool>>,
    pub(super) latest: Rc<Cell<u64>>,
    pub(super) tells: bool,
    pub(super) quarantined: Cell<u32>,
    /// As this transaction has written it.
    pub(super) ledger: RefCell<Option<Ledger>>,
}

impl Db {
    async fn get_raw(&self, store: Store, key: Cow<'_, str>) -> Result<JsValue, Error> {
        self.scope.check(store)?;
        self.tx.get(store, &key).await
    }

    fn put_raw(&self, store: Store, key: &str, value: &JsValue) -> Result<(), Error> {
        self.scope.check(store)?;
        if self.writable { self.tx.put(store, value, beside(store, key)) } else { Ok(()) }
    }

    fn add_raw(&self, store: Store, key: &str, value: &JsValue) -> Result<(), Error> {
        self.scope.check(store)?;
        self.tx.add(store, value, beside(store, key))
    }

    fn delete_raw(&self, store: Store, key: &JsValue) -> Result<(), Error> {
        self.scope.check(store)?;
        self.tx.delete(store, key)
    }

    async fn keys_raw(&self, store: Store, prefix: &str, upto: Option<Cow<'_, str>>, limit: u32) -> Result<Array, Error> {
        self.scope.check(store)?;
        self.tx.get_all_keys(store, &keys_upto(prefix, upto)?, limit).await
    }

    async fn rows<R: Row>(&self, index: Option<&'static str>, range: JsValue, limit: u32) -> Result<Vec<R>, Error> {
        self.scope.check(R::STORE)?;
        loop {
            let before = self.quarantined.get();
            let page = self.tx.get_all(R::STORE, index, &range, limit).await?;
            let full = page.length() == limit;
            let mut rows = Vec::new();
            for raw in page.iter() {
                rows.extend(self.admit(&raw)?);
            }
            // A full page of nothing but corrupt rows is not the end: they are gone now, look again.
            if !rows.is_empty() || !full || self.quarantined.get() == before {
                return Ok(rows);
            }
        }
    }

    /// The ledger as this transaction has written it, where that is what is asked for.
    fn written<R: Row>(&self) -> Option<R> {
        let written = self.ledger.borrow();
        let written: &dyn Any = &*written;
        written.downcast_ref::<Option<R>>().cloned().flatten()
    }

    fn saw(&self, version: u64) {
        self.latest.set(self.latest.get().max(version));
    }
}

/// The key that a value is stored at, where it does not carry it.
fn beside(store: Store, key: &str) -> Option<&str> {
    if store.key_path().is_some() { None } else { Some(key) }
}

/// The keys with this prefix up to this one, or all.
fn keys_upto(prefix: &str, upto: Option<Cow<'_, str>>) -> Result<JsValue, Error> {
    // No text sorts after this one.
    let end = upto.unwrap_or_else(|| Cow::Owned([prefix, "\u{ffff}"].text()));
    idb::between(prefix, &end)
}

impl Tx for Db {
    type Body = JsValue;

    fn scope(&self) -> Scope {
        self.scope
    }

    async fn get<R: Row>(&self, key: &R::Key) -> Result<Option<R>, Error> {
        if let Some(written) = self.written() {
            return Ok(Some(written));
        }
        let row = self.admit(&self.get_raw(R::STORE, key.text()).await?)?;
        if let Some(ledger) = (&row as &dyn Any).downcast_ref::<Option<Ledger>>().and_then(Option::as_ref) {
            self.saw(ledger.version);
            self.has_ledger.set(true);
        }
        Ok(row)
    }

    async fn get_each<R: Row>(&self, keys: &[&R::Key]) -> Result<Vec<Option<R>>, Error> {
        self.scope.check(R::STORE)?;
        let keys: Vec<Cow<'_, str>> = keys.iter().map(|key| key.text()).collect();
        let found = self.tx.get_each(R::STORE, &keys).await?;
        found.iter().map(|raw| self.admit(raw)).collect()
    }

    async fn scan<I: RowIndex>(&self, scan: &Scan<'_, I>) -> Result<Vec<I::Row>, Error> {
        let range = if scan.is_whole() { JsValue::UNDEFINED } else { idb::range(&scan.texts, scan.from, scan.upto)? };
        self.rows(Some(scan.index.as_str()), range, scan.limit).await
    }

    async fn page<R: Row>(&self, after: Option<&R::Key>, limit: u32) -> Result<Vec<R>, Error> {
        let range = after.map_or(Ok(JsValue::UNDEFINED), |key| idb::above(&key.text()))?;
        self.rows(None, range, limit).await
    }

    async fn keys<R: Record>(&self, upto: Option<&R::Key>, limit: u32) -> Result<Vec<R::Key>, Error> {
        let keys = self.keys_raw(R::STORE, R::Key::PREFIX, upto.map(Key::text), limit).await?;
        Ok(keys.iter().filter_map(|key| R::Key::parse(&key.as_string()?)).collect())
    }

    async fn count<R: Record>(&self) -> Result<u32, Error> {
        self.scope.check(R::STORE)?;
        self.tx.count(R::STORE).await
    }

    fn put_at<R: Row>(&self, key: &R::Key, row: &R) -> Result<(), Error> {
        self.put_raw(R::STORE, &key.text(), &encode_row(row))?;
        if let Some(ledger) = (row as &dyn Any).downcast_ref::<Ledger>()
            && self.writable
        {
            self.saw(ledger.version);
            self.ledger.replace(Some(ledger.clone()));
        }
        Ok(())
    }

    fn add<R: Keyed>(&self, row: &R) -> Result<(), Error> {
        self.add_raw(R::STORE, &row.key().text(), &encode_row(row))
    }

    fn delete<R: Record>(&self, key: &R::Key) -> Result<(), Error> {
        self.delete_raw(R::STORE, &JsValue::from_str(&key.text()))
    }

    fn delete_upto<R: Record>(&self, key: &R::Key) -> Result<(), Error> {
        self.delete_raw(R::STORE, &keys_upto(R::Key::PREFIX, Some(key.text()))?)
    }

    fn put_body(&self, id: &JobId, body: &JsValue) -> Result<(), Error> {
        self.scope.check(Store::Bodies)?;
        self.tx.put(Store::Bodies, body, Some(id.as_str()))
    }

    fn put_file(&self, id: &JobId, file: &JsValue) -> Result<(), Error> {
        self.put_raw(Store::Bodies, &DraftFileKey(id.clone()).text(), file)
    }

    fn add_pack(&self, pack: &JobId, bodies: &[(u64, &JsValue)]) -> Result<(), Error> {
        self.scope.check(Store::Bodies)?;
        self.add_pack_of(pack, bodies)
    }

    fn may_share(body: &JsValue) -> bool {
        body.is_instance_of::<js_sys::ArrayBuffer>()
    }

    async fn body_of(&self, job: &Job) -> Result<Option<JsValue>, Error> {
        Ok(self.bodies(&[job]).await?.pop().filter(|body| !body.is_undefined()))
    }

    fn text_body(text: &str) -> JsValue {
        js_sys::Uint8Array::from(text.as_bytes()).buffer().into()
    }

    fn merged(body: &JsValue, patch: &JsValue) -> Option<(JsValue, u64)> {
        let merged = merge(&body::small_text(body)?, &body::small_text(patch)?)?;
        let size = merged.len() as u64;
        Some((Self::text_body(&merged), size))
    }

    async fn aside(&self) -> Result<Vec<Aside>, Error> {
        self.read_aside().await
    }

    fn delete_aside(&self, key: u64) -> Result<(), Error> {
        self.delete_raw(Store::Quarantine, &js::number(key))
    }

    fn quarantined(&self) -> u32 {
        self.quarantined.get()
    }

    /// Follows the device's clock, which no ledger's versions outrun, and where that was set back, what this worker has seen:
    /// a version that a page was told of before anything was written, too. A clock far in the future leaves room above.
    fn first_version(&self) -> u64 {
        let version = clock::now().0.min(LATEST_CLOCK) * VERSIONS_PER_MILLISECOND;
        let version = version.max(self.latest.get().saturating_add(1));
        self.saw(version);
        version
    }
}

//! Rows that do not parse: put aside as they are, listed, given back to the core as far as they can be read.

use shearwater_core::{
    Error,
    store::{Aside, Row, Scope, row::LedgerKey},
    wire::text::Text,
};
use shearwater_web::decode;
use wasm_bindgen::prelude::*;

use super::{Db, Mode, Store, schema};
use crate::{clock, js};

/// Entries of the quarantine that are listed.
const LISTED: u32 = 100;

/// What is kept of a row that does not parse.
pub fn entry(store: &str, row: &JsValue, reason: &str) -> JsValue {
    let entry = js_sys::Object::new();
    js::set(&entry, "store", &JsValue::from_str(store));
    js::set(&entry, "row", row);
    js::set(&entry, "reason", &JsValue::from_str(reason));
    js::set(&entry, "at", &js::number(clock::now().0));
    entry.into()
}

/// The text of a record's key, which the queue's build has no type of.
fn record_key(raw: &JsValue) -> Option<String> {
    let of = |name| js::get(raw, name).as_string();
    Some([&of("collection")?, "\n", &of("id")?, "\n", &of("owner")?].text())
}

impl Store {
    /// What lies in quarantine of `owner`'s, and of nobody knows whose: where it lay, why, since when; the latest hundred.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn quarantine(&self, owner: &str) -> Result<JsValue, Error> {
        let rows = self
            .run(Mode::Read.on(Scope::QUARANTINE), async |db| {
                db.tx.get_all(schema::Store::Quarantine, None, &JsValue::UNDEFINED, LISTED).await
            })
            .await?;
        let is_ours = |row: &JsValue| js::get2(row, "row", "owner").as_string().is_none_or(|of| of == owner);
        let list = rows.iter().filter(is_ours).map(|row| {
            let entry = js_sys::Object::new();
            for name in ["store", "reason", "at"] {
                js::set(&entry, name, &js::get(&row, name));
            }
            js::set(&entry, "id", &js::get2(&row, "row", "id"));
            entry.into()
        });
        Ok(js::array(list).into())
    }
}

impl Db {
    /// Parses a row. One that does not parse goes to quarantine as it is, if its store is one of those; its body stays where
    /// it is.
    pub(super) fn admit<R: Row>(&self, raw: &JsValue) -> Result<Option<R>, Error> {
        if raw.is_undefined() {
            return Ok(None);
        }
        match decode(raw) {
            Ok(row) => Ok(Some(row)),
            Err(reason) => {
                if self.writable && R::STORE.is_quarantined() {
                    self.put_aside(R::STORE, raw, &reason.to_string())?;
                }
                Ok(None)
            }
        }
    }

    fn put_aside(&self, store: schema::Store, raw: &JsValue, reason: &str) -> Result<(), Error> {
        self.scope.check(schema::Store::Quarantine)?;
        // Jobs and traces carry their key, a record what it is made of; the ledger is the one value beside its own.
        let key = match store {
            schema::Store::Records => match record_key(raw) {
                Some(key) => JsValue::from_str(&key),
                // It stays where it is, in nobody's way: what finds it finds it by these.
                None => return Ok(()),
            },
            _ if store.key_path().is_some() => js::get(raw, "id"),
            _ => JsValue::from_str(LedgerKey::TEXT),
        };
        self.quarantined.set(self.quarantined.get() + 1);
        self.tx.put(schema::Store::Quarantine, &entry(store.as_str(), raw, reason), None)?;
        self.tx.delete(store, &key)?;
        if self.tells {
            let store = store.as_str();
            js::console::error(&["a record in \"", store, "\" does not parse and was put aside: ", reason].text());
        }
        Ok(())
    }

    pub(super) async fn read_aside(&self) -> Result<Vec<Aside>, Error> {
        self.scope.check(schema::Store::Quarantine)?;
        let entries = self.tx.get_all(schema::Store::Quarantine, None, &JsValue::UNDEFINED, u32::MAX).await?;
        let keys = self.tx.get_all_keys(schema::Store::Quarantine, &JsValue::UNDEFINED, u32::MAX).await?;
        let aside = |(entry, key): (JsValue, JsValue)| {
            let row = js::get(&entry, "row");
            Some(Aside {
                key: decode(&key).ok()?,
                owner: js::get(&row, "owner").as_string(),
                id: decode(&js::get(&row, "id")).ok(),
                pack: decode(&js::get2(&row, "packed", "pack")).ok(),
            })
        };
        Ok(entries.iter().zip(keys.iter()).filter_map(aside).collect())
    }
}

//! The schema of the database as it is now: stores and indexes, by the core's row types. What is more is here.
//!
//! Migrations build the stores by it, and transactions find them by it. A store or an index that is added gets a new
//! [`VERSION`] and a migration of its own.

use shearwater_core::store::{Record, RowIndex};
use wasm_bindgen::JsValue;
use web_sys::{IdbDatabase, IdbObjectStore, IdbObjectStoreParameters};

pub use shearwater_core::store::Store;

/// The version that this code reads and writes.
pub const VERSION: u32 = 9;

/// The key of the reserve, beside the ledger.
pub const RESERVE: &str = "reserve";

/// Makes a store.
///
/// # Errors
/// What `IndexedDB` throws.
pub fn create(database: &IdbDatabase, store: Store) -> Result<IdbObjectStore, JsValue> {
    let options = IdbObjectStoreParameters::new();
    if let Some(path) = store.key_path() {
        options.set_key_path(&JsValue::from_str(path));
    } else if store == Store::Quarantine {
        options.set_auto_increment(true);
    }
    database.create_object_store_with_optional_parameters(store.as_str(), &options)
}

/// Makes a store with an index of its rows.
///
/// # Errors
/// What `IndexedDB` throws.
pub fn create_with<I: RowIndex>(database: &IdbDatabase, indexes: &[I]) -> Result<(), JsValue> {
    let store = create(database, I::Row::STORE)?;
    for index in indexes {
        store.create_index_with_str(index.as_str(), index.as_str())?;
    }
    Ok(())
}

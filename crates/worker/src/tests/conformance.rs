//! Runs the tests that every store must pass on `IndexedDB`.

use js_sys::Array;
use shearwater_core::{
    Error, JobId,
    queue::job::Job,
    store::{
        Scope, VALUE_INDEX,
        conformance::{self, Backend},
    },
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{indexed_on_disk, new_store, put_on_disk, remove_on_disk, script};
use crate::store::{Db, Mode, Store};

struct Real {
    store: Store,
    name: String,
}

impl Backend for Real {
    type Body = JsValue;
    type Tx<'a> = Db;

    async fn transact(&self, writes: bool, scope: Scope, work: impl AsyncFn(&Db) -> Result<(), Error>) -> Result<(), Error> {
        let mode = if writes { Mode::Strict } else { Mode::Read };
        self.store.run(mode.on(scope), async |db| work(db).await).await
    }

    fn body(&self, number: u8) -> JsValue {
        js_sys::Uint8Array::from([number; 4].as_slice()).buffer().into()
    }

    async fn has_body(&self, job: &Job, number: u8) -> bool {
        let bodies = self.store.run(Mode::Read, async |db| db.bodies(&[job]).await).await.unwrap();
        bodies.first().is_some_and(|body| js_sys::Uint8Array::new(body).to_vec() == [number; 4])
    }

    async fn corrupt(&self, id: &JobId) {
        // Still where it was in the index that pages of a state are read by.
        let row = script(&format!("{{ id: '{id}', owner: '', xState: ['', 'default', 'pending', 1], strange: true }}"));
        put_on_disk(&self.name, "jobs", &row, &JsValue::UNDEFINED).await.unwrap();
    }

    async fn by_value(&self) -> Vec<String> {
        let rows: Array = indexed_on_disk(&self.name, "records", VALUE_INDEX).await.unwrap().unchecked_into();
        rows.iter().filter_map(|row| crate::js::get(&row, "id").as_string()).collect()
    }

    async fn lose_ledger(&self) {
        remove_on_disk(&self.name, "meta", "ledger").await.unwrap();
    }
}

#[wasm_bindgen_test]
async fn the_indexed_db_store_does_what_every_store_must() {
    for name in conformance::TESTS {
        let (store, database) = new_store();
        conformance::run(name, &Real { store, name: database }).await;
    }
}

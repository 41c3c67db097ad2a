use std::{cell::RefCell, rc::Rc};

use shearwater_core::{
    ErrorCode,
    store::{Scope, Store},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{IdbDatabase, IdbTransaction};

use super::{exists_on_disk, hold_on_disk, new_name, resolved, script, settle, version_on_disk};
use crate::{
    js,
    store::idb::{Connection, Mode, above, between, range},
};

/// Values at keys of their own.
const THINGS: Store = Store::Receipts;
/// Rows that carry their key, with an index of arrays.
const ROWS: Store = Store::History;

fn make(database: &IdbDatabase, _: &IdbTransaction, _old: u32, _loss: Option<String>) -> Result<(), JsValue> {
    database.create_object_store(THINGS.as_str())?;
    let rows =
        database.create_object_store_with_optional_parameters(ROWS.as_str(), script("{ keyPath: 'id' }").unchecked_ref())?;
    rows.create_index_with_str("at", "at")?;
    Ok(())
}

async fn open(name: &str) -> Connection {
    Connection::open(name, 1, None, make).await.unwrap()
}

async fn put(connection: &Connection, pairs: &[(&str, &str)]) {
    let tx = connection.begin(Scope::of(&[THINGS]), Mode::Relaxed).unwrap();
    for (key, value) in pairs {
        tx.put(THINGS, &(*value).into(), Some(key)).unwrap();
    }
    tx.commit().await.unwrap();
}

/// What lies at a key, in a transaction of its own.
async fn get(connection: &Connection, key: &str) -> JsValue {
    connection.begin(Scope::of(&[THINGS]), Mode::Read).unwrap().get(THINGS, key).await.unwrap()
}

fn texts(values: &js_sys::Array) -> Vec<String> {
    values.iter().map(|value| value.as_string().unwrap()).collect()
}

#[wasm_bindgen_test]
async fn what_is_put_is_read_back_and_what_is_deleted_is_gone() {
    let connection = open(&new_name()).await;
    put(&connection, &[("a", "one"), ("b", "two")]).await;
    let tx = connection.begin(Scope::of(&[THINGS]), Mode::Strict).unwrap();
    tx.delete(THINGS, &"a".into()).unwrap();
    tx.put(THINGS, &"three".into(), Some("b")).unwrap();
    assert_eq!(tx.get(THINGS, "b").await.unwrap(), "three", "a read sees the writes before it");
    tx.commit().await.unwrap();
    assert!(get(&connection, "a").await.is_undefined());
    assert_eq!(get(&connection, "b").await, "three");
    assert_eq!(connection.begin(Scope::of(&[THINGS]), Mode::Read).unwrap().count(THINGS).await.unwrap(), 1);
}

#[wasm_bindgen_test]
async fn many_keys_are_read_in_their_order_with_undefined_for_those_that_are_not_there() {
    let connection = open(&new_name()).await;
    put(&connection, &[("a", "one"), ("b", "two")]).await;
    let tx = connection.begin(Scope::of(&[THINGS]), Mode::Read).unwrap();
    let values = tx.get_each(THINGS, &["b", "nothing", "a", "b"]).await.unwrap();
    assert_eq!(values, ["two".into(), JsValue::UNDEFINED, "one".into(), "two".into()]);
    assert!(tx.get_each(THINGS, &[] as &[&str]).await.unwrap().is_empty());
}

#[wasm_bindgen_test]
async fn a_range_of_keys_is_read_in_order_up_to_the_limit() {
    let connection = open(&new_name()).await;
    put(&connection, &[("d", "4"), ("a", "1"), ("c", "3"), ("b", "2")]).await;
    let tx = connection.begin(Scope::of(&[THINGS]), Mode::Read).unwrap();
    let all = JsValue::UNDEFINED;
    assert_eq!(texts(&tx.get_all(THINGS, None, &all, 3).await.unwrap()), ["1", "2", "3"]);
    assert_eq!(texts(&tx.get_all_keys(THINGS, &all, u32::MAX).await.unwrap()), ["a", "b", "c", "d"]);
    let keys = async |range: JsValue| texts(&tx.get_all_keys(THINGS, &range, 10).await.unwrap());
    assert_eq!(keys(between("b", "c").unwrap()).await, ["b", "c"]);
    assert_eq!(keys(between("", "b").unwrap()).await, ["a", "b"]);
    assert_eq!(keys(above("b").unwrap()).await, ["c", "d"]);
}

#[wasm_bindgen_test]
async fn a_range_of_an_index_has_both_its_ends_and_nothing_of_its_neighbours() {
    let connection = open(&new_name()).await;
    let tx = connection.begin(Scope::of(&[ROWS]), Mode::Relaxed).unwrap();
    for (id, at) in
        [("low", "['q', 1]"), ("from", "['q', 2]"), ("upto", "['q', 3, 9]"), ("high", "['q', 4]"), ("other", "['r', 2]")]
    {
        tx.put(ROWS, &script(&format!("{{ id: '{id}', at: {at} }}")), None).unwrap();
    }
    let rows = tx.get_all(ROWS, Some("at"), &range(&["q"], 2, 3).unwrap(), 10).await.unwrap();
    let ids: Vec<_> = rows.iter().filter_map(|row| js::get(&row, "id").as_string()).collect();
    assert_eq!(ids, ["from", "upto"]);
}

#[wasm_bindgen_test]
async fn a_transaction_that_is_dropped_keeps_nothing() {
    let connection = open(&new_name()).await;
    let tx = connection.begin(Scope::of(&[THINGS]), Mode::Strict).unwrap();
    tx.put(THINGS, &"lost".into(), Some("a")).unwrap();
    assert_eq!(tx.get(THINGS, "a").await.unwrap(), "lost");
    drop(tx);
    assert!(get(&connection, "a").await.is_undefined());
}

#[wasm_bindgen_test]
async fn a_commit_that_fails_says_why_and_keeps_nothing() {
    let connection = open(&new_name()).await;
    put(&connection, &[("taken", "first")]).await;
    let tx = connection.begin(Scope::of(&[THINGS]), Mode::Strict).unwrap();
    tx.put(THINGS, &"beside".into(), Some("beside")).unwrap();
    tx.add(THINGS, &"second".into(), Some("taken")).unwrap();
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert!(error.message.contains("stored already"), "{}", error.message);
    assert_eq!(get(&connection, "taken").await, "first");
    assert!(get(&connection, "beside").await.is_undefined());
}

#[wasm_bindgen_test]
async fn a_call_after_a_write_that_failed_says_why_that_failed() {
    let connection = open(&new_name()).await;
    put(&connection, &[("taken", "first")]).await;
    let tx = connection.begin(Scope::of(&[THINGS]), Mode::Strict).unwrap();
    tx.add(THINGS, &"second".into(), Some("taken")).unwrap();
    // Until then the platform says of a later call only that it comes too late.
    loop {
        settle().await;
        if tx.put(THINGS, &"third".into(), Some("c")).unwrap_err().code == ErrorCode::InvalidRequest {
            break;
        }
    }
}

#[wasm_bindgen_test]
async fn a_value_that_no_database_takes_is_refused_at_once() {
    let connection = open(&new_name()).await;
    let tx = connection.begin(Scope::of(&[THINGS]), Mode::Strict).unwrap();
    assert_eq!(tx.put(THINGS, &script("() => {}"), Some("a")).unwrap_err().code, ErrorCode::InvalidRequest);
}

#[wasm_bindgen_test]
async fn a_transaction_that_reads_cannot_write() {
    let connection = open(&new_name()).await;
    let tx = connection.begin(Scope::of(&[THINGS]), Mode::Read).unwrap();
    assert_eq!(tx.put(THINGS, &"a".into(), Some("a")).unwrap_err().code, ErrorCode::StorageUnavailable);
    assert!(!Mode::Read.writes());
    assert!([Mode::Relaxed, Mode::Strict, Mode::Intake].iter().all(|mode| mode.writes()));
}

#[wasm_bindgen_test]
async fn only_what_acknowledges_work_waits_for_the_disk() {
    script("(() => { self.asked = []; const { transaction } = IDBDatabase.prototype; self.restore = () => { IDBDatabase.prototype.transaction = transaction; };
        IDBDatabase.prototype.transaction = function (stores, mode, options) { self.asked.push(options.durability); return transaction.call(this, stores, mode, options); }; })()");
    let connection = open(&new_name()).await;
    for mode in [Mode::Read, Mode::Relaxed, Mode::Strict, Mode::Intake] {
        drop(connection.begin(Scope::of(&[THINGS]), mode).unwrap());
    }
    script("self.restore()");
    assert_eq!(texts(&js::global("asked").into()), ["relaxed", "relaxed", "strict", "strict"]);
}

#[wasm_bindgen_test]
async fn somebodys_upgrade_closes_the_connection_and_waits_for_nobody() {
    let name = new_name();
    let connection = open(&name).await;
    assert!(!connection.is_lost());
    let newer = hold_on_disk(&name, 2).await.unwrap();
    assert!(connection.is_lost());
    assert_eq!(connection.begin(Scope::of(&[THINGS]), Mode::Read).err().unwrap().code, ErrorCode::StorageUnavailable);
    js_sys::Reflect::get(&newer, &"close".into()).unwrap().unchecked_into::<js_sys::Function>().call0(&newer).unwrap();
}

#[wasm_bindgen_test]
async fn a_connection_that_the_browser_closes_is_lost() {
    let name = new_name();
    drop(open(&name).await);
    let database = hold_on_disk(&name, 1).await.unwrap();
    let opened = js_sys::Object::new();
    js::set(&opened, "database", &database);
    let connection = Connection::open(&name, 1, Some(resolved(&opened)), make).await.unwrap();
    assert!(!connection.is_lost());
    let dispatch = js::get(&database, "dispatchEvent").unchecked_into::<js_sys::Function>();
    dispatch.call1(&database, &script("new Event('close')")).unwrap();
    assert!(connection.is_lost());
}

#[wasm_bindgen_test]
async fn what_was_opened_already_is_used_if_it_is_of_this_name_and_version() {
    let (name, other) = (new_name(), new_name());
    drop(open(&name).await);
    drop(open(&other).await);
    let opened = async |name: &str| {
        let opened = js_sys::Object::new();
        js::set(&opened, "database", &hold_on_disk(name, 1).await.unwrap());
        (js::get(&opened, "database"), resolved(&opened))
    };
    let closed = |database: &JsValue| {
        let transaction = js::get(database, "transaction").unchecked_into::<js_sys::Function>();
        transaction.call1(database, &THINGS.as_str().into()).is_err()
    };
    let (same, promise) = opened(&name).await;
    let connection = Connection::open(&name, 1, Some(promise), make).await.unwrap();
    assert!(!closed(&same));
    drop(connection);
    assert!(closed(&same), "it is the connection's own");
    let (another, promise) = opened(&other).await;
    let connection = Connection::open(&name, 1, Some(promise), make).await.unwrap();
    assert!(closed(&another));
    put(&connection, &[("a", "here")]).await;
    assert_eq!(get(&open(&name).await, "a").await, "here");
}

#[wasm_bindgen_test]
async fn an_upgrade_learns_the_old_version_and_what_the_browser_threw_away() {
    let (name, seen) = (new_name(), Rc::new(RefCell::new(Vec::new())));
    let note = |seen: &Rc<RefCell<Vec<_>>>| {
        let seen = Rc::clone(seen);
        move |database: &IdbDatabase, upgrade: &IdbTransaction, old, loss| {
            seen.borrow_mut().push((old, loss));
            if old == 0 { make(database, upgrade, 0, None) } else { Ok(()) }
        }
    };
    let opened = resolved(&script("{ loss: 'it was corrupt' }"));
    drop(Connection::open(&name, 1, Some(opened), note(&seen)).await.unwrap());
    drop(Connection::open(&name, 3, None, note(&seen)).await.unwrap());
    drop(Connection::open(&name, 3, None, note(&seen)).await.unwrap());
    assert_eq!(*seen.borrow(), [(0, Some("it was corrupt".to_owned())), (1, None)]);
}

#[wasm_bindgen_test]
async fn an_upgrade_that_fails_leaves_everything_as_it_was() {
    let name = new_name();
    let fails = |database: &IdbDatabase, upgrade: &IdbTransaction, _, _| {
        make(database, upgrade, 0, None)?;
        Err(script("new DOMException('', 'DataError')"))
    };
    assert!(Connection::open(&name, 1, None, fails).await.is_err());
    assert_eq!(exists_on_disk(&name).await.unwrap(), false);
    drop(open(&name).await);
    assert!(Connection::open(&name, 2, None, fails).await.is_err());
    assert_eq!(version_on_disk(&name).await.unwrap(), 1);
}

#[wasm_bindgen_test]
async fn an_upgrade_waits_for_a_connection_that_stays() {
    let name = new_name();
    drop(open(&name).await);
    let old = hold_on_disk(&name, 1).await.unwrap();
    let upgraded = Rc::new(RefCell::new(false));
    shearwater_web::spawn_local({
        let (name, upgraded) = (name.clone(), Rc::clone(&upgraded));
        async move {
            Connection::open(&name, 2, None, |_, _, _, _| Ok(())).await.unwrap();
            upgraded.replace(true);
        }
    });
    for _ in 0..20 {
        settle().await;
    }
    assert!(!*upgraded.borrow());
    js::get(&old, "close").unchecked_into::<js_sys::Function>().call0(&old).unwrap();
    while !*upgraded.borrow() {
        settle().await;
    }
    assert_eq!(version_on_disk(&name).await.unwrap(), 2);
}

#[wasm_bindgen_test]
async fn an_older_worker_does_not_open_a_newer_database() {
    let name = new_name();
    drop(Connection::open(&name, 2, None, make).await.unwrap());
    assert_eq!(Connection::open(&name, 1, None, make).await.err().unwrap().code, ErrorCode::StorageUnavailable);
}

#[wasm_bindgen_test]
async fn without_indexed_db_the_storage_is_unavailable() {
    script("Object.defineProperty(self, 'indexedDB', { value: undefined, configurable: true, writable: true })");
    let error = Connection::open(&new_name(), 1, None, make).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::StorageUnavailable);
}

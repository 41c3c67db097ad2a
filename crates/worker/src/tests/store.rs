use std::cell::Cell;

use js_sys::Array;
use shearwater_core::{
    Error, ErrorCode,
    collections::{Record, RecordKey},
    queue::job::Job,
    store::{Answer, Caller, Scope, Session, Tx, read_ledger, row::SessionKey},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{
    admitted, advance, all_on_disk, hold_on_disk, install_timers, new_name, new_store, on_disk, put_on_disk, remove_on_disk,
    resolved, script, stored,
};
use crate::{
    clock,
    host::Host,
    js,
    store::{Mode, Store, schema},
};

async fn pending(store: &Store, mode: Mode) -> u64 {
    let ledger = store.run(mode, async |db| read_ledger(db).await).await.unwrap();
    ledger.queues.iter().map(|queue| queue.counts.pending).sum()
}

fn session_of(owner: &str) -> Session {
    Session { owner: owner.to_owned(), ..Session::default() }
}

/// Bytes of the reserve on the disk; nothing where there is none.
async fn reserve(name: &str) -> Option<f64> {
    js::get(&on_disk(name, "meta", "reserve").await.unwrap(), "byteLength").as_f64()
}

#[wasm_bindgen_test]
async fn what_the_work_returns_is_returned_after_the_commit() {
    let (store, name) = new_store();
    let ids = stored(&store, 2).await;
    assert_eq!(all_on_disk(&name, "jobs").await.unwrap().unchecked_into::<Array>().length(), 2);
    let job = store.run(Mode::Read, async |db| db.get::<Job>(&ids[0]).await).await.unwrap();
    assert_eq!(job.unwrap().id, ids[0]);
}

#[wasm_bindgen_test]
async fn work_that_fails_stores_nothing() {
    let (store, name) = new_store();
    let ids = stored(&store, 1).await;
    let fails = async |db: &crate::store::Db| -> Result<(), Error> {
        db.delete::<Job>(&ids[0])?;
        Err(Error::invalid_request("on purpose"))
    };
    assert_eq!(store.run(Mode::Strict, fails).await.unwrap_err().message, "on purpose");
    assert_eq!(all_on_disk(&name, "jobs").await.unwrap().unchecked_into::<Array>().length(), 1);
}

#[wasm_bindgen_test]
async fn work_on_a_lost_connection_is_run_again_once() {
    let (store, _) = new_store();
    let lost = || Error::new(ErrorCode::StorageUnavailable, "lost");
    let runs = Cell::new(0);
    let recovers = async |_: &crate::store::Db| {
        runs.set(runs.get() + 1);
        if runs.get() == 1 { Err(lost()) } else { Ok(runs.get()) }
    };
    assert_eq!(store.run(Mode::Relaxed, recovers).await.unwrap(), 2);
    runs.set(0);
    let stays_lost = async |_: &crate::store::Db| -> Result<(), Error> {
        runs.set(runs.get() + 1);
        Err(lost())
    };
    assert_eq!(store.run(Mode::Relaxed, stays_lost).await.unwrap_err().code, ErrorCode::StorageUnavailable);
    assert_eq!(runs.get(), 2);
}

#[wasm_bindgen_test]
async fn a_database_that_was_deleted_meanwhile_is_made_anew() {
    let (store, name) = new_store();
    stored(&store, 1).await;
    let deletion = script(&format!(
        "new Promise((resolve, reject) => {{ const deletion = indexedDB.deleteDatabase('{name}'); deletion.onsuccess = resolve; deletion.onerror = reject; deletion.onblocked = reject; }})"
    ));
    super::awaited(&deletion).await.unwrap();
    assert_eq!(pending(&store, Mode::Read).await, 0);
    stored(&store, 1).await;
    assert_eq!(pending(&store, Mode::Read).await, 1);
}

#[wasm_bindgen_test]
async fn the_first_job_lays_in_a_reserve_and_nothing_else_does() {
    let (store, name) = new_store();
    store.run(Mode::Strict, async |db| db.put(&session_of("ann"))).await.unwrap();
    assert_eq!(reserve(&name).await, None);
    stored(&store, 1).await;
    assert_eq!(reserve(&name).await, Some(1024.0 * 1024.0));
}

#[wasm_bindgen_test]
async fn a_write_that_finds_no_room_gives_the_reserve_up_and_is_tried_once_more() {
    let (store, name) = new_store();
    stored(&store, 1).await;
    let runs = Cell::new(0);
    let full = || Error::new(ErrorCode::QuotaExceeded, "full");
    let settles = async |_: &crate::store::Db| {
        runs.set(runs.get() + 1);
        if runs.get() == 1 { Err(full()) } else { Ok(()) }
    };
    store.run(Mode::Relaxed, settles).await.unwrap();
    assert_eq!((runs.get(), reserve(&name).await), (2, None));
    runs.set(0);
    let refused = store.run(Mode::Relaxed, async |_| Err::<(), _>(full())).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::QuotaExceeded, "there is nothing left to give up");
    stored(&store, 1).await;
    assert!(reserve(&name).await.is_some(), "laid in anew with the next job");
}

#[wasm_bindgen_test]
async fn new_work_that_finds_no_room_leaves_the_reserve_alone() {
    let (store, name) = new_store();
    stored(&store, 1).await;
    let runs = Cell::new(0);
    let full = async |_: &crate::store::Db| -> Result<(), Error> {
        runs.set(runs.get() + 1);
        Err(Error::new(ErrorCode::QuotaExceeded, "full"))
    };
    assert_eq!(store.run(Mode::Intake, full).await.unwrap_err().code, ErrorCode::QuotaExceeded);
    assert_eq!(runs.get(), 1);
    assert!(reserve(&name).await.is_some());
}

#[wasm_bindgen_test]
async fn the_first_work_of_a_nearly_full_disk_is_taken_in_over_a_smaller_reserve() {
    let (store, name) = new_store();
    let runs = Cell::new(0);
    let (_, job) = admitted("{}", 4);
    let tight = async |db: &crate::store::Db| {
        runs.set(runs.get() + 1);
        if runs.get() == 1 {
            return Err(Error::new(ErrorCode::QuotaExceeded, "full"));
        }
        shearwater_core::queue::enqueue::enqueue(db, clock::now(), vec![job.clone()], false, &Caller::default()).await
    };
    store.run(Mode::Intake, tight).await.unwrap();
    assert_eq!(reserve(&name).await, Some(512.0 * 1024.0));
}

#[wasm_bindgen_test]
async fn what_found_no_room_is_refused_for_ten_seconds_and_what_is_smaller_is_not() {
    install_timers();
    let (store, _) = new_store();
    store.expect_room(1 << 40).unwrap();
    store.note_full(100);
    store.note_full(200);
    assert_eq!(store.expect_room(100).unwrap_err().code, ErrorCode::QuotaExceeded);
    store.expect_room(99).unwrap();
    advance(9_999).await;
    assert!(store.expect_room(100).is_err());
    advance(1).await;
    store.expect_room(100).unwrap();
    store.note_full(100);
    store.note_room();
    store.expect_room(100).unwrap();
}

#[wasm_bindgen_test]
async fn a_row_that_does_not_parse_goes_to_quarantine_as_it_is() {
    let (store, name) = new_store();
    let ids = stored(&store, 2).await;
    let bad = script(&format!("{{ id: '{}', owner: '', strange: true }}", ids[0].as_str()));
    put_on_disk(&name, "jobs", &bad, &JsValue::UNDEFINED).await.unwrap();
    let read = store.run(Mode::Read, async |db| db.get::<Job>(&ids[0]).await).await.unwrap();
    assert_eq!((read, store.quarantined()), (None, 0), "what only reads moves nothing");
    let written = store.run(Mode::Relaxed, async |db| db.get_each::<Job>(&[&ids[0], &ids[1]]).await).await.unwrap();
    assert!(written[0].is_none() && written[1].is_some());
    assert_eq!(store.quarantined(), 1);
    assert!(on_disk(&name, "jobs", ids[0].as_str()).await.unwrap().is_undefined());
    let aside: Array = all_on_disk(&name, "quarantine").await.unwrap().unchecked_into();
    assert_eq!(js::get(&js::get(&aside.get(0), "row"), "strange"), true);
    assert_eq!(js::get(&aside.get(0), "store"), "jobs");
    let listed: Array = store.quarantine("").await.unwrap().unchecked_into();
    assert_eq!(js::get(&listed.get(0), "id"), ids[0].as_str());
    let others: Array = store.quarantine("ann").await.unwrap().unchecked_into();
    assert_eq!(others.length(), 0, "nobody sees what was another's");
}

#[wasm_bindgen_test]
async fn a_record_that_does_not_parse_is_put_aside_before_another_takes_its_place() {
    let (store, name) = new_store();
    stored(&store, 1).await;
    let bad = script("{ collection: 'notes', owner: '', id: 'a', local: 'not pushed yet', strange: true }");
    put_on_disk(&name, "records", &bad, &JsValue::from_str("notes\na\n")).await.unwrap();
    let key = RecordKey::new("notes", "", "a");
    for scope in [Scope::RECORDS, Scope::WORK] {
        let read = store.run(Mode::Read.on(scope), async |db| db.get::<Record>(&key).await).await.unwrap();
        assert_eq!((read, store.quarantined()), (None, 0), "what only reads moves nothing");
    }
    let written = store.run(Mode::Relaxed.on(Scope::RECORDS), async |db| {
        assert_eq!(db.get::<Record>(&key).await?, None);
        db.put(&Record::new("notes", "", "a", 1))
    });
    written.await.unwrap();
    assert_eq!(store.quarantined(), 1);
    let aside: Array = all_on_disk(&name, "quarantine").await.unwrap().unchecked_into();
    assert_eq!(js::get2(&aside.get(0), "row", "local"), "not pushed yet");
    let listed: Array = store.quarantine("").await.unwrap().unchecked_into();
    assert_eq!((js::get(&listed.get(0), "store"), js::get(&listed.get(0), "id")), ("records".into(), "a".into()));
    let read = store.run(Mode::Read.on(Scope::RECORDS), async |db| db.get::<Record>(&key).await).await.unwrap();
    assert_eq!(read.map(|record| record.seq), Some(1), "the new one stays");
}

#[wasm_bindgen_test]
async fn a_lost_ledger_is_counted_anew_whoever_asks() {
    for mode in [Mode::Read, Mode::Relaxed, Mode::Strict, Mode::Intake] {
        let (store, name) = new_store();
        stored(&store, 3).await;
        remove_on_disk(&name, "meta", "ledger").await.unwrap();
        assert_eq!(pending(&store, mode).await, 3, "{mode:?}");
        stored(&store, 1).await;
        assert_eq!(pending(&store, mode).await, 4, "{mode:?}");
    }
}

#[wasm_bindgen_test]
async fn a_new_ledger_is_of_a_later_version_than_the_one_that_was_lost() {
    let (store, name) = new_store();
    stored(&store, 1).await;
    let version = async || store.run(Mode::Read, async |db| Ok(read_ledger(db).await?.version)).await.unwrap();
    let before = version().await;
    remove_on_disk(&name, "meta", "ledger").await.unwrap();
    stored(&store, 1).await;
    assert!(version().await > before);
}

#[wasm_bindgen_test]
async fn a_version_that_was_told_before_anything_is_stored_is_not_undercut_by_a_clock_that_is_set_back() {
    let (store, _) = new_store();
    let version = async || store.run(Mode::Read, async |db| Ok(read_ledger(db).await?.version)).await.unwrap();
    let told = version().await;
    script("(() => { const { now } = Date; Date.now = () => now() - 60_000; self.restore = () => { Date.now = now; }; })()");
    stored(&store, 1).await;
    let stored = version().await;
    script("restore()");
    assert!(stored > told);
}

#[wasm_bindgen_test]
async fn who_is_signed_in_is_known_without_the_stores_of_a_drain() {
    let (store, _) = new_store();
    assert_eq!(store.session().await.unwrap(), None);
    store.run(Mode::Strict, async |db| db.put(&session_of("ann"))).await.unwrap();
    assert_eq!(store.session().await.unwrap(), Some(session_of("ann")));
}

#[wasm_bindgen_test]
async fn once_its_ledger_is_known_a_drain_keeps_nobody_from_signing_in() {
    let (store, _) = new_store();
    stored(&store, 1).await;
    script("(() => { self.named = []; const { transaction } = IDBDatabase.prototype; self.restore = () => { IDBDatabase.prototype.transaction = transaction; };
        IDBDatabase.prototype.transaction = function (stores, ...rest) { self.named.push(stores.includes('session')); return transaction.call(this, stores, ...rest); }; })()");
    let narrow = Mode::Read.on(Scope::SESSION);
    for access in [Mode::Relaxed.into(), Mode::Intake.into(), narrow, Mode::Strict.into()] {
        store.run(access, async |_| Ok(())).await.unwrap();
    }
    script("self.restore()");
    assert_eq!(js_sys::JSON::stringify(&js::global("named")).unwrap(), "[false,false,true,true]");
}

#[wasm_bindgen_test]
async fn an_operation_whose_message_comes_again_is_carried_out_once_and_answered_the_same() {
    let (store, _) = new_store();
    let caller = Caller { re: "message".to_owned(), at: Some(clock::now()), owner: None };
    let runs = Cell::new(0);
    let operation = |_| -> shearwater_core::store::receipts::Work<'_> {
        Box::pin(async {
            runs.set(runs.get() + 1);
            Ok(Answer::Removed(runs.get()))
        })
    };
    let (answer, repeated, _) = store.once(Mode::Strict, &caller, &operation).await.unwrap();
    assert_eq!((answer, repeated), (Answer::Removed(1), false));
    let (answer, repeated, _) = store.once(Mode::Strict, &caller, &operation).await.unwrap();
    assert_eq!((answer, repeated), (Answer::Removed(1), true));
    let other = Caller { re: "another".to_owned(), ..caller.clone() };
    let (answer, repeated, _) = store.once(Mode::Strict, &other, &operation).await.unwrap();
    assert_eq!((answer, repeated), (Answer::Removed(2), false));
}

#[wasm_bindgen_test]
async fn an_operation_that_failed_leaves_no_answer_behind() {
    let (store, _) = new_store();
    let caller = Caller { re: "message".to_owned(), at: Some(clock::now()), owner: None };
    let fails = |_| -> shearwater_core::store::receipts::Work<'_> { Box::pin(async { Err(Error::invalid_request("no")) }) };
    assert!(store.once(Mode::Strict, &caller, &fails).await.is_err());
    let works = |_| -> shearwater_core::store::receipts::Work<'_> { Box::pin(async { Ok(Answer::Done) }) };
    let (answer, repeated, _) = store.once(Mode::Strict, &caller, &works).await.unwrap();
    assert_eq!((answer, repeated), (Answer::Done, false));
}

#[wasm_bindgen_test]
async fn small_bodies_of_one_call_share_a_record_and_are_read_back_each() {
    let (store, name) = new_store();
    let (ids, mut jobs): (Vec<_>, Vec<_>) = [3, 5].iter().map(|bytes| admitted("{}", *bytes)).unzip();
    for (at, (_, body)) in jobs.iter_mut().enumerate() {
        js_sys::Uint8Array::new(body.as_ref().unwrap()).fill(u8::try_from(at).unwrap() + 1, 0, 5);
    }
    let work =
        async |db: &_| shearwater_core::queue::enqueue::enqueue(db, clock::now(), jobs.clone(), false, &Caller::default()).await;
    store.run(Mode::Intake, work).await.unwrap();
    assert!(on_disk(&name, "bodies", ids[1].as_str()).await.unwrap().is_undefined());
    let bodies = store
        .run(Mode::Read, async |db| {
            let jobs: Vec<_> = db.get_each::<Job>(&[&ids[0], &ids[1]]).await?.into_iter().flatten().collect();
            db.bodies(&jobs.iter().collect::<Vec<_>>()).await
        })
        .await
        .unwrap();
    let bytes = |body: &JsValue| js_sys::Uint8Array::new(body).to_vec();
    assert_eq!((bytes(&bodies[0]), bytes(&bodies[1])), (vec![1; 3], vec![2; 5]));
}

#[wasm_bindgen_test]
async fn nothing_is_written_before_the_browser_has_begun_a_fresh_log() {
    let host = script(
        "(() => { let renew; const renewed = new Promise((resolve) => (renew = resolve)); return { death: new Promise(() => {}), renew, renewed: () => renewed }; })()",
    );
    let name = new_name();
    let store = std::rc::Rc::new(Store::new(&name, false, Host::new(host.clone())));
    let read = store.run(Mode::Read.on(Scope::SESSION), async |db| db.get::<Session>(&SessionKey).await).await.unwrap();
    assert_eq!(read, None, "a read does not wait");
    let written = std::rc::Rc::new(Cell::new(false));
    shearwater_web::spawn_local({
        let (store, written) = (std::rc::Rc::clone(&store), std::rc::Rc::clone(&written));
        async move {
            stored(&store, 1).await;
            written.set(true);
        }
    });
    for _ in 0..20 {
        super::settle().await;
    }
    assert!(!written.get());
    js::get(&host, "renew").unchecked_into::<js_sys::Function>().call0(&host).unwrap();
    while !written.get() {
        super::settle().await;
    }
}

#[wasm_bindgen_test]
async fn a_database_that_the_script_has_opened_is_used() {
    let name = new_name();
    stored(&Store::new(&name, false, super::host()), 1).await;
    let host = script("{ death: new Promise(() => {}) }");
    let opened = js_sys::Object::new();
    js::set(&opened, "database", &hold_on_disk(&name, schema::VERSION).await.unwrap());
    js::set(&host, "opened", &resolved(&opened));
    script(
        "(() => { const { open } = IDBFactory.prototype; IDBFactory.prototype.open = () => { throw new Error('opened twice'); }; self.reopen = () => { IDBFactory.prototype.open = open; }; })()",
    );
    let count = pending(&Store::new(&name, false, Host::new(host)), Mode::Read).await;
    script("self.reopen()");
    assert_eq!(count, 1);
}

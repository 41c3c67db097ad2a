use js_sys::Array;
use shearwater_core::{
    collections::{Record, RecordKey},
    drafts,
    queue::job::{Job, State},
    store::{Caller, IndexValue, Scope, Tx, VALUE_INDEX, ledger::Ledger, read_ledger},
};
use wasm_bindgen::JsCast;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{all_on_disk, awaited, host, indexed_on_disk, new_name, restore_on_disk, script, stores_on_disk, version_on_disk};
use crate::{
    js,
    store::{
        Mode, Store,
        schema::{self, VERSION},
    },
};

/// Opens a golden database as this release does; returns its name, its jobs and its ledger.
async fn opened(golden: &str) -> (Store, String, Vec<Job>, Ledger) {
    let name = new_name();
    restore_on_disk(&name, &format!("golden/{golden}.json")).await.unwrap();
    let store = Store::new(&name, false, host());
    let read = async |db: &crate::store::Db| Ok((db.page(None, 1_000).await?, read_ledger(db).await?));
    // Writable, so that a row that does not parse would be put aside and counted.
    let (jobs, ledger) = store.run(Mode::Relaxed, read).await.unwrap();
    (store, name, jobs, ledger)
}

async fn is_read_whole(golden: &str) {
    let (store, name, jobs, ledger) = opened(golden).await;
    assert_eq!(version_on_disk(&name).await.unwrap(), VERSION);
    let rows: Array = all_on_disk(&name, schema::Store::Jobs.as_str()).await.unwrap().unchecked_into();
    assert_eq!((jobs.len() > 5, jobs.len()), (true, usize::try_from(rows.length()).unwrap()));
    assert_eq!(store.quarantined(), 0);
    for (state, count) in [(State::Failed, 1), (State::Conflict, 1), (State::Blocked, 1)] {
        assert_eq!(jobs.iter().filter(|job| job.state == state).count(), count, "{state:?}");
    }
    let pending = jobs.iter().filter(|job| job.state == State::Pending).count();
    let counted: u64 = ledger.queues.iter().map(|queue| queue.counts.pending).sum();
    assert_eq!(usize::try_from(counted).unwrap(), pending);
    assert_eq!(ledger.paused_queues, ["photos"]);
    let bodies = store.run(Mode::Read, async |db| db.bodies(&jobs.iter().collect::<Vec<_>>()).await).await.unwrap();
    for (job, body) in jobs.iter().zip(bodies) {
        let length = js::get(&body, "byteLength").as_f64().or_else(|| js::get(&body, "size").as_f64());
        #[expect(clippy::cast_precision_loss, reason = "some bytes")]
        let expected = job.size().map(|size| size as f64);
        assert_eq!(length, expected, "{}", job.work.request().head.url);
    }
}

#[wasm_bindgen_test]
async fn a_database_of_version_1_is_upgraded_and_read_whole() {
    is_read_whole("v1").await;
}

#[wasm_bindgen_test]
async fn a_database_of_version_2_is_upgraded_and_read_whole() {
    is_read_whole("v2").await;
}

#[wasm_bindgen_test]
async fn a_database_of_version_3_is_read_whole() {
    is_read_whole("v3").await;
}

#[wasm_bindgen_test]
async fn a_database_of_version_4_is_read_whole_with_its_draft() {
    is_read_whole("v4").await;
    let (store, ..) = opened("v4").await;
    let (drafts, files) = store
        .run(Mode::Read.on(Scope::DRAFTS), async |db| {
            let drafts = drafts::list(db, "/#note", &Caller::default()).await?;
            let ids: Vec<_> = drafts.iter().flat_map(|draft| &draft.files).map(|file| file.id.clone()).collect();
            Ok((drafts, db.draft_files(&ids).await?))
        })
        .await
        .unwrap();
    assert_eq!(drafts.iter().map(|draft| (draft.seq, draft.files.len())).collect::<Vec<_>>(), [(3, 1)]);
    assert_eq!(js::get(&files[0], "byteLength").as_f64(), Some(3.0));
}

#[wasm_bindgen_test]
async fn an_upgraded_database_has_the_stores_of_a_new_one() {
    let (_store, name, ..) = opened("v1").await;
    let (new, new_database) = super::new_store();
    super::stored(&new, 1).await;
    let names = async |name: &str| -> Vec<_> {
        let stores: Array = stores_on_disk(name).await.unwrap().unchecked_into();
        stores.iter().filter_map(|store| store.as_string()).collect()
    };
    assert_eq!(names(&name).await, names(&new_database).await);
    let mut all = schema::Store::ALL.map(|store| store.as_str().to_owned());
    all.sort();
    assert_eq!(names(&name).await, all);
}

#[wasm_bindgen_test]
async fn an_upgraded_database_has_the_index_of_values() {
    let (_store, name, ..) = opened("v1").await;
    let rows: Array = indexed_on_disk(&name, "records", VALUE_INDEX).await.unwrap().unchecked_into();
    assert_eq!(rows.length(), 0);
}

#[wasm_bindgen_test]
async fn records_of_version_7_are_read_and_stand_in_the_index_of_values_once_they_are_written_anew() {
    let name = new_name();
    let made = script(&format!(
        "new Promise((resolve, reject) => {{
            const opening = indexedDB.open('{name}', 7);
            opening.onerror = reject;
            opening.onsuccess = () => resolve(opening.result.close());
            opening.onupgradeneeded = () => {{
                for (const store of ['records', 'collections', 'quarantine']) opening.result.createObjectStore(store);
                const row = {{ v: 1, collection: 'notes', owner: '', id: 'a', seq: 1, local: '{{}}', minted: 0 }};
                const rest = {{ conflict: false, unread: false, settled: 0 }};
                opening.transaction.objectStore('records').put({{ ...row, ...rest }}, 'notes\\na\\n');
            }};
        }})"
    ));
    awaited(&made).await.unwrap();
    let store = Store::new(&name, false, host());
    let indexed = async || -> u32 {
        let rows: Array = indexed_on_disk(&name, "records", VALUE_INDEX).await.unwrap().unchecked_into();
        rows.length()
    };
    let scope = Mode::Relaxed.on(Scope::RECORDS);
    let read = async |db: &crate::store::Db| db.get::<Record>(&RecordKey::new("notes", "", "a")).await;
    let mut record = store.run(scope, read).await.unwrap().unwrap();
    assert_eq!((version_on_disk(&name).await.unwrap().as_f64(), indexed().await), (Some(f64::from(VERSION)), 0));
    record.values = vec![vec![IndexValue::Text("a".to_owned())]];
    store.run(scope, async |db| db.put(&record)).await.unwrap();
    assert_eq!(indexed().await, 1);
}

#[wasm_bindgen_test]
async fn nobody_is_signed_in_by_an_upgrade_and_the_ledgers_word_holds() {
    let (store, _, _, ledger) = opened("v1").await;
    assert_eq!(store.session().await.unwrap(), None);
    assert_eq!(ledger.owner, "");
}

#[wasm_bindgen_test]
async fn what_the_browser_threw_away_is_noted_in_the_quarantine_of_the_new_database() {
    let name = new_name();
    let host = super::script("{ death: new Promise(() => {}), opened: Promise.resolve({ loss: 'a wrong checksum' }) }");
    let store = Store::new(&name, false, crate::host::Host::new(host));
    super::stored(&store, 1).await;
    let aside: Array = all_on_disk(&name, schema::Store::Quarantine.as_str()).await.unwrap().unchecked_into();
    assert_eq!(aside.length(), 1);
    assert!(js::get(&aside.get(0), "reason").as_string().unwrap().contains("a wrong checksum"));
}

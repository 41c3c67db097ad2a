//! Keeps Chromium from wiping the database after a crash.
//!
//! Chromium keeps an origin's databases in one LevelDB, which writes to a log and, after a restart,
//! goes on writing to the same log. When the process was killed in the middle of a record, the next
//! records land behind half a one; the start after that reads a wrong checksum, takes the whole
//! database for corrupt, and deletes it (google/leveldb issue 1287, open). Measured with plain
//! `IndexedDB`, no line of ours: three of a hundred kills during writes cost every database of the origin.
//!
//! Deleting a database, be it an empty one, makes Chromium compact, and compacting begins a fresh log.
//! Done before the first write of each worker (2–5 ms, beside the opening of the database), it cost
//! none in five hundred kills. Firefox and WebKit keep `IndexedDB` in SQLite and need nothing of it.

use shearwater_bridge::spawn_local;
use shearwater_core::text::Text;
use wasm_bindgen::prelude::*;

use super::{IdbDatabase, IdbFactory, Request};
use crate::{gate::Gate, js};

/// Begins a fresh log where the browser's store is in need of it; the gate opens when that is done, or
/// cannot be.
pub(super) fn renew(factory: &IdbFactory, name: &str) -> Gate<()> {
    let renewed = Gate::new();
    if !is_chromium() {
        renewed.open(());
        return renewed;
    }
    let name = [name, ":log"].text();
    let (factory, done) = (factory.clone(), renewed.clone());
    spawn_local(async move {
        if let Ok(opening) = factory.open(&name, 1)
            && let Ok(database) = Request::new(opening).await
        {
            database.unchecked_into::<IdbDatabase>().close();
            if let Ok(deleting) = factory.delete_database(&name) {
                let _ = Request::new(deleting).await;
            }
        }
        done.open(());
    });
    renewed
}

/// Whether the engine is one that has user-agent client hints, which are Chromium's alone.
fn is_chromium() -> bool {
    js::get2(&js_sys::global(), "navigator", "userAgentData").is_object()
}

//! Room for the day when the disk is full.
//!
//! To send a job it is claimed, and to discard one the ledger is written: on a disk that takes no more
//! bytes, what is stored could neither leave nor be given up, for ever. So a reserve is laid in with the
//! first job: a record of random bytes (zeros would be compressed), beside the ledger. A write that is
//! refused for want of room gives it up, in a transaction that only deletes, and is tried once more.
//! What takes in new work ([`Mode::Intake`]) never does: it is refused with `quota-exceeded`, and is not
//! taken in before there is a reserve again, a small one at least. The larger jobs that are delivered
//! meanwhile free their room.
//!
//! It has its limit: Chromium looks at what is really used every half minute only, counts the values in
//! between and not the index entries, and so lets a burst of some hundred small jobs overshoot by more. It
//! also writes what it refuses, takes it back by writing more, and gives the room of both back only when
//! LevelDB compacts. So on a full disk little is tried: see [`Store::expect_room`] and `drain`'s `tight`.

use shearwater_core::{Error, ErrorCode, Millis, store::Scope};
use wasm_bindgen::prelude::*;

use super::{
    Db, Mode, Store,
    schema::{self, RESERVE},
};
use crate::{clock, js};

/// Bytes of the reserve: what some hundred small jobs take to be claimed and settled. Chromium keeps values over
/// 64 KiB in files of their own, whose room is there again at once.
pub(super) const RESERVED: u32 = 1024 * 1024;

/// Bytes of the reserve where there is no room for so much. With less, small jobs fill what the claims of those before them
/// need: at 96 KiB a quota of 3 MB took a dozen more jobs and then sent none.
pub(super) const RESERVED_AT_LEAST: u32 = 512 * 1024;

/// Milliseconds for which a store without room is believed to have none.
const FULL_FOR: u64 = 10_000;

impl Store {
    /// Refuses at once what is as large as something that found no room a moment ago. Chromium writes what it
    /// then refuses, and takes it back by writing more: an app that asks again and again would fill with it what
    /// room the reserve has kept.
    ///
    /// # Errors
    /// `quota-exceeded`.
    pub fn expect_room(&self, size: u64) -> Result<(), Error> {
        match self.refused_lately() {
            Some((least, _)) if size >= least => Err(Error::new(
                ErrorCode::QuotaExceeded,
                "the disk or the origin's quota is full; nothing was stored: free space and try again",
            )),
            _ => Ok(()),
        }
    }

    /// There was no room for so many bytes.
    pub fn note_full(&self, size: u64) {
        let least = self.refused_lately().map_or(size, |(least, _)| least.min(size));
        self.full.set(Some((least, clock::now())));
    }

    /// Something has left the store.
    pub fn note_room(&self) {
        self.full.set(None);
    }

    fn refused_lately(&self) -> Option<(u64, Millis)> {
        self.full.get().filter(|(_, at)| clock::now().0.abs_diff(at.0) < FULL_FOR)
    }

    /// Makes room; returns whether there was any to be made.
    pub(super) async fn give_up_reserve(&self) -> bool {
        let given_up = async {
            let db = self.begin(Mode::Relaxed.on(Scope::of(&[schema::Store::Meta]))).await?;
            let had = db.has_reserve().await?;
            db.tx.delete(schema::Store::Meta, &JsValue::from_str(RESERVE))?;
            self.commit(db).await.map(|()| had)
        };
        let had = given_up.await.unwrap_or(false);
        self.reserved.set(false);
        had
    }
}

impl Db {
    pub(super) async fn has_reserve(&self) -> Result<bool, Error> {
        let keys = self.tx.get_all_keys(schema::Store::Meta, &JsValue::UNDEFINED, u32::MAX).await?;
        Ok(keys.iter().any(|key| key.as_string().as_deref() == Some(RESERVE)))
    }

    pub(super) fn lay_in_reserve(&self, bytes: u32) -> Result<(), Error> {
        self.tx.put(schema::Store::Meta, &js::random::array(bytes), Some(RESERVE))
    }
}

//! Bodies, a `Blob` or an `ArrayBuffer` each, and packs of small ones.

use shearwater_core::{
    Error, JobId,
    queue::job::Job,
    store::{
        Key, Store,
        row::{DraftFileKey, PackKey},
    },
};
use wasm_bindgen::prelude::*;

use super::Db;

impl Db {
    /// The stored bodies of these jobs, a `Blob` or an `ArrayBuffer` each; undefined where what is stored is not
    /// that.
    ///
    /// # Errors
    /// What the transaction returns.
    pub async fn bodies(&self, jobs: &[&Job]) -> Result<Vec<JsValue>, Error> {
        self.scope.check(Store::Bodies)?;
        let mut keys: Vec<String> = Vec::new();
        let mut places = Vec::with_capacity(jobs.len());
        for job in jobs {
            let key =
                job.work.request().packed.as_ref().map_or_else(|| job.id.as_str().to_owned(), |packed| pack_key(&packed.pack));
            // Those of one pack mostly come one after the other.
            if keys.last() != Some(&key) {
                keys.push(key);
            }
            places.push(keys.len() - 1);
        }
        let found = self.tx.get_each(Store::Bodies, &keys).await?;
        let mut bodies = Vec::with_capacity(jobs.len());
        for (job, at) in jobs.iter().zip(places) {
            let stored = found.get(at).cloned().unwrap_or_default();
            bodies.push(match &job.work.request().packed {
                Some(packed) => part(&stored, packed.at, job.size().unwrap_or_default()),
                None => stored,
            });
        }
        Ok(bodies)
    }

    /// The stored files of a draft, a `Blob` or an `ArrayBuffer` each; undefined where one is not there.
    ///
    /// # Errors
    /// What the transaction returns.
    pub async fn draft_files(&self, ids: &[JobId]) -> Result<Vec<JsValue>, Error> {
        self.scope.check(Store::Bodies)?;
        let keys: Vec<String> = ids.iter().map(|id| DraftFileKey(id.clone()).text().into_owned()).collect();
        self.tx.get_each(Store::Bodies, &keys).await
    }

    pub(super) fn add_pack_of(&self, pack: &JobId, bodies: &[(u64, &JsValue)]) -> Result<(), Error> {
        let (mut parts, mut total) = (Vec::with_capacity(bodies.len()), 0);
        for (at, body) in bodies {
            let part = js_sys::Uint8Array::new(body);
            let at = u32::try_from(*at).unwrap_or(u32::MAX);
            total = at.saturating_add(part.length());
            parts.push((at, part));
        }
        let bytes = js_sys::Uint8Array::new_with_length(total);
        for (at, part) in parts {
            bytes.set(&part, at);
        }
        self.tx.add(Store::Bodies, &bytes.buffer(), Some(&pack_key(pack)))
    }
}

fn pack_key(pack: &JobId) -> String {
    PackKey(pack.clone()).text().into_owned()
}

/// A body out of a pack's bytes; undefined where they do not hold it.
fn part(pack: &JsValue, at: u64, size: u64) -> JsValue {
    let number = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
    let (from, end) = (number(at), number(at.saturating_add(size)));
    match pack.dyn_ref::<js_sys::ArrayBuffer>() {
        Some(bytes) if end <= bytes.byte_length() => bytes.slice_with_end(from, end).into(),
        _ => JsValue::UNDEFINED,
    }
}

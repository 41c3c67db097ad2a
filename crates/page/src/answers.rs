//! What the typed client returns besides the core's own types.

use js_sys::{Array, Object};
use shearwater_core::{
    Error, metrics,
    protocol::{self, Measured, QuarantinedRow, operation, view::JobView},
    schedule::periodic::PeriodicView,
    wire::text::Text,
};
use wasm_bindgen::prelude::*;
use web_sys::Blob;

use crate::{client::read, js};

/// What the browser can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// It fires `sync` events, also when no page is open.
    pub background_sync: bool,
    /// It fires `periodicsync` events.
    pub periodic_sync: bool,
}

/// What came of [`Client::register_periodic`](crate::Client::register_periodic).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodicSync {
    /// The browser will fire it.
    Registered,
    /// The browser, or the person, does not want that.
    Denied,
    /// The browser has no such thing.
    Unsupported,
}

impl PeriodicSync {
    /// As JavaScript spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Whose things [`Client::set_owner`](crate::Client::set_owner) removes: jobs, bodies, history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purge {
    /// Nobody's: they are kept, and sent when their owner is back.
    Nothing,
    /// Those of the owner before.
    Previous,
    /// Those of this owner.
    Owner(String),
}

/// Figures about the queue, and about the disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Of the current owner's jobs.
    pub queue: metrics::Metrics,
    /// Stored rows that did not parse and were put aside.
    pub quarantine: Vec<QuarantinedRow>,
    /// What became of the configuration's periodic tasks, by tag.
    pub periodic: Vec<PeriodicView>,
    /// Of the whole origin; none where the browser does not say.
    pub storage: Option<Storage>,
}

/// The disk, as the browser tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Bytes that the origin uses.
    pub usage: u64,
    /// Bytes that it may use.
    pub quota: u64,
    /// Whether the browser has promised not to evict them; none where it does not say.
    pub persisted: Option<bool>,
}

/// A failed, conflicting or blocked job with all that would be sent.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The job.
    pub job: JobView,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, if it has one.
    pub body: Option<Blob>,
}

/// Figures of the worker's, with the browser's.
pub(crate) async fn metrics(measured: Measured) -> Metrics {
    let estimate = storage().await;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; bytes are below 2^53")]
    let bytes = |name| js::get(&estimate, name).as_f64().unwrap_or_default() as u64;
    let storage = estimate.is_object().then(|| Storage {
        usage: bytes("usage"),
        quota: bytes("quota"),
        persisted: js::get(&estimate, "persisted").as_bool(),
    });
    Metrics { queue: measured.of, quarantine: measured.quarantine, periodic: measured.periodic, storage }
}

/// What the browser says about its disk: `usage`, `quota`, `persisted`; null where it says nothing.
pub(crate) async fn storage() -> JsValue {
    // Absent outside of a secure context, where the calls fail.
    let manager = js::scope::navigator().storage();
    let Ok(estimate) = js::settled(manager.estimate().map(JsValue::from)).await else { return JsValue::NULL };
    let storage = Object::new();
    for name in ["usage", "quota"] {
        js::set(&storage, name, &js::get(&estimate, name));
    }
    js::set(&storage, "persisted", &js::settled(manager.persisted().map(JsValue::from)).await.unwrap_or(JsValue::NULL));
    storage.into()
}

/// Exported jobs, read from the worker's answer, with the bodies that lie beside them.
pub(crate) fn exported(answer: &JsValue) -> Result<Vec<Exported>, Error> {
    let jobs = read::<operation::Export>(answer)?;
    let bodies = Array::from(answer).to_vec().into_iter().map(|entry| js::get(&entry, "body"));
    let with = |(of, body): (protocol::Exported, JsValue)| {
        let body = if body.is_undefined() || body.is_null() { None } else { Some(as_blob(body)?) };
        Ok(Exported { job: of.job, headers: of.headers, body })
    };
    jobs.into_iter().zip(bodies).map(with).collect()
}

fn as_blob(body: JsValue) -> Result<Blob, Error> {
    if js::class_of(&body) == "Blob" {
        return Ok(body.unchecked_into());
    }
    Blob::new_with_buffer_source_sequence(&Array::of1(&body))
        .map_err(|error| Error::internal(["body: ", &js::message_of(&error)].text()))
}

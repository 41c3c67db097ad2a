//! A small Rust page: `notes` is the example of the README; the rest hands it, and what else a Rust page can do, to
//! `tests/e2e/rust-page.test.mjs`.
#![expect(missing_docs, reason = "called by its test only, which says what each is for")]

mod notes;

use std::{cell::RefCell, rc::Rc};

use futures::StreamExt;
use notes::Note;
use serde_json::json;
use shearwater_page::{Change, Client, ClientOptions, ConnectOptions, Error, Event, Filter, JobId, JobView, NewRequest, Updates};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// The page's client, and what it has seen.
#[wasm_bindgen]
pub struct Page {
    client: Client,
    seen: Rc<RefCell<Seen>>,
    idle: RefCell<Option<Updates<Event>>>,
}

#[derive(Default)]
struct Seen {
    snapshots: Vec<String>,
    events: Vec<String>,
    ended: u32,
}

fn thrown(error: Error) -> JsValue {
    JsValue::from_str(error.code.as_str())
}

fn job(job: &JobView) -> serde_json::Value {
    json!({ "id": job.id.as_str(), "url": job.url, "state": format!("{:?}", job.state), "metadata": job.metadata, "error": job.error.as_ref().and_then(|error| error.status) })
}

fn id(text: &str) -> Result<JobId, JsValue> {
    JobId::parse(text).map_err(thrown)
}

#[wasm_bindgen]
pub async fn open(worker: String, timeout: u32) -> Result<Page, JsValue> {
    let options =
        ConnectOptions { worker, client: ClientOptions { timeout, ..ClientOptions::default() }, ..ConnectOptions::default() };
    let client = Client::connect(options).await.map_err(thrown)?;
    let seen: Rc<RefCell<Seen>> = Rc::default();
    spawn_local({
        let (client, seen) = (client.clone(), Rc::clone(&seen));
        async move {
            let seeing = Rc::clone(&seen);
            notes::show(client, move |snapshot| {
                seeing.borrow_mut().snapshots.push(format!("{:?} {}", snapshot.state, snapshot.pending));
            })
            .await;
            seen.borrow_mut().ended += 1;
        }
    });
    spawn_local({
        let (mut events, seen) = (client.events(), Rc::clone(&seen));
        async move {
            while let Some(event) = events.next().await {
                seen.borrow_mut().events.push(match event {
                    Event::Job(job) => format!("{:?}", job.state),
                    Event::SyncStart { queue } => format!("start {queue}"),
                    Event::SyncComplete { queue, result } => format!("complete {queue} {}", result.delivered),
                    Event::Removed(ids) => format!("removed {}", ids.len()),
                    Event::Progress { done, total } => format!("progress {done}/{total}"),
                    _ => "else".to_owned(),
                });
            }
            seen.borrow_mut().ended += 1;
        }
    });
    Ok(Page { client, seen, idle: RefCell::default() })
}

#[wasm_bindgen]
impl Page {
    pub async fn save(&self, id: String, text: String) -> Result<String, JsValue> {
        Ok(notes::save(&self.client, &Note { id, text }).await.map_err(thrown)?.to_string())
    }

    pub async fn arrived(&self, job: String) -> Result<bool, JsValue> {
        Ok(notes::arrived(&self.client, id(&job)?).await)
    }

    /// Every kind of body, with every kind of option, in one transaction.
    pub async fn save_kinds(&self, blob: web_sys::Blob) -> Result<Vec<String>, JsValue> {
        let to = |kind: &str| NewRequest::put(&format!("/api/sink/{kind}")).queue("kinds").header("X-Kind", kind);
        let requests = vec![
            NewRequest::get("/api/sink/none").queue("kinds"),
            to("text").body("grüße"),
            to("bytes").body(vec![0, 1, 255]),
            to("large").body(vec![7; 70_000]),
            to("blob").body(blob),
            to("json").json(&json!({ "a": [1, null] })).map_err(thrown)?.metadata(&json!({ "of": "json" })).map_err(thrown)?,
        ];
        Ok(self.client.enqueue_all(requests).await.map_err(thrown)?.iter().map(ToString::to_string).collect())
    }

    /// The code of the error.
    pub async fn refused(&self, url: String, header: String) -> Option<String> {
        self.client.enqueue(NewRequest::post(&url).header(&header, "x")).await.err().map(|error| error.code.as_str().to_owned())
    }

    pub async fn jobs(&self, queue: Option<String>) -> Result<String, JsValue> {
        let jobs = self.client.list(Filter { queue, ..Filter::default() }).await.map_err(thrown)?;
        Ok(json!(jobs.iter().map(job).collect::<Vec<_>>()).to_string())
    }

    pub async fn job(&self, text: String) -> Result<String, JsValue> {
        let found = self.client.get(id(&text)?).await.map_err(thrown)?;
        Ok(json!(found.as_ref().map(job)).to_string())
    }

    pub async fn pause(&self) -> Result<(), JsValue> {
        self.client.pause(None).await.map_err(thrown)
    }

    pub async fn resume(&self) -> Result<(), JsValue> {
        self.client.resume(None).await.map_err(thrown)
    }

    pub async fn sync_now(&self) -> Result<f64, JsValue> {
        let result = self.client.sync_now(None).await.map_err(thrown)?;
        Ok(f64::from(u32::try_from(result.delivered).unwrap_or(u32::MAX)))
    }

    /// What a person can do to jobs, and what each call returns.
    pub async fn manage(&self, edited: String, discarded: String) -> Result<String, JsValue> {
        let (client, edited, discarded) = (&self.client, id(&edited)?, id(&discarded)?);
        let change = Change::new().method("PATCH").body("edited").header("x-edited", "yes");
        let edit = client.edit(edited.clone(), change).await.map_err(thrown)?;
        let retry = client.retry(edited).await.map_err(thrown)?;
        let discard = client.discard(discarded.clone()).await.map_err(thrown)?;
        let late = client.cancel(discarded).await.map_err(thrown)?;
        Ok(json!([edit, retry, discard, late]).to_string())
    }

    pub async fn maintain(&self) -> Result<String, JsValue> {
        let client = &self.client;
        let metrics = client.metrics().await.map_err(thrown)?;
        let report = client.repair().await.map_err(thrown)?;
        let compacted = client.compact(None).await.map_err(thrown)?;
        let exported = client.export_failed(Filter::default()).await.map_err(thrown)?;
        let exported: Vec<_> = exported
            .iter()
            .map(|entry| json!({ "job": job(&entry.job), "headers": entry.headers, "size": entry.body.as_ref().map(web_sys::Blob::size) }))
            .collect();
        let cleared = client.clear(Filter::default()).await.map_err(thrown)?;
        Ok(json!({
            "delivered": metrics.queue.delivered,
            "storage": metrics.storage.is_some(),
            "jobs": report.of.jobs,
            "history": compacted.history,
            "exported": exported,
            "cleared": cleared,
        })
        .to_string())
    }

    pub fn seen(&self) -> String {
        let seen = self.seen.borrow();
        json!({ "snapshots": seen.snapshots, "events": seen.events, "ended": seen.ended }).to_string()
    }

    pub fn pending(&self) -> f64 {
        f64::from(u32::try_from(self.client.snapshot().pending).unwrap_or(u32::MAX))
    }

    /// A consumer that panics at the second item, and one that takes none.
    #[expect(clippy::panic, reason = "it is what is tried")]
    pub fn misuse(&self) {
        let mut snapshots = self.client.snapshots();
        spawn_local(async move {
            let _ = snapshots.next().await;
            let _ = snapshots.next().await;
            panic!("a consumer's own fault");
        });
        self.idle.replace(Some(self.client.events()));
    }

    /// How many events wait for the consumer that takes none.
    pub async fn waiting(&self) -> u32 {
        let mut count = 0;
        if let Some(events) = self.idle.take() {
            let mut events = std::pin::pin!(events);
            while let Some(Some(_)) = futures::future::FutureExt::now_or_never(events.next()) {
                count += 1;
            }
        }
        count
    }

    /// As many jobs, in one transaction.
    pub async fn flood(&self, count: u32) -> Result<(), JsValue> {
        let requests = (0..count).map(|at| NewRequest::get(&format!("/api/sink/flood/{at}"))).collect();
        self.client.enqueue_all(requests).await.map(drop).map_err(thrown)
    }

    /// A call whose future is dropped when it has been polled once.
    pub fn abandon(&self, key: String) {
        let client = self.client.clone();
        let call = client.enqueue(NewRequest::post("/api/sink/abandoned").queue("notes").key(&key));
        let _ = futures::future::FutureExt::now_or_never(call);
    }

    pub fn close(&self) {
        self.client.close();
    }
}

//! Serves what is queued: checks it, takes credentials off, and has it stored.

use std::rc::Rc;

use shearwater_core::{
    Error, ErrorCode,
    drafts::Submission,
    http::fetchable,
    protocol::{Enqueue, Event, operation},
    queue::{config::DEFAULT_QUEUE, enqueue, request::RequestHead},
    store::Caller,
};
use wasm_bindgen::prelude::*;
use web_sys::Url;

use super::{Served, Then};
use crate::{body, engine::Engine, failpoints, intake::Arrival, js};

/// Stores jobs, all or none; returns their ids once they are on the disk.
pub async fn enqueue(engine: &Rc<Engine>, request: Enqueue, bodies: Vec<JsValue>, caller: Caller) -> Result<Served, Error> {
    let Enqueue { mut jobs, repeat, draft, replaces } = request;
    let bodies = body::all(&mut jobs, bodies).await?;
    let mut admitted = Vec::with_capacity(jobs.len());
    let mut queues: Vec<String> = Vec::new();
    let mut dropped: Vec<String> = Vec::new();
    let mut total = 0;
    for (mut job, body) in jobs.into_iter().zip(bodies) {
        let size = body.as_ref().map(body_size).transpose()?;
        enqueue::address(&mut job, &engine.config)?;
        total += size.unwrap_or_default();
        let origin = parse_url(&mut job.request)?;
        fetchable::check(&job.request, &origin, &engine.origin)?;
        let queue = job.options.queue.as_deref().unwrap_or(DEFAULT_QUEUE);
        if !queues.iter().any(|known| known == queue) {
            queues.push(queue.to_owned());
        }
        engine.note_bound(&job);
        let job = enqueue::admit(job, origin, size, &engine.config)?;
        if job.is_item && !body.as_ref().is_some_and(body::is_json) {
            return Err(Error::invalid_request("an item of a batch is JSON"));
        }
        for name in &job.taken {
            if !dropped.contains(name) {
                dropped.push(name.clone());
            }
        }
        admitted.push((job, body));
    }
    failpoints::reach("enqueue-before").await;
    let (ledger, ids) = {
        let submission = Submission { draft, replaces: replaces.clone() };
        engine.take_in(Arrival { caller, jobs: admitted, repeat, size: total, submission }).await?
    };
    if let Some(replaced) = replaces {
        engine.saw(&ledger);
        engine.tell(engine.status(&ledger), Vec::new(), Some(Event::Removed(vec![replaced])));
    }
    failpoints::reach("enqueue-after").await;
    Ok(Served { dropped, ..Served::after::<operation::Enqueue>(&ids, ledger, Then::Stored(queues)) })
}

/// Has the platform parse the URL; returns its origin.
pub fn parse_url(request: &mut RequestHead) -> Result<String, Error> {
    let url = Url::new(&request.url).map_err(|_| Error::invalid_request("url is not an absolute URL"))?;
    if !url.username().is_empty() || !url.password().is_empty() {
        return Err(Error::invalid_request("url: credentials in a URL are never stored; use the auth hook"));
    }
    request.url = url.href();
    Ok(url.origin())
}

/// The size of a body, which is a `Blob` or an `ArrayBuffer`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; sizes are not negative")]
pub fn body_size(body: &JsValue) -> Result<u64, Error> {
    js::get(body, "size")
        .as_f64()
        .or_else(|| js::get(body, "byteLength").as_f64())
        .map(|size| size as u64)
        .ok_or_else(|| Error::new(ErrorCode::InvalidMessage, "a body is a Blob or an ArrayBuffer"))
}

//! Serves what is asked about jobs that are stored.

use std::{cell::RefCell, rc::Rc};

use shearwater_core::{
    Error, ErrorCode, JobId,
    http::fetchable,
    protocol::{self, Event, Exported, Removal, operation},
    queue::{
        job::{Job, State},
        manage::{self, Body, Cancelled, Edit},
    },
    store::{
        Answer, Caller, Tx,
        read::{self, Filter},
    },
    wire::text::Text,
};
use wasm_bindgen::prelude::*;

use super::{
    Served, change, change_in,
    enqueue::{body_size, parse_url},
};
use crate::{
    body, clock,
    engine::Engine,
    store::{Db, Mode},
};

/// One job.
pub async fn get(engine: &Rc<Engine>, id: JobId) -> Result<Served, Error> {
    let config = &engine.config;
    let job = engine.store.run(Mode::Read, async |db| read::get(db, &id, config).await).await?;
    Ok(Served::looked::<operation::Get>(&job))
}

/// A page of jobs.
pub async fn list(engine: &Rc<Engine>, filter: Filter) -> Result<Served, Error> {
    let config = &engine.config;
    let jobs = engine.store.run(Mode::Read, async |db| read::list(db, &filter, config).await).await?;
    Ok(Served::looked::<operation::List>(&jobs))
}

/// Tries a job again.
pub async fn retry(engine: &Rc<Engine>, id: JobId, caller: Caller) -> Result<Served, Error> {
    let (now, queue) = (clock::now(), RefCell::new(None));
    let changed = change(engine, &caller, "retry-after", &|db: Rc<Db>| {
        Box::pin(async {
            let job = manage::retry(&*{ db }, now, &id, &engine.config).await?;
            queue.replace(job.map(|job| job.queue));
            Ok(Answer::InTime(queue.borrow().is_some()))
        })
    })
    .await?;
    changed.of_job::<operation::Retry>(queue.take(), None)
}

/// Removes a job, and where that was asked for, those that wait for its response.
pub async fn discard(engine: &Rc<Engine>, request: Removal, caller: Caller) -> Result<Served, Error> {
    let (now, removed) = (clock::now(), RefCell::default());
    let changed = change(engine, &caller, "discard-after", &|db: Rc<Db>| {
        Box::pin(async {
            let jobs = manage::discard(&*{ db }, now, &request.id, request.cascade).await?;
            let in_time = !jobs.is_empty();
            removed.replace(jobs);
            Ok(Answer::InTime(in_time))
        })
    })
    .await?;
    tell_records(engine);
    changed.of_removal::<operation::Discard>(&removed.take(), request.id)
}

/// Stops a job, be it on its way.
pub async fn cancel(engine: &Rc<Engine>, request: Removal, caller: Caller) -> Result<Served, Error> {
    let Removal { id, cascade } = request;
    let now = clock::now();
    let (removed, stopped) = (RefCell::default(), RefCell::default());
    let changed = change(engine, &caller, "cancel-after", &|db: Rc<Db>| {
        Box::pin(async {
            let cancelled = manage::cancel(&*{ db }, now, &id, cascade, &engine.config).await?;
            let in_time = cancelled != Cancelled::TooLate;
            match cancelled {
                Cancelled::Removed(jobs) => drop(removed.replace(jobs)),
                Cancelled::Stopped(job) => drop(stopped.replace(Some(job.queue))),
                Cancelled::TooLate => {}
            }
            Ok(Answer::InTime(in_time))
        })
    })
    .await?;
    tell_records(engine);
    let Some(queue) = stopped.take() else {
        return changed.of_removal::<operation::Cancel>(&removed.take(), id);
    };
    engine.sends.cancel(&id);
    engine.cancelled(&id);
    let job = engine.store.run(Mode::Read, async |db| read::get(db, &id, &engine.config).await).await?;
    engine.tell(engine.status(&changed.ledger), job.into_iter().collect(), None);
    changed.of_job::<operation::Cancel>(Some(queue), None)
}

/// Changes a job's request.
pub async fn edit(engine: &Rc<Engine>, request: protocol::Edit, bodies: Vec<JsValue>, caller: Caller) -> Result<Served, Error> {
    let protocol::Edit { id, mut request, headers, body } = request;
    let bytes = body.then(|| bodies.into_iter().next().unwrap_or_default());
    let origin = if request.url.is_empty() { None } else { Some(parse_url(&mut request)?) };
    let bytes = match bytes {
        Some(bytes) => Some(body::own(bytes).await?),
        None => None,
    };
    let size = bytes.iter().flatten().next().map(body_size).transpose()?;
    let is_json = bytes.iter().flatten().next().is_some_and(body::is_json);
    let new_key = clock::unique_name();
    let now = clock::now();
    let room = size.unwrap_or_default();
    engine.store.expect_room(room)?;
    let queue = RefCell::new(None);
    let changed = change_in(engine, Mode::Intake, &caller, "edit-after", &|db: Rc<Db>| {
        Box::pin(async {
            let db = db;
            let body = match &bytes {
                None => Body::Keep,
                Some(None) => Body::None,
                Some(Some(bytes)) => Body::Replace(bytes.clone(), size.unwrap_or_default()),
            };
            let (mut request, mut key) = (request.clone(), new_key.clone());
            if let Some(job) = db.get::<Job>(&id).await? {
                if let Some(header) = engine.config.queue_or_default(&job.queue).idempotency.header() {
                    match request.given_key(header)? {
                        Some(given) => key = given,
                        // The key that the app gave belongs to what the request was before.
                        None if !headers && job.work.request().head.given_key(header).is_ok_and(|key| key.is_some()) => {
                            request.headers.push((header.to_ascii_lowercase(), ["\"", &key, "\""].text()));
                        }
                        None => {}
                    }
                }
                let stored = job.work.request();
                let mut whole = stored.head.clone();
                whole.change(request.clone(), headers);
                fetchable::check(&whole, origin.as_ref().unwrap_or(&stored.origin), &engine.origin)?;
            }
            let edit = Edit { request, headers, origin: origin.clone(), body, is_json, idempotency_key: key };
            let job = manage::edit(&*db, now, &id, edit, &engine.config).await?;
            queue.replace(job.map(|job| job.queue));
            Ok(Answer::InTime(queue.borrow().is_some()))
        })
    })
    .await;
    if changed.as_ref().is_err_and(|error| error.code == ErrorCode::QuotaExceeded) {
        engine.store.note_full(room);
    }
    changed?.of_job::<operation::Edit>(queue.take(), None)
}

/// With a mutation's job, what was written to the record is taken back.
fn tell_records(engine: &Engine) {
    #[cfg(feature = "full")]
    crate::collections::tell(engine, None);
    #[cfg(not(feature = "full"))]
    let _ = engine;
}

/// Removes all that match.
pub async fn clear(engine: &Rc<Engine>, filter: Filter, caller: Caller) -> Result<Served, Error> {
    let now = clock::now();
    let changed = change(engine, &caller, "clear-after", &|db: Rc<Db>| {
        Box::pin(async { Ok(Answer::Removed(manage::clear(&*{ db }, now, &filter, &caller, &engine.config).await?)) })
    })
    .await?;
    tell_records(engine);
    let then = changed.drain_all(engine, Some(Event::Removed(Vec::new()))).await?;
    changed.served::<operation::Clear>(then)
}

/// Dead letters with their whole requests, for a person to carry elsewhere.
pub async fn export(engine: &Rc<Engine>, filter: Filter) -> Result<Served, Error> {
    let (mut jobs, mut bodies) = (Vec::new(), Vec::new());
    for state in [State::Failed, State::Conflict, State::Blocked].into_iter().filter(|state| filter.takes_state(*state)) {
        let filter = Filter { state: Some(state), ..filter.clone() };
        let page = engine
            .store
            .run(Mode::Read, async |db| {
                let mut page = (Vec::new(), Vec::new());
                for view in read::list(db, &filter, &engine.config).await? {
                    let Some(job) = db.get::<Job>(&view.id).await? else { continue };
                    page.1.push(db.bodies(&[&job]).await?.pop().unwrap_or_default());
                    page.0.push(Exported { job: view, headers: job.work.request().head.headers.clone() });
                }
                Ok(page)
            })
            .await?;
        jobs.extend(page.0);
        bodies.extend(page.1);
    }
    Ok(Served { bodies, ..Served::looked::<operation::Export>(&jobs) })
}

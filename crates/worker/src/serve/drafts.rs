//! Serves the drafts of forms, and what a failed form is filled with again.

use std::{cell::Cell, rc::Rc};

use shearwater_core::{
    Error, ErrorCode, JobId,
    drafts::{self, NewFile, Save},
    protocol::{DraftClaim, DraftContent, DraftView, Exported, operation},
    queue::job::Job,
    store::{Answer, Caller, Scope, Tx, read, read_ledger},
};
use wasm_bindgen::prelude::*;

use super::{Changed, Served, Then, change_in, enqueue::body_size};
use crate::{
    body, clock,
    engine::Engine,
    failpoints,
    store::{Db, Mode},
};

/// Keeps what was typed. Leaves no receipt: a draft knows which saves it has seen.
pub async fn save(engine: &Rc<Engine>, save: Save, bodies: Vec<JsValue>, caller: Caller) -> Result<Served, Error> {
    if bodies.len() > save.files.len() {
        return Err(Error::new(ErrorCode::InvalidMessage, "more bodies than files"));
    }
    let mut new: Vec<NewFile<JsValue>> = Vec::new();
    let mut total = save.fields.len() as u64;
    for (id, bytes) in save.files.iter().zip(body::each(bodies).await?) {
        if let Some(bytes) = bytes {
            let size = body_size(&bytes)?;
            total += size;
            new.push((id.clone(), bytes, size));
        }
    }
    engine.store.expect_room(total)?;
    failpoints::reach("draft-before").await;
    let (now, kept) = (clock::now(), Cell::new(false));
    let stored = engine
        .store
        .run(Mode::Intake.on(Scope::DRAFTS), async |db| {
            kept.set(drafts::save(db, now, &save, &new, &caller, &engine.config.drafts).await?);
            read_ledger(db).await
        })
        .await;
    if stored.as_ref().is_err_and(|error| error.code == ErrorCode::QuotaExceeded) {
        engine.store.note_full(total);
    }
    let ledger = stored?;
    failpoints::reach("draft-after").await;
    Ok(Served::after::<operation::DraftSave>(&kept.get(), ledger, Then::Nothing))
}

/// The drafts of a form.
pub async fn list(engine: &Rc<Engine>, form: String, caller: Caller) -> Result<Served, Error> {
    let found = engine.store.run(Mode::Read.on(Scope::DRAFTS), async |db| drafts::list(db, &form, &caller).await).await?;
    let views: Vec<DraftView> = found.into_iter().map(DraftView::from).collect();
    Ok(Served::looked::<operation::DraftList>(&views))
}

/// What a draft holds.
pub async fn load(engine: &Rc<Engine>, id: JobId, caller: Caller) -> Result<Served, Error> {
    let (draft, bodies) = engine
        .store
        .run(Mode::Read.on(Scope::DRAFTS), async |db| {
            let draft = drafts::find(db, &id, &caller).await?;
            let files: Vec<JobId> = draft.iter().flat_map(|draft| &draft.files).map(|file| file.id.clone()).collect();
            let bodies = db.draft_files(&files).await?;
            Ok((draft, bodies))
        })
        .await?;
    Ok(Served { bodies, ..Served::looked::<operation::DraftLoad>(&draft.map(DraftContent::from)) })
}

/// Takes a draft over from another tab.
pub async fn claim(engine: &Rc<Engine>, request: DraftClaim, caller: Caller) -> Result<Served, Error> {
    let (DraftClaim { from, to }, now) = (request, clock::now());
    let changed = change_on_drafts(engine, &caller, &|db: Rc<Db>| {
        Box::pin(async { Ok(Answer::InTime(drafts::claim(&*{ db }, now, &from, &to, &caller).await?)) })
    })
    .await?;
    changed.served::<operation::DraftClaim>(Then::Nothing)
}

/// Ends a draft.
pub async fn discard(engine: &Rc<Engine>, id: JobId, caller: Caller) -> Result<Served, Error> {
    let now = clock::now();
    let changed = change_on_drafts(engine, &caller, &|db: Rc<Db>| {
        Box::pin(async { Ok(Answer::InTime(drafts::discard(&*{ db }, now, &id, &caller).await?)) })
    })
    .await?;
    changed.served::<operation::DraftDiscard>(Then::Nothing)
}

async fn change_on_drafts<'w>(
    engine: &'w Engine,
    caller: &'w Caller,
    work: &'w (dyn Fn(Rc<Db>) -> shearwater_core::store::receipts::Work<'w> + 'w),
) -> Result<Changed, Error> {
    change_in(engine, Mode::Strict.on(Scope::DRAFTS), caller, "draft-after", work).await
}

/// One job with its headers and its body.
pub async fn content(engine: &Rc<Engine>, id: JobId) -> Result<Served, Error> {
    let (found, bodies) = engine
        .store
        .run(Mode::Read, async |db| {
            let Some(view) = read::get(db, &id, &engine.config).await? else { return Ok((None, Vec::new())) };
            let Some(job) = db.get::<Job>(&id).await? else { return Ok((None, Vec::new())) };
            let bodies = db.bodies(&[&job]).await?;
            Ok((Some(Exported { job: view, headers: job.work.request().head.headers.clone() }), bodies))
        })
        .await?;
    Ok(Served { bodies, ..Served::looked::<operation::Content>(&found) })
}

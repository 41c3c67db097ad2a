//! Serves records: what pages write, take back and settle, and syncs that they ask for.

use std::rc::Rc;

use shearwater_core::{
    Error,
    collections::{
        listing,
        mutation::{self, config_of},
    },
    protocol::{
        Operation, operation,
        records::{RecordCleanUp, RecordListing, RecordName, RecordWrite, Resolve},
    },
    store::{Answer, Caller},
};

use super::{Changed, Served, Then, change};
use crate::{clock, collections, engine::Engine, store::Db};

/// Writes a record.
pub async fn write(engine: &Rc<Engine>, request: RecordWrite, caller: Caller) -> Result<Served, Error> {
    let changed = change(engine, &caller, "record-after", &|db: Rc<Db>| {
        Box::pin(async { Ok(Answer::InTime(mutation::write(&*{ db }, clock::now(), &request, &caller, &engine.config).await?)) })
    })
    .await?;
    changed.of_record::<operation::RecordWrite>(engine, &request.collection)
}

/// Takes back what was written to a record.
pub async fn undo(engine: &Rc<Engine>, name: RecordName, caller: Caller) -> Result<Served, Error> {
    config_of(&engine.config, &name.collection)?;
    let changed = change(engine, &caller, "record-after", &|db: Rc<Db>| {
        Box::pin(async { Ok(Answer::InTime(mutation::undo(&*{ db }, clock::now(), &name, &caller, &engine.config).await?)) })
    })
    .await?;
    changed.of_record::<operation::RecordUndo>(engine, &name.collection)
}

/// Settles a conflict.
pub async fn resolve(engine: &Rc<Engine>, request: Resolve, caller: Caller) -> Result<Served, Error> {
    let changed = change(engine, &caller, "record-after", &|db: Rc<Db>| {
        Box::pin(async {
            Ok(Answer::InTime(mutation::resolve(&*{ db }, clock::now(), &request, &caller, &engine.config).await?))
        })
    })
    .await?;
    changed.of_record::<operation::RecordResolve>(engine, &request.collection)
}

/// Pushes and pulls.
pub async fn sync(engine: &Rc<Engine>, collection: Option<String>) -> Result<Served, Error> {
    let names = match collection {
        Some(name) => {
            config_of(&engine.config, &name)?;
            vec![name]
        }
        None => engine.config.collections.iter().map(|(name, _)| name.clone()).collect(),
    };
    let synced = collections::sync(engine, &names).await?;
    Ok(Served { ledger: Some(engine.ledger().await?), ..Served::looked::<operation::RecordSync>(&synced) })
}

/// Lists the rows of a collection.
pub async fn list(engine: &Rc<Engine>, request: RecordListing) -> Result<Served, Error> {
    config_of(&engine.config, &request.collection)?;
    let report = collections::listed(engine, &request.collection, &request.scope).await?;
    Ok(Served { ledger: Some(engine.ledger().await?), ..Served::looked::<operation::RecordList>(&report) })
}

/// Removes what expired.
pub async fn clean_up(engine: &Rc<Engine>, request: RecordCleanUp, caller: Caller) -> Result<Served, Error> {
    config_of(&engine.config, &request.collection)?;
    let changed = change(engine, &caller, "record-after", &|db: Rc<Db>| {
        Box::pin(async {
            Ok(Answer::Removed(listing::clean_up(&*{ db }, clock::now(), &request, &caller, &engine.config).await?))
        })
    })
    .await?;
    collections::tell(engine, Some(std::slice::from_ref(&request.collection)));
    changed.served::<operation::RecordCleanUp>(Then::Nothing)
}

impl Changed {
    /// The answer to a change of a record, which may have queued a mutation.
    fn of_record<O: Operation<Answer = bool>>(self, engine: &Engine, collection: &str) -> Result<Served, Error> {
        collections::tell(engine, Some(&[collection.to_owned()]));
        self.served::<O>(Then::Stored(collections::queues_of(engine, collection)))
    }
}

//! Serves what is asked of the store as a whole: figures, repair, pruning.

use std::rc::Rc;

use js_sys::Array;
use shearwater_core::{
    Error, Millis, metrics,
    protocol::{Compact, Event, Measured, QuarantinedRow, Remembered, Repaired, operation},
    queue::manage,
    store::{
        Answer, Caller, read_ledger,
        repair::{self, Report},
    },
};

use super::{Served, change};
use crate::{
    clock,
    engine::Engine,
    js, periodic,
    store::{Db, Mode},
};

/// Figures about the queue.
pub async fn metrics(engine: &Rc<Engine>) -> Result<Served, Error> {
    let now = clock::now();
    let (of, ledger) = engine
        .store
        .run(Mode::Read, async |db| {
            let ledger = read_ledger(db).await?;
            Ok((metrics::read(db, now, engine.permit(&ledger)).await?, ledger))
        })
        .await?;
    let quarantine = quarantine(engine, &ledger.owner).await?;
    Ok(Served::looked::<operation::Metrics>(&Measured { of, quarantine, periodic: periodic::views(engine).await? }))
}

/// Looks at every row and puts right what is wrong.
pub async fn repair(engine: &Rc<Engine>, caller: Caller) -> Result<Served, Error> {
    let changed = change(engine, &caller, "repair-after", &|db: Rc<Db>| {
        Box::pin(async { Ok(Answer::Repaired(repair::repair(&*{ db }).await?)) })
    })
    .await?;
    // Dead leases are taken back by the drains that begin now.
    let then = changed.drain_all(engine, None).await?;
    let of = Report::recall(&changed.answer)?;
    let quarantine = quarantine(engine, &changed.ledger.owner).await?;
    Ok(Served::after::<operation::Repair>(&Repaired { of, quarantine }, changed.ledger, then))
}

/// Forgets what is old.
pub async fn compact(engine: &Rc<Engine>, request: Compact, caller: Caller) -> Result<Served, Error> {
    let now = clock::now();
    let changed = change(engine, &caller, "compact-after", &|db: Rc<Db>| {
        Box::pin(async { Ok(Answer::Compacted(manage::compact(&*{ db }, now, request.failed, &caller, &engine.config).await?)) })
    })
    .await?;
    let then = changed.drain_all(engine, Some(Event::Removed(Vec::new()))).await?;
    changed.served::<operation::Compact>(then)
}

/// What lies in quarantine of `owner`'s. A row did not parse: its id may be of any type.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; times are below 2^53")]
async fn quarantine(engine: &Engine, owner: &str) -> Result<Vec<QuarantinedRow>, Error> {
    let text = |row: &_, name| js::get(row, name).as_string();
    let rows = Array::from(&engine.store.quarantine(owner).await?);
    let rows = rows.iter().map(|row| QuarantinedRow {
        store: text(&row, "store").unwrap_or_default(),
        id: text(&row, "id"),
        reason: text(&row, "reason").unwrap_or_default(),
        at: Millis(js::get(&row, "at").as_f64().unwrap_or_default() as u64),
    });
    Ok(rows.collect())
}

//! Checks batches: their keys, their members, and why a job leaves one.

use shearwater_core::{
    http::reply::AttemptResult,
    queue::{
        disposition::Disposition,
        job::{Job, Place},
    },
};

use super::{Cause, Checked, Hand, Promise, Violation, ensure};
use crate::{
    batches::content_of,
    wire::{Sending, Status},
    world::World,
};

/// A key goes out with one payload, whoever sends it.
pub(crate) fn one_payload(world: &mut World, sending: &Sending) -> Checked {
    let Some(payload) = &sending.payload else { return Ok(()) };
    if world.broken.contains(&sending.key) {
        // Broken between its claim and its send.
        world.servers.batches.excused.extend(sending.parts.iter().map(|part| content_of(&part.job)));
    }
    let before = world.payloads.entry(sending.key.clone()).or_insert_with(|| payload.clone());
    let before = before.clone();
    ensure(before == *payload, Promise::Once, || format!("the key {} goes out with {before} and {payload}", sending.key))
}

/// A job that may have arrived in a batch goes again in that batch, unless the batch was broken by hand; and in another one
/// after an answer that says so.
pub(crate) fn with_the_others(world: &World, sending: &Sending) -> Checked {
    for part in &sending.parts {
        let job = &part.job;
        let Some((last, own)) = world.wire.last_of(&job.id) else { continue };
        let was_edited = own.job.idempotency_key != job.idempotency_key;
        let rotten = world.oracle.was_put_aside(own.job.order.seq);
        if last.payload.is_none() || last.key == sending.key || was_edited || rotten || world.broken.contains(&last.key) {
            continue;
        }
        let split = last.parts.len() > 1 && last.refused;
        // Without locks two drains may have sent the batch, and the answer come to the one whose lease was over.
        let answers = world.wire.under(&last.key).flat_map(|sending| &sending.parts).filter(|part| part.job.id == job.id);
        let told = answers.filter_map(|part| part.told).any(|told| told != Disposition::Delivered);
        ensure(split || told, Promise::Once, || {
            format!("{} goes in the batch {}, was in {}, of which is known {:?}", job.id, sending.key, last.key, last.status)
        })?;
    }
    Ok(())
}

/// A row changed: whoever left a batch that may have arrived did so for a reason.
pub(super) fn changed(world: &mut World, cause: &Cause<'_>, before: &Job, after: Option<&Job>) -> Checked {
    let Some(membership) = &before.batch else { return Ok(()) };
    let key = membership.key.as_str();
    if after.is_some_and(|after| after.batch.as_ref().is_some_and(|other| other.key == membership.key)) {
        // It waits behind one of its key that a person has revived: the others are not to wait.
        if after.is_some_and(|after| after.place == Place::Behind) {
            world.break_batch(key);
        }
        return Ok(());
    }
    let settlement = match cause {
        Cause::Cycle { cycle, .. } => cycle.settle.iter().find(|settlement| {
            settlement.id == before.id && settlement.batch.as_ref().is_some_and(|sent| sent.key == membership.key)
        }),
        _ => None,
    };
    match (cause, after) {
        (Cause::Hand(Hand::Edit(_) | Hand::Cancel(..) | Hand::Discard(..) | Hand::Clear(..) | Hand::Purge(_)), _) => {
            world.break_batch(key);
            Ok(())
        }
        // Its departure is looked at elsewhere.
        (Cause::Cycle { .. }, None) if settlement.is_some() => Ok(()),
        // It rotted.
        (_, None) => {
            world.break_batch(key);
            Ok(())
        }
        _ if world.broken.contains(key) => Ok(()),
        // It never went out.
        _ if !world.payloads.contains_key(key) => Ok(()),
        _ => {
            let refused = |result: &AttemptResult| {
                matches!(result, AttemptResult::Unsendable(_))
                    || result.status().is_some_and(|status| (400..500).contains(&status))
            };
            let Some(settlement) = settlement
                .filter(|settlement| settlement.batch.as_ref().is_some_and(|sent| sent.own) || refused(&settlement.result))
            else {
                let store = world.store.borrow();
                let others = store.jobs().filter(|job| job.batch.as_ref().is_some_and(|other| other.key == membership.key));
                let others: Vec<_> =
                    others.map(|job| (job.order.seq, job.state, job.place, &job.schedule, &job.attempts)).collect();
                return Err(Violation::new(
                    Promise::Once,
                    format!("{} left the batch {key} without an answer, as {after:?}, was {before:?}; {others:?}", before.id),
                ));
            };
            // A refusal is believed. Where an earlier copy is still on its way, it may be applied all the same.
            let own = settlement.batch.as_ref().is_some_and(|sent| sent.own);
            if !own && world.wire.is_in_doubt(key) {
                world.excuse(key);
            }
            Ok(())
        }
    }
}

/// What the reply says about each part of a send, as the sender reads it.
pub(crate) fn read(sending: &mut Sending, result: &AttemptResult, each: &[Disposition], own: bool) {
    sending.refused = !own && result.status().is_some_and(|status| (400..500).contains(&status));
    for (part, disposition) in sending.parts.iter_mut().zip(each) {
        part.told = own.then_some(*disposition);
    }
}

/// Whether a send ended in a way that leaves open whether it arrived.
pub(crate) fn is_open(status: Status) -> bool {
    matches!(status, Status::InTheAir | Status::CutOff | Status::TimedOut | Status::Answered(Disposition::Unreachable))
}

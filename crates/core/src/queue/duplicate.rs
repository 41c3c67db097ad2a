//! Lets a new job take the place of one that waits under the same key (Q9).
//!
//! The job that waits keeps its id and its place in the line; whoever watches it, or is bound to it, still does. What it says
//! is another payload from then on, under another idempotency key: if the former was tried and its response lost, the server
//! may have seen both, in their order.

use crate::{
    error::Error,
    queue::{
        batch::LARGEST_ITEM,
        binding::MOST_BINDINGS,
        enqueue::OnDuplicate,
        job::{Job, State},
        key_order,
    },
    store::{Index, Scan, Tx, bodies::Leaving, ledger::Ledger},
    time::Millis,
    wire::text::Text,
};

/// Rows of a line looked at in one page.
const PAGE: u32 = 128;

/// The last job of a key that waits to be sent; one that is too old waits for nothing but to be found so.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn last_waiting<T: Tx>(tx: &T, now: Millis, owner: &str, queue: &str, key: &str) -> Result<Option<Job>, Error> {
    let (mut last, mut after) = (None, 0);
    loop {
        let page = tx.scan(&Scan::of(Index::Line, vec![owner, queue, key], PAGE).from(after)).await?;
        let Some(end) = page.last() else { return Ok(last) };
        after = end.order.seq + 1;
        last = page.into_iter().rfind(|job| job.state == State::Pending && job.schedule.expires_at > now).or(last);
    }
}

/// Writes `new` in the place of `waiting`.
///
/// # Errors
/// `invalid-request` where the two cannot be merged; what the transaction returns.
#[expect(clippy::too_many_arguments, reason = "what a transaction of an enqueue has at hand")]
pub(crate) async fn supersede<T: Tx>(
    tx: &T,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    waiting: Job,
    mut new: Job,
    mut body: Option<T::Body>,
    on_duplicate: OnDuplicate,
    now: Millis,
) -> Result<(), Error> {
    if new.is_item() && !waiting.dependents().is_empty() {
        let advice = "onDuplicate: jobs wait for the response of the one that waits, and an item of a batch has none of its own";
        return Err(Error::invalid_request(advice));
    }
    if on_duplicate == OnDuplicate::Merge {
        let (merged, size) = merge(tx, &waiting, &new, body.as_ref()).await?;
        body = Some(merged);
        new.work.request_mut().size = Some(size);
        new.metadata = new.metadata.or_else(|| waiting.metadata.clone());
        // What the merged body still names.
        let named = |name: &str| new.bindings().iter().any(|binding| binding.name == name);
        let kept: Vec<_> = waiting.bindings().iter().filter(|binding| !named(&binding.name)).cloned().collect();
        if !kept.is_empty() {
            new.bind.get_or_insert_default().extend(kept);
        }
    }
    // Those that wait for it, and what it waits for, go by its id.
    if let Some(old) = &waiting.captures {
        let captures = new.captures.get_or_insert_default();
        captures.dependents.clone_from(&old.dependents);
        if captures.pointers.is_empty() {
            captures.pointers.clone_from(&old.pointers);
        }
    }
    leaving.body(tx, &waiting)?;
    if let Some(body) = &body {
        tx.put_body(&waiting.id, body)?;
    }
    if new.bindings().len() > MOST_BINDINGS {
        return Err(Error::invalid_request("onDuplicate: with those of the job that waits there are more than 16 values"));
    }
    // What its server asked for, and what was met so far, is not made undone by another payload.
    if waiting.attempts.last_tried_at.is_some() {
        new.schedule.next_attempt_at = new.schedule.next_attempt_at.max(waiting.schedule.next_attempt_at);
        new.schedule.hold_until = new.schedule.hold_until.max(waiting.schedule.hold_until);
        new.attempts.last_delay = waiting.attempts.last_delay;
        new.attempts.unreachable = waiting.attempts.unreachable;
        new.attempts.last_tried_at = waiting.attempts.last_tried_at;
        new.error = waiting.error;
    }
    if new.order.priority == waiting.order.priority {
        new.order.rank = waiting.order.rank;
    }
    new.order.seq = waiting.order.seq;
    new.schedule.queued_at = waiting.schedule.queued_at;
    new.id = waiting.id;
    key_order::enter(tx, &mut new, now).await?;
    ledger.shift(&new, State::Pending);
    ledger.add_origin(&new);
    tx.put(&new)
}

async fn merge<T: Tx>(tx: &T, waiting: &Job, new: &Job, patch: Option<&T::Body>) -> Result<(T::Body, u64), Error> {
    let (old, head) = (&waiting.work.request().head, &new.work.request().head);
    let refuse = |why: &str| {
        let id = waiting.id.as_str();
        Error::invalid_request(["onDuplicate: \"merge\": job ", id, ", which waits under the same key, ", why].text())
    };
    if (&old.url, &old.method) != (&head.url, &head.method) {
        return Err(refuse(&["goes elsewhere: ", &old.method, " ", &old.url].text()));
    }
    let body = tx.body_of(waiting).await?;
    let merged = body.as_ref().zip(patch).and_then(|(body, patch)| T::merged(body, patch));
    let merged = merged.filter(|(_, size)| *size <= LARGEST_ITEM);
    merged.ok_or_else(|| refuse("or this one, has no JSON body, or together they have more than 64 KiB"))
}

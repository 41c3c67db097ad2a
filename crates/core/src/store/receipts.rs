//! Makes each operation take effect once, however often its message comes.
//!
//! A page that gets no answer posts its message again: the worker may have been stopped before it read the first one,
//! or after it carried it out. So every operation that changes anything leaves its answer behind, in the very
//! transaction that carried it out, and a message that comes again is given that answer.
//!
//! ```text
//!   message ─▶ a receipt of it? ── yes ─▶ the answer of then; nothing changes
//!                   │ no
//!                   ├── asked longer ago than receipts are kept ─▶ refused: nobody knows any more
//!                   └── carry it out, write the receipt, commit ─▶ answer
//! ```
//!
//! # What always holds
//!
//! - Of all the transactions that carry messages of one name and instant, at most one changes anything.
//! - A job that was removed does not come back by a message from before its removal: the call that stored it has a
//!   receipt. Jobs under ids of the app's own making ([`crate::queue::enqueue`] with `repeat`) are known by their tombstone.
//! - A page repeats nothing that is older than [`REPEATED_FOR`], which is well below [`KEPT_FOR`].

use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorCode},
    id::JobId,
    queue::manage::Compacted,
    store::{Tx, ledger::Ledger, repair::Report, row::ReceiptKey, tombstones},
    time::{Millis, unit},
};

/// Milliseconds for which answers and tombstones are kept.
pub const KEPT_FOR: u64 = unit::DAY;

/// The latest answers, which are kept however old they seem: a clock that was set forward and back again makes nobody
/// forget what was asked a moment ago.
const KEPT_AT_LEAST: u32 = 1_000;

/// Milliseconds after which a page asks no more for an answer.
pub const REPEATED_FOR: u64 = KEPT_FOR / 2;

/// The longest name of a message, in bytes.
const LONGEST_NAME: usize = 64;

/// Milliseconds between two prunings.
const PRUNED_EVERY: u64 = 10 * unit::MINUTE;

/// Who asks for an operation: which page, when, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The message's name, the same each time that it is posted; empty for one that is posted once and never again.
    pub re: String,
    /// When it was first posted.
    pub at: Option<Millis>,
    /// Who was signed in as the caller knew it; the current owner where it does not say.
    pub owner: Option<String>,
}

impl Caller {
    /// The owner on whose behalf the caller asks.
    #[must_use]
    pub fn owner_or<'a>(&'a self, current: &'a str) -> &'a str {
        self.owner.as_deref().unwrap_or(current)
    }
}

/// The answer to an operation, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// It was done; of an enqueue, that all its jobs are stored.
    Done,
    /// Jobs are stored under other ids than they were asked for: they took the places of others.
    Stored(Vec<JobId>),
    /// Whether it came in time.
    InTime(bool),
    /// How many jobs it removed.
    Removed(u32),
    /// What compacting removed.
    Compacted(Compacted),
    /// What a repair found.
    Repaired(Report),
}

/// What an operation does, not begun yet; boxed, so that what is around it exists once.
pub type Work<'w> = Pin<Box<dyn Future<Output = Result<Answer, Error>> + 'w>>;

/// Carries `work` out, unless it was carried out for this message before. Returns its answer, and whether that is the
/// answer of then.
///
/// # Errors
/// `timeout` when the message is older than answers are kept; what `work` and the transaction return.
pub async fn once<T: Tx>(tx: &T, now: Millis, caller: &Caller, work: Work<'_>) -> Result<(Answer, bool), Error> {
    if caller.re.is_empty() {
        return Ok((work.await?, false));
    }
    if caller.re.len() > LONGEST_NAME {
        return Err(Error::new(ErrorCode::InvalidMessage, "re: longer than 64 bytes"));
    }
    let at = caller.at.unwrap_or_default();
    let key = ReceiptKey { at, re: caller.re.clone() };
    if let Some(answer) = tx.get::<Answer>(&key).await? {
        return Ok((answer, true));
    }
    if caller.at.is_some() && now.0.abs_diff(at.0) > KEPT_FOR {
        return Err(Error::new(
            ErrorCode::Timeout,
            "requested more than a day ago, or the clock was changed since; check with list() and call again",
        ));
    }
    let answer = work.await?;
    tx.put_at(&key, &answer)?;
    Ok((answer, false))
}

/// Deletes answers and tombstones that are old enough by a time that is not in doubt, every [`PRUNED_EVERY`] at most; returns
/// whether it was time for that.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn prune<T: Tx>(tx: &T, now: Millis, ledger: &mut Ledger) -> Result<bool, Error> {
    let is_time = now.0.abs_diff(ledger.pruned_at.0) >= PRUNED_EVERY;
    if is_time {
        let before = Millis(now.0.saturating_sub(KEPT_FOR));
        prune_answers(tx, before, KEPT_AT_LEAST).await?;
        tombstones::prune(tx, before, KEPT_AT_LEAST).await?;
        ledger.pruned_at = now;
    }
    Ok(is_time)
}

/// Forgets the answers to what was asked for before this instant, all but the latest `keep` answers.
pub(crate) async fn prune_answers<T: Tx>(tx: &T, before: Millis, keep: u32) -> Result<(), Error> {
    let excess = tx.count::<Answer>().await?.saturating_sub(keep);
    if excess > 0 {
        let before = ReceiptKey { at: before, re: String::new() };
        if let Some(last) = tx.keys::<Answer>(Some(&before), excess).await?.last() {
            tx.delete_upto::<Answer>(last)?;
        }
    }
    Ok(())
}

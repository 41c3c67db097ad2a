//! Keeps what a person has typed into a form until it is submitted, discarded or too old.
//!
//! A draft is one row, named by a UUID of the page's making, and its files, which lie apart so that saving text does not
//! write them again. The row belongs to one owner and one form of theirs; which tab holds it is known to the tabs alone,
//! by a Web Lock on the draft's name.
//!
//! ```text
//!             save(n)                save(m > n)
//!   absent ───────────▶ kept at n ───────────────▶ kept at m
//!     ▲                  │   │  │
//!     │ age, count, purge│   │  └─ claim: another row under another name takes what it holds ─▶ ended
//!     └──────────────────┘   └─ submit (with its job), discard ─▶ ended
//! ```
//!
//! *Ended* is a [`Tombstone`] under the draft's name. A name that has ended is never kept again, and a form that goes on
//! being typed into takes a new one.
//!
//! # What always holds
//!
//! - A draft ends in the transaction that stores its job ([`submit`]), and not before: killed on either side of that commit,
//!   there is the draft or the job, never neither and never both.
//! - A save that comes late changes nothing: its name has ended, or its `seq` is not above the stored one. So a message that
//!   is lost and posted again, or repeated after its answer was lost, needs no receipt.
//! - Rows of one owner are neither read, changed nor ended for another. A save on behalf of somebody who is not signed in is
//!   refused, so that nothing comes back after a purge.
//! - A save is all or nothing, files included; on a full disk the last save that found room stays.
//! - Both clocks of a device that was set back keep a draft: its age counts from the latest time that was ever believed.
//!
//! # Where a message meets trouble
//!
//! | what happens | what is left |
//! |---|---|
//! | a save is lost | the draft of before; the page posts it again, or the next one |
//! | a save is late, after the submit | nothing: the tombstone refuses it |
//! | a save is repeated | the same draft; it is told that it was kept |
//! | the worker dies before a commit | what was there before |
//! | it dies after a commit | what was committed; the repetition is told so |
//! | two tabs, one draft | the second finds it locked, and asks for a claim or begins anew |
//! | two workers | one transaction after the other; the higher `seq` stays |
//! | another owner signs in | saves of the one before are refused |
//! | the disk is full | the save is refused with `quota-exceeded`; submitting is refused by itself, the draft stays |

mod submit;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorCode},
    id::JobId,
    queue::config::{DraftsConfig, check_name},
    store::{
        self, ByForm, BySaving, Caller, Scan, Tombstone, Tx,
        ledger::Ledger,
        load, read_ledger,
        receipts::KEPT_FOR,
        row::{DraftFile, DraftFileKey},
    },
    time::Millis,
    wire::text::Text,
};

pub use submit::{Submission, submit};

/// The longest text of a draft, in bytes: it is written whole at each save.
const LONGEST_FIELDS: usize = 1 << 20;

/// The most files of a draft.
const MOST_FILES: usize = 100;

/// Drafts looked at in one page.
const PAGE: u32 = 64;

/// A draft, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// Its name.
    pub id: JobId,
    /// Whose it is.
    pub owner: String,
    /// The form, by the page's name for it.
    pub form: String,
    /// Orders the saves of one draft.
    pub seq: u64,
    /// When it was last saved.
    pub saved_at: Millis,
    /// What was typed, as JSON text that only the page reads.
    pub fields: String,
    /// Its files, in the page's order.
    #[serde(default)]
    pub files: Vec<File>,
}

/// A file of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name in the store.
    pub id: JobId,
    /// Bytes.
    pub size: u64,
}

/// A save, as it comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!Save")]
pub struct Save {
    /// See [`Draft`].
    pub id: JobId,
    /// See [`Draft`].
    pub form: String,
    /// See [`Draft`].
    pub seq: u64,
    /// See [`Draft`].
    pub fields: String,
    /// All files of the draft; those that are stored already need not come again.
    #[serde(default)]
    pub files: Vec<JobId>,
}

/// A new file of a save, and its bytes' number.
pub type NewFile<B> = (JobId, B, u64);

/// Keeps what was typed. Returns whether it is kept, by this save or by a later one: false for a draft that has ended, or
/// that is not the signed-in owner's.
///
/// # Errors
/// `invalid-request` when it is too large, or lists a file that is neither stored nor `new`; `timeout` when it was posted
/// longer ago than names of ended drafts are kept; what the transaction returns.
pub async fn save<T: Tx>(
    tx: &T,
    now: Millis,
    save: &Save,
    new: &[NewFile<T::Body>],
    caller: &Caller,
    config: &DraftsConfig,
) -> Result<bool, Error> {
    check(save)?;
    check_age(now, caller)?;
    let mut ledger = load(tx).await?;
    settle(tx, &mut ledger).await?;
    let owner = caller.owner_or(&ledger.owner).to_owned();
    if owner != ledger.owner || tx.get::<Tombstone>(&save.id).await?.is_some() {
        return Ok(false);
    }
    let stored = tx.get::<Draft>(&save.id).await?;
    if let Some(stored) = &stored {
        if stored.owner != owner || stored.form != save.form {
            return Ok(false);
        }
        if stored.seq >= save.seq {
            return Ok(true);
        }
    }
    let before = stored.as_ref().map(|draft| draft.files.as_slice()).unwrap_or_default();
    let mut files = Vec::with_capacity(save.files.len());
    for id in &save.files {
        if let Some(known) = before.iter().find(|file| file.id == *id) {
            files.push(known.clone());
        } else if let Some((_, bytes, size)) = new.iter().find(|(new, ..)| new == id) {
            tx.put_file(id, bytes)?;
            files.push(File { id: id.clone(), size: *size });
        } else {
            return Err(Error::invalid_request("draft: a file is neither stored nor sent along"));
        }
    }
    let bytes = files.iter().fold(save.fields.len() as u64, |sum, file| sum.saturating_add(file.size));
    if bytes > config.max_bytes {
        let limit = config.max_bytes.to_string();
        return Err(Error::invalid_request(["draft: larger than the ", &limit, " bytes of drafts.maxBytes"].text()));
    }
    for file in before.iter().filter(|file| !save.files.contains(&file.id)) {
        tx.delete::<DraftFile>(&DraftFileKey(file.id.clone()))?;
    }
    if stored.is_none() {
        make_room(tx, &owner, config).await?;
    }
    // A clock that was set back makes nobody older once it is right again.
    let last = stored.as_ref().map(|draft| draft.saved_at).unwrap_or_default();
    let saved_at = now.max(ledger.seen).max(last);
    tx.put(&Draft {
        id: save.id.clone(),
        owner,
        form: save.form.clone(),
        seq: save.seq,
        saved_at,
        fields: save.fields.clone(),
        files,
    })?;
    if ledger.begin_time(now) {
        store::save(tx, &mut ledger).await?;
    }
    Ok(true)
}

fn check(save: &Save) -> Result<(), Error> {
    check_name("form", &save.form)?;
    if save.fields.len() > LONGEST_FIELDS {
        return Err(Error::invalid_request("draft: more than 1 MiB of text"));
    }
    if save.files.len() > MOST_FILES {
        return Err(Error::invalid_request("draft: more than 100 files"));
    }
    Ok(())
}

/// Refuses what was posted so long ago that nobody knows any more whether its draft has ended.
fn check_age(now: Millis, caller: &Caller) -> Result<(), Error> {
    match caller.at {
        Some(at) if now.0.abs_diff(at.0) > KEPT_FOR => {
            Err(Error::new(ErrorCode::Timeout, "draft: posted more than a day ago, or the clock was changed since"))
        }
        _ => Ok(()),
    }
}

/// Makes room for one more of this owner's: the oldest go.
async fn make_room<T: Tx>(tx: &T, owner: &str, config: &DraftsConfig) -> Result<(), Error> {
    let all = tx.scan(&Scan::of(BySaving, Vec::new(), u32::MAX)).await?;
    let own: Vec<&Draft> = all.iter().filter(|draft| draft.owner == owner).collect();
    let most = (config.max as usize).saturating_sub(1);
    for draft in own.iter().take(own.len().saturating_sub(most)) {
        delete(tx, draft)?;
    }
    Ok(())
}

/// The signed-in owner's drafts of a form, the latest first.
///
/// # Errors
/// What the transaction returns.
pub async fn list<T: Tx>(tx: &T, form: &str, caller: &Caller) -> Result<Vec<Draft>, Error> {
    let ledger = read_ledger(tx).await?;
    if caller.owner_or(&ledger.owner) != ledger.owner {
        return Ok(Vec::new());
    }
    let mut drafts = tx.scan(&Scan::of(ByForm, vec![&ledger.owner, form], u32::MAX)).await?;
    drafts.reverse();
    Ok(drafts)
}

/// The signed-in owner's draft of this name.
///
/// # Errors
/// What the transaction returns.
pub async fn find<T: Tx>(tx: &T, id: &JobId, caller: &Caller) -> Result<Option<Draft>, Error> {
    let ledger = read_ledger(tx).await?;
    let is_theirs = caller.owner_or(&ledger.owner) == ledger.owner;
    Ok(tx.get::<Draft>(id).await?.filter(|draft| is_theirs && draft.owner == ledger.owner))
}

/// Gives what a draft holds to another name, under which another tab goes on; the old one has ended. Returns whether there
/// was such a draft of the signed-in owner's.
///
/// # Errors
/// `timeout` as [`save`]; what the transaction returns.
pub async fn claim<T: Tx>(tx: &T, now: Millis, from: &JobId, to: &JobId, caller: &Caller) -> Result<bool, Error> {
    check_age(now, caller)?;
    let mut ledger = load(tx).await?;
    settle(tx, &mut ledger).await?;
    let is_theirs = caller.owner_or(&ledger.owner) == ledger.owner;
    let draft = tx.get::<Draft>(from).await?.filter(|draft| is_theirs && draft.owner == ledger.owner);
    let Some(draft) = draft else { return Ok(false) };
    if from == to || tx.get::<Draft>(to).await?.is_some() || tx.get::<Tombstone>(to).await?.is_some() {
        return Ok(false);
    }
    tx.delete::<Draft>(from)?;
    tx.put(&Tombstone { id: from.clone(), at: now })?;
    tx.put(&Draft { id: to.clone(), ..draft })?;
    Ok(true)
}

/// Ends a draft. Returns whether there was one of the caller's owner.
///
/// # Errors
/// What the transaction returns.
pub async fn discard<T: Tx>(tx: &T, now: Millis, id: &JobId, caller: &Caller) -> Result<bool, Error> {
    let mut ledger = load(tx).await?;
    settle(tx, &mut ledger).await?;
    end(tx, now, id, caller.owner_or(&ledger.owner)).await
}

/// Writes a ledger that was made anew, where rows had to go to quarantine for it: nobody else would free their lines.
async fn settle<T: Tx>(tx: &T, ledger: &mut Ledger) -> Result<(), Error> {
    if tx.quarantined() > 0 { store::save(tx, ledger).await } else { Ok(()) }
}

/// Ends a draft of `owner`, whether or not it was ever saved: a save of it may still be on its way.
async fn end<T: Tx>(tx: &T, now: Millis, id: &JobId, owner: &str) -> Result<bool, Error> {
    let draft = tx.get::<Draft>(id).await?;
    match &draft {
        Some(draft) if draft.owner != owner => return Ok(false),
        Some(draft) => delete(tx, draft)?,
        None => {}
    }
    tx.put(&Tombstone { id: id.clone(), at: now })?;
    Ok(draft.is_some())
}

/// Removes everything of an owner who is purged. Saves that are still on their way are refused.
pub(crate) async fn purge<T: Tx>(tx: &T, owner: &str, now: Millis) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = tx.page::<Draft>(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id.clone());
        for draft in page.iter().filter(|draft| draft.owner == owner) {
            delete(tx, draft)?;
            tx.put(&Tombstone { id: draft.id.clone(), at: now })?;
        }
    }
}

/// Removes what nobody has saved for as long as the configuration keeps it, by a time that is not in doubt.
pub(crate) async fn prune<T: Tx>(tx: &T, now: Millis, config: &DraftsConfig) -> Result<(), Error> {
    let before = Millis(now.0.saturating_sub(config.max_age));
    for draft in tx.scan(&Scan::of(BySaving, Vec::new(), PAGE).upto(before.0)).await? {
        if now.since(draft.saved_at) > config.max_age {
            delete(tx, &draft)?;
        }
    }
    Ok(())
}

fn delete<T: Tx>(tx: &T, draft: &Draft) -> Result<(), Error> {
    for file in &draft.files {
        tx.delete::<DraftFile>(&DraftFileKey(file.id.clone()))?;
    }
    tx.delete::<Draft>(&draft.id)
}

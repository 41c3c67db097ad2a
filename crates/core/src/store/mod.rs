//! What each transaction on the store does, over any storage that can scan an index.
//!
//! A shell opens one transaction on the stores of a [`Scope`], calls one of the functions of this module with it, and
//! commits when it returns `Ok`, or aborts when it returns `Err`. Everything here is atomic by
//! that; nothing here waits for anything but the transaction itself.
//!
//! Each type that is stored says in [`row`] which store it is in, what its key is and by which indexes it is found. A
//! [`Tx`] knows no more than that.
//!
//! # Stores
//!
//! | store | key | what |
//! |---|---|---|
//! | `jobs` | `id` | one [`Job`] a row, with the entries of [`Index`] |
//! | `bodies` | `id` | the body's bytes, loaded only to be sent |
//! | `bodies` | `pack <id>`, `left <id>` | a *pack*: small bodies of one call behind one another, and how many jobs still need it |
//! | `history` | `id` | one [`Outcome`] a delivered job, bounded |
//! | `meta` | name | the [`Ledger`] |
//! | `session` | name | the [`Session`]: who is signed in, apart, so that a look at it waits for no drain |
//! | `receipts` | instant, request | one [`Answer`] an operation: see [`receipts`] |
//! | `tombstones` | `id` | jobs and drafts that were removed lately, so that a repeated message does not bring them back |
//! | `drafts` | `id` | one [`Draft`](crate::drafts::Draft) a form that is being filled in |
//! | `bodies` | `draft <id>` | a file of a draft |
//! | `periodic` | `tag` | what became of an app's periodic tasks: one [`PeriodicRun`](crate::schedule::periodic::PeriodicRun) a tag |
//! | `records` | `collection`, `id`, `owner` | one record of a collection, with its mutation: see `collections` |
//! | `collections` | `collection`, `owner` | how far a collection is synced |
//! | `quarantine` | auto | rows that did not parse, as they were |

pub(crate) mod bodies;
#[cfg(feature = "conformance")]
pub mod conformance;
mod index;
pub mod ledger;
pub mod quarantine;
pub mod read;
pub mod receipts;
pub mod repair;
pub mod row;
mod scope;
mod session;
mod tombstones;

use crate::{
    error::{Error, ErrorCode},
    id::JobId,
    queue::{history::Outcome, job::Job},
    store::{
        ledger::Ledger,
        row::{LedgerKey, SessionKey},
    },
    time::Millis,
};

pub use index::{
    ByDelivery, ByForm, ByRemoval, BySaving, EXPIRED_INDEX, Entry, HELD, Index, IndexValue, RECORD_INDEXES, RowIndex, Scan,
    VALUE_INDEX, ValueKey, WAITING_INDEX,
};
pub use quarantine::Aside;
pub use receipts::{Answer, Caller};
pub use row::{Key, Keyed, Record, Row};
pub use scope::{Scope, Store};
pub use session::Session;
pub use tombstones::Tombstone;

/// Why a transaction finds no ledger and cannot make it anew.
const LEDGER_LOST: &str = "the ledger is missing";

/// One transaction, as a shell provides it.
///
/// Writes are issued and not awaited: a write that fails makes the commit fail. Reads see the writes
/// issued before them. A row that does not parse counts as absent, and is moved to `quarantine` where its store is one of
/// those ([`Store::is_quarantined`]) and the transaction may write. Stores that are not in its scope it refuses to touch.
#[expect(async_fn_in_trait, reason = "both shells are single-threaded")]
pub trait Tx {
    /// A body as the shell stores it.
    type Body;

    /// The stores that the transaction has named.
    fn scope(&self) -> Scope;

    /// The row at this key.
    async fn get<R: Row>(&self, key: &R::Key) -> Result<Option<R>, Error>;
    /// The rows at these keys, each where it is there.
    async fn get_each<R: Row>(&self, keys: &[&R::Key]) -> Result<Vec<Option<R>>, Error>;
    /// Rows in a range of an index, in its order.
    async fn scan<I: RowIndex>(&self, scan: &Scan<'_, I>) -> Result<Vec<I::Row>, Error>;
    /// A page of all rows with a key greater than `after`, in the order of keys.
    async fn page<R: Row>(&self, after: Option<&R::Key>, limit: u32) -> Result<Vec<R>, Error>;
    /// The keys of this type up to this one, or all, in their order.
    async fn keys<R: Record>(&self, upto: Option<&R::Key>, limit: u32) -> Result<Vec<R::Key>, Error>;
    /// How many records there are in the store.
    async fn count<R: Record>(&self) -> Result<u32, Error>;
    /// Writes a row with its index entries.
    fn put_at<R: Row>(&self, key: &R::Key, row: &R) -> Result<(), Error>;
    /// Writes a row whose key is new; where it is not, here or at the commit, all fails with `invalid-request`.
    fn add<R: Keyed>(&self, row: &R) -> Result<(), Error>;
    /// Deletes what is at this key, if anything is.
    fn delete<R: Record>(&self, key: &R::Key) -> Result<(), Error>;
    /// Deletes all keys of this type up to this one, that one included.
    fn delete_upto<R: Record>(&self, key: &R::Key) -> Result<(), Error>;

    /// Writes a row that says its key.
    fn put<R: Keyed>(&self, row: &R) -> Result<(), Error> {
        self.put_at(&row.key(), row)
    }

    /// Stores a body in a record of its own.
    fn put_body(&self, id: &JobId, body: &Self::Body) -> Result<(), Error>;
    /// Stores a file of a draft.
    fn put_file(&self, id: &JobId, file: &Self::Body) -> Result<(), Error>;
    /// Stores bodies, each with the bytes before it, as a pack; where one of its name is there, here or at the commit, all
    /// fails with `invalid-request`.
    fn add_pack(&self, pack: &JobId, bodies: &[(u64, &Self::Body)]) -> Result<(), Error>;
    /// Whether a body, a small one, may share a record: its bytes are at hand, and all that is to be known of it.
    fn may_share(body: &Self::Body) -> bool;
    /// The stored body of a job, if it is there.
    async fn body_of(&self, job: &Job) -> Result<Option<Self::Body>, Error>;
    /// A text as a body.
    fn text_body(text: &str) -> Self::Body;
    /// A JSON body with a merge patch (RFC 7396) applied to it, and its size in bytes; `None` where either is no JSON, or not
    /// at hand.
    fn merged(body: &Self::Body, patch: &Self::Body) -> Option<(Self::Body, u64)>;

    /// What lies in quarantine.
    async fn aside(&self) -> Result<Vec<Aside>, Error>;
    /// Deletes what lies in quarantine under this key.
    fn delete_aside(&self, key: u64) -> Result<(), Error>;
    /// Rows moved to quarantine by this transaction so far.
    fn quarantined(&self) -> u32;

    /// What the versions of a new ledger begin with: no ledger that this origin has had, in a database that is gone or in
    /// this one, had a version as high. Pages and workers that are still open take a lower one for old news.
    fn first_version(&self) -> u64;
}

/// The history's oldest entries.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn oldest_outcomes<T: Tx>(tx: &T, limit: u32) -> Result<Vec<Outcome>, Error> {
    tx.scan(&Scan::of(ByDelivery, Vec::new(), limit)).await
}

/// Whether a transaction failed because its stores are too few to make a lost ledger anew: run it once more, with those of
/// [`Scope::without_ledger`].
#[must_use]
pub fn is_ledger_lost(error: &Error) -> bool {
    error.code == ErrorCode::Internal && error.message == LEDGER_LOST
}

/// The ledger as it stands.
///
/// # Errors
/// What the transaction returns.
pub async fn read_ledger<T: Tx>(tx: &T) -> Result<Ledger, Error> {
    match tx.get::<Ledger>(&LedgerKey).await? {
        Some(ledger) => Ok(ledger),
        None => repair::count(tx, lost(tx).await?).await,
    }
}

/// Reads the ledger, or rebuilds it where there is none that can be read.
pub(crate) async fn load<T: Tx>(tx: &T) -> Result<Ledger, Error> {
    match tx.get::<Ledger>(&LedgerKey).await? {
        Some(ledger) => Ok(ledger),
        None => {
            let ledger = repair::rebuild(tx, lost(tx).await?).await?;
            // From its first day, so that no claim is without a session.
            tx.put(&Session::of(&ledger))?;
            Ok(ledger)
        }
    }
}

/// What takes the place of a ledger that cannot be read, before rows are counted.
async fn lost<T: Tx>(tx: &T) -> Result<Ledger, Error> {
    if !tx.scope().covers(Scope::LEDGER) {
        return Err(Error::internal(LEDGER_LOST));
    }
    let history = oldest_outcomes(tx, u32::MAX).await?.len() as u64;
    let session = tx.get::<Session>(&SessionKey).await?;
    let Session { owner, number, paused, paused_queues, others, network } = session.unwrap_or_default();
    let version = tx.first_version();
    let session = if number == 0 { version } else { number };
    // Whether the clock was set back since nobody knows: let the next cycle look.
    Ok(Ledger {
        version,
        history,
        device: Millis::MAX,
        owner,
        session,
        paused,
        paused_queues,
        others,
        network,
        ..Ledger::default()
    })
}

/// Writes the ledger at the end of a transaction; recounts first where rows went to quarantine.
pub(crate) async fn save<T: Tx>(tx: &T, ledger: &mut Ledger) -> Result<(), Error> {
    if tx.quarantined() > 0 {
        *ledger = repair::rebuild(tx, std::mem::take(ledger)).await?;
    }
    ledger.version += 1;
    tx.put(ledger)
}

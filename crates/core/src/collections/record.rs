//! What is stored of a record, and of how far its collection is synced.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{indexes::Indexes, references::Referred};
use crate::{
    id::JobId,
    store::{Entry, Key, Keyed, RECORD_INDEXES, Record as Stored, Row as StoredRow, RowIndex, Store, ValueKey},
    time::Millis,
    wire::text::Text,
};

/// The version written into each row.
pub const RECORD_VERSION: u32 = 1;

/// Between the parts of a key: no collection's name and no id has it.
const SEPARATOR: &str = "\n";

/// A row as a server gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its JSON; `None` where it is deleted.
    pub text: Option<String>,
    /// Its version, by whatever names it.
    pub version: Option<String>,
    /// When it changed last, by the server's clock.
    pub at: Option<Millis>,
}

impl Row {
    /// A row that is not there, of which no more is known.
    pub const GONE: Self = Self { text: None, version: None, at: None };
}

/// What a mutation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushOp {
    /// Makes the row.
    Create,
    /// Changes it.
    Update,
    /// Deletes it.
    Delete,
    /// Changes nothing: fetches the row, where the server has refused a mutation without saying what it has.
    Read,
}

impl PushOp {
    /// Whether it is a create, or reads what became of one.
    #[must_use]
    pub const fn is_of_create(self) -> bool {
        matches!(self, Self::Create | Self::Read)
    }

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Read => "read",
        }
    }
}

/// The mutation of a record that is queued, or on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Its job.
    pub job: JobId,
    /// What it does.
    pub op: PushOp,
    /// `local` when it was made; `None` for a deletion.
    pub data: Option<String>,
    /// What is sent.
    pub body: Option<String>,
}

/// A record of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The version of this row.
    pub v: u32,
    /// Its collection.
    pub collection: String,
    /// Whose it is.
    pub owner: String,
    /// Its id: the server's, once that has given one.
    pub id: String,
    /// The order in which records came to be here.
    pub seq: u64,
    /// What readers see, as JSON; `None` where it is deleted.
    pub local: Option<String>,
    /// The server's row from which `local` began; `None` where it has none.
    pub base: Option<String>,
    /// The version of `base`.
    pub version: Option<String>,
    /// When it was last written here, while that is not on the server.
    pub changed_at: Option<Millis>,
    /// What the ids of its mutations are made of: random, by its first writer.
    pub seed: Option<JobId>,
    /// How many were made.
    pub minted: u32,
    /// Its mutation.
    pub push: Option<Push>,
    /// A row of the server that was seen while the mutation was on its way, or that is in conflict with `local`.
    pub remote: Option<Row>,
    /// It waits for a person.
    pub conflict: bool,
    /// What the server has is not known: it is asked for before anything is pushed.
    pub unread: bool,
    /// When its last push was settled, by the collection's counter.
    pub settled: u64,
    /// It has another id by now, under which it is found.
    pub moved: Option<String>,
    /// Since when the server does not list it any more.
    pub expired: Option<Millis>,
    /// What a mutation said that was answered well and without a row: the row is being read.
    pub sent: Option<String>,
    /// The record that its mutation waits for; with a mutation, one that it refers to and nobody here knows. See
    /// [`references`](super::references).
    #[serde(default)]
    pub waits_for: Option<Referred>,
    /// Its entries in the indexes that its collection declares; see [`indexes`](super::indexes).
    #[serde(rename = "xValues", default)]
    pub values: Vec<ValueKey>,
}

impl Record {
    /// A record that nobody has heard of.
    #[must_use]
    pub fn new(collection: &str, owner: &str, id: &str, seq: u64) -> Self {
        Self {
            v: RECORD_VERSION,
            collection: collection.to_owned(),
            owner: owner.to_owned(),
            id: id.to_owned(),
            seq,
            local: None,
            base: None,
            version: None,
            changed_at: None,
            seed: None,
            minted: 0,
            push: None,
            remote: None,
            conflict: false,
            unread: false,
            settled: 0,
            moved: None,
            expired: None,
            sent: None,
            waits_for: None,
            values: Vec::new(),
        }
    }

    /// Whether it has anything that is not on the server, or may not be.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.moved.is_none() && (self.changed_at.is_some() || self.push.is_some() || self.conflict || self.unread)
    }

    /// Whether readers list it.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.local.is_some() && self.moved.is_none() && (self.expired.is_none() || self.is_dirty())
    }

    /// Whether nothing is left of it but that it was deleted.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.moved.is_none() && self.local.is_none() && self.base.is_none() && !self.is_dirty()
    }

    /// An id for a mutation: another each time, and none that another record or database makes.
    pub fn mint(&mut self) -> JobId {
        self.minted += 1;
        let seed = self.seed.as_ref().map_or(0, JobId::as_number);
        // Each step of the sequence is spread over all bits (SplitMix64).
        let spread = |half: u64, step: u64| {
            let mut bits = half.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^ bits >> 31
        };
        #[expect(clippy::cast_possible_truncation, reason = "the halves of the number")]
        let (high, low) = ((seed >> 64) as u64, seed as u64);
        let step = u64::from(self.minted);
        let mixed = u128::from(spread(high, step)) << 64 | u128::from(spread(low ^ high.rotate_left(32), step));
        JobId::from_random(mixed.to_be_bytes())
    }
}

/// The key of a [`Record`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// The collection.
    pub collection: String,
    /// The id.
    pub id: String,
    /// The owner.
    pub owner: String,
}

impl RecordKey {
    /// The key of this record.
    #[must_use]
    pub fn new(collection: &str, owner: &str, id: &str) -> Self {
        Self { collection: collection.to_owned(), id: id.to_owned(), owner: owner.to_owned() }
    }
}

impl Key for RecordKey {
    fn text(&self) -> Cow<'_, str> {
        Cow::Owned([&self.collection, SEPARATOR, &self.id, SEPARATOR, &self.owner].text())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, SEPARATOR);
        let (collection, id, owner) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self::new(collection, owner, id))
    }
}

impl Stored for Record {
    const STORE: Store = Store::Records;
    type Key = RecordKey;
}

impl StoredRow for Record {
    fn entries(&self) -> Vec<(&'static str, Entry<'_>)> {
        RecordIndex::ALL.into_iter().filter_map(|index| Some((index.as_str(), index.entry(self)?))).collect()
    }

    fn values(&self) -> &[ValueKey] {
        &self.values
    }
}

impl Keyed for Record {
    fn key(&self) -> RecordKey {
        RecordKey::new(&self.collection, &self.owner, &self.id)
    }
}

/// An index of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordIndex {
    /// `[owner] seq`: all that is stored of an owner.
    Owner,
    /// `[owner, collection] seq`: what readers see.
    List,
    /// `[owner, collection] changedAt`: what is not on the server.
    Dirty,
    /// `[owner, collection] settled`: tombstones.
    Gone,
    /// `[owner, collection] expired`: what the server does not list any more.
    Expired,
    /// `[owner, collection, id] seq`: what waits for the record of this name.
    Waiting,
}

impl RecordIndex {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Owner, Self::List, Self::Dirty, Self::Gone, Self::Expired, Self::Waiting];
}

impl RowIndex for RecordIndex {
    type Row = Record;

    fn as_str(self) -> &'static str {
        let [owner, list, dirty, gone, expired, waiting] = RECORD_INDEXES;
        match self {
            Self::Owner => owner,
            Self::List => list,
            Self::Dirty => dirty,
            Self::Gone => gone,
            Self::Expired => expired,
            Self::Waiting => waiting,
        }
    }

    fn entry(self, record: &Record) -> Option<Entry<'_>> {
        let both = || vec![record.owner.as_str(), record.collection.as_str()];
        match self {
            Self::Owner => Some((vec![&record.owner], vec![record.seq])),
            Self::List => record.is_listed().then(|| (both(), vec![record.seq])),
            Self::Dirty => record.is_dirty().then(|| (both(), vec![record.changed_at.map_or(0, |at| at.0)])),
            Self::Gone => record.is_tombstone().then(|| (both(), vec![record.settled])),
            Self::Expired => (!record.is_dirty()).then(|| Some((both(), vec![record.expired?.0])))?,
            Self::Waiting => {
                let Referred { collection, id } = record.waits_for.as_ref().filter(|_| record.is_dirty())?;
                Some((vec![&record.owner, collection, id], vec![record.seq]))
            }
        }
    }
}

/// Where a pull stands in the server's order of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// When the last row changed, as the server spells it; JSON.
    pub at: String,
    /// The id of the last row; empty to begin with the first of that time.
    pub id: String,
}

/// A pull that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Who runs it, by a name that no other pull ever has.
    pub holder: String,
    /// After this it counts as dead.
    pub until: Millis,
    /// When it began.
    pub began: Millis,
    /// The collection's counter when the present page was asked for.
    pub asked: u64,
    /// Where the present page begins; `None` for the first row of all.
    pub from: Option<Cursor>,
    /// Pages that were cut short one after another.
    pub cut: u32,
    /// Rows that were applied.
    pub applied: u64,
    /// What was wrong with a row.
    pub trouble: Option<String>,
}

impl Running {
    /// One that begins under `holder`, when the collection's counter is `asked`.
    #[must_use]
    pub fn new(holder: &str, now: Millis, lease: u64, asked: u64) -> Self {
        Self {
            holder: holder.to_owned(),
            until: now.after(lease),
            began: now,
            asked,
            from: None,
            cut: 0,
            applied: 0,
            trouble: None,
        }
    }
}

/// How far a collection of an owner is synced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectionState {
    /// The collection.
    pub collection: String,
    /// Whose.
    pub owner: String,
    /// Counts records, pushes that were settled, and pages that were asked for.
    pub clock: u64,
    /// Where `cursor` is from: the address, what the server speaks, and the members that order its rows.
    #[serde(default)]
    pub source: String,
    /// The last row that was applied, in the server's order.
    pub cursor: Option<Cursor>,
    /// Milliseconds for which the pulls ran that brought the cursor there. A row that the first page could not show yet is that
    /// much farther behind the cursor.
    #[serde(default)]
    pub lasted: u64,
    /// The pull that runs.
    pub running: Option<Running>,
    /// When the last pull ended.
    pub pulled_at: Option<Millis>,
    /// Pulls that failed one after another.
    pub failures: u32,
    /// When the next is due, by itself.
    pub due_at: Option<Millis>,
    /// Why the last one failed, or the last listing.
    pub error: Option<String>,
    /// When the last listing of everything ended.
    pub reconciled_at: Option<Millis>,
    /// When the next is due, by itself.
    pub reconcile_at: Option<Millis>,
    /// Milliseconds that it waits.
    #[serde(default)]
    pub reconcile_wait: u64,
    /// The indexes that its records are written with. Pages read it.
    pub indexes: Option<Indexes>,
}

impl CollectionState {
    /// Moves the counter on.
    pub fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

/// The key of a [`CollectionState`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CollectionKey {
    /// The collection.
    pub collection: String,
    /// The owner.
    pub owner: String,
}

impl CollectionKey {
    /// The key of this one.
    #[must_use]
    pub fn new(collection: &str, owner: &str) -> Self {
        Self { collection: collection.to_owned(), owner: owner.to_owned() }
    }
}

impl Key for CollectionKey {
    fn text(&self) -> Cow<'_, str> {
        Cow::Owned([&self.collection, SEPARATOR, &self.owner].text())
    }

    fn parse(text: &str) -> Option<Self> {
        let (collection, owner) = text.split_once(SEPARATOR)?;
        Some(Self::new(collection, owner))
    }
}

impl Stored for CollectionState {
    const STORE: Store = Store::Collections;
    type Key = CollectionKey;
}

impl StoredRow for CollectionState {}

impl Keyed for CollectionState {
    fn key(&self) -> CollectionKey {
        CollectionKey::new(&self.collection, &self.owner)
    }
}

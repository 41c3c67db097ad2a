//! The indexes, and the ranges of them that are scanned.

use std::{cmp::Ordering, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

use crate::{
    drafts::Draft,
    queue::{
        history::Outcome,
        job::{Job, Place, State},
    },
    store::{Tombstone, row::Row},
    time::Millis,
};

/// What a row is found by in an index: strings, then numbers; it sorts by them. One without strings is a number that the
/// row has as a member of the index's name; any other is an array, which stands in the row beside the record, again under the
/// index's name.
pub type Entry<'a> = (Vec<&'a str>, Vec<u64>);

/// An index of the rows of one type.
pub trait RowIndex: Copy + 'static {
    /// The rows.
    type Row: Row;

    /// The index's name.
    fn as_str(self) -> &'static str;
    /// The entry of `row`, where it has one.
    fn entry(self, row: &Self::Row) -> Option<Entry<'_>>;
}

/// An index of the `jobs` store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Index {
    /// `[owner, queue, origin] rank, seq`: pending jobs that may be claimed now.
    Ready,
    /// `[owner, queue] nextAttemptAt, seq`: pending jobs that wait for a backoff, which a wake may cut short.
    /// `[owner, queue, "held"] nextAttemptAt, seq`: those that nobody may send before (`notBefore`). They stand apart,
    /// so that a wake does not look at each of them in vain.
    Due,
    /// `[owner, queue, key] seq`: the line of each key.
    Line,
    /// `[owner, queue, state] seq`: all jobs, for listing and recovery.
    State,
    /// `[owner, queue] expiresAt, seq`: jobs that age.
    Expiry,
}

impl Index {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ready, Self::Due, Self::Line, Self::State, Self::Expiry];
}

impl RowIndex for Index {
    type Row = Job;

    fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "xReady",
            Self::Due => "xDue",
            Self::Line => "xLine",
            Self::State => "xState",
            Self::Expiry => "xExpiry",
        }
    }

    fn entry(self, job: &Job) -> Option<Entry<'_>> {
        let (owner, queue) = (job.owner.as_str(), job.queue.as_str());
        match self {
            Self::Ready => {
                (job.place == Place::Ready).then(|| (vec![owner, queue, job.origin()], vec![job.order.rank, job.order.seq]))
            }
            Self::Due if job.place != Place::Due => None,
            Self::Due if job.schedule.hold_until == job.schedule.next_attempt_at => {
                Some((vec![owner, queue, HELD], vec![job.schedule.next_attempt_at.0, job.order.seq]))
            }
            Self::Due => Some((vec![owner, queue], vec![job.schedule.next_attempt_at.0, job.order.seq])),
            Self::Line => {
                let key = job.order.key.as_deref().filter(|_| job.order.line)?;
                Some((vec![owner, queue, key], vec![job.order.seq]))
            }
            Self::State => Some((vec![owner, queue, job.state.as_str()], vec![job.order.seq])),
            Self::Expiry => matches!(job.state, State::Pending | State::Blocked)
                .then(|| (vec![owner, queue], vec![job.schedule.expires_at.0, job.order.seq])),
        }
    }
}

/// Tells the entries of [`Index::Due`] that no wake cuts short from the others.
pub const HELD: &str = "held";

/// The index of the history by time.
#[derive(Clone, Copy, Debug)]
pub struct ByDelivery;

impl RowIndex for ByDelivery {
    type Row = Outcome;

    fn as_str(self) -> &'static str {
        "deliveredAt"
    }

    fn entry(self, outcome: &Outcome) -> Option<Entry<'_>> {
        Some((Vec::new(), vec![outcome.delivered_at.0]))
    }
}

/// The index of the tombstones by time.
#[derive(Clone, Copy, Debug)]
pub struct ByRemoval;

impl RowIndex for ByRemoval {
    type Row = Tombstone;

    fn as_str(self) -> &'static str {
        "at"
    }

    fn entry(self, tombstone: &Tombstone) -> Option<Entry<'_>> {
        Some((Vec::new(), vec![tombstone.at.0]))
    }
}

/// The index of the drafts by owner and form: `[owner, form] savedAt`.
#[derive(Clone, Copy, Debug)]
pub struct ByForm;

impl RowIndex for ByForm {
    type Row = Draft;

    fn as_str(self) -> &'static str {
        "xForm"
    }

    fn entry(self, draft: &Draft) -> Option<Entry<'_>> {
        Some((vec![&draft.owner, &draft.form], vec![draft.saved_at.0]))
    }
}

/// The index of the drafts by time.
#[derive(Clone, Copy, Debug)]
pub struct BySaving;

impl RowIndex for BySaving {
    type Row = Draft;

    fn as_str(self) -> &'static str {
        "savedAt"
    }

    fn entry(self, draft: &Draft) -> Option<Entry<'_>> {
        Some((Vec::new(), vec![draft.saved_at.0]))
    }
}

/// The indexes of the records, by name: the stores are the same whether the build has collections or not.
pub const RECORD_INDEXES: [&str; 6] = ["xOwner", "xList", "xDirty", "xGone", EXPIRED_INDEX, WAITING_INDEX];

/// The index of the records that expired.
pub const EXPIRED_INDEX: &str = "xExpired";

/// The index of the records by the one that they wait for.
pub const WAITING_INDEX: &str = "xWaiting";

/// The index of the records by their values, in which a row has any number of entries: those of its member of this name.
/// Which values these are is the app's to say, so that it may say another day without another schema.
pub const VALUE_INDEX: &str = "xValues";

/// What a row is found by in [`VALUE_INDEX`].
pub type ValueKey = Vec<IndexValue>;

/// A value in an index. Its order is that of `IndexedDB`: numbers, then strings by their UTF-16 code units.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexValue {
    /// A number, never NaN nor -0.
    Number(f64),
    /// A string.
    Text(String),
}

impl Eq for IndexValue {}

impl PartialOrd for IndexValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IndexValue {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one.total_cmp(other),
            (Self::Text(one), Self::Text(other)) => one.encode_utf16().cmp(other.encode_utf16()),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

impl Serialize for IndexValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for IndexValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IndexValueVisitor)
    }
}

struct IndexValueVisitor;

impl<'de> Visitor<'de> for IndexValueVisitor {
    type Value = IndexValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a string or a number")
    }

    #[expect(clippy::cast_precision_loss, reason = "whole numbers come by this method up to 2^53")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<IndexValue, E> {
        Ok(IndexValue::Number(number as f64))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<IndexValue, E> {
        Ok(IndexValue::Text(text.to_owned()))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<IndexValue, D::Error> {
        f64::deserialize(deserializer).map(IndexValue::Number)
    }
}

/// A range of an index: entries with exactly these strings, whose first number is within the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan<'a, I> {
    /// The index.
    pub index: I,
    /// The strings.
    pub texts: Vec<&'a str>,
    /// The first number at least this.
    pub from: u64,
    /// The first number at most this.
    pub upto: u64,
    /// Rows at most.
    pub limit: u32,
}

impl<'a, I: RowIndex> Scan<'a, I> {
    /// Everything under these strings, at most `limit` rows.
    #[must_use]
    pub fn of(index: I, texts: Vec<&'a str>, limit: u32) -> Self {
        Self { index, texts, from: 0, upto: Millis::MAX.0, limit }
    }

    /// Only entries whose first number is at most `upto`.
    #[must_use]
    pub fn upto(mut self, upto: u64) -> Self {
        self.upto = upto;
        self
    }

    /// Only entries whose first number is at least `from`.
    #[must_use]
    pub fn from(mut self, from: u64) -> Self {
        self.from = from;
        self
    }

    /// Whether it is all of the index.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.texts.is_empty() && self.from == 0 && self.upto == Millis::MAX.0
    }
}

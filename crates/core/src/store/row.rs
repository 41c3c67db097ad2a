//! What each type that is stored says of itself: its store, its key, its indexes.
//!
//! A [`Record`] is anything under a key; a [`Row`] is one that the core reads and writes. The bodies are records and no
//! rows: what they are made of is the shell's. To add a store, name it in [`Store`], give its type a `Record` and a `Row`,
//! and let a migration of the worker make it; the transactions of both shells then have it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    drafts::Draft,
    id::JobId,
    queue::{history::Outcome, job::Job},
    store::{
        Answer, Session, Tombstone,
        index::{ByDelivery, ByForm, ByRemoval, BySaving, Entry, Index, RowIndex, ValueKey},
        ledger::Ledger,
        scope::Store,
    },
    time::Millis,
    wire::{Wire, text::Text},
};

/// The key of a record: a string on the disk.
pub trait Key: Clone + Ord + 'static {
    /// What all keys of this type begin with, where they share their store with others.
    const PREFIX: &'static str = "";

    /// As it is stored.
    fn text(&self) -> Cow<'_, str>;
    /// The key that is stored as `text`.
    fn parse(text: &str) -> Option<Self>;
}

/// Something that is stored under a key.
pub trait Record: 'static {
    /// Where.
    const STORE: Store;
    /// Under which keys.
    type Key: Key;
}

/// A record that the core reads and writes.
pub trait Row: Record + Wire + Clone {
    /// Its entries in the indexes of its store, each under the index's name. One without strings is a member of the row.
    fn entries(&self) -> Vec<(&'static str, Entry<'_>)> {
        Vec::new()
    }

    /// Its entries in [`VALUE_INDEX`](super::VALUE_INDEX), which are a member of the row; of equal ones, one counts.
    fn values(&self) -> &[ValueKey] {
        &[]
    }
}

/// A row that says its key.
pub trait Keyed: Row {
    /// Its key.
    fn key(&self) -> Self::Key;
}

impl Key for JobId {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl Record for Job {
    const STORE: Store = Store::Jobs;
    type Key = JobId;
}

impl Row for Job {
    fn entries(&self) -> Vec<(&'static str, Entry<'_>)> {
        Index::ALL.into_iter().filter_map(|index| Some((index.as_str(), index.entry(self)?))).collect()
    }
}

impl Keyed for Job {
    fn key(&self) -> JobId {
        self.id.clone()
    }
}

impl Record for Outcome {
    const STORE: Store = Store::History;
    type Key = JobId;
}

impl Row for Outcome {
    fn entries(&self) -> Vec<(&'static str, Entry<'_>)> {
        ByDelivery.entry(self).map(|entry| (ByDelivery.as_str(), entry)).into_iter().collect()
    }
}

impl Keyed for Outcome {
    fn key(&self) -> JobId {
        self.id.clone()
    }
}

impl Record for Tombstone {
    const STORE: Store = Store::Tombstones;
    type Key = JobId;
}

impl Row for Tombstone {
    fn entries(&self) -> Vec<(&'static str, Entry<'_>)> {
        ByRemoval.entry(self).map(|entry| (ByRemoval.as_str(), entry)).into_iter().collect()
    }
}

impl Keyed for Tombstone {
    fn key(&self) -> JobId {
        self.id.clone()
    }
}

/// The key of the one [`Ledger`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerKey;

impl LedgerKey {
    /// As it is stored.
    pub const TEXT: &'static str = "ledger";
}

impl Key for LedgerKey {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(Self::TEXT)
    }

    fn parse(text: &str) -> Option<Self> {
        (text == Self::TEXT).then_some(Self)
    }
}

impl Record for Ledger {
    const STORE: Store = Store::Meta;
    type Key = LedgerKey;
}

impl Row for Ledger {}

impl Keyed for Ledger {
    fn key(&self) -> LedgerKey {
        LedgerKey
    }
}

/// The key of the one [`Session`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey;

impl Key for SessionKey {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed("session")
    }

    fn parse(text: &str) -> Option<Self> {
        (text == "session").then_some(Self)
    }
}

impl Record for Session {
    const STORE: Store = Store::Session;
    type Key = SessionKey;
}

impl Row for Session {}

impl Keyed for Session {
    fn key(&self) -> SessionKey {
        SessionKey
    }
}

/// The key of an [`Answer`]: when the operation was asked for and the message's name, in the order of time, so that the old
/// ones are one range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceiptKey {
    /// When it was asked for.
    pub at: Millis,
    /// The message's name.
    pub re: String,
}

impl Key for ReceiptKey {
    fn text(&self) -> Cow<'_, str> {
        let digits = self.at.0.to_string();
        let padding = "0000000000000000".get(digits.len()..).unwrap_or_default();
        Cow::Owned([padding, &digits, " ", &self.re].text())
    }

    fn parse(text: &str) -> Option<Self> {
        let (at, re) = text.split_once(' ')?;
        Some(Self { at: Millis(at.parse().ok()?), re: re.to_owned() })
    }
}

impl Record for Answer {
    const STORE: Store = Store::Receipts;
    type Key = ReceiptKey;
}

impl Row for Answer {}

impl Record for Draft {
    const STORE: Store = Store::Drafts;
    type Key = JobId;
}

impl Row for Draft {
    fn entries(&self) -> Vec<(&'static str, Entry<'_>)> {
        let entries = [(ByForm.as_str(), ByForm.entry(self)), (BySaving.as_str(), BySaving.entry(self))];
        entries.into_iter().filter_map(|(index, entry)| Some((index, entry?))).collect()
    }
}

impl Keyed for Draft {
    fn key(&self) -> JobId {
        self.id.clone()
    }
}

/// A file of a draft.
#[derive(Debug)]
pub enum DraftFile {}

/// The key of a [`DraftFile`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DraftFileKey(pub JobId);

impl Key for DraftFileKey {
    const PREFIX: &'static str = "draft ";

    fn text(&self) -> Cow<'_, str> {
        Cow::Owned([Self::PREFIX, self.0.as_str()].text())
    }

    fn parse(text: &str) -> Option<Self> {
        JobId::parse(text.strip_prefix(Self::PREFIX)?).ok().map(Self)
    }
}

impl Record for DraftFile {
    const STORE: Store = Store::Bodies;
    type Key = DraftFileKey;
}

/// A body that has a record of its own.
#[derive(Debug)]
pub enum Body {}

impl Record for Body {
    const STORE: Store = Store::Bodies;
    type Key = JobId;
}

/// Bodies that share a record; see `store::bodies`.
#[derive(Debug)]
pub enum Pack {}

/// The key of a [`Pack`]: the job whose body is its first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackKey(pub JobId);

impl Key for PackKey {
    const PREFIX: &'static str = "pack ";

    fn text(&self) -> Cow<'_, str> {
        Cow::Owned([Self::PREFIX, self.0.as_str()].text())
    }

    fn parse(text: &str) -> Option<Self> {
        JobId::parse(text.strip_prefix(Self::PREFIX)?).ok().map(Self)
    }
}

impl Record for Pack {
    const STORE: Store = Store::Bodies;
    type Key = PackKey;
}

/// How many jobs need a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PackUse(pub u32);

/// The key of a [`PackUse`]: that of its pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackUseKey(pub JobId);

impl Key for PackUseKey {
    const PREFIX: &'static str = "left ";

    fn text(&self) -> Cow<'_, str> {
        Cow::Owned([Self::PREFIX, self.0.as_str()].text())
    }

    fn parse(text: &str) -> Option<Self> {
        JobId::parse(text.strip_prefix(Self::PREFIX)?).ok().map(Self)
    }
}

impl Record for PackUse {
    const STORE: Store = Store::Bodies;
    type Key = PackUseKey;
}

impl Row for PackUse {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_from_their_text() {
        let id = JobId::from_random([7; 16]);
        assert_eq!(<JobId as Key>::parse(&id.text()), Some(id.clone()));
        assert_eq!(PackKey::parse(&PackKey(id.clone()).text()), Some(PackKey(id.clone())));
        assert!(PackKey::parse(&PackUseKey(id).text()).is_none());
        let receipt = ReceiptKey { at: Millis(1_790_000_000_000), re: "page 7: 12".to_owned() };
        assert_eq!(receipt.text(), "0001790000000000 page 7: 12");
        assert_eq!(ReceiptKey::parse(&receipt.text()), Some(receipt));
    }
}

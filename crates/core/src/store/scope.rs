//! The stores of the database, and the set of them that a transaction names.
//!
//! A transaction locks what it names: one that only reads waits for the writes on those stores and for no others. What it
//! does not name it cannot touch. [`Scope`] has the sets that the engine uses, each with what belongs to it, so that both
//! shells lock the same.

use crate::{error::Error, wire::text::Text};

/// A store of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// Jobs.
    Jobs,
    /// Bodies, packs, and how many jobs need each pack.
    Bodies,
    /// Traces of delivered jobs.
    History,
    /// The ledger.
    Meta,
    /// Rows that did not parse.
    Quarantine,
    /// Answers to operations.
    Receipts,
    /// Jobs that were removed lately.
    Tombstones,
    /// Who is signed in.
    Session,
    /// Forms that are being filled in.
    Drafts,
    /// Runs of periodic tasks.
    Periodic,
    /// Records of collections.
    Records,
    /// How far each collection is synced.
    Collections,
}

impl Store {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Jobs,
        Self::Bodies,
        Self::History,
        Self::Meta,
        Self::Quarantine,
        Self::Receipts,
        Self::Tombstones,
        Self::Session,
        Self::Drafts,
        Self::Periodic,
        Self::Records,
        Self::Collections,
    ];

    /// Its name on the disk.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Bodies => "bodies",
            Self::History => "history",
            Self::Meta => "meta",
            Self::Quarantine => "quarantine",
            Self::Receipts => "receipts",
            Self::Tombstones => "tombstones",
            Self::Session => "session",
            Self::Drafts => "drafts",
            Self::Periodic => "periodic",
            Self::Records => "records",
            Self::Collections => "collections",
        }
    }

    /// The member of its rows that is their key; `None` where the key stands beside the row.
    #[must_use]
    pub const fn key_path(self) -> Option<&'static str> {
        match self {
            Self::Jobs | Self::History | Self::Tombstones | Self::Drafts => Some("id"),
            Self::Periodic => Some("tag"),
            Self::Bodies | Self::Meta | Self::Quarantine | Self::Receipts | Self::Session | Self::Records | Self::Collections => {
                None
            }
        }
    }

    /// Whether a row that does not parse is kept in quarantine: a job, its trace, a record or the ledger. Of all others there
    /// is nothing that anybody could do with it, and they count as absent.
    #[must_use]
    pub const fn is_quarantined(self) -> bool {
        matches!(self, Self::Jobs | Self::History | Self::Meta | Self::Records)
    }
}

/// A set of stores: those that a transaction names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope(u16);

impl Scope {
    /// Who is signed in, apart from everything else: waits for nobody but a sign-in.
    pub const SESSION: Self = Self::of(&[Store::Session]);
    /// What lies in quarantine, to be listed.
    pub const QUARANTINE: Self = Self::of(&[Store::Quarantine]);
    /// The ledger alone: what is counted.
    pub const STATUS: Self = Self::of(&[Store::Meta]);
    /// What pages see: the ledger, jobs and their traces.
    pub const VIEW: Self = Self::of(&[Store::Meta, Store::Jobs, Store::History]);
    /// What pages see, with the bodies.
    pub const CONTENT: Self = Self::VIEW.with(Store::Bodies);
    /// What drafts need: themselves, their files and the names that have ended, beside the ledger and its quarantine.
    pub const DRAFTS: Self =
        Self::of(&[Store::Drafts, Store::Bodies, Store::Tombstones, Store::Receipts, Store::Meta, Store::Quarantine]);
    /// The runs of periodic tasks, apart from everything else.
    pub const PERIODIC: Self = Self::of(&[Store::Periodic]);
    /// Records, how far their collections are synced, and where a record goes that does not parse.
    pub const RECORDS: Self = Self::COLLECTED.with(Store::Quarantine);
    /// Records, and how far their collections are synced.
    const COLLECTED: Self = Self::of(&[Store::Records, Store::Collections]);
    /// All that a drain and most operations work on: neither a look at who is signed in nor a periodic task's end waits for
    /// them; nor does a page that reads its records, where the build has no collections.
    pub const WORK: Self = if cfg!(feature = "collections") {
        Self(Self::ALL.0 & !Self::SESSION.0 & !Self::PERIODIC.0)
    } else {
        Self(Self::ALL.0 & !Self::SESSION.0 & !Self::PERIODIC.0 & !Self::COLLECTED.0)
    };
    /// Everything: signing in, pausing.
    pub const ALL: Self = Self::of(&Store::ALL);
    /// What a lost ledger is made anew from, and where it stands.
    pub const LEDGER: Self = Self::VIEW.with(Store::Session);

    /// These stores.
    #[must_use]
    pub const fn of(stores: &[Store]) -> Self {
        let (mut scope, mut at) = (Self(0), 0);
        while at < stores.len() {
            #[expect(clippy::indexing_slicing, reason = "below the length; iterators are not const")]
            let store = stores[at];
            scope = scope.with(store);
            at += 1;
        }
        scope
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, store: Store) -> Self {
        Self(self.0 | 1 << store as u16)
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether `store` is in it.
    #[must_use]
    pub const fn has(self, store: Store) -> bool {
        self.0 & 1 << store as u16 != 0
    }

    /// Refuses what is not in it.
    ///
    /// # Errors
    /// `internal`.
    pub fn check(self, store: Store) -> Result<(), Error> {
        if self.has(store) { Ok(()) } else { Err(not_named(store)) }
    }

    /// Its stores.
    pub fn stores(self) -> impl Iterator<Item = Store> {
        Store::ALL.into_iter().filter(move |store| self.has(*store))
    }

    /// This set for a transaction that begins when nobody knows whether the ledger is there: one that reads it may have to
    /// make it anew.
    #[must_use]
    pub const fn without_ledger(self) -> Self {
        if self.has(Store::Meta) { self.and(Self::LEDGER) } else { self }
    }
}

/// Apart, for it is nowhere expected.
#[cold]
#[inline(never)]
fn not_named(store: Store) -> Error {
    Error::internal(["a transaction touches the store \"", store.as_str(), "\", which it has not named"].text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_what_it_was_made_of_and_nothing_else() {
        for store in Store::ALL {
            assert!(Scope::ALL.has(store));
            let is_apart = matches!(store, Store::Session | Store::Periodic)
                || (Scope::COLLECTED.has(store) && !cfg!(feature = "collections"));
            assert_eq!(Scope::WORK.has(store), !is_apart, "{store:?}");
            assert_eq!(Scope::of(&[store]).stores().collect::<Vec<_>>(), [store]);
        }
        assert!(Scope::CONTENT.covers(Scope::VIEW) && !Scope::VIEW.covers(Scope::CONTENT));
    }

    #[test]
    fn only_a_transaction_that_reads_the_ledger_may_have_to_make_it_anew() {
        assert_eq!(Scope::SESSION.without_ledger(), Scope::SESSION);
        assert_eq!(Scope::WORK.without_ledger(), Scope::WORK.and(Scope::SESSION));
        assert_eq!(Scope::VIEW.without_ledger(), Scope::LEDGER);
    }
}

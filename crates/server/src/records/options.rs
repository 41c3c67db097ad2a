//! Holds what tests set for a collection: who makes its ids, what its clock says, how late its commits are.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::merge_patch::merge;
use super::{Collection, Members};
use crate::clock::Timestamp;
use crate::problem::Problem;

/// How a collection behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct CollectionOptions {
    /// The server makes the ids and keeps the client's as `clientId`.
    pub(crate) assign_ids: bool,
    /// What the clock says; none: the time.
    clock: Option<Timestamp>,
    /// Milliseconds between a write's `updatedAt` and its commit.
    commit_delay: u64,
}

impl CollectionOptions {
    pub(crate) fn now(self) -> Timestamp {
        self.clock.unwrap_or_else(Timestamp::now)
    }

    /// Takes the time of a write, then waits for as long as its commit is to lie behind.
    pub(crate) async fn stamp(self) -> Stamp {
        let stamp = match self.clock {
            Some(time) => Stamp::Fixed(time),
            None if self.commit_delay > 0 => Stamp::Taken(Timestamp::now()),
            None => Stamp::AtCommit,
        };
        if self.commit_delay > 0 {
            tokio::time::sleep(Duration::from_millis(self.commit_delay)).await;
        }
        stamp
    }

    /// The time of a write that commits at once.
    pub(crate) fn stamp_now(self) -> Stamp {
        self.clock.map_or(Stamp::AtCommit, Stamp::Fixed)
    }
}

/// Where a write's `updatedAt` comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stamp {
    /// From a clock that a test set, and may set back.
    Fixed(Timestamp),
    /// From the clock, before a delay.
    Taken(Timestamp),
    /// From the clock, in the transaction: rows get their times in the order of commit.
    AtCommit,
}

impl Stamp {
    /// The time for a row that had `previous`; call it in the transaction.
    pub(crate) fn time(self, previous: Option<Timestamp>) -> Timestamp {
        match self {
            Self::Fixed(time) => time,
            Self::Taken(time) => previous.map_or(time, |previous| previous.max(time)),
            Self::AtCommit => Self::Taken(Timestamp::now()).time(previous),
        }
    }
}

/// The options of all collections; a collection that is not here has the default ones.
#[derive(Debug, Default)]
pub(crate) struct Collections(Mutex<HashMap<Collection, CollectionOptions>>);

impl Collections {
    pub(crate) fn options(&self, collection: &Collection) -> CollectionOptions {
        self.0.lock().get(collection).copied().unwrap_or_default()
    }

    /// Merges a patch into a collection's options and returns them; null brings a default back.
    ///
    /// # Errors
    /// [`Problem::BodyMalformed`] when an option is not known or not valid; the old ones stay.
    pub(crate) fn change(&self, collection: Collection, patch: Members) -> Result<CollectionOptions, Problem> {
        let mut all = self.0.lock();
        let current = all.get(&collection).copied().unwrap_or_default();
        let mut merged = json!(current).as_object().cloned().unwrap_or_default();
        merge(&mut merged, patch);
        let options = serde_json::from_value(Value::Object(merged))
            .map_err(|error| Problem::BodyMalformed { expected: "a collection's options", reason: error.to_string() })?;
        all.insert(collection, options);
        Ok(options)
    }

    /// Brings all defaults back.
    pub(crate) fn reset(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_goes_back_in_time_only_by_a_fixed_clock() {
        let [early, late] = [1_000, 2_000].map(Timestamp::from_ms);
        assert_eq!(Stamp::Taken(early).time(Some(late)), late);
        assert_eq!(Stamp::Taken(late).time(Some(early)), late);
        assert_eq!(Stamp::Fixed(early).time(Some(late)), early);
        let ahead = Timestamp::from_ms(i64::MAX);
        assert_eq!(Stamp::AtCommit.time(Some(ahead)), ahead);
        assert!(Stamp::AtCommit.time(None) > late);
    }
}

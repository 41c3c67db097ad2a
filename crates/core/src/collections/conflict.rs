//! Decides what becomes of a record when the server has another row than the one it began from (D6).
//!
//! [`meet`] is the whole decision, a pure function. A row that says what is here already is no conflict, and neither is one
//! that differs from `base` by what the server owns alone.

use serde_json::Value;

use super::{
    config::{CollectionConfig, Strategy},
    document::{self, Document},
    record::{Record, Row},
};

/// What becomes of a record that met a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// Its `base` is the row, and its `local` this; what differs is pushed.
    Local(Option<String>),
    /// A person decides.
    Ask,
}

/// What becomes of `record`, given the server's row.
#[must_use]
pub fn meet(record: &Record, row: &Row, config: &CollectionConfig) -> Meeting {
    let of = |text: &Option<String>| text.as_deref().and_then(document::read);
    let (base, local, remote) = (of(&record.base), of(&record.local), of(&row.text));
    let written = |document: Document| Meeting::Local(Some(document::text(&document)));
    let changed = |from: &Option<Document>, to: &Option<Document>| match (from, to) {
        (Some(from), Some(to)) => !document::difference(from, to, config).is_empty(),
        (from, to) => from.is_some() != to.is_some(),
    };
    if base.is_none() && remote.is_none() {
        // There is no row that could say otherwise.
        return Meeting::Local(record.local.clone());
    }
    if !changed(&base, &local) || !changed(&local, &remote) {
        return Meeting::Local(row.text.clone());
    }
    if !changed(&base, &remote) {
        return match (local, remote) {
            (Some(local), Some(remote)) => written(document::owned_by(local, &remote, config)),
            _ => Meeting::Local(None),
        };
    }
    let is_later = || record.changed_at >= row.at;
    let ours = match config.conflict.strategy {
        Strategy::AskUser => return Meeting::Ask,
        Strategy::LocalWins => true,
        Strategy::RemoteWins => false,
        Strategy::NewestWins => is_later(),
        // What somebody still edits is worth more than that somebody else deleted it.
        Strategy::Merge => match (&local, &remote) {
            (Some(local), Some(remote)) => {
                return written(merge(&base.unwrap_or_default(), local, remote, config, is_later()));
            }
            (local, _) => local.is_some(),
        },
    };
    match (local, remote) {
        _ if !ours => Meeting::Local(row.text.clone()),
        (Some(local), Some(remote)) => written(document::owned_by(local, &remote, config)),
        (local, _) => Meeting::Local(local.as_ref().map(document::text)),
    }
}

/// Three ways, member by member.
#[must_use]
pub fn merge(base: &Document, local: &Document, remote: &Document, config: &CollectionConfig, is_later: bool) -> Document {
    let (here, there) = (document::difference(base, local, config), document::difference(base, remote, config));
    let rules = &config.conflict.merge;
    let mut merged = remote.clone();
    for (member, value) in &here {
        let named = |members: &[String]| members.iter().any(|other| other == member);
        let both = there.get(member).is_some_and(|other| other != value);
        if both
            && named(&rules.union)
            && !named(&rules.local)
            && let (Value::Array(here), Some(Value::Array(there))) = (value, remote.get(member))
        {
            let mut union = there.clone();
            union.extend(here.iter().filter(|item| !there.contains(item)).cloned());
            merged.insert(member.clone(), Value::Array(union));
            continue;
        }
        if both && !named(&rules.local) && !is_later {
            continue;
        }
        document::apply(&mut merged, &[(member.clone(), value.clone())].into_iter().collect());
    }
    merged
}

/// `local` over a newer row than the one it began from: what was written since stays, all else is the row's.
#[must_use]
pub fn rebase(pushed: Option<&str>, local: &str, row: &str, config: &CollectionConfig) -> String {
    let (Some(local), Some(mut rebased)) = (document::read(local), document::read(row)) else { return local.to_owned() };
    let pushed = pushed.and_then(document::read).unwrap_or_default();
    document::apply(&mut rebased, &document::difference(&pushed, &local, config));
    document::text(&rebased)
}

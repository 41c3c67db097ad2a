//! Holds the runtime to its promises, after every commit, send, answer and drain.
//!
//! | file | what it looks at |
//! |---|---|
//! | `changes` | what a transaction did to each row, and whether its cause allows that |
//! | `rows` | the store as a whole: lines, places, counts |
//! | `sends` | whether a job may be sent, and sent again |
//! | `batches` | whether a batch is sent again as it was, and why a job leaves one |
//! | `accepts` | what `enqueue` answers |
//! | `manage` | what pages are told |
//! | `drafts` | forms that are being filled in |
//! | `drains` | how drains end, and what is left when everything is quiet |

pub(crate) mod accepts;
pub(crate) mod batches;
mod changes;
pub(crate) mod drafts;
pub(crate) mod drains;
pub(crate) mod manage;
mod rows;
pub(crate) mod sends;

use std::fmt;

use shearwater_core::{
    JobId,
    queue::cycle::{Cycle, CycleOutcome},
    store::read::Filter,
};

use crate::{store::Changes, worker::RunNo, world::World};

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// P1: an accepted job is delivered, or listed with its reason.
    Durable,
    /// P2: a second send has a cause, and no payload a second effect.
    Once,
    /// P3: one at a time and in order within a key, and nobody else is held up.
    Ordered,
    /// P4: only the current owner's jobs are claimed.
    Private,
    /// P5: what pages are told is what is stored.
    Honest,
    /// A job is sent only under its sender's own, committed lease.
    Leased,
    /// Waits, pauses and limits are kept.
    Patient,
    /// What can be delivered is, with no wakes but those that were asked for.
    Live,
    /// P7: a write to a record is pushed or listed, and all replicas come to hold the same.
    Convergent,
}

/// A promise that was broken, and how.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The promise.
    pub promise: Promise,
    /// What happened.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(promise: Promise, what: impl Into<String>) -> Self {
        Self { promise, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is broken: {}", self.promise, self.what)
    }
}

/// A result that is an error when a promise was broken.
pub(crate) type Checked<T = ()> = Result<T, Violation>;

/// Why a transaction was run.
pub(crate) enum Cause<'a> {
    Enqueue,
    Cycle { run: RunNo, cycle: &'a Cycle, committed: &'a CycleOutcome },
    Hand(Hand<'a>),
}

/// What a person did.
pub(crate) enum Hand<'a> {
    Retry(&'a JobId),
    /// And those that wait for its response, where that was asked for.
    Discard(&'a JobId, bool),
    Cancel(&'a JobId, bool),
    Edit(&'a JobId),
    /// Of this owner's.
    Clear(&'a Filter, &'a str),
    /// Nothing that concerns a job.
    Nothing,
    SignIn,
    /// Somebody signed in, and everything of this one was to go.
    Purge(&'a str),
}

/// An error unless `holds`.
pub(crate) fn ensure(holds: bool, promise: Promise, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation::new(promise, what())) }
}

/// A transaction was committed.
pub(crate) fn committed(world: &mut World, cause: &Cause<'_>, changes: &Changes) -> Checked {
    world.tally.commits += 1;
    changes::check(world, cause, changes)?;
    rows::check(world)?;
    drafts::check(world)?;
    if let Cause::Cycle { cycle, committed, .. } = cause {
        drains::committed(world, cycle, committed, !changes.quarantined.is_empty())?;
    }
    Ok(())
}

/// The run is over.
pub(crate) fn ending(world: &World) -> Checked {
    for (line, keys) in world.oracle.deliveries() {
        let mut last = None;
        for key in keys {
            let handled = world.servers.handled_as(key);
            ensure(handled > last, Promise::Ordered, || {
                format!("{key} of {line:?} reached the server before what was queued earlier")
            })?;
            last = handled;
        }
    }
    let store = world.store.borrow();
    for id in store.bodies() {
        let known = store.job(id).is_some() || world.oracle.departure(id) == Some(crate::oracle::Departure::Quarantined);
        ensure(known, Promise::Durable, || format!("the body of {id} was left behind"))?;
    }
    Ok(())
}

/// Ids, for the trace.
pub(crate) fn listed<'a>(ids: impl Iterator<Item = &'a JobId>) -> String {
    ids.map(JobId::as_str).collect::<Vec<_>>().join(" ")
}

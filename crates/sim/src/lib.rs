//! Runs the same core that ships against simulated faults, and holds it to its promises.
//!
//! A second shell around `shearwater-core`: one thread, one seed, no real time. The store, the
//! network, the servers, the clock and the people are simulated; [`shearwater_core::store`] and
//! [`shearwater_core::drain`] are the very code of the worker. Whatever can go wrong does: a context
//! is killed before any command, a commit fails, a reply is lost after the server acted, the clock is
//! set, a row rots, two wakes overlap, a page asks twice.
//!
//! # What always holds
//!
//! - A seed, a number of steps and a version of this crate give one run, event by event.
//! - After every commit, send, answer and drain, every promise is checked that can be ([`Promise`]).
//! - At the end of a run the trouble stops, and what can be delivered has to be, by no wakes but those
//!   that the runtime asks for.
//!
//! # Where to look
//!
//! | question | module |
//! |---|---|
//! | what can happen | `world`, `faults` |
//! | what a worker does, and how it dies | `worker`, `locks` |
//! | what is stored, and what a failed commit leaves | `store` |
//! | what requests and replies meet | `network`, `wire`, `server`, `batches` |
//! | what people do | `page`, and in forms `drafts` |
//! | an app's periodic tasks | `periodic` |
//! | records that several clients write | `records` |
//! | what was promised, and whether it is kept | `oracle`, `check`, `quiesce` |
//! | whether the checks can fail | [`Flaw`] |
//! | what a server meets that comes back | [`fleet`] |

#![forbid(unsafe_code)]

mod auth;
mod batches;
mod bindings;
mod check;
mod clock;
#[cfg(test)]
mod conformance;
mod drafts;
mod faults;
mod flaw;
pub mod fleet;
mod locks;
mod network;
mod oracle;
mod page;
mod periodic;
mod quiesce;
mod records;
mod rng;
mod server;
mod store;
#[cfg(test)]
mod stories;
mod trace;
mod wire;
mod worker;
mod world;

use std::fmt;

pub use check::{Promise, Violation};
pub use flaw::Flaw;
pub use trace::Tracing;

/// How a seed is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Things that happen before it all calms down.
    pub steps: u64,
    /// Whether queues send batches: each seed is another run then.
    pub batches: bool,
    /// Whether jobs are bound to others' responses, and take the places of others: each seed is another run then.
    pub bindings: bool,
    /// A deliberate mistake.
    pub flaw: Option<Flaw>,
    /// What is remembered of it.
    pub tracing: Tracing,
}

impl Default for Options {
    fn default() -> Self {
        Self { steps: 300, batches: false, bindings: false, flaw: None, tracing: Tracing::Off }
    }
}

/// What happened in a run, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events and acts, those after the trouble included.
    pub steps: u64,
    /// Cycles of drains, the failed ones included.
    pub cycles: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Transactions that failed.
    pub aborts: u64,
    /// Contexts killed.
    pub kills: u64,
    /// Jobs accepted.
    pub accepted: u64,
    /// Sends begun.
    pub sends: u64,
    /// Sends of jobs that are bound to another's response.
    pub bound: u64,
    /// Requests that reached a server.
    pub arrivals: u64,
    /// Requests that had their effect.
    pub effects: u64,
}

impl Tally {
    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.cycles += other.cycles;
        self.commits += other.commits;
        self.aborts += other.aborts;
        self.kills += other.kills;
        self.accepted += other.accepted;
        self.sends += other.sends;
        self.bound += other.bound;
        self.arrivals += other.arrivals;
        self.effects += other.effects;
    }
}

/// A run in which a promise was broken.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The options' steps.
    pub steps: u64,
    /// The options' batches.
    pub batches: bool,
    /// The options' bindings.
    pub bindings: bool,
    /// What was broken, and how.
    pub violation: Violation,
    /// The last things that happened.
    pub tail: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tail {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.violation)?;
        let batches = if self.batches { " --batches" } else { "" };
        let bindings = if self.bindings { " --bindings" } else { "" };
        write!(f, "replay: cargo run -p shearwater-sim -- --seed {} --steps {}{batches}{bindings} --trace", self.seed, self.steps)
    }
}

/// Runs one seed.
///
/// # Errors
/// The first promise that was broken, with what led to it.
pub fn run(seed: u64, options: &Options) -> Result<Tally, Box<Failure>> {
    let mut world = world::World::new(seed, options);
    // Of each seed once: they are worlds of their own.
    let is_plain = !options.batches && !options.bindings && options.flaw.is_none();
    let replicas = || if is_plain { records::run(seed, None) } else { Ok(()) };
    let apart = |()| periodic::run(seed, options.flaw).and_then(|()| replicas());
    let lived = match options.flaw {
        Some(flaw) if flaw.is_of_records() => records::run(seed, Some(flaw)),
        _ => world.live(options.steps).and_then(apart),
    };
    match lived {
        Ok(()) => Ok(world.tally()),
        // Run again, to tell what led to it: a run that succeeds, as nearly all do, pays nothing for that.
        Err(_) if options.tracing == Tracing::Off => run(seed, &Options { tracing: Tracing::Tail, ..*options }),
        Err(violation) => {
            let Options { steps, batches, bindings, .. } = *options;
            Err(Box::new(Failure { seed, steps, batches, bindings, violation, tail: world.into_tail() }))
        }
    }
}

//! The table of operations: what a page can ask for.
//!
//! One line gives an operation its name in messages, its request, its answer, whether it changes what is stored, and the
//! methods of the JavaScript client that ask for it. [`Op`], its reading and writing, and a type for each operation
//! ([`operation`]) follow from the table; `tests/operations.rs` compares it with the published TypeScript types and with
//! the page's client.

use serde::{Deserialize, Serialize};

use crate::{
    drafts,
    id::JobId,
    protocol::{
        drafts::{self as forms, DraftContent, DraftView},
        jobs::{self, Exported},
        maintenance::{self, Measured, Repaired},
        owners,
        records::{self, Reconciled, RecordName, Resolve, Synced},
        view::{self, JobView, SyncResult},
    },
    queue::manage::Compacted,
    schedule::{network::NetworkChange, wakes::WakeReason},
    store::read::Filter,
    wire::{Wire, or_default},
};

/// An operation, as a type: see [`operation`].
pub trait Operation {
    /// What it is asked with; `()` where its name says all.
    type Request;
    /// What it returns.
    type Answer: Wire;
    /// Its name in messages.
    const NAME: &'static str;
    /// Whether it changes what is stored. Then it takes effect once: it leaves a receipt, or is known by a number of its own, as
    /// the saves of a draft are.
    const CHANGES: bool;

    /// The request, as a message carries it.
    fn op(request: Self::Request) -> Op;
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// [`Operation::NAME`].
    pub name: &'static str,
    /// [`Operation::CHANGES`].
    pub changes: bool,
    /// The client's methods that ask for it; none where the client asks by itself.
    pub methods: &'static [&'static str],
}

macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        $name:literal: $variant:ident $(($request:ty $(, $read_by:literal)?))? -> $answer:ty, $effect:ident, [$($method:literal),*];
    )*) => {
        /// What a page can ask for. In a message it is `{"its-name": its request}`, or its name alone where it has none.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Op {
            $(
                $(#[$doc])*
                #[serde(rename = $name)]
                $variant $(($(#[serde(deserialize_with = $read_by)])? $request))?
            ),*
        }

        /// All operations.
        pub const OPERATIONS: &[Entry] =
            &[$(Entry { name: $name, changes: operations!(@effect $effect), methods: &[$($method),*] }),*];

        impl Op {
            /// Its name in messages.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name),*
                }
            }
        }

        /// Each operation as a type, for code that knows which one it asks for or carries out.
        pub mod operation {
            use super::*;

            $(
                $(#[$doc])*
                #[derive(Clone, Copy, Debug)]
                pub struct $variant;

                impl Operation for $variant {
                    type Request = operations!(@request $($request)?);
                    type Answer = $answer;
                    const NAME: &'static str = $name;
                    const CHANGES: bool = operations!(@effect $effect);

                    fn op(request: Self::Request) -> Op {
                        operations!(@op $variant, request $(, $request)?)
                    }
                }
            )*
        }
    };
    (@effect changes) => { true };
    (@effect reads) => { false };
    (@request) => { () };
    (@request $request:ty) => { $request };
    (@op $variant:ident, $request:ident) => { { let () = $request; Op::$variant } };
    (@op $variant:ident, $request:ident, $type:ty) => { Op::$variant($request) };
}

operations! {
    /// Stores jobs, all or none. `bodies[i]` belongs to `jobs[i]`. Returns their ids.
    "enqueue": Enqueue(jobs::Enqueue) -> Vec<JobId>, changes, ["enqueue", "enqueueAll", "track"];
    /// Returns a job, or the trace of a delivered one.
    "get": Get(JobId) -> Option<JobView>, reads, ["get"];
    /// Returns a page of jobs.
    "list": List(Filter, "or_default") -> Vec<JobView>, reads, ["list"];
    /// Tries a job again. Returns whether it came in time.
    "retry": Retry(JobId) -> bool, changes, ["retry"];
    /// Removes a job. Returns whether it came in time.
    "discard": Discard(jobs::Removal) -> bool, changes, ["discard"];
    /// Stops a job, be it on its way. Returns whether it came in time.
    "cancel": Cancel(jobs::Removal) -> bool, changes, ["cancel"];
    /// Changes the request; `bodies[0]` is the new body where `body` says so. Returns whether it came in time.
    "edit": Edit(jobs::Edit) -> bool, changes, ["edit"];
    /// Returns how many were removed.
    "clear": Clear(Filter, "or_default") -> u32, changes, ["clear"];
    /// Drains now, waiting for nobody but servers that said so. Returns what the drains did; what they change is theirs.
    "sync": Sync(Option<String>) -> SyncResult, reads, ["syncNow"];
    /// Stops sending.
    "pause": Pause(Option<String>) -> (), changes, ["pause"];
    /// Sends again.
    "resume": Resume(Option<String>) -> (), changes, ["resume"];
    /// Says who is signed in.
    "setOwner": SetOwner(owners::SetOwner) -> (), changes, ["setOwner"];
    /// Changes what is sent over which network.
    "setNetworkPolicy": SetNetworkPolicy(NetworkChange) -> (), changes, ["setNetworkPolicy"];
    /// Returns figures about the queue.
    "metrics": Metrics -> Measured, reads, ["metrics"];
    /// Looks at every row and puts right what is wrong. Returns what it found.
    "repair": Repair -> Repaired, changes, ["repair"];
    /// Forgets what is old. Returns what it removed.
    "compact": Compact(maintenance::Compact) -> Compacted, changes, ["compact"];
    /// Returns the dead letters with their requests; the bodies travel beside them.
    "export": Export(Filter, "or_default") -> Vec<Exported>, reads, ["exportFailed"];
    /// Returns one job with its request; its body travels beside it.
    "content": Content(JobId) -> Option<Exported>, reads, [];
    /// Keeps what was typed into a form; `bodies[i]` are the bytes of `files[i]`, or null where they are stored. Returns whether
    /// it is kept: false, the draft has ended.
    "draft-save": DraftSave(drafts::Save) -> bool, changes, [];
    /// Returns the drafts of a form, the latest first.
    "draft-list": DraftList(String) -> Vec<DraftView>, reads, [];
    /// Returns what a draft holds.
    "draft-load": DraftLoad(JobId) -> Option<DraftContent>, reads, [];
    /// Takes a draft over from another tab, under another name. Returns whether it was there.
    "draft-claim": DraftClaim(forms::DraftClaim) -> bool, changes, [];
    /// Ends a draft. Returns whether it was there.
    "draft-discard": DraftDiscard(JobId) -> bool, changes, [];
    /// Writes a record. Returns whether it was there.
    "record-write": RecordWrite(records::RecordWrite) -> bool, changes, [];
    /// Takes back what was written to a record and is not on its way. Returns whether it came in time.
    "record-undo": RecordUndo(RecordName) -> bool, changes, [];
    /// Settles a record's conflict. Returns whether there was one.
    "record-resolve": RecordResolve(Resolve) -> bool, changes, [];
    /// Pushes and pulls a collection, or all; what that changes is its drains' and pulls' own.
    "record-sync": RecordSync(Option<String>) -> Vec<Synced>, reads, [];
    /// Lists a collection's rows in full, or those of a scope; what that changes is the listing's own.
    "record-list": RecordList(records::RecordListing) -> Reconciled, reads, [];
    /// Removes records that expired. Returns how many.
    "record-clean-up": RecordCleanUp(records::RecordCleanUp) -> u32, changes, [];
    /// Returns the status.
    "status": Status -> view::Status, reads, [];
    /// Says that something happened which makes a wake worth while. Returns at once.
    "wake": Wake(WakeReason) -> (), reads, [];
}

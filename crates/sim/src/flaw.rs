//! Breaks the shell or its surroundings on purpose, to see that the checks can fail.
//!
//! A check that never fails proves nothing. Each flaw is a mistake that some real queue has made;
//! the tests assert that the promise it breaks is named.

/// A deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The row is deleted when it is claimed, as Workbox does.
    DeletesBeforeSending,
    /// The history's entry is not written.
    DropsOutcomes,
    /// Bodies are not written.
    DropsBodies,
    /// Of a record that jobs share, more are counted out than have left.
    MiscountsPacks,
    /// An aborted transaction is taken for a committed one.
    TakesAbortsForCommits,
    /// The server does not honour the idempotency key.
    ServerForgetsKeys,
    /// Each send has a key of its own.
    MakesKeysWhenSending,
    /// Two drains of one queue run at once, each believing that it is alone.
    IgnoresLocks,
    /// The index of lines is empty.
    LosesLines,
    /// A queue that is asked for its second lane finds it empty.
    StarvesOneLane,
    /// A cycle takes any owner for the current one.
    IgnoresOwners,
    /// The ledger is written only now and then.
    DropsLedgers,
    /// The versions of a ledger that is made anew begin at zero.
    RestartsVersions,
    /// Dead leases are never taken back.
    NeverRecovers,
    /// Whatever the device's clock says is the time.
    BelievesTheClock,
    /// What was carried out is not remembered: a message that comes again is carried out again.
    ForgetsReceipts,
    /// A job is stamped with whoever is signed in when its message is carried out.
    StampsWithTheCurrentOwner,
    /// Whose job it is, is not looked at once it was claimed.
    SendsForAnyOwner,
    /// Each send refreshes credentials for itself.
    RefreshesForEachSend,
    /// Credentials that were refused, or asked for before a refresh, are sent again.
    KeepsStaleCredentials,
    /// Which jobs were in a batch is not remembered.
    ForgetsBatches,
    /// A batch is sent under the key of its first job, whoever goes along.
    ReusesBatchKeys,
    /// What the server says about the first item is taken for what it says about all.
    SettlesAllByFirst,
    /// Nobody remembers which drafts have ended.
    RevivesDrafts,
    /// A draft is said to be kept and is not written.
    LosesDrafts,
    /// That somebody is at a tag's periodic tasks is not written.
    DropsTaskLeases,
    /// A periodic task's end is not written.
    ForgetsTaskEnds,
    /// Who waits for a job's response is not written.
    ForgetsDependents,
    /// What a job is bound to is not written.
    ForgetsBindings,
    /// What a person chose to send over which network is not written.
    ForgetsPolicies,
    /// A row of a page is believed, whenever the page was asked for.
    BelievesEveryPage,
    /// Whoever comes back with a page has it applied, whatever other pull has begun since.
    PullsSideBySide,
    /// The server's pages go by time alone.
    PagesByTimeAlone,
    /// A pull begins where the last one ended.
    PullsWithoutOverlap,
    /// What is written to a record while its mutation is on its way is lost when that comes back.
    LosesWritesOnTheWay,
    /// Nobody remembers which records were deleted.
    ForgetsDeletions,
    /// That records are still to be written with new indexes is not written.
    SkipsRebuilds,
    /// A page of a listing that does not come counts as the last.
    TakesFailedPagesForLast,
    /// A record is sent without regard to those that it refers to.
    SkipsReferences,
    /// Which record another waits for is not written.
    ForgetsWhatIsWaitedFor,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 40] = [
        Self::DeletesBeforeSending,
        Self::DropsOutcomes,
        Self::DropsBodies,
        Self::MiscountsPacks,
        Self::TakesAbortsForCommits,
        Self::ServerForgetsKeys,
        Self::MakesKeysWhenSending,
        Self::IgnoresLocks,
        Self::LosesLines,
        Self::StarvesOneLane,
        Self::IgnoresOwners,
        Self::DropsLedgers,
        Self::RestartsVersions,
        Self::NeverRecovers,
        Self::BelievesTheClock,
        Self::ForgetsReceipts,
        Self::StampsWithTheCurrentOwner,
        Self::SendsForAnyOwner,
        Self::RefreshesForEachSend,
        Self::KeepsStaleCredentials,
        Self::ForgetsBatches,
        Self::ReusesBatchKeys,
        Self::SettlesAllByFirst,
        Self::RevivesDrafts,
        Self::LosesDrafts,
        Self::DropsTaskLeases,
        Self::ForgetsTaskEnds,
        Self::ForgetsDependents,
        Self::ForgetsBindings,
        Self::ForgetsPolicies,
        Self::BelievesEveryPage,
        Self::PullsSideBySide,
        Self::PagesByTimeAlone,
        Self::PullsWithoutOverlap,
        Self::LosesWritesOnTheWay,
        Self::ForgetsDeletions,
        Self::SkipsRebuilds,
        Self::TakesFailedPagesForLast,
        Self::SkipsReferences,
        Self::ForgetsWhatIsWaitedFor,
    ];

    /// Whether it is seen in records alone.
    #[must_use]
    pub fn is_of_records(self) -> bool {
        matches!(
            self,
            Self::BelievesEveryPage
                | Self::PullsSideBySide
                | Self::PagesByTimeAlone
                | Self::PullsWithoutOverlap
                | Self::LosesWritesOnTheWay
                | Self::ForgetsDeletions
                | Self::SkipsRebuilds
                | Self::TakesFailedPagesForLast
                | Self::SkipsReferences
                | Self::ForgetsWhatIsWaitedFor
        )
    }

    /// Whether it takes bindings to be seen.
    #[must_use]
    pub fn needs_bindings(self) -> bool {
        matches!(self, Self::ForgetsDependents | Self::ForgetsBindings | Self::ForgetsPolicies)
    }

    /// Whether it takes batches to be seen.
    #[must_use]
    pub fn needs_batches(self) -> bool {
        matches!(self, Self::ForgetsBatches | Self::ReusesBatchKeys | Self::SettlesAllByFirst)
    }
}

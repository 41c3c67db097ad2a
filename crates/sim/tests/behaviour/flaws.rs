//! Each check can fail: what is broken on purpose is noticed, and the right promise is named.

use shearwater_sim::{Flaw, Options, Promise, run};

/// The promise that is broken first under most seeds in which the flaw shows at all.
fn named(flaw: Flaw) -> Vec<Promise> {
    let seeds = if flaw.is_of_records() { 600 } else { 60 };
    let mut broken: Vec<Promise> = (0..seeds)
        .filter_map(|seed| {
            run(
                seed,
                &Options {
                    flaw: Some(flaw),
                    batches: flaw.needs_batches(),
                    bindings: flaw.needs_bindings(),
                    ..Options::default()
                },
            )
            .err()
        })
        .map(|failure| failure.violation.promise)
        .take(if flaw.is_of_records() { 3 } else { usize::MAX })
        .collect();
    broken.sort_unstable();
    broken.dedup();
    broken
}

#[test]
fn every_flaw_is_noticed() {
    for flaw in Flaw::ALL {
        let expected: &[Promise] = match flaw {
            Flaw::DeletesBeforeSending | Flaw::DropsOutcomes | Flaw::DropsBodies | Flaw::MiscountsPacks => &[Promise::Durable],
            Flaw::TakesAbortsForCommits => &[Promise::Durable, Promise::Leased],
            Flaw::ServerForgetsKeys => &[Promise::Once],
            Flaw::MakesKeysWhenSending => &[Promise::Once],
            Flaw::IgnoresLocks => &[Promise::Leased],
            Flaw::LosesLines => &[Promise::Ordered, Promise::Live],
            Flaw::StarvesOneLane => &[Promise::Ordered],
            Flaw::IgnoresOwners => &[Promise::Private],
            Flaw::DropsLedgers | Flaw::RestartsVersions => &[Promise::Honest],
            Flaw::NeverRecovers => &[Promise::Live],
            Flaw::BelievesTheClock => &[Promise::Durable],
            Flaw::ForgetsReceipts => &[Promise::Once],
            Flaw::StampsWithTheCurrentOwner | Flaw::SendsForAnyOwner | Flaw::KeepsStaleCredentials => &[Promise::Private],
            Flaw::RevivesDrafts => &[Promise::Once],
            Flaw::LosesDrafts => &[Promise::Durable],
            Flaw::RefreshesForEachSend => &[Promise::Patient],
            Flaw::ForgetsBatches | Flaw::ReusesBatchKeys => &[Promise::Once],
            Flaw::SettlesAllByFirst => &[Promise::Durable],
            Flaw::ForgetsDependents => &[Promise::Live],
            Flaw::ForgetsBindings => &[Promise::Once],
            Flaw::ForgetsPolicies => &[Promise::Patient],
            Flaw::BelievesEveryPage
            | Flaw::PagesByTimeAlone
            | Flaw::PullsWithoutOverlap
            | Flaw::LosesWritesOnTheWay
            | Flaw::ForgetsDeletions
            | Flaw::SkipsRebuilds
            | Flaw::TakesFailedPagesForLast
            | Flaw::SkipsReferences
            | Flaw::ForgetsWhatIsWaitedFor => &[Promise::Convergent],
            Flaw::PullsSideBySide => &[Promise::Convergent, Promise::Live],
            Flaw::DropsTaskLeases | Flaw::ForgetsTaskEnds => &[Promise::Once, Promise::Leased],
        };
        let broken = named(flaw);
        assert!(expected.iter().any(|promise| broken.contains(promise)), "{flaw:?} broke {broken:?}");
    }
}

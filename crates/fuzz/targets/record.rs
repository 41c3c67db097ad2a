//! Reads rows of the database, as an earlier or later version or a failing disk may have left them.

#![no_main]

use fuzz::{check, value_target};
use shearwater_core::{
    Millis,
    protocol::view::{JobView, Status},
    queue::{
        config::{OnFailure, WorkerConfig},
        history::Outcome,
        job::{Job, Lease, State, rank},
        last_error::{ErrorKind, LastError},
    },
    store::{Index, RowIndex, ledger::Ledger},
};

const NOW: Millis = Millis(1_790_000_000_000);

value_target!(|value| {
    let job = check::read::<Job>(&value);
    let ledger = check::read::<Ledger>(&value);
    let outcome = check::read::<Outcome>(&value);
    let is_read = job.is_some() || ledger.is_some() || outcome.is_some();
    if let Some(job) = job {
        look_at(&job);
        change(&job);
    }
    if let Some(ledger) = ledger {
        let status = Status::of(&ledger);
        // Counts that nobody can have counted may add up to more than a number holds exactly.
        if ledger.queues.iter().all(|queue| queue.counts.total() < 1 << 40) {
            check::keeps(&status);
        }
    }
    if let Some(outcome) = outcome {
        check::keeps(&JobView::delivered(outcome));
    }
    is_read
});

/// All that is asked of a job.
fn look_at(job: &Job) {
    for index in Index::ALL {
        if let Some((texts, numbers)) = index.entry(job) {
            assert!(texts.len() >= 2 && numbers.iter().all(|number| *number <= Millis::MAX.0), "{index:?}: {numbers:?}");
        }
    }
    for now in [Millis(0), NOW, Millis::MAX] {
        assert!(job.lease_ends(now) >= now || job.lease.is_some());
        assert!(!job.may_be_sent(now) || job.lease.is_some());
    }
    assert!(rank(job.schedule.queued_at, job.order.priority, 1_000) <= Millis::MAX.0);
    let _ = (job.is_live(), job.failures());
    check::keeps(&JobView::of(job.clone(), Some(job.id.clone()), &Ledger::default(), &WorkerConfig::default()));
    check::keeps(&JobView::of(job.clone(), None, &Ledger::default(), &WorkerConfig::default()));
}

/// All that is done to a job leaves one that can be read.
fn change(job: &Job) {
    let error = || LastError { kind: ErrorKind::Http, status: Some(503), message: "the server failed".to_owned() };
    let changes: [&dyn Fn(&mut Job); 6] = [
        &|job| job.claim(NOW, Lease { holder: "a drain".to_owned(), until: NOW.after(60_000), session: 1 }),
        &|job| job.release(NOW),
        &|job| job.mark_interrupted(NOW, OnFailure::Continue),
        &|job| job.schedule(NOW, NOW, error()),
        &|job| job.dead_letter(State::Failed, error(), OnFailure::Continue),
        &|job| job.revive(NOW, u64::MAX),
    ];
    for change in changes {
        let mut changed = job.clone();
        change(&mut changed);
        check::keeps(&changed);
        assert_eq!((&changed.id, changed.order.seq, &changed.work), (&job.id, job.order.seq, &job.work));
    }
}

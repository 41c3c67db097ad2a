//! Forms that are being filled in.

use shearwater_core::{
    drafts::{self, Save, Submission},
    queue::config::DraftsConfig,
    store::Tx,
};

use super::*;

const DRAFTS: DraftsConfig = DraftsConfig { max_age: DAY, max: 2, max_bytes: 100 };

fn draft(number: u8, seq: u64) -> Save {
    Save { id: JobId::from_random([number; 16]), form: "form".to_owned(), seq, fields: "[]".to_owned(), files: Vec::new() }
}

impl Bench {
    fn save(&self, save: &Save, caller: &Caller) -> Result<bool, Error> {
        let tx = SimTx::begin(&self.db, Mode::Write, Scope::DRAFTS, None, None);
        let kept = drafts::save(&tx, self.now, save, &[], caller, &DRAFTS).now_or_never().unwrap();
        match &kept {
            Ok(_) => drop(tx.commit()),
            Err(_) => tx.abort(),
        }
        kept
    }

    fn submit(&mut self, submission: &Submission) -> Result<JobId, Error> {
        self.ids += 1;
        let id = JobId::from_random([100 + self.ids; 16]);
        let request = RequestHead { url: format!("{ORIGIN}/form"), method: "POST".to_owned(), ..RequestHead::default() };
        let options = EnqueueOptions { queue: Some("q".to_owned()), ..EnqueueOptions::default() };
        let new = NewJob { id: id.clone(), request, options, metadata: None };
        let admitted = admit(new, ORIGIN.to_owned(), None, &self.config).unwrap();
        let tx = SimTx::begin(&self.db, Mode::Write, Scope::WORK, None, None);
        let jobs = vec![(admitted, None)];
        let stored = drafts::submit(&tx, self.now, jobs, false, submission, &Caller::default()).now_or_never().unwrap();
        match &stored {
            Ok(_) => drop(tx.commit()),
            Err(_) => tx.abort(),
        }
        stored.map(|_| id)
    }

    fn draft_ids(&self) -> Vec<JobId> {
        self.db.borrow().drafts().map(|draft| draft.id.clone()).collect()
    }
}

fn asked_as(owner: &str, at: Millis) -> Caller {
    Caller { re: String::new(), at: Some(at), owner: Some(owner.to_owned()) }
}

#[test]
fn a_submission_ends_a_draft_that_was_never_saved_and_a_late_save_finds_it_ended() {
    let mut bench = Bench::new(QueueConfig::default());
    let late = draft(1, 1);
    bench.submit(&Submission { draft: Some(late.id.clone()), replaces: None }).unwrap();
    assert_eq!(bench.save(&late, &Caller::default()), Ok(false));
    assert!(bench.draft_ids().is_empty());
}

#[test]
fn a_submission_that_is_refused_leaves_the_draft_and_the_failed_job() {
    let mut bench = Bench::new(QueueConfig::default());
    let wrong = bench.put(None);
    let kept = draft(1, 1);
    assert_eq!(bench.save(&kept, &Caller::default()), Ok(true));
    bench.claim("drain", 1);
    let submission = Submission { draft: Some(kept.id.clone()), replaces: Some(wrong.clone()) };
    assert!(bench.submit(&submission).is_err(), "it is being sent");
    assert_eq!(bench.draft_ids(), [kept.id]);
    bench.settle("drain", &wrong, 422);
    let right = bench.submit(&submission).unwrap();
    assert!(bench.draft_ids().is_empty());
    assert!(bench.db.borrow().job(&wrong).is_none() && bench.db.borrow().job(&right).is_some());
}

#[test]
fn what_was_delivered_meanwhile_is_not_replaced() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    bench.claim("drain", 1);
    bench.settle("drain", &id, 200);
    assert!(bench.submit(&Submission { draft: None, replaces: Some(id) }).is_err());
    assert_eq!(bench.db.borrow().jobs().count(), 0);
}

#[test]
fn a_save_for_somebody_who_signed_out_is_refused_also_after_a_purge() {
    let bench = Bench::new(QueueConfig::default());
    bench.sign_in("ada", None);
    let ada = asked_as("ada", bench.now);
    assert_eq!(bench.save(&draft(1, 1), &ada), Ok(true));
    bench.sign_in("bob", Some("ada"));
    assert!(bench.draft_ids().is_empty());
    assert_eq!(bench.save(&draft(1, 2), &ada), Ok(false));
    bench.sign_in("ada", None);
    assert_eq!(bench.save(&draft(1, 2), &ada), Ok(false), "it was posted before the purge");
}

#[test]
fn another_owner_neither_sees_nor_takes_nor_ends_a_draft() {
    let bench = Bench::new(QueueConfig::default());
    bench.sign_in("ada", None);
    let theirs = draft(1, 1);
    assert_eq!(bench.save(&theirs, &asked_as("ada", bench.now)), Ok(true));
    bench.sign_in("bob", None);
    let (bob, other) = (asked_as("bob", bench.now), JobId::from_random([2; 16]));
    bench.write(async |tx| {
        assert!(drafts::list(tx, "form", &bob).await?.is_empty());
        assert!(drafts::find(tx, &theirs.id, &bob).await?.is_none());
        assert!(!drafts::claim(tx, bench.now, &theirs.id, &other, &bob).await?);
        assert!(!drafts::discard(tx, bench.now, &theirs.id, &bob).await?);
        assert!(tx.get::<shearwater_core::store::Tombstone>(&theirs.id).await?.is_none());
        Ok(())
    });
    assert_eq!(bench.save(&Save { seq: 2, ..theirs.clone() }, &bob), Ok(false));
    assert_eq!(bench.draft_ids(), [theirs.id]);
}

#[test]
fn what_is_too_large_too_late_or_incomplete_is_refused_and_changes_nothing() {
    let bench = Bench::new(QueueConfig::default());
    assert_eq!(bench.save(&draft(1, 1), &Caller::default()), Ok(true));
    let large = Save { fields: "x".repeat(101), ..draft(1, 2) };
    let lacking = Save { files: vec![JobId::from_random([9; 16])], ..draft(1, 2) };
    assert!(bench.save(&large, &Caller::default()).is_err() && bench.save(&lacking, &Caller::default()).is_err());
    let old = asked_as("", Millis(NOON.0 - 2 * DAY));
    assert!(bench.save(&draft(2, 1), &old).is_err(), "nobody knows any more whether it has ended");
    assert_eq!(bench.db.borrow().draft(&draft(1, 1).id).unwrap().seq, 1);
}

#[test]
fn the_oldest_drafts_make_room_and_the_aged_ones_go_at_a_cycle() {
    let mut bench = Bench::new(QueueConfig::default());
    bench.config.drafts = DRAFTS;
    for number in 1..=3 {
        assert_eq!(bench.save(&draft(number, 1), &Caller::default()), Ok(true));
        bench.now = bench.now.after(HOUR);
    }
    assert_eq!(bench.draft_ids(), [draft(2, 1).id, draft(3, 1).id]);
    bench.put(None);
    bench.now = bench.now.after(23 * HOUR);
    let aged = Cycle { time: Time::Is(bench.now), takeover: Some(Takeover { exclusive: true }), ..later_cycle("drain", 0) };
    bench.cycle(&aged);
    assert_eq!(bench.draft_ids(), [draft(3, 1).id]);
}

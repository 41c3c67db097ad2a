//! Bindings and duplicates.

use shearwater_core::{
    drafts::{Submission, submit},
    queue::{
        binding::{NewBinding, pointer::Pointer},
        enqueue::OnDuplicate,
    },
    store::repair,
};

use super::*;

/// Queues a job that waits for `predecessor`.
fn bound(bench: &mut Bench, predecessor: &JobId, key: Option<&str>, on_duplicate: Option<OnDuplicate>) -> JobId {
    let pointer = Pointer::parse("/id");
    let bind = vec![NewBinding { name: "p".to_owned(), job: predecessor.clone(), pointer }];
    put(bench, bind, key, on_duplicate, None).0
}

/// Queues a job; returns its id and the one it was answered with.
fn put(
    bench: &mut Bench,
    bind: Vec<NewBinding>,
    key: Option<&str>,
    on_duplicate: Option<OnDuplicate>,
    replaces: Option<JobId>,
) -> (JobId, JobId) {
    bench.ids += 1;
    let id = JobId::from_random([bench.ids; 16]);
    let request =
        RequestHead { url: format!("{ORIGIN}/{{p}}/items/{}", bench.ids), method: "POST".to_owned(), ..RequestHead::default() };
    let options = EnqueueOptions {
        queue: Some("q".to_owned()),
        key: key.map(str::to_owned),
        on_duplicate,
        bind,
        ..EnqueueOptions::default()
    };
    let new = NewJob { id: id.clone(), request, options, metadata: None };
    let admitted = admit(new, ORIGIN.to_owned(), None, &bench.config).unwrap();
    let submission = Submission { draft: None, replaces };
    let stored =
        bench.write(async |tx| submit(tx, bench.now, vec![(admitted, None)], false, &submission, &Caller::default()).await);
    (id, stored[0].0.clone())
}

/// Delivers a job that is claimed by `holder`.
fn deliver(bench: &Bench, holder: &str, id: &JobId, body: &str) -> CycleOutcome {
    let body = Some(body.to_owned());
    let reply = AttemptResult::Status(Response { status: 201, body, ..Response::default() });
    let settlement =
        Settlement { id: id.clone(), key: id.as_str().to_owned(), result: reply, at: bench.now, roll: 0.5, batch: None };
    bench.cycle(&Cycle { settle: vec![settlement], ..later_cycle(holder, 4) })
}

#[test]
fn one_that_took_the_place_of_a_dependent_is_not_written_over_by_it() {
    let mut bench = Bench::new(going_on());
    let first = bench.put(None);
    let head = bound(&mut bench, &first, Some("k"), None);
    let second = bound(&mut bench, &first, Some("k"), None);
    // It waits for nobody's response any more, and its predecessor still remembers it.
    put(&mut bench, Vec::new(), Some("k"), Some(OnDuplicate::Replace), None);
    assert_eq!(bench.claim("drain", 1), std::slice::from_ref(&first));
    // The head fails, for the response has no value; who stands behind it may go.
    let outcome = deliver(&bench, "drain", &first, "{}");
    assert_eq!(bench.job(&head).state, State::Failed);
    let claimed: Vec<_> = outcome.claimed.iter().map(|job| job.id.clone()).collect();
    assert_eq!(claimed, [second]);
}

#[test]
fn whoever_waits_for_a_form_waits_for_its_next_submission_and_in_no_circle() {
    let mut bench = Bench::new(QueueConfig::default());
    let form = bench.put(Some("k"));
    let photo = bound(&mut bench, &form, Some("k"), None);
    assert_eq!(bench.claim("drain", 2), std::slice::from_ref(&form));
    bench.settle("drain", &form, 422);
    assert_eq!(bench.job(&photo).place, Place::Behind);
    let (again, _) = put(&mut bench, Vec::new(), Some("k"), None, Some(form));
    assert_eq!(bench.job(&photo).waits_to_be_bound(), Some(&again));
    assert_eq!(bench.claim("drain", 2), std::slice::from_ref(&again));
    let outcome = deliver(&bench, "drain", &again, r#"{"id": 7}"#);
    let claimed: Vec<_> = outcome.claimed.iter().map(|job| (job.id.clone(), job.bindings()[0].value.clone())).collect();
    assert_eq!(claimed, [(photo, Some("7".to_owned()))]);
}

#[test]
fn a_job_that_takes_the_place_of_an_earlier_one_waits_for_none_that_is_later() {
    let mut bench = Bench::new(QueueConfig::default());
    let waiting = bench.put(Some("k"));
    let later = bound(&mut bench, &waiting, None, None);
    let pointer = Pointer::parse("/id");
    bench.ids += 1;
    let request = RequestHead { url: format!("{ORIGIN}/{{p}}"), method: "POST".to_owned(), ..RequestHead::default() };
    let options = EnqueueOptions {
        queue: Some("q".to_owned()),
        key: Some("k".to_owned()),
        on_duplicate: Some(OnDuplicate::Replace),
        bind: vec![NewBinding { name: "p".to_owned(), job: later, pointer }],
        ..EnqueueOptions::default()
    };
    let new = NewJob { id: JobId::from_random([bench.ids; 16]), request, options, metadata: None };
    let admitted = admit(new, ORIGIN.to_owned(), None, &bench.config).unwrap();
    let tx = SimTx::begin(&bench.db, Mode::Write, Scope::ALL, None, None);
    let refused = enqueue(&tx, bench.now, vec![(admitted, None)], false, &Caller::default()).now_or_never().unwrap();
    assert!(refused.unwrap_err().message.contains("in a circle"));
}

#[test]
fn a_dead_letter_by_a_lost_predecessor_is_as_old_as_its_end() {
    let mut bench = Bench::new(QueueConfig::default());
    let first = bench.put(None);
    let dependent = bound(&mut bench, &first, None, None);
    bench.now = bench.now.after(6 * DAY);
    let filter = Filter { queue: None, state: Some(State::Pending), ..Filter::default() };
    let removed = bench.write(async |tx| {
        // The dependent is put out of the filter's way first: it has failed for another reason.
        manage::discard(tx, bench.now, &dependent, false).await.map(drop)?;
        manage::clear(tx, bench.now, &filter, &Caller::default(), &bench.config).await
    });
    assert_eq!(removed, 1);
    let first = bench.put(None);
    let dependent = bound(&mut bench, &first, None, None);
    bench.now = bench.now.after(6 * DAY);
    // The predecessor's row is gone without a word, and a repair notices.
    bench.write(async |tx| {
        use shearwater_core::store::Tx as _;
        tx.delete::<Job>(&first)?;
        repair::repair(tx).await
    });
    assert_eq!(bench.job(&dependent).state, State::Failed);
    let compacted = bench.write(async |tx| manage::compact(tx, bench.now, Some(DAY), &Caller::default(), &bench.config).await);
    assert_eq!(compacted.failed, 0, "it failed just now, however long ago it was queued");
}

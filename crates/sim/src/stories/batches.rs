//! Batches, over the store alone: what is sent together, and sent again.

use shearwater_core::queue::batch::{BatchConfig, Envelope, SentIn};

use super::*;

const ADDRESS: &str = "https://a.example/batch";

fn batching(max: u32, wait: u64) -> QueueConfig {
    let batch =
        BatchConfig { url: ADDRESS.to_owned(), max, max_bytes: 1 << 20, wait, envelope: Envelope::default(), results: None };
    QueueConfig { batch: Some(batch), ..QueueConfig::default() }
}

impl Bench {
    fn put_item(&mut self) -> JobId {
        self.ids += 1;
        let id = JobId::from_random([self.ids; 16]);
        let request = RequestHead { url: ADDRESS.to_owned(), method: "POST".to_owned(), ..RequestHead::default() };
        let options = EnqueueOptions { queue: Some("q".to_owned()), ..EnqueueOptions::default() };
        let new = NewJob { id: id.clone(), request, options, metadata: None };
        let admitted = admit(new, ORIGIN.to_owned(), Some(8), &self.config).unwrap();
        self.write(async |tx| enqueue(tx, self.now, vec![(admitted, Some(1))], false, &Caller::default()).await);
        id
    }

    fn key(&self, id: &JobId) -> Option<JobId> {
        self.job(id).batch.map(|membership| membership.key)
    }

    /// Settles a batch of these by one result.
    fn settle_batch(&self, holder: &str, ids: &[JobId], status: u16) -> CycleOutcome {
        let key = self.key(&ids[0]).unwrap();
        let settle = ids.iter().map(|id| Settlement {
            id: id.clone(),
            key: id.as_str().to_owned(),
            result: answer(status),
            at: self.now,
            roll: 0.5,
            batch: Some(SentIn { key: key.clone(), own: false }),
        });
        self.cycle(&Cycle { settle: settle.collect(), ..later_cycle(holder, 0) })
    }
}

#[test]
fn a_killed_worker_s_batch_goes_again_as_it_was_whatever_came_since() {
    let mut bench = Bench::new(batching(3, 0));
    let first: Vec<JobId> = (0..2).map(|_| bench.put_item()).collect();
    assert_eq!(bench.claim("dead", 1), first);
    let key = bench.key(&first[0]).unwrap();
    let later = bench.put_item();
    let again = bench.first_turn("next", true, 2).claimed;
    assert_eq!(again.iter().map(|job| &job.id).collect::<Vec<_>>(), [&first[0], &first[1], &later]);
    assert_eq!((bench.key(&first[0]), bench.key(&first[1])), (Some(key.clone()), Some(key.clone())));
    assert_ne!(bench.key(&later), Some(key));
}

#[test]
fn a_batch_without_one_of_its_members_goes_under_another_key() {
    let mut bench = Bench::new(batching(3, 0));
    let ids: Vec<JobId> = (0..3).map(|_| bench.put_item()).collect();
    assert_eq!(bench.claim("drain", 1), ids);
    let key = bench.key(&ids[0]).unwrap();
    bench.settle_batch("drain", &ids, 503);
    assert_eq!(bench.key(&ids[2]), Some(key.clone()));
    assert!(!bench.write(async |tx| manage::discard(tx, bench.now, &ids[0], false).await).is_empty());
    bench.now = bench.now.after(HOUR);
    assert_eq!(bench.claim("drain", 1), ids[1..]);
    let other = bench.key(&ids[1]).unwrap();
    assert_eq!((bench.key(&ids[2]), other == key), (Some(other), false));
}

#[test]
fn a_refused_batch_is_split_at_no_attempt_s_cost() {
    let mut bench = Bench::new(batching(4, 0));
    let ids: Vec<JobId> = (0..4).map(|_| bench.put_item()).collect();
    assert_eq!(bench.claim("drain", 1), ids);
    let key = bench.key(&ids[0]).unwrap();
    bench.settle_batch("drain", &ids, 413);
    let (left, right) = (bench.key(&ids[0]).unwrap(), bench.key(&ids[3]).unwrap());
    assert!(left != right && left != key && right != key);
    assert_eq!(bench.claim("drain", 1), ids[..2]);
    bench.settle_batch("drain", &ids[..2], 413);
    assert_eq!(bench.claim("drain", 1), ids[..1]);
    bench.settle_batch("drain", &ids[..1], 413);
    let alone = bench.job(&ids[0]);
    assert_eq!((alone.state, alone.attempts.made), (State::Failed, 1));
    assert_eq!((bench.job(&ids[1]).state, bench.job(&ids[1]).attempts.made), (State::Pending, 0));
}

#[test]
fn who_retries_one_of_a_batch_that_may_have_arrived_retries_all() {
    let mut bench = Bench::new(QueueConfig { max_attempts: 1, ..batching(3, 0) });
    let ids: Vec<JobId> = (0..3).map(|_| bench.put_item()).collect();
    assert_eq!(bench.claim("drain", 1), ids);
    let key = bench.key(&ids[0]);
    bench.settle_batch("drain", &ids, 500);
    assert!(ids.iter().all(|id| bench.job(id).state == State::Failed));
    bench.retry(&ids[1]);
    assert_eq!(bench.claim("drain", 1), ids);
    assert_eq!(bench.key(&ids[2]), key);
}

#[test]
fn items_wait_for_company_until_there_is_enough() {
    let mut bench = Bench::new(batching(2, MINUTE));
    let first = bench.put_item();
    assert!(bench.claim("drain", 4).is_empty());
    assert_eq!(bench.next_wake(), Some(NOON.after(MINUTE)));
    let second = bench.put_item();
    let third = bench.put_item();
    assert_eq!(bench.claim("drain", 4), [first, second]);
    bench.now = bench.now.after(MINUTE);
    assert_eq!(bench.claim("drain", 4), [third]);
}

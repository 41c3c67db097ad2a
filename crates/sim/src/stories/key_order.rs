//! Jobs of one key.

use super::*;

/// Three jobs of a key; the first two were refused and stepped out of the line, the third is in the air.
fn two_refused_and_one_in_the_air() -> (Bench, [JobId; 3]) {
    let mut bench = Bench::new(going_on());
    let ids = [bench.put(Some("k")), bench.put(Some("k")), bench.put(Some("k"))];
    for id in &ids[..2] {
        assert_eq!(bench.claim("drain", 1), std::slice::from_ref(id));
        bench.settle("drain", id, 400);
    }
    assert_eq!(bench.claim("drain", 1), [ids[2].clone()]);
    (bench, ids)
}

#[test]
fn two_that_come_back_wait_for_the_one_in_the_air() {
    let (bench, [first, second, _]) = two_refused_and_one_in_the_air();
    bench.retry(&second);
    bench.retry(&first);
    assert_eq!(bench.claim("drain", 6), []);
    assert!(!bench.write(async |tx| manage::discard(tx, bench.now, &second, false).await).is_empty());
    assert_eq!(bench.claim("drain", 6), [], "one that only waited leaves the line to nobody");
}

#[test]
fn one_that_comes_back_goes_before_a_later_one_is_tried_again() {
    let (mut bench, [first, _, third]) = two_refused_and_one_in_the_air();
    bench.retry(&first);
    bench.settle("drain", &third, 503);
    bench.now = bench.now.after(HOUR);
    assert_eq!(bench.claim("drain", 6), std::slice::from_ref(&first));
    bench.settle("drain", &first, 200);
    assert_eq!(bench.claim("drain", 6), [third]);
}

#[test]
fn one_that_comes_back_goes_when_a_later_one_waits_for_a_sign_in() {
    let (bench, [first, _, third]) = two_refused_and_one_in_the_air();
    bench.retry(&first);
    bench.settle("drain", &third, 401);
    assert_eq!(bench.claim("drain", 6), [first]);
}

#[test]
fn a_recount_frees_nobody_while_one_of_the_line_is_in_the_air() {
    let (mut bench, [first, ..]) = two_refused_and_one_in_the_air();
    bench.retry(&first);
    bench.db.borrow_mut().lose_ledger();
    let other = bench.put(None);
    assert_eq!(bench.claim("drain", 6), [other]);
}

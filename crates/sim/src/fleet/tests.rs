//! Holds the small fleet to what is promised of the large one.

use super::*;

fn small(policy: Policy, arrivals: Arrivals) -> Run {
    run(Scenario { clients: 1_000, ideal: 200, policy, arrivals, ..Scenario::default() })
}

#[test]
fn a_run_is_told_by_its_seed() {
    let scenario = Scenario { clients: 100, ..Scenario::default() };
    assert_eq!(run(scenario), run(scenario));
    assert_ne!(run(scenario).arrivals, run(Scenario { seed: 2, ..scenario }).arrivals);
}

#[test]
fn a_server_that_comes_back_is_not_stampeded_and_no_job_is_lost() {
    for arrivals in [Arrivals::Spread, Arrivals::Together] {
        let ours = small(Policy::Ours, arrivals);
        assert_eq!((ours.dead, ours.waiting()), (0, 0), "{arrivals:?}");
        assert!(ours.peak(5) < 2.5, "{arrivals:?}: {}", ours.peak(5));
        assert!(ours.last_over_ideal() < Some(2.7), "{arrivals:?}: {:?}", ours.last_over_ideal());
        let fixed = small(Policy::Fixed(30_000), arrivals);
        assert!(2.0 * ours.peak(5) < fixed.peak(5), "{arrivals:?}");
        assert!(2 * ours.wasted_after < fixed.wasted_after, "{arrivals:?}");
    }
}

#[test]
fn clients_that_fell_into_step_come_apart() {
    let ours = small(Policy::Ours, Arrivals::Together);
    for policy in [Policy::Doubling, Policy::Fixed(30_000)] {
        let theirs = small(policy, Arrivals::Together);
        assert!(4.0 * ours.peak(5) < theirs.peak(5), "{policy:?}");
        assert!(ours.last_over_ideal() < theirs.last_over_ideal(), "{policy:?}");
    }
}

#[test]
fn a_server_that_bears_a_tenth_of_what_comes_gets_it_all_in_the_end() {
    let ours = run(Scenario { clients: 1_000, ideal: 1_000, max_attempts: Some(1_000), ..Scenario::default() });
    assert_eq!((ours.dead, ours.waiting()), (0, 0));
    assert!(ours.last_over_ideal() < Some(2.0));
}

//! The promises hold under every seed of a fixed set, and a seed is one run.

use shearwater_sim::{Options, Tally, Tracing, run};

#[expect(clippy::panic, reason = "a failure tells its own story, better than `unwrap` prints it")]
fn keep_all(seed: u64, steps: u64, what: &str) -> Tally {
    run(seed, &Options { steps, ..Options::default() }).unwrap_or_else(|failure| panic!("{what}: {failure}"))
}

fn run_all(seeds: std::ops::Range<u64>, steps: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        tally.add(&keep_all(seed, steps, "some promise was broken"));
    }
    tally
}

#[test]
fn many_short_runs_keep_every_promise() {
    let tally = run_all(0..2_000, 300);
    // Nothing is proved by runs in which nothing happens.
    assert!(tally.kills > 5_000 && tally.aborts > 10_000, "{tally:?}");
    assert!(tally.sends > 50_000 && tally.effects > 25_000, "{tally:?}");
}

#[test]
fn many_short_runs_with_batches_keep_every_promise() {
    let mut tally = Tally::default();
    for seed in 0..1_000 {
        let kept = run(seed, &Options { batches: true, ..Options::default() });
        tally.add(&kept.unwrap_or_else(|failure| panic!("some promise was broken: {failure}")));
    }
    // More is applied than is sent: several jobs go at once.
    assert!(tally.kills > 2_500 && tally.effects > 10_000, "{tally:?}");
}

#[test]
fn many_short_runs_with_bindings_duplicates_and_policies_keep_every_promise() {
    let mut tally = Tally::default();
    for seed in 0..1_000 {
        let kept = run(seed, &Options { bindings: true, ..Options::default() });
        tally.add(&kept.unwrap_or_else(|failure| panic!("some promise was broken: {failure}")));
    }
    assert!(tally.kills > 2_500 && tally.bound > 1_000 && tally.effects > 10_000, "{tally:?}");
}

#[test]
fn a_few_long_runs_keep_every_promise() {
    run_all(100_000..100_050, 5_000);
}

#[test]
fn a_seed_is_one_run_event_by_event() {
    for seed in 0..20 {
        let (once, twice) =
            (run(seed, &Options::default()), run(seed, &Options { tracing: Tracing::Tail, ..Options::default() }));
        assert_eq!(once.unwrap(), twice.unwrap());
    }
}

/// Seeds that once broke a promise, by the bug that they found in the core.
#[test]
fn seeds_that_broke_a_promise_once_keep_it() {
    for (seed, steps, what) in [
        (597, 300, "a drain with full hands span on what was due"),
        (628, 300, "a row that went to quarantine freed its line after the claim"),
        (4_205, 300, "a job behind a later one that was blocked was never freed"),
        (2_245, 300, "a reply to an old payload delivered the new one"),
        (3_181, 300, "a clock set back by 2 ms ended a living lease"),
        (11_010, 300, "a job waited for a clock that had been set back"),
        (180_185, 300, "a job was sent while the reply to its earlier send was being recorded"),
        (314_208, 300, "a wait that a server asked for was taken for one from before the clock was set back"),
        (327_021, 300, "a notBefore that had passed held up a job when the clock was set back"),
        (16_665, 300, "a wait was noted while the clock was ahead"),
        (4_535, 300, "a ledger was lost while the clock was set back, and an enqueue vouched for the clock"),
        (100_002, 5_000, "a purge took the body of a job along that another had queued again"),
    ] {
        keep_all(seed, steps, what);
    }
}

/// The same, of runs with batches.
#[test]
fn seeds_with_batches_that_broke_a_promise_once_keep_it() {
    for (seed, what) in [
        (3_129, "a draft was saved while the clock was set back, and was too old when it was right again"),
        (3_478, "a draft was the first that was stored, and a clock set forward was believed"),
        (9_634, "a draft's operation put the head of a line aside, and nobody freed it"),
        (10_904, "a wait that was over held a batch up once the clock was set back"),
        (11_380, "an item waited for company until a time before the clock was set back"),
    ] {
        let kept = run(seed, &Options { batches: true, ..Options::default() });
        assert!(kept.is_ok(), "{what}: {}", kept.unwrap_err());
    }
}

/// The same, of runs with bindings.
#[test]
fn seeds_with_bindings_that_broke_a_promise_once_keep_it() {
    for (seed, what) in [
        (6_561, "a dependent wrote over the one that had taken its place in the line"),
        (5_906, "a drain waited for a time that was over while the network held everything"),
        (9_566, "a dead letter by a lost predecessor was cleaned away with the age of its job"),
    ] {
        let kept = run(seed, &Options { bindings: true, ..Options::default() });
        assert!(kept.is_ok(), "{what}: {}", kept.unwrap_err());
    }
}

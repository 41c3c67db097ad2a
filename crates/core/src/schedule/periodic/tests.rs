use super::*;
use crate::wire::testing::parse;

const NOW: Millis = Millis(1_800_000_000_000);

fn config() -> PeriodicConfig {
    PeriodicConfig { min_interval: unit::DAY, tasks: vec![PeriodicTask::Drain, PeriodicTask::Handler] }
}

fn run(began: u64, holder: Option<&str>, held_until: u64) -> PeriodicRun {
    PeriodicRun {
        began_at: Millis(NOW.0 + began - unit::DAY),
        runs: 1,
        holder: holder.map(str::to_owned),
        held_until: Millis(NOW.0 + held_until),
        ..PeriodicRun::first_seen("daily-sync", NOW)
    }
}

#[test]
fn tasks_are_read_as_they_are_documented() {
    let tasks = r#"{"minInterval": 86400000, "tasks": [
        {"cleanup": {"maxAge": 604800000}}, "drain", {"refresh": {"cache": "pages", "all": true}},
        {"refresh": {"cache": "api", "urls": ["/a"], "conditional": false}}, "handler"
    ]}"#;
    let config = parse::<PeriodicConfig>(tasks).unwrap();
    let names: Vec<String> = config.tasks.iter().map(PeriodicTask::name).collect();
    assert_eq!(names, ["cleanup", "drain", "refresh pages", "refresh api", "handler"]);
    config.check().unwrap();
}

#[test]
fn what_is_no_task_is_refused_with_its_place() {
    for (text, why) in [
        (r#"{"minInterval": 1, "tasks": ["dance"]}"#, "tasks.0: is none of"),
        (r#"{"minInterval": 1, "tasks": [{"cleanup": {"age": 1}}]}"#, "tasks.0.cleanup.age: unknown member"),
        (r#"{"minInterval": 1, "tasks": [{"refresh": {"cache": "a"}}]}"#, "tasks.0: a refresh has either urls or all: true"),
        (r#"{"minInterval": 1, "tasks": [{"refresh": {"cache": "a", "all": true, "urls": []}}]}"#, "a refresh has either"),
        (r#"{"minInterval": 1, "tasks": [{"cleanup": {}, "refresh": {"cache": "a", "all": true}}]}"#, "is none of"),
        (r#"{"tasks": []}"#, "minInterval: is missing"),
    ] {
        let error = parse::<PeriodicConfig>(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    for (min_interval, tasks) in [
        (0, config().tasks),
        (3_650 * unit::DAY, config().tasks),
        (unit::DAY, Vec::new()),
        (unit::DAY, vec![PeriodicTask::Drain; 2]),
    ] {
        assert!(PeriodicConfig { min_interval, tasks }.check().is_err());
    }
}

#[test]
fn a_tag_is_due_an_interval_after_its_last_run_began() {
    let (config, ran) = (config(), run(0, None, 0));
    assert!(ran.is_due(NOW, &config, Trigger::Wake));
    assert!(!ran.is_due(Millis(NOW.0 - 1), &config, Trigger::Wake));
    assert!(ran.is_due(Millis(NOW.0 - unit::DAY / 2), &config, Trigger::Event));
    assert!(!ran.is_due(Millis(NOW.0 - unit::DAY / 2 - 1), &config, Trigger::Event));
    assert_eq!(ran.due_at(Millis(NOW.0 - 1), &config), NOW);
    let new = PeriodicRun::first_seen("daily-sync", NOW);
    assert!(new.is_due(NOW, &config, Trigger::Event) && !new.is_due(NOW, &config, Trigger::Wake));
}

#[test]
fn a_run_is_nobody_elses_while_its_lease_lasts_and_anybodys_after() {
    let (config, held) = (config(), run(0, Some("a"), LEASE));
    assert!(!held.is_due(NOW, &config, Trigger::Wake) && !held.is_due(NOW, &config, Trigger::Event));
    assert!(held.is_due(NOW.after(LEASE), &config, Trigger::Wake));
    // Made before the clock was set back.
    assert!(run(0, Some("a"), LEASE + 1).is_due(NOW, &config, Trigger::Wake));
}

#[test]
fn a_clock_that_was_set_back_makes_no_tag_wait_for_longer_than_its_interval() {
    let ahead = run(400 * unit::DAY, None, 0);
    assert_eq!(ahead.due_at(NOW, &config()), NOW.after(unit::DAY));
}

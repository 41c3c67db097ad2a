//! Writes what came of the runs for people: one table a section, and what was modelled.

use std::fmt::Write;

use super::{Arrivals, Outage, Policy, Run, Scenario, Wakes, gauge::WINDOW};

/// The aims: the peak over what the server bears, and the time of the last delivery over the ideal time.
pub const AIMS: (f64, f64) = (1.5, 2.0);

const MODEL: &str = include_str!("model.md");

/// Scenarios that are shown together, each for every policy or for ours alone.
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// Runs with the full number of clients; the others have a fifth.
    pub main: bool,
    scenarios: Vec<Scenario>,
    ours_only: bool,
}

impl Section {
    fn new(title: &'static str, ideals: &[u32], of: Scenario) -> Self {
        let scenarios = ideals.iter().map(|ideal| Scenario { ideal: *ideal, ..of }).collect();
        Self { title, main: false, scenarios, ours_only: false }
    }

    /// Its runs' conditions.
    #[must_use]
    pub fn scenarios(&self, clients: u32) -> Vec<Scenario> {
        let clients = if self.main { clients } else { clients / 5 };
        let policies = Policy::ALL.into_iter().filter(|policy| !self.ours_only || *policy == Policy::Ours);
        let each =
            |scenario: &Scenario| policies.clone().map(|policy| Scenario { clients, policy, ..*scenario }).collect::<Vec<_>>();
        self.scenarios.iter().flat_map(each).collect()
    }
}

/// All of them; the first two are drawn.
#[must_use]
pub fn sections() -> Vec<Section> {
    let plain = Scenario::default();
    let fitted = [(100, 120), (400, 480), (1_000, 1_200)].map(|(ideal, max)| Scenario { ideal, backoff_max: Some(max), ..plain });
    vec![
        Section {
            main: true,
            ..Section::new("Refused connections, jobs queued at any moment of the outage", &[100, 200, 400, 1_000], plain)
        },
        Section {
            main: true,
            ..Section::new(
                "The same, all jobs queued within ten seconds",
                &[200],
                Scenario { arrivals: Arrivals::Together, ..plain },
            )
        },
        Section {
            scenarios: fitted.to_vec(),
            ours_only: true,
            ..Section::new("Ours with `backoff.max` at 1.2 times the ideal time", &[], plain)
        },
        Section::new(
            "A server that is back refuses with `Retry-After: 30`",
            &[200, 400, 1_000],
            Scenario { retry_after: Some(30), ..plain },
        ),
        Section::new("Five jobs a client", &[200, 400], Scenario { jobs: 5, ..plain }),
        Section::new("The outage is a proxy's 503", &[200, 400], Scenario { outage: Outage::Proxy, ..plain }),
        Section {
            ours_only: true,
            ..Section::new(
                "A proxy's 503, ours with `maxAttempts: 1000`",
                &[200, 400],
                Scenario { outage: Outage::Proxy, max_attempts: Some(1_000), ..plain },
            )
        },
        Section::new("Chromium's `sync` besides the open page", &[200, 400], Scenario { wakes: Wakes::PageAndSync, ..plain }),
        Section::new(
            "Half of the clients have no page open: `sync` alone, or a visit within the day",
            &[200, 400],
            Scenario { wakes: Wakes::HalfAsleep, ..plain },
        ),
    ]
}

/// The whole report; `sections` are titles with their runs.
#[must_use]
pub fn report(sections: &[(&str, Vec<Run>)], plot: &str) -> String {
    let mut text = format!("{MODEL}\n![requests a second before and after the return]({plot})\n");
    for (title, runs) in sections {
        let clients = runs.first().map_or(0, |run| run.scenario.clients);
        let _ = write!(text, "\n### {title}\n\n{} clients.\n\n{}", thousands(u64::from(clients)), table(runs));
    }
    text
}

/// One table.
#[must_use]
pub fn table(runs: &[Run]) -> String {
    let mut text = "| ideal time, server bears | policy | peak, 5 s | peak, 1 s | 50 % | 99 % | last | wasted in the outage | wasted after | dead letters | misses |\n".to_owned();
    text.push_str("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n");
    for run in runs {
        let Scenario { ideal, policy, .. } = run.scenario;
        let times = |value: Option<f64>| value.map_or_else(|| "never".to_owned(), |value| format!("{value:.2}"));
        let _ = writeln!(
            text,
            "| {} s, {:.0}/s | {} | {:.2} | {:.2} | {} | {} | {} | {} | {} | {} | {} |",
            thousands(u64::from(ideal)),
            run.scenario.capacity(),
            policy.name(),
            run.peak(WINDOW),
            run.peak(1),
            times(run.over_ideal(0.5)),
            times(run.over_ideal(0.99)),
            times(run.last_over_ideal()),
            thousands(run.wasted_before),
            thousands(run.wasted_after),
            thousands(run.dead),
            misses(run),
        );
    }
    text
}

fn misses(run: &Run) -> &'static str {
    let (peak, time) = AIMS;
    let in_time = run.last_over_ideal().is_some_and(|last| last <= time);
    match (run.peak(WINDOW) <= peak, in_time, run.dead + run.waiting() == 0) {
        (.., false) => "**jobs**",
        (true, true, _) => "nothing",
        (true, false, _) => "time",
        (false, true, _) => "peak",
        (false, false, _) => "peak, time",
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

//! Runs the fleet's scenarios on all cores, and writes the report with its plot.

use std::{
    fs,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use shearwater_sim::fleet::{Run, Scenario, plot, report, run, sections};

const USAGE: &str = "fleet [--clients N] [--rows main|all] [--out PATH]

  --clients N       clients of the main rows; the others have a fifth (default: 100000)
  --rows main|all   only what is drawn, or everything (default: all)
  --out PATH        writes PATH.md and PATH.svg; without it the report is printed";

struct Asked {
    clients: u32,
    main_only: bool,
    out: Option<String>,
}

fn main() -> ExitCode {
    let outcome = parse(std::env::args().skip(1)).and_then(|asked| carry_out(&asked));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn carry_out(asked: &Asked) -> Result<(), String> {
    let begun = Instant::now();
    let sections: Vec<_> = sections().into_iter().filter(|section| section.main || !asked.main_only).collect();
    let scenarios: Vec<Scenario> = sections.iter().flat_map(|section| section.scenarios(asked.clients)).collect();
    let mut runs = run_all(&scenarios).into_iter();
    let told: Vec<(&str, Vec<Run>)> = sections
        .iter()
        .map(|section| (section.title, runs.by_ref().take(section.scenarios(asked.clients).len()).collect()))
        .collect();
    let drawn: Vec<(String, Vec<&Run>)> = told
        .iter()
        .take(2)
        .map(|(title, runs)| ((*title).to_owned(), runs.iter().filter(|run| run.scenario.ideal == 200).collect()))
        .collect();
    let svg = plot(&drawn);
    let Some(out) = &asked.out else {
        print!("{}", report(&told, "fleet.svg"));
        return Ok(());
    };
    let name = out.rsplit('/').next().unwrap_or(out);
    for (end, text) in [("md", report(&told, &format!("{name}.svg"))), ("svg", svg)] {
        let path = format!("{out}.{end}");
        fs::write(&path, text).map_err(|error| format!("{path}: {error}"))?;
    }
    println!("{} runs, {:.0} s: {out}.md, {out}.svg", scenarios.len(), begun.elapsed().as_secs_f64());
    Ok(())
}

/// Runs them on all cores; the answers are in the order of the scenarios.
fn run_all(scenarios: &[Scenario]) -> Vec<Run> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((at, scenario)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, scenarios.get(at)?)))
                {
                    let run = run(*scenario);
                    eprintln!("{} of {}: {scenario:?}", at + 1, scenarios.len());
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, run));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, run)| run).collect()
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked { clients: 100_000, main_only: false, out: None };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--clients" => {
                let value = value()?;
                asked.clients = value.replace(['_', ','], "").parse().map_err(|_| format!("{value:?} is not a number"))?;
                if asked.clients < 5 {
                    return Err("--clients: at least 5".to_owned());
                }
            }
            "--rows" => {
                asked.main_only = match value()?.as_str() {
                    "main" => true,
                    "all" => false,
                    other => return Err(format!("--rows: main or all, not {other:?}")),
                }
            }
            "--out" => asked.out = Some(value()?),
            _ => return Err(format!("{argument} is not an option")),
        }
    }
    Ok(asked)
}

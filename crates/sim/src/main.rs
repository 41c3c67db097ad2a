//! Runs seeds of the simulator and counts what happened.

use std::{process::ExitCode, time::Instant};

use shearwater_sim::{Options, Tally, Tracing, run};

const USAGE: &str = "shearwater-sim [--seeds N | A..B] [--steps N] [--keep-going] [--seed N [--trace]]

  --seeds N      runs the seeds 0 to N-1 (default: 1000)
  --seeds A..B   runs the seeds A to B-1
  --steps N      things that happen in a run before it calms down (default: 300)
  --batches      has queues send batches, in place of a run plain, one with batches and one with bindings
  --bindings     has jobs wait for others' responses and take others' places, in place of the same
  --keep-going   goes on after a failure, and tells each in one line
  --seed N       runs one seed
  --trace        prints all that happens in it";

/// What was asked for.
struct Asked {
    from: u64,
    upto: u64,
    keep_going: bool,
    /// Each seed is run plain, with batches, and with bindings.
    both: bool,
    options: Options,
}

fn main() -> ExitCode {
    let asked = match parse(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut failures = 0_u64;
    for seed in asked.from..asked.upto {
        let options = asked.options;
        let counts = run(seed, &options).and_then(|mut counts| {
            if asked.both {
                counts.add(&run(seed, &Options { batches: true, ..options })?);
                counts.add(&run(seed, &Options { bindings: true, ..options })?);
            }
            Ok(counts)
        });
        match counts {
            Ok(counts) => tally.add(&counts),
            Err(failure) if asked.keep_going => {
                failures += 1;
                eprintln!("seed {seed}: {}", failure.violation);
            }
            Err(failure) => {
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("seeds       {:>12}", asked.upto.saturating_sub(asked.from));
    for (name, count) in [
        ("steps", tally.steps),
        ("kills", tally.kills),
        ("cycles", tally.cycles),
        ("commits", tally.commits),
        ("aborts", tally.aborts),
        ("accepted", tally.accepted),
        ("sends", tally.sends),
        ("bound sends", tally.bound),
        ("arrivals", tally.arrivals),
        ("deliveries", tally.effects),
    ] {
        println!("{name:<11} {count:>12}");
    }
    println!("elapsed     {seconds:>11.1}s");
    if failures > 0 {
        eprintln!("{failures} seeds failed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked { from: 0, upto: 1_000, keep_going: false, both: true, options: Options::default() };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--seeds" => {
                let value = value()?;
                (asked.from, asked.upto) = match value.split_once("..") {
                    Some((from, upto)) => (number(from)?, number(upto)?),
                    None => (0, number(&value)?),
                };
            }
            "--seed" => {
                asked.from = number(&value()?)?;
                asked.upto = asked.from.saturating_add(1);
                asked.both = false;
            }
            "--steps" => asked.options.steps = number(&value()?)?,
            "--batches" => (asked.both, asked.options.batches) = (false, true),
            "--bindings" => (asked.both, asked.options.bindings) = (false, true),
            "--keep-going" => asked.keep_going = true,
            "--trace" => asked.options.tracing = Tracing::Print,
            _ => return Err(format!("{argument} is not an option")),
        }
    }
    Ok(asked)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

//! Does a fixed piece of the core's work on the simulator's store, for an instruction count; see
//! `../core.mjs`.
//!
//! `core-cost nothing | enqueue-each | enqueue | drain`: the cost of a piece is the difference to `nothing`, of
//! `drain` that to `enqueue`.

// The simulator keeps its store to itself; this takes the files, and not all of what is in them.
#![allow(dead_code, unused_imports)]

#[path = "../../../../crates/sim/src/flaw.rs"]
mod flaw;
#[path = "../../../../crates/sim/src/store/mod.rs"]
mod store;

use std::{cell::RefCell, process::ExitCode};

use futures::FutureExt;
use shearwater_core::{
    Error, JobId, Millis,
    drain::{Budget, Command, Drain, Input, Plan, Summary},
    http::reply::{AttemptResult, Response},
    queue::{
        config::WorkerConfig,
        cycle::{Settings, cycle},
        enqueue::{self, Admitted, EnqueueOptions, NewJob},
        request::RequestHead,
    },
    schedule::wakes::SkipBackoff,
    store::{Caller, Scope},
};
use store::{Database, Mode, SimTx};

const JOBS: u64 = 1_000;
const NOW: Millis = Millis(1_800_000_000_000);

fn main() -> ExitCode {
    let piece = std::env::args().nth(1).unwrap_or_default();
    match work(&piece) {
        Ok(Some(what)) => {
            println!("{what}");
            ExitCode::SUCCESS
        }
        Ok(None) => {
            eprintln!("usage: core-cost nothing | enqueue-each | enqueue | drain");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("{}", error.message);
            ExitCode::FAILURE
        }
    }
}

fn work(piece: &str) -> Result<Option<String>, Error> {
    let config = WorkerConfig::default();
    let database = RefCell::new(Database::default());
    Ok(match piece {
        "nothing" => Some("0".to_owned()),
        "enqueue-each" => {
            for at in 0..JOBS {
                store_jobs(&database, at..at + 1, &config)?;
            }
            Some(database.borrow().jobs().count().to_string())
        }
        "enqueue" => {
            store_jobs(&database, 0..JOBS, &config)?;
            Some(database.borrow().jobs().count().to_string())
        }
        "drain" => {
            store_jobs(&database, 0..JOBS, &config)?;
            let (summary, cycles) = drain(&database, &config)?;
            Some(format!("{} delivered in {cycles} turns", summary.result.delivered))
        }
        _ => None,
    })
}

fn store_jobs(database: &RefCell<Database>, numbers: std::ops::Range<u64>, config: &WorkerConfig) -> Result<(), Error> {
    let jobs = numbers.map(|at| Ok((job(at, config)?, Some(at)))).collect::<Result<Vec<_>, Error>>()?;
    let tx = SimTx::begin(database, Mode::Write, Scope::WORK, None, None);
    at_once(enqueue::enqueue(&tx, NOW, jobs, false, &Caller::default()))?;
    tx.commit();
    Ok(())
}

/// The simulated store keeps nobody waiting.
fn at_once<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    work.now_or_never().unwrap_or_else(|| Err(Error::internal("the simulated store does not wait")))
}

fn job(at: u64, config: &WorkerConfig) -> Result<Admitted, Error> {
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip((at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes().into_iter().cycle()) {
        *byte = from;
    }
    let request = RequestHead {
        url: format!("https://a.example/api/notes/{at}"),
        method: "POST".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        ..RequestHead::default()
    };
    let new = NewJob { id: JobId::from_random(bytes), request, options: EnqueueOptions::default(), metadata: None };
    enqueue::admit(new, "https://a.example".to_owned(), Some(250), config)
}

/// Delivers everything, with replies in the order of sending: six at once, as many a cycle as come meanwhile.
fn drain(database: &RefCell<Database>, config: &WorkerConfig) -> Result<(Summary, u64), Error> {
    let queue = config.queue_or_default("default");
    let plan = Plan {
        queue: "default".to_owned(),
        owner: String::new(),
        holder: "holder".to_owned(),
        concurrency: queue.concurrency,
        budget: Budget::default(),
        skip: SkipBackoff::None,
        online: true,
        connection: shearwater_core::schedule::network::Connection::default(),
        exclusive: true,
    };
    let mut drain = Drain::new(NOW, plan);
    drain.handle(NOW, Input::Start);
    let mut inputs = std::collections::VecDeque::new();
    let mut cycles = 0;
    loop {
        while let Some(command) = drain.poll() {
            match command {
                Command::Cycle(request) => {
                    cycles += 1;
                    let tx = SimTx::begin(database, Mode::Write, Scope::WORK, None, None);
                    let committed = at_once(cycle(&tx, NOW, &request, Settings::new(config, &queue)))?;
                    tx.commit();
                    inputs.push_back(Input::CycleCommitted(committed));
                }
                Command::Send(dispatch) => {
                    let response = Response { status: 200, ..Response::default() };
                    inputs.push_back(Input::Attempted { dispatch: dispatch.id, result: AttemptResult::Status(response), roll: 0.5 });
                }
                Command::Done(summary) => return Ok((summary, cycles)),
                Command::Wait(_) | Command::AskTime | Command::Tell(_) | Command::Rest(_) => {}
            }
        }
        let input = inputs.pop_front().ok_or_else(|| Error::internal("the drain waits for nothing"))?;
        drain.handle(NOW, input);
    }
}

//! Runs an app's periodic tasks: when the browser fires their tag, and on any wake that finds them due.
//!
//! The core says which tasks are to run, and remembers what became of each; see [`periodic`]. Here they are carried out, side
//! by side, each under [`TASK_LIMIT`]: one that hangs or fails is nothing to the others. The event lives until all have ended.

mod refresh;

use std::{cell::Cell, pin::pin, rc::Rc};

use futures_util::future::{Either, join_all, select};
use js_sys::Object;
use shearwater_core::{
    Error, Millis,
    schedule::{
        periodic::{self, PeriodicTask, PeriodicView, Runner, TASK_LIMIT, Trigger},
        wakes::SkipBackoff,
    },
    store::Scope,
    time::unit,
    wire::text::Text,
};
use wasm_bindgen::JsValue;

use crate::{clock, engine::Engine, events, js, store::Mode};

/// Milliseconds between two looks for what is due: wakes come often.
const LOOK_EVERY: u64 = unit::MINUTE;

/// When it was last looked for what is due.
#[derive(Default)]
pub struct Looked(Cell<Millis>);

/// What is asked of the store: one transaction for all, as each kind would bring 3 KB of its own.
enum Ask<'a> {
    Due,
    Begin { tag: &'a str, trigger: Trigger, holder: &'a str },
    End { tag: &'a str, task: &'a PeriodicTask, holder: &'a str, outcome: Result<String, String> },
    Leave { tag: &'a str, holder: &'a str },
    Views,
}

/// What the store says.
enum Told {
    Tags(Vec<String>),
    Tasks(Vec<PeriodicTask>),
    Views(Vec<PeriodicView>),
    Nothing,
}

async fn ask(engine: &Engine, ask: Ask<'_>) -> Result<Told, Error> {
    let mode = if matches!(ask, Ask::Views) { Mode::Read } else { Mode::Relaxed };
    let (configs, owner) = (&engine.config.periodic, engine.owner());
    engine
        .store
        .run(mode.on(Scope::PERIODIC), async |db| {
            let now = clock::now();
            Ok(match &ask {
                Ask::Due => Told::Tags(periodic::due(db, now, configs).await?),
                Ask::Begin { tag, trigger, holder } => match configs.iter().find(|(other, _)| other == tag) {
                    Some((_, config)) => Told::Tasks(
                        periodic::begin(db, now, tag, config, *trigger, engine.is_online(), Runner { holder, owner: &owner })
                            .await?,
                    ),
                    None => Told::Nothing,
                },
                Ask::End { tag, task, holder, outcome } => {
                    periodic::end(db, now, tag, task, holder, outcome.clone()).await?;
                    Told::Nothing
                }
                Ask::Leave { tag, holder } => {
                    periodic::leave(db, tag, holder).await?;
                    Told::Nothing
                }
                Ask::Views => Told::Views(periodic::views(db, now, configs, &owner).await?),
            })
        })
        .await
}

/// Runs the tasks of `tag`, which the browser has fired. Returns whether the configuration has any.
///
/// # Errors
/// What the store returns.
pub async fn fired(engine: &Rc<Engine>, tag: &str) -> Result<bool, Error> {
    let is_configured = engine.config.periodic.iter().any(|(other, _)| other == tag);
    if is_configured {
        run(engine, tag, Trigger::Event).await?;
    }
    Ok(is_configured)
}

/// Runs the tasks of all tags that are due: where the browser fires none, or not in time. What the store does not let it know
/// it looks for at the next wake.
pub async fn catch_up(engine: &Rc<Engine>) {
    let (now, looked) = (clock::now(), engine.looked.0.get());
    if engine.config.periodic.is_empty() || (looked <= now && now.since(looked) < LOOK_EVERY) {
        return;
    }
    engine.looked.0.set(now);
    let Ok(Told::Tags(due)) = ask(engine, Ask::Due).await else { return };
    for tag in due {
        if let Err(error) = run(engine, &tag, Trigger::Wake).await {
            engine.log_error(&error.message);
        }
    }
}

/// What became of all tags.
///
/// # Errors
/// What the store returns.
pub async fn views(engine: &Engine) -> Result<Vec<PeriodicView>, Error> {
    if engine.config.periodic.is_empty() {
        return Ok(Vec::new());
    }
    match ask(engine, Ask::Views).await? {
        Told::Views(views) => Ok(views),
        _ => Ok(Vec::new()),
    }
}

async fn run(engine: &Rc<Engine>, tag: &str, trigger: Trigger) -> Result<(), Error> {
    let holder = clock::unique_name();
    let Told::Tasks(tasks) = ask(engine, Ask::Begin { tag, trigger, holder: &holder }).await? else { return Ok(()) };
    if tasks.is_empty() {
        return Ok(());
    }
    join_all(tasks.iter().map(|task| end(engine, tag, task, &holder))).await;
    ask(engine, Ask::Leave { tag, holder: &holder }).await.map(drop)
}

/// Carries a task out and notes its end. An end that cannot be noted is none: the task runs again.
async fn end(engine: &Rc<Engine>, tag: &str, task: &PeriodicTask, holder: &str) {
    let outcome = match select(pin!(carry_out(engine, tag, task)), pin!(js::time::sleep(TASK_LIMIT))).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err("it did not end within two minutes".to_owned()),
    };
    match &outcome {
        Ok(result) => engine.log_info(&["periodic \"", tag, "\": ", &task.name(), ": ", result].text()),
        Err(error) => engine.log_error(&["periodic \"", tag, "\": ", &task.name(), ": ", error].text()),
    }
    if let Err(error) = ask(engine, Ask::End { tag, task, holder, outcome }).await {
        engine.log_error(&error.message);
    }
}

async fn carry_out(engine: &Rc<Engine>, tag: &str, task: &PeriodicTask) -> Result<String, String> {
    let told = |error: Error| error.into_message();
    match task {
        PeriodicTask::Cleanup { max_age } => {
            let cleaned = events::compact(engine, *max_age).await.map_err(told)?;
            Ok([&cleaned.history.to_string(), " delivered and ", &cleaned.failed.to_string(), " failed jobs removed"].text())
        }
        PeriodicTask::Drain => {
            let queues = engine.queues().await.map_err(told)?;
            let is_left = engine.drain_all(&queues, SkipBackoff::Unreachable).await.map_err(told)?;
            Ok(if is_left { "sent what is due; some is left" } else { "sent what is due" }.to_owned())
        }
        #[cfg(feature = "full")]
        PeriodicTask::Pull => crate::collections::pull_each(engine).await,
        #[cfg(not(feature = "full"))]
        PeriodicTask::Pull => Err("this build has no collections".to_owned()),
        PeriodicTask::Refresh(what) => refresh::refresh(engine, what).await,
        PeriodicTask::Handler => {
            let detail = Object::new();
            js::set(&detail, "tag", &JsValue::from_str(tag));
            let mut called = false;
            for hook in ["periodicsync".to_owned(), ["periodicsync:", tag].text()] {
                if engine.host.has_hook(&hook) {
                    engine.host.hook(&hook, &detail).await.map_err(told)?;
                    called = true;
                }
            }
            if called { Ok("called".to_owned()) } else { Err(["there is no hook \"periodicsync:", tag, "\""].text()) }
        }
    }
}

//! Runs an app's periodic tasks when they are due, once, and remembers what came of each (W3).
//!
//! A browser that grants a tag fires `periodicsync` now and then; most browsers never do. So a tag has one row,
//! [`PeriodicRun`], which says when it ran last; whichever wake finds it due runs it.
//!
//! ```text
//!   (no row) ── the first wake that sees the tag ──▶ waiting ──── due, or the browser's event ───▶ running
//!                                                     ▲  (one transaction: lease, tasks to run)      │  │
//!                                                     │                                              │  └─ the worker dies ─▶ the lease ends,
//!                                                     └── each task's end is written; after the last ┘      and the next wake runs
//!                                                                                                           what has no end yet
//! ```
//!
//! # What always holds
//!
//! - A tag has at most one run that holds its lease: two wakes, tabs or workers run nothing twice.
//! - A task that has an end in a run does not start again in that run. One that was started by a worker that died may have
//!   had its effect; it starts again, as a job does.
//! - A tag is due `minInterval` after its last run began, however that run ended. What the browser's event brings within half
//!   of that is passed over: a wake ran it already.
//! - A clock that was set back makes no tag wait longer than its interval, and ends no lease later.
//! - One task's failure or silence is nothing to the others: each has an end, a result or an error of its own.
//! - What a task did or why it failed is told to the owner who was signed in when it ran, and goes with them at a purge: an
//!   app's hook may have put anything into its error.
//! - Without a network, what needs none is done; the rest of the run waits for the next wake that has one.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Error as _, Unexpected, Visitor},
};

use crate::{
    error::Error,
    store::{Key, Keyed, Record, Row, Store, Tx},
    time::{Millis, unit},
};

/// Milliseconds for which a run holds its tag: well over [`TASK_LIMIT`], under which each task ends.
pub const LEASE: u64 = 5 * unit::MINUTE;

/// Milliseconds after which a task is given up: under the time that a browser gives an event.
pub const TASK_LIMIT: u64 = 2 * unit::MINUTE;

/// The most periodic tags, and the most tasks of one.
const MOST: usize = 32;

/// More rows than there are: tags of earlier configurations stay.
const MOST_ROWS: u32 = 1_000;

/// What a tag does, and how often.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename = "!PeriodicConfig", rename_all = "camelCase")]
pub struct PeriodicConfig {
    /// Milliseconds between two runs.
    pub min_interval: u64,
    /// What each run does, side by side.
    pub tasks: Vec<PeriodicTask>,
}

/// One thing that is done periodically.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeriodicTask {
    /// Forgets delivered jobs beyond the configured history, and dead letters last tried longer than this many milliseconds
    /// ago.
    Cleanup {
        /// None keeps dead letters.
        max_age: Option<u64>,
    },
    /// Sends what is due.
    Drain,
    /// Pulls all collections; only in a build that has them.
    Pull,
    /// Fetches entries of a cache anew.
    Refresh(Refresh),
    /// Calls the app's handler of the tag.
    Handler,
}

/// Which entries of which cache are fetched anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// The cache's name.
    pub cache: String,
    /// These URLs; none for whatever the cache holds.
    pub urls: Option<Vec<String>>,
    /// Ask by `If-None-Match` and `If-Modified-Since` (RFC 9110 §13.1) where the entry has a validator.
    pub conditional: bool,
}

impl PeriodicTask {
    /// Whether it can do nothing without a network. What a handler does, the app knows.
    #[must_use]
    pub const fn needs_network(&self) -> bool {
        matches!(self, Self::Drain | Self::Pull | Self::Refresh(_))
    }

    /// Its name in what is stored and shown.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Cleanup { .. } => "cleanup".to_owned(),
            Self::Drain => "drain".to_owned(),
            Self::Pull => "pull".to_owned(),
            Self::Refresh(refresh) => format_refresh(&refresh.cache),
            Self::Handler => "handler".to_owned(),
        }
    }
}

fn format_refresh(cache: &str) -> String {
    let mut name = "refresh ".to_owned();
    name.push_str(cache);
    name
}

/// What became of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRun {
    /// See [`PeriodicTask::name`].
    pub task: String,
    /// When it ended in the present run.
    pub ended_at: Option<Millis>,
    /// When it last succeeded, in whichever run.
    pub succeeded_at: Option<Millis>,
    /// What it did, as a sentence for people.
    pub result: Option<String>,
    /// Why its last end was none.
    pub error: Option<String>,
}

/// The last or present run of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeriodicRun {
    /// The tag.
    pub tag: String,
    /// When it began; where it never has, when the tag was first seen.
    pub began_at: Millis,
    /// Runs that began.
    pub runs: u64,
    /// Who was signed in when the last one began.
    #[serde(default)]
    pub owner: String,
    /// Who runs it.
    pub holder: Option<String>,
    /// Until when that lasts at most.
    pub held_until: Millis,
    /// Its tasks.
    pub tasks: Vec<TaskRun>,
}

/// What asks for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The browser's `periodicsync` event of the tag.
    Event,
    /// Any other wake.
    Wake,
}

impl PeriodicRun {
    fn first_seen(tag: &str, now: Millis) -> Self {
        Self {
            tag: tag.to_owned(),
            began_at: now,
            runs: 0,
            owner: String::new(),
            holder: None,
            held_until: Millis(0),
            tasks: Vec::new(),
        }
    }

    /// Forgets what its tasks told.
    fn forget_words(&mut self) {
        for task in &mut self.tasks {
            (task.result, task.error) = (None, None);
        }
    }

    /// Whether somebody is at it.
    #[must_use]
    pub fn is_held(&self, now: Millis) -> bool {
        // One that would last longer than any is of before the clock was set back.
        self.holder.is_some() && now < self.held_until && self.held_until.since(now) <= LEASE
    }

    /// Whether its last run has tasks without an end, and nobody is at it.
    #[must_use]
    pub fn is_interrupted(&self, now: Millis) -> bool {
        self.holder.is_some() && !self.is_held(now)
    }

    /// When it is to run next.
    #[must_use]
    pub fn due_at(&self, now: Millis, config: &PeriodicConfig) -> Millis {
        if self.is_held(now) {
            self.held_until
        } else if self.is_interrupted(now) {
            now
        } else {
            self.began_at.min(now).after(config.min_interval)
        }
    }

    /// Whether `trigger` starts a run at `now`.
    fn is_due(&self, now: Millis, config: &PeriodicConfig, trigger: Trigger) -> bool {
        if self.is_held(now) {
            return false;
        }
        let patience = match trigger {
            Trigger::Event if self.runs == 0 => 0,
            Trigger::Event => config.min_interval / 2,
            Trigger::Wake => config.min_interval,
        };
        self.is_interrupted(now) || now.since(self.began_at.min(now)) >= patience
    }
}

/// Who runs a tag.
#[derive(Clone, Copy, Debug)]
pub struct Runner<'a> {
    /// A name that no other run ever has.
    pub holder: &'a str,
    /// Who is signed in.
    pub owner: &'a str,
}

/// Forgets what tasks told that ran while `owner` was signed in.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn purge<T: Tx>(tx: &T, owner: &str) -> Result<(), Error> {
    for mut run in tx.page::<PeriodicRun>(None, MOST_ROWS).await? {
        if run.owner == owner {
            run.forget_words();
            tx.put(&run)?;
        }
    }
    Ok(())
}

/// The tags that a wake may run at `now`, as far as the store knows; a tag that is seen for the first time is noted.
///
/// # Errors
/// What the transaction returns.
pub async fn due<T: Tx>(tx: &T, now: Millis, configs: &[(String, PeriodicConfig)]) -> Result<Vec<String>, Error> {
    let mut due = Vec::new();
    for (tag, config) in configs {
        match tx.get::<PeriodicRun>(&TagKey(tag.clone())).await? {
            Some(run) if run.is_due(now, config, Trigger::Wake) => due.push(tag.clone()),
            Some(mut run) if run.began_at > now && !run.is_held(now) => {
                // The clock was set back: its interval begins now.
                run.began_at = now;
                tx.put(&run)?;
            }
            Some(_) => {}
            None => tx.put(&PeriodicRun::first_seen(tag, now))?,
        }
    }
    Ok(due)
}

/// Begins a run of `tag`, or goes on with one that was left; returns its tasks that are to be run now, none where it is not
/// due, somebody is at it, or they all need a network and there is none.
///
/// # Errors
/// What the transaction returns.
pub async fn begin<T: Tx>(
    tx: &T,
    now: Millis,
    tag: &str,
    config: &PeriodicConfig,
    trigger: Trigger,
    is_online: bool,
    Runner { holder, owner }: Runner<'_>,
) -> Result<Vec<PeriodicTask>, Error> {
    let key = TagKey(tag.to_owned());
    let mut run = tx.get::<PeriodicRun>(&key).await?.unwrap_or_else(|| PeriodicRun::first_seen(tag, now));
    if !run.is_due(now, config, trigger) {
        return Ok(Vec::new());
    }
    if run.owner != owner {
        run.forget_words();
        owner.clone_into(&mut run.owner);
    }
    if !run.is_interrupted(now) {
        run.began_at = now;
        run.runs = run.runs.saturating_add(1);
        let before = std::mem::take(&mut run.tasks);
        run.tasks = config.tasks.iter().map(|task| TaskRun::begun(task, &before)).collect();
    }
    run.holder = Some(holder.to_owned());
    run.held_until = now.after(LEASE);
    let open = |task: &&PeriodicTask| {
        let name = task.name();
        !run.tasks.iter().any(|run| run.task == name && run.ended_at.is_some())
    };
    let open: Vec<&PeriodicTask> = config.tasks.iter().filter(open).collect();
    let tasks: Vec<PeriodicTask> =
        open.iter().filter(|task| is_online || !task.needs_network()).map(|task| (*task).clone()).collect();
    if open.is_empty() {
        // An update took the rest away.
        run.holder = None;
    } else if tasks.is_empty() {
        return Ok(tasks);
    }
    tx.put(&run)?;
    Ok(tasks)
}

impl TaskRun {
    fn begun(task: &PeriodicTask, before: &[Self]) -> Self {
        let task = task.name();
        let before = before.iter().find(|run| run.task == task);
        Self {
            ended_at: None,
            succeeded_at: before.and_then(|run| run.succeeded_at),
            result: before.and_then(|run| run.result.clone()),
            error: before.and_then(|run| run.error.clone()),
            task,
        }
    }
}

/// Notes the end of a task: what it did, or why it did not. With the last one the run is over. What another holder ended
/// stays as it is.
///
/// # Errors
/// What the transaction returns.
pub async fn end<T: Tx>(
    tx: &T,
    now: Millis,
    tag: &str,
    task: &PeriodicTask,
    holder: &str,
    outcome: Result<String, String>,
) -> Result<(), Error> {
    let Some(mut run) = tx.get::<PeriodicRun>(&TagKey(tag.to_owned())).await? else { return Ok(()) };
    if run.holder.as_deref() != Some(holder) {
        return Ok(());
    }
    let name = task.name();
    if let Some(task) = run.tasks.iter_mut().find(|run| run.task == name && run.ended_at.is_none()) {
        task.ended_at = Some(now);
        match outcome {
            Ok(result) => {
                (task.result, task.error, task.succeeded_at) = (Some(result), None, Some(now));
            }
            Err(error) => task.error = Some(error),
        }
    }
    if run.tasks.iter().all(|task| task.ended_at.is_some()) {
        run.holder = None;
    }
    tx.put(&run)
}

/// Leaves a run whose tasks have ended as far as they were begun: the next wake goes on with the others.
///
/// # Errors
/// What the transaction returns.
pub async fn leave<T: Tx>(tx: &T, tag: &str, holder: &str) -> Result<(), Error> {
    match tx.get::<PeriodicRun>(&TagKey(tag.to_owned())).await? {
        Some(mut run) if run.holder.as_deref() == Some(holder) => {
            run.held_until = Millis(0);
            tx.put(&run)
        }
        _ => Ok(()),
    }
}

/// What is shown of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeriodicView {
    /// The tag.
    pub tag: String,
    /// When its last run began.
    pub last_run_at: Option<Millis>,
    /// When it is to run next, if the browser does not fire it before; none where it was never seen.
    pub next_run_at: Option<Millis>,
    /// Somebody is at it.
    pub is_running: bool,
    /// What became of its tasks.
    pub tasks: Vec<TaskRun>,
}

/// What became of these tags; what tasks told, only if `owner` was signed in then.
///
/// # Errors
/// What the transaction returns.
pub async fn views<T: Tx>(
    tx: &T,
    now: Millis,
    configs: &[(String, PeriodicConfig)],
    owner: &str,
) -> Result<Vec<PeriodicView>, Error> {
    let mut views = Vec::with_capacity(configs.len());
    for (tag, config) in configs {
        let mut run = tx.get::<PeriodicRun>(&TagKey(tag.clone())).await?;
        if let Some(run) = run.as_mut().filter(|run| run.owner != owner) {
            run.forget_words();
        }
        views.push(PeriodicView {
            tag: tag.clone(),
            last_run_at: run.as_ref().filter(|run| run.runs > 0).map(|run| run.began_at),
            next_run_at: run.as_ref().map(|run| run.due_at(now, config)),
            is_running: run.as_ref().is_some_and(|run| run.is_held(now)),
            tasks: run.map(|run| run.tasks).unwrap_or_default(),
        });
    }
    Ok(views)
}

impl PeriodicConfig {
    /// Checks a tag's settings.
    ///
    /// # Errors
    /// What is out of range, by the option's name.
    pub fn check(&self) -> Result<(), Error> {
        if !(unit::MINUTE..=365 * unit::DAY).contains(&self.min_interval) {
            return Err(Error::invalid_config("minInterval is one minute (60000 ms) to one year (31536000000)"));
        }
        if self.tasks.is_empty() || self.tasks.len() > MOST {
            return Err(Error::invalid_config("tasks are 1 to 32"));
        }
        let mut names: Vec<String> = self.tasks.iter().map(PeriodicTask::name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            return Err(Error::invalid_config("tasks: each is named once, a refresh once for each cache"));
        }
        Ok(())
    }
}

/// The key of a [`PeriodicRun`]: its tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagKey(pub String);

impl Key for TagKey {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
}

impl Record for PeriodicRun {
    const STORE: Store = Store::Periodic;
    type Key = TagKey;
}

impl Row for PeriodicRun {}

impl Keyed for PeriodicRun {
    fn key(&self) -> TagKey {
        TagKey(self.tag.clone())
    }
}

/// What `{cleanup: …}` holds.
#[derive(Deserialize)]
#[serde(rename = "!Cleanup", rename_all = "camelCase")]
struct Cleanup {
    max_age: Option<u64>,
}

/// What `{refresh: …}` holds.
#[derive(Deserialize)]
#[serde(rename = "!RefreshOptions")]
struct RefreshOptions {
    cache: String,
    urls: Option<Vec<String>>,
    all: Option<bool>,
    conditional: Option<bool>,
}

/// A task that is an object.
#[derive(Deserialize)]
#[serde(rename = "!TaskOptions")]
struct TaskOptions {
    cleanup: Option<Cleanup>,
    refresh: Option<RefreshOptions>,
}

impl<'de> Deserialize<'de> for PeriodicTask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TaskVisitor)
    }
}

struct TaskVisitor;

impl<'de> Visitor<'de> for TaskVisitor {
    type Value = PeriodicTask;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is none of \"drain\", \"pull\" (with `collections`), \"handler\", \"cleanup\", {cleanup: {maxAge}}, {refresh: {cache, urls or all}}")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<PeriodicTask, E> {
        match name {
            "cleanup" => Ok(PeriodicTask::Cleanup { max_age: None }),
            "drain" => Ok(PeriodicTask::Drain),
            "pull" if cfg!(feature = "collections") => Ok(PeriodicTask::Pull),
            "handler" => Ok(PeriodicTask::Handler),
            _ => Err(E::invalid_value(Unexpected::Unit, &self)),
        }
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<PeriodicTask, D::Error> {
        match TaskOptions::deserialize(deserializer)? {
            TaskOptions { cleanup: Some(Cleanup { max_age }), refresh: None } => Ok(PeriodicTask::Cleanup { max_age }),
            TaskOptions { cleanup: None, refresh: Some(RefreshOptions { cache, urls, all, conditional }) } => {
                if (all == Some(true)) == urls.is_some() {
                    return Err(D::Error::custom("a refresh has either urls or all: true"));
                }
                Ok(PeriodicTask::Refresh(Refresh { cache, urls, conditional: conditional != Some(false) }))
            }
            _ => Err(D::Error::invalid_value(Unexpected::Unit, &self)),
        }
    }
}

#[cfg(test)]
mod tests;

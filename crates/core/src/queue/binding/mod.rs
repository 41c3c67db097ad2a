//! Binds a job to the response of an earlier one (Q13): it waits for that job, and is sent with values of its response in
//! its URL, its headers and its JSON body.
//!
//! A job that is bound, the *dependent*, names values: `{note: {job, pointer: "/id"}}`. Each is a place in the response of
//! another job of the same owner, its *predecessor*. `{note}` in the request stands for the value; `{note.author}` for a
//! member of it, where the value has any ([`template`] says what may stand where, and how it is escaped).
//!
//! # States
//!
//! ```text
//!   enqueue ──▶ waiting ───── all predecessors were delivered ─────▶ bound ──▶ sent as any other job
//!                  │  ▲                                                ▲
//!                  │  └─ retry, while the predecessor is still there   │
//!                  │                                                   │
//!                  └─ the response has no such value, or the           └─ enqueue, where the predecessor was delivered
//!                     predecessor was removed ──▶ failed                  and its outcome has the value
//! ```
//!
//! A dependent that waits is `pending` and [`Place::Behind`], whether it has a key or not. A predecessor that fails, or waits
//! for a sign-in, leaves it so; `waitingFor` says for whom.
//!
//! The values are copied into the dependents' rows ([`Binding`]) by the transaction that records the delivery, so neither a
//! kill nor the pruning of the history loses them, and each try of a dependent sends the same. What a later dependent may
//! ask for is kept with the [`Outcome`] ([`Captured`]): the values at the pointers that the job was told to `capture`; else
//! all of a short JSON response, unless it has a credential in it or the queue says `capture: false`.
//!
//! | what happens to the predecessor | what becomes of those that wait for it |
//! |---|---|
//! | it is delivered | bound; failed where the response has nothing at the pointer, or more than [`LONGEST_VALUE`] bytes |
//! | it fails, conflicts, waits for a sign-in, is edited, retried | they wait |
//! | it is discarded or cancelled | refused (`has-dependents`), or they go too (`cascade`) |
//! | it is cleared, compacted, or found to be corrupt | failed: a person decides |
//! | a form's submission replaces it | they wait for the replacement |
//! | its owner is purged | they are, too |
//!
//! # What always holds
//!
//! - A job is not sent while a value is missing; what is sent has the values of its predecessors' responses, and the same on
//!   each try.
//! - A job waits only for jobs that were queued before it, so nobody waits in a circle.
//! - Who waits is known to whom it waits for ([`Captures::dependents`]); where that was lost, `repair` puts it right.

pub mod merge;
pub mod pointer;
pub mod scan;
pub mod template;

use serde::{Deserialize, Serialize};

use crate::{
    boxed::boxed,
    error::{Error, ErrorCode},
    http::{credentials::is_credential, reply::AttemptResult},
    id::JobId,
    queue::{
        config::WorkerConfig,
        history::Outcome,
        job::{Job, Place, State},
        key_order,
        last_error::{ErrorKind, LastError},
        request::RequestHead,
    },
    store::{Tx, ledger::Ledger},
    time::Millis,
    wire::text::Text,
};
use pointer::Pointer;
use template::{Braces, Captured as Value, Unfit};

/// The most values that a job can be bound to, and pointers that it can be told to capture.
pub(crate) const MOST_BINDINGS: usize = 16;

/// The most jobs that can wait for one.
const MOST_DEPENDENTS: usize = 1_000;

/// The longest value, in bytes of JSON: it is copied into the row of each job that is bound to it.
pub const LONGEST_VALUE: usize = 4 * 1024;

/// The longest response that is kept unasked, in bytes.
pub const LONGEST_UNASKED: usize = 2 * 1024;

/// A value that a new job is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!NewBinding")]
pub struct NewBinding {
    /// What it is called in the request.
    pub name: String,
    /// The job whose response has it.
    pub job: JobId,
    /// Where in the response's JSON; all of it where there is none.
    pub pointer: Option<Pointer>,
}

/// A value that a job is bound to, as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// What it is called in the request.
    pub name: String,
    /// The job whose response has it.
    pub job: JobId,
    /// Where in the response's JSON.
    pub pointer: Pointer,
    /// The value as JSON text, once it is known.
    pub value: Option<String>,
}

/// What others want of a job's response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captures {
    /// What is kept with its outcome.
    #[serde(default)]
    pub pointers: Vec<Pointer>,
    /// Jobs that wait for it. Some may be gone.
    #[serde(default)]
    pub dependents: Vec<JobId>,
}

/// A value of a delivered job's response, kept with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Where in the response's JSON.
    pub pointer: Pointer,
    /// The value as JSON text.
    pub value: String,
}

impl Job {
    /// The values that it is bound to.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        self.bind.as_deref().unwrap_or_default()
    }

    /// The first job that it waits for, by a value that is not known yet.
    #[must_use]
    pub fn waits_to_be_bound(&self) -> Option<&JobId> {
        self.bindings().iter().find(|binding| binding.value.is_none()).map(|binding| &binding.job)
    }

    /// Those that may wait for it.
    pub(crate) fn dependents(&self) -> &[JobId] {
        self.captures.as_ref().map(|captures| captures.dependents.as_slice()).unwrap_or_default()
    }
}

/// Checks what a new job is bound to and what is to be kept of its response.
///
/// # Errors
/// `invalid-request`.
pub(crate) fn admit(bind: &[NewBinding], capture: &[Pointer], request: &RequestHead, is_item: bool) -> Result<(), Error> {
    if bind.len() > MOST_BINDINGS || capture.len() > MOST_BINDINGS {
        return Err(Error::invalid_request("bind, capture: more than 16 values"));
    }
    if is_item && !(bind.is_empty() && capture.is_empty()) {
        let advice =
            "bind, capture: the queue sends its jobs in batches, and an item has no response of its own; use another queue";
        return Err(Error::invalid_request(advice));
    }
    for (at, binding) in bind.iter().enumerate() {
        let name = &binding.name;
        let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if !begins_well
            || name.len() > 64
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        {
            let rule = "\" is no name; it is 1 to 64 letters, digits, - and _, and begins with no digit and no -";
            return Err(Error::invalid_request(["bind: \"", name, rule].text()));
        }
        if bind.iter().skip(at + 1).any(|other| other.name == *name) {
            return Err(Error::invalid_request(["bind: \"", name, "\" is there twice"].text()));
        }
        let names = [name.as_str()];
        let host =
            request.url.split_once("://").map_or(0, |(scheme, rest)| scheme.len() + 3 + rest.find('/').unwrap_or(rest.len()));
        if template::places(&request.url, &names, Braces::Escaped).any(|place| place.at < host) {
            return Err(Error::invalid_request(
                ["bind: {", name, "} stands in the URL's host: a response chooses no server"].text(),
            ));
        }
        if let Some((header, _)) =
            request.headers.iter().find(|(header, _)| template::places(header, &names, Braces::Plain).next().is_some())
        {
            return Err(Error::invalid_request(["bind: {", name, "} stands in the name of the header ", header].text()));
        }
    }
    Ok(())
}

/// Binds a new job, which goes by `id` and stands at `seq`, to what it names, and has those that it waits for know.
///
/// # Errors
/// `invalid-request` for a job that is not there, or a value that was not kept; what the transaction returns.
pub(crate) async fn attach<T: Tx>(tx: &T, job: &mut Job, id: &JobId, seq: u64, bind: Vec<NewBinding>) -> Result<(), Error> {
    let mut bound = Vec::with_capacity(bind.len());
    for NewBinding { name, job: predecessor, pointer } in bind {
        let mut binding =
            Binding { name, job: predecessor, pointer: pointer.unwrap_or_else(|| Pointer::of_path("")), value: None };
        let refuse = |why: &[&str]| {
            let why = why.concat();
            Error::invalid_request(["bind.", &binding.name, ": ", &why].text())
        };
        if let Some(mut predecessor) = tx.get::<Job>(&binding.job).await?.filter(|other| other.owner == job.owner) {
            if predecessor.is_item() {
                return Err(refuse(&["job ", binding.job.as_str(), " is sent in a batch, and has no response of its own"]));
            }
            if predecessor.order.seq >= seq {
                let why = " was queued after the job whose place this one would take; it would wait in a circle";
                return Err(refuse(&["job ", binding.job.as_str(), why]));
            }
            let captures = predecessor.captures.get_or_insert_default();
            if !captures.dependents.contains(id) {
                if captures.dependents.len() >= MOST_DEPENDENTS {
                    return Err(refuse(&["1,000 jobs are bound to job ", binding.job.as_str(), " already"]));
                }
                captures.dependents.push(id.clone());
                tx.put(&predecessor)?;
            }
        } else if let Some(outcome) = tx.get::<Outcome>(&binding.job).await?.filter(|outcome| outcome.owner == job.owner) {
            let value = captured(&outcome, &binding.pointer);
            binding.value = Some(value.ok_or_else(|| {
                let at = binding.pointer.as_str();
                refuse(&[
                    "job ",
                    binding.job.as_str(),
                    " was delivered, and nothing was kept of its response at \"",
                    at,
                    "\"; enqueue it with capture: [\"",
                    at,
                    "\"]",
                ])
            })?);
        } else {
            return Err(refuse(&["there is no job ", binding.job.as_str(), "; bind to one that was queued before"]));
        }
        bound.push(binding);
    }
    job.bind = Some(bound).filter(|bound| !bound.is_empty());
    Ok(())
}

/// The value that an outcome has for a pointer.
fn captured(outcome: &Outcome, pointer: &Pointer) -> Option<String> {
    let kept = outcome.captured.iter().flatten();
    let body = outcome.capture.as_ref().and_then(|capture| capture.body.as_deref());
    let found = kept.into_iter().find_map(|captured| {
        let rest = pointer.as_str().strip_prefix(captured.pointer.as_str())?;
        scan::find(&captured.value, &Pointer::parse(rest)?)
    });
    found.or_else(|| scan::find(body?, pointer)).filter(|value| value.len() <= LONGEST_VALUE).map(str::to_owned)
}

/// What is kept of a response with the outcome, for jobs that are bound to it later.
pub(crate) fn kept(job: &Job, body: Option<&str>, config: &WorkerConfig) -> Option<Vec<Captured>> {
    let body = body?;
    let pointers = job.captures.as_ref().map(|captures| captures.pointers.as_slice()).unwrap_or_default();
    let all = [Pointer::of_path("")];
    let is_asked = !pointers.is_empty();
    let pointers = if is_asked { pointers } else { &all };
    // A value without a name may be anything, a token too.
    let is_harmless =
        || body.trim_start().starts_with('{') && !scan::any_name(body, |name| is_credential(name, &config.credentials));
    let may_keep = config.queue_or_default(&job.queue).capture && body.len() <= LONGEST_UNASKED;
    if !(is_asked || may_keep && is_harmless()) {
        return None;
    }
    let kept = pointers.iter().filter_map(|pointer| {
        let value = scan::find(body, pointer).filter(|value| value.len() <= LONGEST_VALUE)?.trim().to_owned();
        Some(Captured { pointer: pointer.clone(), value })
    });
    Some(kept.collect()).filter(|kept: &Vec<_>| !kept.is_empty())
}

/// The text of a response that was read for those who are bound to it.
pub(crate) fn body_of(result: &AttemptResult) -> Option<&str> {
    let AttemptResult::Status(response) = result else { return None };
    response.body.as_deref()
}

/// What becomes of a job that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// It may go, as far as its key lets it.
    Free,
    /// It waits on.
    Waits,
    /// It can never be bound: it has failed.
    Failed,
}

/// Gives one that waits for a delivered job its values; returns it as it is now, not written yet, and the state that it had.
///
/// The delivered job's row must be gone, and its line moved on. Ask for the next one when this one is written: what becomes of
/// one may move another.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn deliver<T: Tx>(
    tx: &T,
    delivered: &JobId,
    dependent: &JobId,
    body: Option<&str>,
    now: Millis,
    config: &WorkerConfig,
) -> Result<Option<(Job, State)>, Error> {
    let Some(mut job) = tx.get::<Job>(dependent).await? else { return Ok(None) };
    let from = job.state;
    let (mut is_bound, mut missing) = (false, None);
    for binding in job.bind.iter_mut().flatten().filter(|binding| binding.job == *delivered && binding.value.is_none()) {
        is_bound = true;
        let value = body.and_then(|body| scan::find(body, &binding.pointer)).filter(|value| value.len() <= LONGEST_VALUE);
        binding.value = value.map(|value| value.trim().to_owned());
        if binding.value.is_none() {
            missing = Some(if body.is_some() { nothing_at(binding) } else { no_json(binding) });
        }
    }
    if !is_bound {
        return Ok(None);
    }
    match missing {
        Some(error) if job.is_live() => fail(&mut job, error, now, config),
        _ => boxed(let_go(tx, &mut job, now)).await?,
    }
    Ok(Some((job, from)))
}

/// Lets a job go that waited to be bound, where nothing else holds it up.
async fn let_go<T: Tx>(tx: &T, job: &mut Job, now: Millis) -> Result<(), Error> {
    if job.state == State::Pending
        && job.place == Place::Behind
        && job.waits_to_be_bound().is_none()
        && key_order::is_free(tx, job).await?
    {
        job.place = key_order::open_place(job, now);
    }
    Ok(())
}

fn fail(job: &mut Job, error: LastError, now: Millis, config: &WorkerConfig) {
    let on_failure = config.queue_or_default(&job.queue).on_failure;
    job.dead_letter(State::Failed, error, on_failure);
    job.attempts.ended_at = Some(now);
}

fn unsendable(message: String) -> LastError {
    LastError { kind: ErrorKind::Unsendable, status: None, message }
}

fn nothing_at(binding: &Binding) -> LastError {
    let Binding { name, job, pointer, .. } = binding;
    unsendable(
        [
            "it is bound to a value (\"",
            name,
            "\") that the response to job ",
            job.as_str(),
            " did not have at \"",
            pointer.as_str(),
            "\", or had more than 4 KiB there; edit or discard it",
        ]
        .text(),
    )
}

fn no_json(binding: &Binding) -> LastError {
    let why = ", was no JSON, or longer than 64 KiB; edit or discard it";
    unsendable(["the response to job ", binding.job.as_str(), ", to which it is bound (\"", &binding.name, "\")", why].text())
}

fn removed(binding: &Binding) -> LastError {
    unsendable(
        ["job ", binding.job.as_str(), ", to which it is bound (\"", &binding.name, "\"), was removed; edit or discard it"]
            .text(),
    )
}

/// Those that wait for a job, where there still are any.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn waiting<T: Tx>(tx: &T, job: &Job) -> Result<Vec<Job>, Error> {
    let ids: Vec<&JobId> = job.dependents().iter().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let waits = |other: &Job| other.bindings().iter().any(|binding| binding.job == job.id && binding.value.is_none());
    Ok(tx.get_each::<Job>(&ids).await?.into_iter().flatten().filter(waits).collect())
}

/// Refuses to remove a job that others wait for.
///
/// # Errors
/// `has-dependents`; what the transaction returns.
pub(crate) async fn refuse_dependents<T: Tx>(tx: &T, job: &Job) -> Result<(), Error> {
    let waiting = boxed(waiting(tx, job)).await?;
    let Some(first) = waiting.first() else { return Ok(()) };
    let count = waiting.len().to_string();
    let message = [
        count.as_str(),
        if waiting.len() == 1 { " job waits" } else { " jobs wait" },
        " for a value of its response, such as ",
        first.id.as_str(),
        "; discard them first, or this one with {cascade: true} to remove all",
    ];
    Err(Error::new(ErrorCode::HasDependents, message.text()))
}

/// Ends the waiting of those whose predecessors were removed. Those that were removed along are not there any more.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn orphan<T: Tx>(
    tx: &T,
    ledger: &mut Ledger,
    orphans: &[JobId],
    now: Millis,
    config: &WorkerConfig,
) -> Result<(), Error> {
    for id in orphans {
        let Some(mut job) = tx.get::<Job>(id).await?.filter(Job::is_live) else { continue };
        let (from, was_in_line) = (job.state, job.order.line);
        if boxed(examine(tx, &mut job, now, config)).await? == Bound::Failed {
            ledger.shift(&job, from);
            tx.put(&job)?;
            if was_in_line && !job.order.line {
                key_order::promote_next(tx, &job, false, now).await?;
            }
        }
    }
    Ok(())
}

/// Looks whether all for which a job waits are still there; one that can never be bound has failed by that.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn examine<T: Tx>(tx: &T, job: &mut Job, now: Millis, config: &WorkerConfig) -> Result<Bound, Error> {
    let mut lost = None;
    for binding in job.bind.iter_mut().flatten().filter(|binding| binding.value.is_none()) {
        if let Some(mut predecessor) = tx.get::<Job>(&binding.job).await?.filter(|other| other.owner == job.owner) {
            let captures = predecessor.captures.get_or_insert_default();
            if !captures.dependents.contains(&job.id) {
                captures.dependents.push(job.id.clone());
                tx.put(&predecessor)?;
            }
            continue;
        }
        match tx.get::<Outcome>(&binding.job).await?.filter(|outcome| outcome.owner == job.owner) {
            Some(outcome) => {
                binding.value = captured(&outcome, &binding.pointer);
                lost = lost.or_else(|| binding.value.is_none().then(|| nothing_at(binding)));
            }
            None => lost = lost.or_else(|| Some(removed(binding))),
        }
    }
    if let Some(error) = lost {
        fail(job, error, now, config);
        return Ok(Bound::Failed);
    }
    Ok(if job.waits_to_be_bound().is_some() { Bound::Waits } else { Bound::Free })
}

/// After an edit: forgets the values that can never be known, where the request does not name them any more.
///
/// # Errors
/// `invalid-request` where it does, or where nobody has looked at the body.
pub(crate) async fn forget_lost<T: Tx>(
    tx: &T,
    job: &mut Job,
    body_kept: bool,
    now: Millis,
    config: &WorkerConfig,
) -> Result<(), Error> {
    let mut looked = job.clone();
    if job.bind.is_none() || boxed(examine(tx, &mut looked, now, config)).await? != Bound::Failed {
        return Ok(());
    }
    let head = &job.work.request().head;
    let keeps_body = body_kept && job.size().is_some() && is_json(head);
    let mut kept = Vec::new();
    for binding in looked.bind.into_iter().flatten() {
        if binding.value.is_some() || tx.get::<Job>(&binding.job).await?.is_some() {
            kept.push(binding);
            continue;
        }
        let names = [binding.name.as_str()];
        let texts = std::iter::once(&head.url).chain(head.headers.iter().map(|(_, value)| value));
        let is_named = texts.into_iter().any(|text| template::places(text, &names, Braces::Escaped).next().is_some());
        if is_named || keeps_body {
            let advice =
                ["the value \"", &binding.name, "\" can never be known: write it into the URL, the headers and the body"];
            return Err(Error::invalid_request(advice.text()));
        }
    }
    job.bind = Some(kept).filter(|kept| !kept.is_empty());
    Ok(())
}

/// Whether a request's body is JSON, by its content type.
#[must_use]
pub fn is_json(head: &RequestHead) -> bool {
    head.headers.iter().any(|(name, value)| {
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        name.eq_ignore_ascii_case("content-type") && (essence.ends_with("/json") || essence.ends_with("+json"))
    })
}

/// The head of a job's request with its values filled in.
///
/// # Errors
/// Why one cannot stand where it is named, for people.
pub fn fill_head(job: &Job) -> Result<RequestHead, String> {
    let mut head = job.work.request().head.clone();
    if job.bind.is_none() {
        return Ok(head);
    }
    let names = names(job);
    let value = |name: &str, path: &str| value(job, name, path);
    head.url = template::fill_url(&head.url, &names, value).map_err(|unfit| explain("URL", unfit))?;
    for (name, header) in &mut head.headers {
        *header = template::fill_header(header, &names, value).map_err(|unfit| explain(name, unfit))?;
    }
    Ok(head)
}

/// A JSON body with a job's values filled in.
///
/// # Errors
/// Why one cannot stand where it is named, for people.
pub fn fill_body(job: &Job, json: &str) -> Result<String, String> {
    template::fill_json(json, &names(job), |name, path| value(job, name, path)).map_err(|unfit| explain("body", unfit))
}

fn names(job: &Job) -> Vec<&str> {
    job.bindings().iter().map(|binding| binding.name.as_str()).collect()
}

/// The value that `{name.path}` stands for: a member of the value; or the value itself, where its pointer ends in that path.
fn value(job: &Job, name: &str, path: &str) -> Option<Value> {
    let binding = job.bindings().iter().find(|binding| binding.name == name)?;
    let json = binding.value.as_deref()?;
    let path = Pointer::of_path(path);
    let found = if binding.pointer.as_str().ends_with(path.as_str()) { Some(json) } else { scan::find(json, &path) };
    Some(found.map_or(Value::Missing, Value::of_json))
}

fn explain(place: &str, (name, unfit): (String, Unfit)) -> String {
    ["{", &name, "} in the ", place, " stands for a value that ", unfit.as_str(), "; edit or discard the job"].text()
}

/// Has those that wait for `old` wait for `new`, which is to be sent in its stead.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn hand_over<T: Tx>(tx: &T, old: &Job, new: &JobId, now: Millis) -> Result<(), Error> {
    let waiting = boxed(waiting(tx, old)).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let Some(mut successor) = tx.get::<Job>(new).await?.filter(|job| !job.is_item() && job.bind.is_none()) else {
        let advice = "replaces: jobs wait for the response of the job to replace, and this one cannot be waited for in its stead";
        return Err(Error::invalid_request(advice));
    };
    // It stands where the old one stood: nobody waits for what was queued later.
    successor.order.seq = old.order.seq;
    key_order::enter(tx, &mut successor, now).await?;
    for mut job in waiting {
        for binding in job.bind.iter_mut().flatten().filter(|binding| binding.job == old.id) {
            binding.job = new.clone();
        }
        successor.captures.get_or_insert_default().dependents.push(job.id.clone());
        tx.put(&job)?;
    }
    tx.put(&successor)
}

//! Stores new jobs: all of a call, or none.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};

use crate::{
    boxed::boxed,
    error::Error,
    id::JobId,
    queue::{
        binding::{self, Captures, NewBinding, pointer::Pointer},
        config::{DEFAULT_QUEUE, WorkerConfig, check_name},
        duplicate,
        history::Outcome,
        job::{Attempts, Job, Order, Place, RECORD_VERSION, RequestWork, Schedule, State, Work, rank},
        key_order,
        request::{RequestHead, takes_body},
        sort,
    },
    store::{
        Caller, Tombstone, Tx,
        bodies::{self, Leaving},
        load,
        row::Body,
        save,
    },
    time::Millis,
    wire::text::Text,
};

/// The largest metadata, in bytes of JSON text: it is read with every row.
const LONGEST_METADATA: usize = 16 * 1024;

/// `EnqueueOptions` of the public surface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!EnqueueOptions", rename_all = "camelCase")]
pub struct EnqueueOptions {
    /// The queue; `default` when absent.
    pub queue: Option<String>,
    /// Jobs of one key go one at a time, in order.
    pub key: Option<String>,
    /// `critical`, `high`, `normal`, `low`, `cleanup`, or 1 to 10.
    pub priority: Option<Priority>,
    /// Do not send before this instant.
    pub not_before: Option<Millis>,
    /// Milliseconds after which the job is a dead letter; 0 means at once.
    pub max_age: Option<u64>,
    /// Attempts with a response before it is a dead letter.
    pub max_attempts: Option<u32>,
    /// What becomes of it where a job of its key is waiting already.
    pub on_duplicate: Option<OnDuplicate>,
    /// The values of earlier jobs' responses that it is sent with.
    #[serde(default)]
    pub bind: Vec<NewBinding>,
    /// What of its response is kept for jobs that are bound to it later.
    #[serde(default)]
    pub capture: Vec<Pointer>,
}

/// What becomes of a new job where another of its owner, queue and key waits to be sent (Q9). One that is being sent, or has
/// failed, is no duplicate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDuplicate {
    /// It is queued behind it.
    #[default]
    Append,
    /// It is not stored: the one that waits stays as it is.
    Keep,
    /// It takes the place of the last one that waits: the last write wins.
    Replace,
    /// Its body is a JSON merge patch (RFC 7396) to the body of the last one that waits.
    Merge,
}

/// A priority, 1 to 10; 10 is most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Priority(u8);

impl Priority {
    /// Checks a level.
    ///
    /// # Errors
    /// `invalid-request` when it is not 1 to 10.
    pub fn new(level: u8) -> Result<Self, Error> {
        if (1..=10).contains(&level) { Ok(Self(level)) } else { Err(Error::invalid_request("priority is 1 to 10")) }
    }

    /// The level.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    /// Normal.
    fn default() -> Self {
        Self(5)
    }
}

/// A job as the page hands it over; its body travels beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!NewJob")]
pub struct NewJob {
    /// Made by the page, so that a repeated call is recognised.
    pub id: JobId,
    /// What to send.
    pub request: RequestHead,
    /// How to queue it.
    #[serde(default)]
    pub options: EnqueueOptions,
    /// The app's own data, as a JSON string.
    pub metadata: Option<String>,
}

/// A job that passed every check of [`admit`].
#[derive(Clone, Debug)]
pub struct Admitted {
    new: NewJob,
    origin: String,
    size: Option<u64>,
    queue: String,
    priority: u8,
    max_age: u64,
    aging: u64,
    /// The app's own idempotency key, where it gave one.
    given_key: Option<String>,
    /// It is sent in batches; the shell has to see that its body is JSON.
    pub is_item: bool,
    /// Milliseconds that it waits for others.
    wait: u64,
    /// Credential headers that were taken off, for the log.
    pub taken: Vec<String>,
}

impl Admitted {
    /// The job's id, as it was asked for.
    #[must_use]
    pub fn id(&self) -> &JobId {
        &self.new.id
    }

    /// Whether its body may share a record: it takes no other job's place.
    pub(crate) fn may_share(&self) -> bool {
        matches!(self.new.options.on_duplicate, None | Some(OnDuplicate::Append))
    }

    /// The body's length in bytes.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }
}

/// Checks everything about a job that can be checked before a transaction is opened.
///
/// `origin` is that of the request's URL and `size` its body's length in bytes, as the shell knows them.
///
/// # Errors
/// `invalid-request` or `unknown-queue`, naming what cannot be queued.
pub fn admit(mut new: NewJob, origin: String, size: Option<u64>, config: &WorkerConfig) -> Result<Admitted, Error> {
    let taken = new.request.admit(&config.credentials)?;
    let batch = config.queue_or_default(new.options.queue.as_deref().unwrap_or(DEFAULT_QUEUE)).batch;
    let is_item = match &batch {
        Some(batch) => batch.admit(&mut new.request, size)?,
        None => false,
    };
    let wait = batch.filter(|_| is_item).map_or(0, |batch| batch.wait);
    if size.is_some() && !takes_body(&new.request.method) {
        return Err(Error::invalid_request([&new.request.method, " takes no body"].text()));
    }
    let queue = new.options.queue.clone().unwrap_or_else(|| DEFAULT_QUEUE.to_owned());
    check_name("queue", &queue)?;
    match (&new.options.key, new.options.on_duplicate) {
        (Some(key), _) => check_name("key", key)?,
        (None, Some(OnDuplicate::Keep | OnDuplicate::Replace | OnDuplicate::Merge)) => {
            return Err(Error::invalid_request("onDuplicate: only jobs with a key have duplicates; name a key"));
        }
        (None, _) => {}
    }
    binding::admit(&new.options.bind, &new.options.capture, &new.request, is_item)?;
    if new.options.on_duplicate == Some(OnDuplicate::Merge) && !(size.is_some() && binding::is_json(&new.request)) {
        return Err(Error::invalid_request("onDuplicate: \"merge\" takes a JSON body: a merge patch (RFC 7396)"));
    }
    let settings = config.queue(&queue)?;
    let priority = new.options.priority.unwrap_or_default().level();
    if new.options.max_attempts == Some(0) {
        return Err(Error::invalid_request("maxAttempts is at least 1"));
    }
    if new.metadata.as_ref().is_some_and(|metadata| metadata.len() > LONGEST_METADATA) {
        return Err(Error::invalid_request("metadata: more than 16 KiB of JSON; put data in the body"));
    }
    let max_age = new.options.max_age.unwrap_or(settings.max_age);
    let given_key = match settings.idempotency.header() {
        Some(header) => new.request.given_key(header)?,
        None => None,
    };
    let names: Vec<&str> = new.options.bind.iter().map(|binding| binding.name.as_str()).collect();
    if given_key
        .as_deref()
        .is_some_and(|key| binding::template::places(key, &names, binding::template::Braces::Plain).next().is_some())
    {
        return Err(Error::invalid_request(
            "headers: an idempotency key of your own names the payload, and is no place for a value",
        ));
    }
    Ok(Admitted { new, origin, size, queue, priority, max_age, aging: settings.aging, given_key, is_item, wait, taken })
}

/// Gives a request without an address that of its queue's batches.
///
/// # Errors
/// `invalid-request` where the queue has none; `unknown-queue`.
pub fn address(new: &mut NewJob, config: &WorkerConfig) -> Result<(), Error> {
    if !new.request.url.is_empty() {
        return Ok(());
    }
    let queue = new.options.queue.as_deref().unwrap_or(DEFAULT_QUEUE);
    match config.queue(queue)?.batch {
        Some(batch) => new.request.url = batch.url,
        None => return Err(Error::invalid_request(["the queue \"", queue, "\" has no batch: name a URL"].text())),
    }
    if new.request.method.is_empty() {
        new.request.method = "POST".to_owned();
    }
    Ok(())
}

/// Stores jobs with their bodies for the caller's owner. Returns each one's id and whether it is new: where it is not, and this
/// is no repetition, it is that of the job that waited under the same key ([`OnDuplicate`]).
///
/// `repeat` is for callers whose ids are of their own making, the same each time (`adopt`): each id is looked up, and a
/// job that is stored, was delivered or was removed lately is not stored again. A page's message that comes again is
/// recognised by its receipt ([`crate::store::receipts`]), not here.
///
/// # Errors
/// `invalid-request` when two jobs have one id, or one is stored already and this is no repetition; what the
/// transaction returns. Nothing is stored then.
pub async fn enqueue<T: Tx>(
    tx: &T,
    now: Millis,
    jobs: Vec<(Admitted, Option<T::Body>)>,
    repeat: bool,
    caller: &Caller,
) -> Result<Vec<(JobId, bool)>, Error> {
    if sort::has_twins(jobs.iter().map(|(admitted, _)| admitted.new.id.as_number())) {
        return Err(Error::invalid_request("two jobs of one call have the same id"));
    }
    let mut ledger = load(tx).await?;
    let mut ids = Vec::with_capacity(jobs.len());
    // What is asked for again may be there in part, under the name that a pack would have.
    let places = if repeat { vec![None; jobs.len()] } else { bodies::pack(tx, &jobs)? };
    // Lines that this very call has put a job into: no need to look again.
    let mut occupied: Vec<(String, String)> = Vec::new();
    let mut leaving = Leaving::default();
    for ((admitted, body), packed) in jobs.into_iter().zip(places) {
        let Admitted { new, origin, size, queue, priority, max_age, aging, given_key, is_item, wait, .. } = admitted;
        if repeat
            && (tx.get::<Job>(&new.id).await?.is_some()
                || tx.get::<Outcome>(&new.id).await?.is_some()
                || tx.get::<Tombstone>(&new.id).await?.is_some())
        {
            ids.push((new.id, false));
            continue;
        }
        let owner = caller.owner_or(&ledger.owner).to_owned();
        let EnqueueOptions { key, on_duplicate, bind, capture, max_attempts, not_before, .. } = new.options;
        let duplicate = match (&key, on_duplicate.unwrap_or_default()) {
            (None, _) | (_, OnDuplicate::Append) => None,
            (Some(key), on_duplicate) => {
                boxed(duplicate::last_waiting(tx, now, &owner, &queue, key)).await?.map(|waiting| (waiting, on_duplicate))
            }
        };
        if let Some((waiting, OnDuplicate::Keep)) = duplicate {
            ids.push((waiting.id, false));
            continue;
        }
        let not_before = not_before.filter(|at| *at > now).unwrap_or(Millis(0));
        let clock = ledger.tick(now);
        ledger.begin_time(now);
        let mut job = Job {
            v: RECORD_VERSION,
            idempotency_key: given_key.unwrap_or_else(|| new.id.as_str().to_owned()),
            id: new.id,
            queue,
            owner,
            work: Work::Request(RequestWork { head: new.request, origin, size, packed, item: is_item.then_some(true) }),
            metadata: new.metadata,
            order: Order { seq: ledger.next_seq, line: key.is_some(), key, priority, rank: rank(clock, priority, aging) },
            schedule: Schedule {
                queued_at: now,
                // A clock that was set back makes nobody older once it is right again.
                expires_at: now.max(ledger.seen).after(max_age),
                next_attempt_at: not_before.max(now),
                hold_until: not_before,
            },
            attempts: Attempts {
                made: 0,
                limit: max_attempts,
                unreachable: 0,
                interruptions: 0,
                last_tried_at: None,
                last_delay: 0,
                ended_at: None,
            },
            state: State::Pending,
            place: Place::Ready,
            error: None,
            lease: None,
            batch: None,
            bind: None,
            captures: Some(Captures { pointers: capture, dependents: Vec::new() }).filter(|asked| !asked.pointers.is_empty()),
            record: None,
        };
        if !bind.is_empty() {
            // It goes by the id of the one whose place it takes.
            let place = duplicate.as_ref().map_or(&job, |(waiting, _)| waiting);
            let (id, seq) = (place.id.clone(), place.order.seq);
            boxed(binding::attach(tx, &mut job, &id, seq, bind)).await?;
        }
        if let Some((waiting, on_duplicate)) = duplicate {
            let id = waiting.id.clone();
            boxed(duplicate::supersede(tx, &mut ledger, &mut leaving, waiting, job, body, on_duplicate, now)).await?;
            ids.push((id, false));
            continue;
        }
        ledger.next_seq += 1;
        match &job.order.key {
            Some(key) if occupied.iter().any(|(queue, taken)| *queue == job.queue && taken == key) => job.place = Place::Behind,
            Some(key) => {
                occupied.push((job.queue.clone(), key.clone()));
                key_order::enter(tx, &mut job, now).await?;
            }
            None => key_order::enter(tx, &mut job, now).await?,
        }
        if wait > 0 && job.order.key.is_none() && job.place == Place::Ready {
            job.place = Place::Due;
            job.schedule.next_attempt_at = now.after(wait);
        }
        ledger.enter(&job);
        match &body {
            Some(body) if job.work.request().packed.is_none() => tx.put_body(&job.id, body)?,
            // A row of this id that went to quarantine may have left one.
            None if repeat => tx.delete::<Body>(&job.id)?,
            _ => {}
        }
        tx.add(&job)?;
        ids.push((job.id, true));
    }
    leaving.count_out(tx).await?;
    save(tx, &mut ledger).await?;
    Ok(ids)
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PriorityVisitor)
    }
}

struct PriorityVisitor;

impl Visitor<'_> for PriorityVisitor {
    type Value = Priority;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is 1 to 10, or critical, high, normal, low, cleanup")
    }

    fn visit_u64<E: de::Error>(self, level: u64) -> Result<Priority, E> {
        let level = u8::try_from(level).ok().and_then(|level| Priority::new(level).ok());
        level.ok_or_else(|| E::invalid_value(de::Unexpected::Unit, &self))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Priority, E> {
        Ok(Priority(match name {
            "critical" => 10,
            "high" => 8,
            "normal" => 5,
            "low" => 3,
            "cleanup" => 1,
            _ => return Err(E::invalid_value(de::Unexpected::Unit, &self)),
        }))
    }
}

//! Stores new jobs: all of a call, or none.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};

use crate::{
    error::Error,
    id::JobId,
    queue::{
        config::{DEFAULT_QUEUE, WorkerConfig, check_name},
        history::Outcome,
        job::{Attempts, Job, Order, Place, RECORD_VERSION, RequestWork, Schedule, State, Work, rank},
        key_order,
        request::{RequestHead, takes_body},
        sort,
    },
    store::{Caller, Tombstone, Tx, bodies, load, row::Body, save},
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
    /// The job's id.
    pub(crate) fn id(&self) -> &JobId {
        &self.new.id
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
    if let Some(key) = &new.options.key {
        check_name("key", key)?;
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

/// Stores jobs with their bodies for the caller's owner. Returns each one's id and whether it is new.
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
        let key = new.options.key;
        let not_before = new.options.not_before.filter(|at| *at > now).unwrap_or(Millis(0));
        let seq = ledger.next_seq;
        ledger.next_seq += 1;
        let clock = ledger.tick(now);
        ledger.begin_time(now);
        let mut job = Job {
            v: RECORD_VERSION,
            idempotency_key: given_key.unwrap_or_else(|| new.id.as_str().to_owned()),
            id: new.id,
            queue,
            owner: caller.owner_or(&ledger.owner).to_owned(),
            work: Work::Request(RequestWork { head: new.request, origin, size, packed, item: is_item.then_some(true) }),
            metadata: new.metadata,
            order: Order { seq, line: key.is_some(), key, priority, rank: rank(clock, priority, aging) },
            schedule: Schedule {
                queued_at: now,
                // A clock that was set back makes nobody older once it is right again.
                expires_at: now.max(ledger.seen).after(max_age),
                next_attempt_at: not_before.max(now),
                hold_until: not_before,
            },
            attempts: Attempts {
                made: 0,
                limit: new.options.max_attempts,
                unreachable: 0,
                interruptions: 0,
                last_tried_at: None,
                last_delay: 0,
            },
            state: State::Pending,
            place: Place::Ready,
            error: None,
            lease: None,
            batch: None,
        };
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

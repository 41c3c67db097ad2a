//! The stored record of a job, its states, and the verbs that change them.
//!
//! A record is one row of the `jobs` store; its body lives apart (Q17). The verbs here change a record
//! in memory; [`crate::store`] applies them within one transaction together with the ledger, the
//! body and the place of the job's neighbours.
//!
//! What kind of work a job is, is a type ([`Work`]). The groups of a record lie flat in its row. A row without a member
//! `work` is a request, and requests are written without it. A later kind brings a step of the schema with it, so a worker
//! that does not know the kind does not open the database, and leaves its rows alone. A row that names an unknown kind all
//! the same does not parse: like any other such row it is kept as it is in quarantine, and listed with that reason.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    id::JobId,
    queue::{
        batch::Membership,
        binding::{Binding, Captures},
        config::OnFailure,
        last_error::{ErrorKind, LastError},
        request::RequestHead,
    },
    time::Millis,
};

/// The version written into each row; see the migrations of the store.
pub const RECORD_VERSION: u32 = 2;

/// A job that the worker was killed under this often is not tried again by itself.
pub const MOST_INTERRUPTIONS: u32 = 50;

/// What is happening to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits to be sent.
    Pending,
    /// Leased by a drain, which sends it or is about to.
    Syncing,
    /// Dead letter: waits for a person.
    Failed,
    /// The server's state disagrees: waits for a resolution.
    Conflict,
    /// Waits for sign-in.
    Blocked,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Syncing, Self::Failed, Self::Conflict, Self::Blocked];

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Syncing => "syncing",
            Self::Failed => "failed",
            Self::Conflict => "conflict",
            Self::Blocked => "blocked",
        }
    }
}

/// Where a pending job stands; every other state is [`Place::Out`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// May be claimed now.
    Ready,
    /// May be claimed at `next_attempt_at`.
    Due,
    /// Behind an earlier job of its key, or one whose response it is bound to.
    Behind,
    /// Not pending.
    Out,
}

/// Who holds a syncing job, and for how long if nobody can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The drain that claimed it.
    pub holder: String,
    /// After this, a drain in a browser without Web Locks may take it over.
    pub until: Millis,
    /// The session in which it was claimed; see [`crate::store::Session`].
    #[serde(default)]
    pub session: u64,
}

/// Where a small body lies that shares a record with others; see [`crate::store`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// The pack: the id of the job whose body is its first.
    pub pack: JobId,
    /// Bytes before it.
    pub at: u64,
}

/// What a job is to do. Each kind is a type that holds what only this kind has.
///
/// Uploads and pushed mutations get a variant of their own. A batch does not: it is several requests in one
/// [`Dispatch`](crate::drain::Dispatch), each marked as an item. A new kind makes an `Option` of [`Work::request`], so that nothing compiles
/// before each place that sends, counts, shows or edits a request has said what it does with the other kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Sends a request once.
    Request(RequestWork),
}

impl Work {
    /// The request that it is.
    #[must_use]
    pub fn request(&self) -> &RequestWork {
        let Self::Request(request) = self;
        request
    }

    /// The same, to edit it.
    pub fn request_mut(&mut self) -> &mut RequestWork {
        let Self::Request(request) = self;
        request
    }
}

/// A request to be sent, and where its body lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestWork {
    /// What is sent, without the body.
    #[serde(rename = "request")]
    pub head: RequestHead,
    /// The origin it is sent to.
    pub origin: String,
    /// The body's size in bytes; `None` when there is none.
    pub size: Option<u64>,
    /// Where the body lies, unless it has a record of its own.
    pub packed: Option<Packed>,
    /// It is an item of its queue's batches, by [`Job::is_item`].
    pub item: Option<bool>,
}

/// Where a job stands among others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Order of queueing, across all queues of the database.
    pub seq: u64,
    /// Jobs of one key go one at a time, in order.
    pub key: Option<String>,
    /// Whether it stands in the line of its key, holding up its successors.
    pub line: bool,
    /// 1 to 10; 10 is most urgent.
    pub priority: u8,
    /// The order of claiming: the lowest first, then `seq`. See [`rank`].
    pub rank: u64,
}

/// When a job was queued, may be sent, and is too old.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// When it was queued.
    pub queued_at: Millis,
    /// When it becomes a dead letter unless delivered.
    pub expires_at: Millis,
    /// When it may be claimed.
    pub next_attempt_at: Millis,
    /// Not before this, whoever asks: `notBefore` and `Retry-After`.
    pub hold_until: Millis,
}

/// What was tried so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempts {
    /// Attempts that got a response or timed out.
    #[serde(rename = "attempts")]
    pub made: u32,
    /// The job's own limit of those.
    #[serde(rename = "maxAttempts")]
    pub limit: Option<u32>,
    /// Sends without a response since it was queued, or since a person last retried it.
    pub unreachable: u32,
    /// Times the worker was killed with this job in hand.
    pub interruptions: u32,
    /// When it was last claimed.
    pub last_tried_at: Option<Millis>,
    /// The last delay, for decorrelated jitter.
    pub last_delay: u64,
    /// When it became a dead letter, where that was neither by an attempt nor by its age.
    pub ended_at: Option<Millis>,
}

/// A queued job: one row of the `jobs` store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The record's version.
    pub v: u32,
    /// The job's identifier and primary key.
    pub id: JobId,
    /// The queue.
    pub queue: String,
    /// The user who queued it; empty when nobody was signed in.
    pub owner: String,
    /// What it is to do.
    #[serde(rename = "..work")]
    pub work: Work,
    /// The value of the idempotency header, without its quotes. Names the payload: an edit makes a new one.
    pub idempotency_key: String,
    /// The app's own data, as a JSON string.
    pub metadata: Option<String>,
    /// Where it stands among others.
    #[serde(rename = "..order")]
    pub order: Order,
    /// When it may be sent.
    #[serde(rename = "..schedule")]
    pub schedule: Schedule,
    /// What was tried so far.
    #[serde(rename = "..attempts")]
    pub attempts: Attempts,
    /// What is happening to it.
    pub state: State,
    /// Where it stands while it is pending.
    pub place: Place,
    /// Why the last attempt did not deliver.
    pub error: Option<LastError>,
    /// Who holds it while it is syncing.
    pub lease: Option<Lease>,
    /// The batch that it is in.
    pub batch: Option<Membership>,
    /// The values of other jobs' responses that it is sent with.
    pub bind: Option<Vec<Binding>>,
    /// What others want of its response.
    pub captures: Option<Captures>,
    /// The record whose mutation it is, by its key.
    pub record: Option<String>,
}

/// The order of claiming: when the job, had it been critical, would have to be queued to rank the same.
///
/// Each level below critical is worth `aging` milliseconds, so waiting raises a job by one level
/// per `aging` and none is starved; among jobs of one priority the order is that of queueing.
/// `clock` must never run backwards ([`crate::store::ledger::Ledger::tick`]).
#[must_use]
pub fn rank(clock: Millis, priority: u8, aging: u64) -> u64 {
    let handicap = u64::from(10 - priority.clamp(1, 10)).saturating_mul(aging);
    clock.after(handicap).0
}

impl Job {
    /// A request that is stored nowhere and sent as a job is: a page of a pull.
    #[cfg(feature = "collections")]
    #[must_use]
    pub fn unstored(id: JobId, head: RequestHead, queue: String, owner: String, now: Millis) -> Self {
        Self {
            v: RECORD_VERSION,
            idempotency_key: id.as_str().to_owned(),
            id,
            queue,
            owner,
            work: Work::Request(RequestWork {
                origin: crate::collections::adapter::origin_of(&head.url),
                head,
                size: None,
                packed: None,
                item: None,
            }),
            metadata: None,
            order: Order { seq: 0, key: None, line: false, priority: 5, rank: 0 },
            schedule: Schedule { queued_at: now, expires_at: Millis::MAX, next_attempt_at: now, hold_until: Millis(0) },
            attempts: Attempts {
                made: 0,
                limit: None,
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
            captures: None,
            // Of no record: all of its response is read.
            record: Some(String::new()),
        }
    }

    /// Takes the job for a drain.
    pub fn claim(&mut self, now: Millis, lease: Lease) {
        self.state = State::Syncing;
        self.place = Place::Out;
        self.attempts.last_tried_at = Some(now);
        self.lease = Some(lease);
    }

    /// When the lease ends. One that would last twice as long as it was made for was made before the
    /// clock was set back: it ends at once, for its true end is unknown.
    #[must_use]
    pub fn lease_ends(&self, now: Millis) -> Millis {
        match (&self.lease, self.attempts.last_tried_at) {
            (Some(lease), Some(claimed_at)) if lease.until.since(now) <= 2 * lease.until.since(claimed_at) => lease.until,
            _ => now,
        }
    }

    /// Whether a send that begins at `now` is over before the lease: the second half of it is kept for that.
    #[must_use]
    pub fn may_be_sent(&self, now: Millis) -> bool {
        let (Some(lease), Some(claimed_at)) = (&self.lease, self.attempts.last_tried_at) else { return false };
        now.after(lease.until.since(claimed_at) / 2) <= self.lease_ends(now)
    }

    /// Gives back a job that was claimed and not sent.
    pub fn release(&mut self, now: Millis) {
        // What it waited for before its claim is over, also where the clock was set back since.
        self.schedule.next_attempt_at = self.schedule.next_attempt_at.min(now);
        self.state = State::Pending;
        self.place = Place::Ready;
        self.lease = None;
    }

    /// Notes that the worker died with the job in hand; whether it arrived is not known.
    ///
    /// Burns no attempt. A job that keeps killing its worker becomes a dead letter in the end.
    pub fn mark_interrupted(&mut self, now: Millis, on_failure: OnFailure) {
        self.attempts.interruptions = self.attempts.interruptions.saturating_add(1);
        let error = LastError {
            kind: ErrorKind::Interrupted,
            status: None,
            message: "the worker was stopped while sending; whether it arrived is not known".to_owned(),
        };
        if self.attempts.interruptions >= MOST_INTERRUPTIONS {
            self.dead_letter(State::Failed, error, on_failure);
        } else {
            self.release(now);
            self.error = Some(error);
        }
    }

    /// Puts the job back to be tried at `at`; `hold` is what nobody may cut short.
    pub fn schedule(&mut self, at: Millis, hold: Millis, error: LastError) {
        self.state = State::Pending;
        self.place = Place::Due;
        self.schedule.next_attempt_at = at;
        self.schedule.hold_until = hold;
        self.error = Some(error);
        self.lease = None;
    }

    /// Ends the automatic tries: `failed`, `conflict` or `blocked`.
    ///
    /// Under `onFailure: "continue"` a failed job or a conflict steps out of the line of its key; one
    /// that waits for sign-in never does, for its successors would meet the same refusal.
    pub fn dead_letter(&mut self, state: State, error: LastError, on_failure: OnFailure) {
        self.state = state;
        self.place = Place::Out;
        if on_failure == OnFailure::Continue && state != State::Blocked {
            self.order.line = false;
        }
        self.error = Some(error);
        self.lease = None;
    }

    /// Revives a dead letter, for a person. Keeps the idempotency key: the payload is the same.
    ///
    /// The caller decides between [`Place::Ready`] and [`Place::Behind`].
    pub fn revive(&mut self, now: Millis, max_age: u64) {
        self.state = State::Pending;
        self.place = Place::Behind;
        // Whether a record's mutation may have arrived is still asked later.
        let Attempts { made, unreachable, interruptions, .. } = self.attempts;
        let is_in_doubt = self.record.is_some() && (made > 1 || unreachable > 0 || interruptions > 0);
        self.attempts.made = 0;
        self.attempts.unreachable = 0;
        self.attempts.interruptions = u32::from(is_in_doubt);
        self.attempts.last_delay = 0;
        self.attempts.ended_at = None;
        self.order.line = self.order.key.is_some();
        self.schedule.next_attempt_at = now;
        self.schedule.hold_until = Millis(0);
        if self.schedule.expires_at <= now {
            self.schedule.expires_at = now.after(max_age);
        }
    }

    /// Counts a wait from `now` that was noted by a clock which has been set back since, when it showed
    /// `device`; returns whether there was one. What only waits for the time that the app chose still does.
    pub fn forget_times(&mut self, now: Millis, device: Millis) -> bool {
        let not_before = self.attempts.last_tried_at.is_none() && self.schedule.hold_until == self.schedule.next_attempt_at;
        if self.schedule.next_attempt_at <= now || not_before {
            return false;
        }
        if self.waits_for_company() {
            let wait = self.schedule.next_attempt_at.since(self.schedule.queued_at);
            self.schedule.next_attempt_at = self.schedule.next_attempt_at.min(now.after(wait));
            return true;
        }
        self.schedule.next_attempt_at = self.schedule.next_attempt_at.min(now.after(self.schedule.next_attempt_at.since(device)));
        self.schedule.hold_until = self.schedule.hold_until.min(now.after(self.schedule.hold_until.since(device)));
        self.attempts.last_tried_at = self.attempts.last_tried_at.min(Some(now));
        true
    }

    /// The origin that it is sent to.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.work.request().origin
    }

    /// The size of its body in bytes, if it has one.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.work.request().size
    }

    /// Whether it is JSON that is sent in a batch; see [`crate::queue::batch`].
    #[must_use]
    pub fn is_item(&self) -> bool {
        self.work.request().item == Some(true)
    }

    /// Whether it waits for nothing but other items of its batch.
    #[must_use]
    pub fn waits_for_company(&self) -> bool {
        self.is_item()
            && self.place == Place::Due
            && self.attempts.last_tried_at.is_none()
            && self.attempts.last_delay == 0
            && self.schedule.hold_until == Millis(0)
    }

    /// Puts a job back whose batch was refused, to be sent with fewer others.
    pub fn split_off(&mut self, now: Millis, error: LastError) {
        self.release(now);
        self.error = Some(error);
    }

    /// Whether anything will send this job without a person's help.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Pending | State::Syncing)
    }

    /// Failures so far, which decide the next delay: a job that is not delivered has met nothing else.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.attempts.made.saturating_add(self.attempts.unreachable)
    }
}

/// What of a row tells the kind of its work.
#[derive(Deserialize)]
struct WorkRow {
    /// A request is what a row without this member is: the only kind that there was.
    #[serde(rename = "work")]
    _kind: Option<Kind>,
    #[serde(rename = "..request")]
    request: RequestWork,
}

struct Kind;

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer) {
            Ok(kind) if kind == "request" => Ok(Self),
            _ => Err(D::Error::custom("is not a kind of work that this version knows")),
        }
    }
}

impl<'de> Deserialize<'de> for Work {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WorkRow::deserialize(deserializer).map(|row| Self::Request(row.request))
    }
}

impl Serialize for Work {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.request().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        time::unit::HOUR,
        wire::{json::Json, testing::parse},
    };

    #[test]
    fn a_row_of_an_unknown_kind_of_work_is_a_mismatch() {
        let row = |work: &str| {
            let text = [
                r#"{"v":2,"id":"11111111-1111-4111-8111-111111111111","seq":1,"queue":"q","owner":"","origin":"https://a.example","#,
                r#""priority":5,"rank":0,"request":{"url":"https://a.example/","method":"POST"},"idempotencyKey":"k","#,
                r#""state":"pending","place":"ready","line":false,"queuedAt":1,"expiresAt":2,"attempts":0,"unreachable":0,"#,
                r#""interruptions":0,"nextAttemptAt":1,"holdUntil":0,"lastDelay":0"#,
                work,
                "}",
            ];
            parse::<Job>(&text.concat())
        };
        let job = row("").unwrap();
        assert_eq!(row(r#","work":"request""#).as_ref(), Ok(&job));
        for work in [r#","work":"upload""#, r#","work":{}"#] {
            assert_eq!(row(work), Err("work: is not a kind of work that this version knows".to_owned()));
        }
        assert!(!Json::of(&job, |number| number.to_string()).contains("work"));
    }

    proptest! {
        #[test]
        fn within_a_priority_the_order_is_that_of_queueing(clock in 0u64..1 << 45, later in 0u64..1 << 30, priority in 1u8..=10) {
            prop_assert!(rank(Millis(clock), priority, HOUR) <= rank(Millis(clock + later), priority, HOUR));
        }

        #[test]
        fn of_two_queued_at_once_the_more_urgent_goes_first(clock in 0u64..1 << 45, low in 1u8..10) {
            prop_assert!(rank(Millis(clock), low + 1, HOUR) < rank(Millis(clock), low, HOUR));
        }

        #[test]
        fn nobody_is_overtaken_by_what_comes_later_than_nine_agings(clock in 0u64..1 << 45, low in 1u8..=10) {
            let late = Millis(clock + 9 * HOUR);
            prop_assert!(rank(Millis(clock), low, HOUR) <= rank(late, 10, HOUR));
        }
    }
}

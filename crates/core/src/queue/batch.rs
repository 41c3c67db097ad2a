//! Batches: several items of a queue, sent as one request.
//!
//! A queue with `batch` in its configuration has an address for its *items*: jobs that are one JSON value each. A drain
//! sends up to `max` of them, or up to `maxBytes` of body with the envelope counted, in one request. A job of the same
//! queue to any other address is sent by itself, as everywhere.
//!
//! # States
//!
//! ```text
//!              claim                        2xx: each member is delivered, or settled by its own result
//!   no batch ────────▶ in a batch, sent ─────────────────────────────────────────────▶ no batch
//!      ▲                 │    ▲    │
//!      │ dissolved       │    │    └─ 413, 400, 422 …: two halves, each a batch with a key of its own
//!      └─────────────────┘    └────── no response, 5xx, 429, 401, 409, a kill: the same batch, later
//! ```
//!
//! Membership ([`Membership`]) is written into the rows by the transaction that claims them, before anything is sent. The
//! first member, the *lead*, has the list of all, in order, and the [`Envelope`] around them: so what was sent once is sent
//! again byte by byte, whatever the configuration has become. There is no record of a batch besides its members.
//!
//! # What always holds
//!
//! - **A batch's key never goes out with two payloads.** The key is made of the lead's id and the version of the ledger at
//!   the claim, of which each is used once. A stored batch is sent again only if each of its members is there, in it, and
//!   may go; else it is *dissolved*: its members are free, and go in new batches under new keys.
//! - **A server that honours the key applies each item once**, with one exception: a batch is also dissolved when somebody
//!   edits, discards or cancels a member (or its row rots) while it is unknown whether the batch arrived. What the person
//!   took back must not be sent, and the other members, without it, are another payload. They may have arrived once already.
//!   The opposite choice would deliver what was discarded.
//! - **No item is lost.** Membership is beside the state of a job, never in place of it: whatever happens to a batch, each
//!   member is a job that waits, is sent, or is listed with its reason.
//! - **Members wait, are given up and come back together**, as long as it is unknown whether they arrived: they have the same
//!   number of attempts when they are put together; they are tried again at the same time; they expire with the youngest;
//!   a person who retries one of them retries all.
//! - **Each key once.** Of the jobs of one `key` only the first is ready, so no batch has two of them; and the next of the
//!   key goes when the batch is settled. Jobs of a key do not wait for company.
//!
//! # Results
//!
//! A success may say what became of each item ([`read_results`]): an array as the body, or the array at the JSON pointer
//! `results`. Its elements are statuses, or objects with a `status`; any other element stands for success. Each item is then
//! settled by [`decide`](crate::queue::cycle::retry::decide) with a status of its own. As many results as items, or nobody
//! knows which is whose: then each item is kept, under the same key, and its error says so. A 207 must have results, and so
//! must every success but a 204 where `results` is configured; another success without any delivers all.
//!
//! # Refusals
//!
//! A batch that is refused for what is in it (a failure by the queue's rules, with a 4xx status, or one that could not be
//! made) says nothing about its single items. It is split in half, at no attempt's cost, until the bad one stands alone.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Error as _, Visitor},
};

use crate::{
    error::Error,
    http::reply::{AttemptResult, Response},
    id::JobId,
    queue::{cycle::retry::Next, job::Job, request::RequestHead},
    store::Tx,
    time::unit,
    wire::{self, Value, json::Json, text::Text},
};

/// The largest item, in bytes.
pub const LARGEST_ITEM: u64 = 64 * 1024;

/// The member of `wrap` with this value has the items.
const ITEMS: &str = "items";

/// `batch` of a queue's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename = "!BatchConfig", rename_all = "camelCase")]
pub struct BatchConfig {
    /// Where batches are sent, by `POST`: absolute, once the shell has resolved it.
    pub url: String,
    /// Items of a batch at most.
    #[serde(default = "default_max")]
    pub max: u32,
    /// Bytes of its body at most, envelope and commas included. A larger item goes alone.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: u64,
    /// Milliseconds that an item waits for company.
    #[serde(default)]
    pub wait: u64,
    /// What stands around the items.
    #[serde(rename = "wrap", deserialize_with = "wrap", default)]
    pub envelope: Envelope,
    /// Where a response has the results: a JSON pointer (RFC 6901).
    pub results: Option<String>,
}

/// Items of a batch, unless the app says.
const fn default_max() -> u32 {
    50
}

/// Bytes of a batch, unless the app says.
const fn default_max_bytes() -> u64 {
    1 << 20
}

impl BatchConfig {
    /// Checks what the types cannot.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let problem = if self.max == 0 || self.max > 1_000 {
            "batch.max is 1 to 1000"
        } else if !(1_024..=16 << 20).contains(&self.max_bytes) {
            "batch.maxBytes is 1 KiB (1024) to 16 MiB (16777216)"
        } else if self.wait > unit::HOUR {
            "batch.wait is at most one hour (3600000 ms)"
        } else if self.results.as_ref().is_some_and(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            "batch.results is a JSON pointer (RFC 6901), such as /results"
        } else {
            return Ok(());
        };
        Err(Error::invalid_config(problem))
    }

    /// Whether a request is an item: it has no address, or the batch's own. Makes it the request that all items are.
    ///
    /// # Errors
    /// `invalid-request` for what cannot be one item among others.
    pub(crate) fn admit(&self, request: &mut RequestHead, size: Option<u64>) -> Result<bool, Error> {
        if !request.url.is_empty() && request.url != self.url {
            return Ok(false);
        }
        let is_plain = matches!(request.method.as_str(), "" | "POST")
            && request.headers.iter().all(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            && *request
                == RequestHead {
                    url: request.url.clone(),
                    method: request.method.clone(),
                    headers: request.headers.clone(),
                    ..RequestHead::default()
                };
        if !is_plain {
            return Err(Error::invalid_request(
                "an item of a batch is a POST of JSON without headers and options of its own: it is sent with others",
            ));
        }
        match size {
            Some(1..=LARGEST_ITEM) => {}
            _ => return Err(Error::invalid_request("an item of a batch is JSON of 1 byte to 64 KiB")),
        }
        *request = RequestHead {
            url: self.url.clone(),
            method: "POST".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            ..RequestHead::default()
        };
        Ok(true)
    }
}

/// The JSON text before and after the items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Ends with the bracket that opens the array.
    pub head: String,
    /// Begins with the bracket that closes it.
    pub tail: String,
}

impl Default for Envelope {
    /// The array alone.
    fn default() -> Self {
        Self { head: "[".to_owned(), tail: "]".to_owned() }
    }
}

/// A piece of a batch's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a, B> {
    /// Text of ours.
    Text(&'a str),
    /// An item's body, as it is stored.
    Item(&'a B),
}

impl Envelope {
    /// Gives the body of a batch of these items to `push`, piece by piece.
    pub fn body<'a, B>(&'a self, items: &'a [B], mut push: impl FnMut(Piece<'a, B>)) {
        push(Piece::Text(&self.head));
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                push(Piece::Text(","));
            }
            push(Piece::Item(item));
        }
        push(Piece::Text(&self.tail));
    }

    /// Bytes around the items, commas not counted.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.head.len() + self.tail.len()) as u64
    }
}

/// That a job is in a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The batch's idempotency key.
    pub key: JobId,
    /// The first member, which knows the others.
    pub lead: JobId,
    /// Of the lead: what the batch is.
    pub batch: Option<Batch>,
}

/// What is sent as one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// All members, in the order of the payload.
    pub members: Vec<JobId>,
    /// What stands around them.
    pub envelope: Envelope,
}

/// The key of the batch that `lead` leads, put together when the ledger had this version.
#[must_use]
pub fn key(lead: &JobId, version: u64) -> JobId {
    JobId::from_random((lead.as_number() ^ u128::from(version)).to_be_bytes())
}

/// Makes these jobs a batch.
pub(crate) fn bind(jobs: &mut [Job], version: u64, envelope: &Envelope) {
    let members: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    let Some(lead) = members.first().cloned() else { return };
    let key = key(&lead, version);
    for job in &mut *jobs {
        job.batch = Some(Membership { key: key.clone(), lead: lead.clone(), batch: None });
    }
    if let Some(membership) = jobs.first_mut().and_then(|job| job.batch.as_mut()) {
        membership.batch = Some(Batch { members, envelope: envelope.clone() });
    }
}

/// What is left of the batch that `job` is in: those who still are, in their order.
pub(crate) async fn members<T: Tx>(tx: &T, job: &Job) -> Result<Vec<Job>, Error> {
    let Some(membership) = &job.batch else { return Ok(vec![job.clone()]) };
    let lead = if membership.lead == job.id { Some(job.clone()) } else { tx.get::<Job>(&membership.lead).await? };
    let plan = lead.and_then(|lead| lead.batch).filter(|own| own.key == membership.key).and_then(|own| own.batch);
    let Some(plan) = plan else { return Ok(vec![job.clone()]) };
    let ids: Vec<&JobId> = plan.members.iter().collect();
    let is_in = |member: &Job| member.batch.as_ref().is_some_and(|other| other.key == membership.key);
    Ok(tx.get_each::<Job>(&ids).await?.into_iter().flatten().filter(is_in).collect())
}

/// Whether two items may be put together: what they met so far decides the same for both.
pub(crate) fn are_alike(one: &Job, other: &Job, dissolved: Option<&JobId>) -> bool {
    other.is_item()
        && other.batch.as_ref().is_none_or(|membership| Some(&membership.key) == dissolved)
        && one.work.request().head.url == other.work.request().head.url
        && (one.attempts.made, one.attempts.limit, one.attempts.interruptions)
            == (other.attempts.made, other.attempts.limit, other.attempts.interruptions)
}

/// What became of one item, as the response tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemResult {
    /// Its status.
    pub status: u16,
    /// What the server says about it, for people.
    pub message: Option<String>,
}

/// Reads the results of a success from its body; `None` where it has none and need not have.
///
/// `body` is absent where there is no JSON to be read.
pub fn read_results<V: Value>(status: u16, body: Option<&V>, pointer: Option<&str>) -> Option<Vec<ItemResult>> {
    let is_due = status == 207 || (pointer.is_some() && status != 204);
    let found = body.and_then(|body| match pointer {
        Some(pointer) => at(body, pointer, &read_list),
        None => read_list(body),
    });
    found.or_else(|| is_due.then(Vec::new))
}

/// What `read` makes of the value at a JSON pointer.
fn at<V: Value, T>(value: &V, pointer: &str, read: &dyn Fn(&V) -> Option<T>) -> Option<T> {
    let Some(rest) = pointer.strip_prefix('/') else { return read(value) };
    let (token, rest) = rest.find('/').map_or((rest, ""), |end| rest.split_at(end));
    let mut name = String::new();
    let mut chars = token.chars();
    while let Some(char) = chars.next() {
        name.push(match char {
            '~' if chars.next() == Some('1') => '/',
            other => other,
        });
    }
    match value.as_list() {
        Some(list) => at(list.get(name.parse::<usize>().ok()?)?, rest, read),
        None => at(&value.entry(&name)?, rest, read),
    }
}

fn read_list<V: Value>(value: &V) -> Option<Vec<ItemResult>> {
    Some(value.as_list()?.iter().map(read_result).collect())
}

fn read_result<V: Value>(value: &V) -> ItemResult {
    let status = |value: &V| wire::read::<u16, V>(value).ok().filter(|status| (100..=599).contains(status));
    if let Some(status) = status(value) {
        return ItemResult { status, message: None };
    }
    let own = value.is_object().then(|| value.member("status").as_ref().and_then(status)).flatten();
    let message = || ["detail", "message", "error"].into_iter().find_map(|name| value.member(name)?.as_text());
    ItemResult { status: own.unwrap_or(200), message: own.and_then(|_| message()).map(|text| text.chars().take(300).collect()) }
}

/// What a settled job was sent in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentIn {
    /// The batch's key.
    pub key: JobId,
    /// The result is this item's alone.
    pub own: bool,
}

/// Tells the result of a batch of `items` apart into one of each, and whether it is the item's own.
#[must_use]
pub fn results_of_each(result: &AttemptResult, items: usize) -> (Vec<AttemptResult>, bool) {
    if let AttemptResult::Status(response) = result
        && let Some(results) = response.items.as_ref().filter(|_| (200..300).contains(&response.status))
    {
        if results.len() != items {
            let count = |count: usize, what: &str| [count.to_string().as_str(), what, if count == 1 { "" } else { "s" }].text();
            let message = ["the batch's response has ", &count(results.len(), " result"), " for ", &count(items, " item")].text();
            return (vec![AttemptResult::Miscounted(message); items], false);
        }
        let own = |item: &ItemResult| {
            AttemptResult::Status(Response {
                status: item.status,
                date: response.date.clone(),
                rate_limit: response.rate_limit.clone(),
                content_type: response.content_type.clone(),
                redirected: response.redirected,
                excerpt: item.message.clone(),
                ..Response::default()
            })
        };
        return (results.iter().map(own).collect(), true);
    }
    (vec![result.clone(); items], false)
}

/// Whether what the batch met may be due to one of its members.
#[must_use]
pub fn splits(next: Next, result: &AttemptResult) -> bool {
    let by_content = match result {
        AttemptResult::Status(response) => (400..500).contains(&response.status),
        AttemptResult::Unsendable(_) => true,
        _ => false,
    };
    next == Next::Failed && by_content
}

/// Reads `wrap`: an object with one member `"items"`, which stands for the array, and constants.
fn wrap<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Envelope, D::Error> {
    let members = wire::entries::<D, String, Constant>(deserializer)?;
    let mut text = "{".to_owned();
    let mut head = None;
    for (at, (name, constant)) in members.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&json_of(name));
        text.push(':');
        match constant {
            Constant::Items if head.is_none() => {
                text.push('[');
                head = Some(text.len());
                text.push(']');
            }
            Constant::Items => return Err(D::Error::custom(WRAP)),
            Constant::Json(json) => text.push_str(json),
        }
    }
    text.push('}');
    let (head, tail) = text.split_at(head.ok_or_else(|| D::Error::custom(WRAP))?);
    Ok(Envelope { head: head.to_owned(), tail: tail.to_owned() })
}

/// What a `wrap` must be.
const WRAP: &str = "is an object in which one member is \"items\", and each other a string, a boolean or a whole number";

/// A member of `wrap`.
enum Constant {
    /// The array stands here.
    Items,
    /// As JSON text.
    Json(String),
}

impl<'de> Deserialize<'de> for Constant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ConstantVisitor)
    }
}

struct ConstantVisitor;

impl Visitor<'_> for ConstantVisitor {
    type Value = Constant;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is neither a string nor a boolean nor a whole number")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Constant, E> {
        Ok(Constant::Json(json_of(&value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Constant, E> {
        Ok(Constant::Json(json_of(&value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Constant, E> {
        Ok(if value == ITEMS { Constant::Items } else { Constant::Json(json_of(&value)) })
    }
}

/// As JSON text; numbers are whole.
fn json_of<T: Serialize>(value: &T) -> String {
    Json::of(value, |_| String::new())
}

#[cfg(test)]
mod tests;

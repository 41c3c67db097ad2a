//! What an app may configure, with every default in one place.
//!
//! Names and units are those of the public `WorkerConfig`: camel case, milliseconds. An option that
//! is misspelt or out of range is refused with its name; nothing is guessed.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, Error as _, Unexpected, Visitor},
};

use crate::{
    cache_uploads::{self, CacheUploadConfig},
    error::{Error, ErrorCode},
    health::origin::RetryBudget,
    http::reply::Response,
    queue::{backoff::Backoff, batch::BatchConfig, disposition::Disposition},
    routes::{self, RouteConfig},
    schedule::{network::NetworkChange, periodic::PeriodicConfig},
    time::unit,
    wire::{self, Mismatch, Value, text::Text},
};

/// The queue of a job that names none.
pub const DEFAULT_QUEUE: &str = "default";

/// The longest queue name, key or owner, in bytes.
pub const LONGEST_NAME: usize = 256;

/// The argument of `shearwater.start()`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename = "!WorkerConfig", rename_all = "camelCase", default)]
pub struct WorkerConfig {
    /// The name of the database and of everything else shared; two apps of one origin want two names.
    pub name: String,
    /// Refuse jobs for queues that `queues` does not name.
    pub strict: bool,
    /// Settings per queue; the others have the defaults.
    #[serde(deserialize_with = "wire::entries")]
    pub queues: Vec<(String, QueueConfig)>,
    /// Which of the app's own requests are queued when they fail; the first that matches counts.
    pub routes: Vec<RouteConfig>,
    /// What is done now and then, by tag.
    #[serde(deserialize_with = "wire::entries")]
    pub periodic: Vec<(String, PeriodicConfig)>,
    /// Records that are kept locally and synced, by name.
    #[cfg(feature = "collections")]
    #[serde(deserialize_with = "wire::entries")]
    pub collections: Vec<(String, crate::collections::CollectionConfig)>,
    /// Images in Cache Storage that are uploaded, by tag.
    #[serde(deserialize_with = "wire::entries")]
    pub cache_uploads: Vec<(String, CacheUploadConfig)>,
    /// Origins other than the app's own that get the `Idempotency-Key` header.
    pub idempotency_origins: Vec<String>,
    /// How many delivered jobs are remembered, and how long.
    pub history: HistoryConfig,
    /// How many drafts of forms are kept, how large and how long.
    pub drafts: DraftsConfig,
    /// How many different jobs in a row must meet trouble at an origin before the rest waits.
    pub breaker_threshold: u32,
    /// How many retries each origin gets.
    pub retry_budget: RetryBudget,
    /// What is sent over which network, unless the owner chose otherwise; see [`crate::schedule::network`].
    pub network: NetworkChange,
    /// Name parts of headers and URL parameters that are credentials, besides those of [`crate::http::credentials`].
    pub credentials: Vec<String>,
    /// What is logged to the console.
    pub log_level: LogLevel,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            name: "shearwater".to_owned(),
            strict: false,
            queues: Vec::new(),
            routes: Vec::new(),
            periodic: Vec::new(),
            #[cfg(feature = "collections")]
            collections: Vec::new(),
            cache_uploads: Vec::new(),
            idempotency_origins: Vec::new(),
            history: HistoryConfig::default(),
            drafts: DraftsConfig::default(),
            breaker_threshold: 5,
            retry_budget: RetryBudget::default(),
            network: NetworkChange::default(),
            credentials: Vec::new(),
            log_level: LogLevel::default(),
        }
    }
}

/// How loud the worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What an app's developer must know.
    #[default]
    Error,
    /// Each wake and each outcome.
    Info,
    /// Each step.
    Debug,
}

/// Bounds of the history of delivered jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename = "!HistoryConfig", rename_all = "camelCase", default)]
pub struct HistoryConfig {
    /// Milliseconds.
    pub max_age: u64,
    /// Entries.
    pub max: u32,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { max_age: 7 * unit::DAY, max: 1_000 }
    }
}

/// Bounds of the drafts of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename = "!DraftsConfig", rename_all = "camelCase", default)]
pub struct DraftsConfig {
    /// Milliseconds since the last save.
    pub max_age: u64,
    /// Drafts.
    pub max: u32,
    /// Bytes of one draft, its files included.
    pub max_bytes: u64,
}

impl Default for DraftsConfig {
    fn default() -> Self {
        Self { max_age: 30 * unit::DAY, max: 50, max_bytes: 50 << 20 }
    }
}

/// Whether a dead letter holds up its successors of the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Successors wait until a person retries or discards it.
    #[default]
    Block,
    /// Successors go on.
    Continue,
}

/// Settings of one queue.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename = "!QueueConfig", rename_all = "camelCase", default)]
pub struct QueueConfig {
    /// Attempts with a response before a job is a dead letter.
    pub max_attempts: u32,
    /// Milliseconds after which an undelivered job is a dead letter; 0 means at once.
    pub max_age: u64,
    /// Parallel sends.
    pub concurrency: u32,
    /// Milliseconds for one send, on top of one second per 32 KiB of body.
    pub timeout: u64,
    /// What a dead letter means to its key.
    pub on_failure: OnFailure,
    /// Delays between attempts.
    pub backoff: Backoff,
    /// Single statuses that mean something else here: `"deliver"`, `"retry"`, `"fail"`, `"conflict"`, `"block"`.
    #[serde(deserialize_with = "statuses")]
    pub statuses: Vec<(u16, Disposition)>,
    /// The idempotency header.
    pub idempotency: Idempotency,
    /// Milliseconds of waiting that raise a job by one priority level.
    pub aging: u64,
    /// What a success has to look like to be taken for a delivery.
    pub expect: Option<Expect>,
    /// What is kept of the response to a delivered job.
    pub response: Option<KeepResponse>,
    /// Whether a short JSON response is kept for jobs that are bound to it later; see [`super::binding`].
    pub capture: bool,
    /// How its items are sent together.
    pub batch: Option<BatchConfig>,
}

/// What tells a delivery from the page of a captive portal, or from a login page reached by a redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename = "!Expect", rename_all = "camelCase", default)]
pub struct Expect {
    /// One of these statuses; any success where there are none.
    #[serde(deserialize_with = "successes")]
    pub status: Vec<u16>,
    /// This media type, without parameters.
    pub content_type: Option<String>,
    /// Whether it was reached by following a redirect.
    pub redirected: Option<bool>,
}

/// What is kept of the response to a delivered job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename = "!KeepResponse")]
pub struct KeepResponse {
    /// These headers.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The body as text, up to 64 KiB.
    #[serde(default)]
    pub body: bool,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            max_age: 7 * unit::DAY,
            concurrency: 6,
            timeout: unit::MINUTE,
            on_failure: OnFailure::Block,
            backoff: Backoff::default(),
            statuses: Vec::new(),
            idempotency: Idempotency::default(),
            aging: unit::HOUR,
            expect: None,
            response: None,
            capture: true,
            batch: None,
        }
    }
}

/// Whether and under which name a queue sends the idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// `true`: the standard name; `false`: not at all.
    Switch(bool),
    /// Another header name.
    Named {
        /// The header's name.
        header: String,
    },
}

impl Default for Idempotency {
    fn default() -> Self {
        Self::Switch(true)
    }
}

impl Idempotency {
    /// The header's name, or `None` when it is off.
    #[must_use]
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Switch(true) => Some("Idempotency-Key"),
            Self::Switch(false) => None,
            Self::Named { header } => Some(header),
        }
    }
}

impl WorkerConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// `invalid-config` naming the option and its range.
    pub fn check(&self) -> Result<(), Error> {
        check_name("name", &self.name).map_err(|error| Error::invalid_config(error.into_message()))?;
        if self.breaker_threshold == 0 {
            return Err(Error::invalid_config("breakerThreshold is at least 1"));
        }
        let RetryBudget { burst, interval, ratio } = self.retry_budget;
        if burst == 0 || interval > unit::HOUR || !(0.0..=1.0).contains(&ratio) {
            return Err(Error::invalid_config(
                "retryBudget: burst is at least 1, interval at most one hour (3600000 ms), ratio 0 to 1",
            ));
        }
        if self.credentials.iter().any(|part| crate::http::credentials::normalised(part).len() < 3) {
            return Err(Error::invalid_config("credentials: each name part has at least three letters or digits"));
        }
        for (name, queue) in &self.queues {
            check_name("a queue's name", name).map_err(|error| Error::invalid_config(error.into_message()))?;
            queue.check().map_err(|error| Error::invalid_config(["queues.", name, ".", &error.message].text()))?;
        }
        if self.periodic.len() > 32 {
            return Err(Error::invalid_config("periodic has at most 32 tags"));
        }
        for (tag, periodic) in &self.periodic {
            check_name("a periodic tag", tag).map_err(|error| Error::invalid_config(error.into_message()))?;
            periodic.check().map_err(|error| Error::invalid_config(["periodic.", tag, ".", &error.message].text()))?;
        }
        #[cfg(feature = "collections")]
        for (tag, periodic) in self.periodic.iter().filter(|_| self.collections.is_empty()) {
            if periodic.tasks.contains(&crate::schedule::periodic::PeriodicTask::Pull) {
                return Err(Error::invalid_config(["periodic.", tag, ".tasks: \"pull\" needs `collections`"].text()));
            }
        }
        #[cfg(feature = "collections")]
        for (name, collection) in &self.collections {
            collection.check(name)?;
            let is_known = |referred: &String| self.collections.iter().any(|(other, _)| other == referred);
            if let Some((member, _)) = collection.references.iter().find(|(_, referred)| !is_known(referred)) {
                let at = ["collections.", name, ".references.", member].text();
                return Err(Error::invalid_config([&at, ": is the name of a collection of start({collections})"].text()));
            }
            self.queue(collection.queue.as_deref().unwrap_or(name))?;
        }
        cache_uploads::check(&self.cache_uploads, |queue| self.queue(queue).map(drop))?;
        routes::check(&self.routes, |queue| self.queue(queue).map(drop))
    }

    /// The settings of `queue`.
    ///
    /// # Errors
    /// `unknown-queue` when the configuration is strict and does not name it.
    pub fn queue(&self, queue: &str) -> Result<QueueConfig, Error> {
        match self.queues.iter().find(|(name, _)| name == queue) {
            Some((_, config)) => Ok(config.clone()),
            None if self.strict && queue != DEFAULT_QUEUE => Err(Error::new(
                ErrorCode::UnknownQueue,
                ["no queue \"", queue, "\": name it in start({queues}) or drop strict: true"].text(),
            )),
            None => Ok(QueueConfig::default()),
        }
    }

    /// The settings for draining `queue`, which may come from an older configuration: never refuses.
    #[must_use]
    pub fn queue_or_default(&self, queue: &str) -> QueueConfig {
        self.queue(queue).unwrap_or_default()
    }
}

impl QueueConfig {
    /// Milliseconds that one send may take, given the size of its body.
    #[must_use]
    pub fn send_limit(&self, size: Option<u64>) -> u64 {
        self.timeout.saturating_add(size.unwrap_or(0) / 32 * unit::SECOND / 1_024)
    }

    /// Whether a success is what the queue's `expect` says.
    #[must_use]
    pub fn expects(&self, response: &Response) -> bool {
        self.expect.as_ref().and_then(|expect| expect.mismatch(response)).is_none()
    }

    fn check(&self) -> Result<(), Error> {
        if self.max_attempts == 0 || self.max_attempts > 1_000 {
            return Err(Error::invalid_config("maxAttempts is 1 to 1000"));
        }
        if self.concurrency == 0 || self.concurrency > 64 {
            return Err(Error::invalid_config("concurrency is 1 to 64"));
        }
        if self.timeout < 100 || self.timeout > unit::HOUR {
            return Err(Error::invalid_config("timeout is 100 ms to one hour (3600000)"));
        }
        if self.max_age > 3_650 * unit::DAY {
            return Err(Error::invalid_config("maxAge is at most ten years (315360000000 ms)"));
        }
        if self.aging < unit::SECOND || self.aging > 365 * unit::DAY {
            return Err(Error::invalid_config("aging is one second (1000) to one year (31536000000)"));
        }
        if let Some(header) = self.idempotency.header()
            && !crate::queue::request::is_token(header)
        {
            return Err(Error::invalid_config("idempotency.header is not a header name (RFC 9110 token)"));
        }
        if let Some(keep) = &self.response
            && keep.headers.iter().any(|name| !crate::queue::request::is_token(name))
        {
            return Err(Error::invalid_config("response.headers: each must be a header name (RFC 9110 token)"));
        }
        if let Some(batch) = &self.batch {
            batch.check()?;
        }
        self.backoff.check()
    }
}

/// Checks a queue name, key or owner.
///
/// # Errors
/// `invalid-request` when it is empty, too long or has control characters.
pub fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Error::invalid_request([what, " is 1 to 256 bytes without control characters"].text()));
    }
    Ok(())
}

/// One status, or several.
fn successes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    let status = deserializer.deserialize_any(Statuses)?;
    if status.iter().all(|status| (200..300).contains(status)) {
        Ok(status)
    } else {
        Err(D::Error::custom("only a success (200 to 299) can be expected; see `statuses`"))
    }
}

struct Statuses;

impl<'de> Visitor<'de> for Statuses {
    type Value = Vec<u16>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a status or an array of statuses")
    }

    fn visit_u64<E: de::Error>(self, status: u64) -> Result<Vec<u16>, E> {
        u16::try_from(status).map(|status| vec![status]).map_err(|_| E::invalid_value(Unexpected::Unit, &self))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u16>, D::Error> {
        Vec::deserialize(deserializer).map_err(|_| D::Error::invalid_value(Unexpected::Unit, &self))
    }
}

impl<'de> Deserialize<'de> for Idempotency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdempotencyVisitor)
    }
}

struct IdempotencyVisitor;

#[derive(Deserialize)]
#[serde(rename = "!Named")]
struct Named {
    header: String,
}

impl<'de> Visitor<'de> for IdempotencyVisitor {
    type Value = Idempotency;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not an object")
    }

    fn visit_bool<E: de::Error>(self, switch: bool) -> Result<Idempotency, E> {
        Ok(Idempotency::Switch(switch))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Idempotency, D::Error> {
        Named::deserialize(deserializer).map(|named| Idempotency::Named { header: named.header })
    }
}

/// A status as the name of a member.
struct HttpStatus(u16);

impl<'de> Deserialize<'de> for HttpStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.parse() {
            Ok(status @ 100..=599) => Ok(Self(status)),
            _ => Err(D::Error::custom("is not an HTTP status")),
        }
    }
}

fn statuses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(u16, Disposition)>, D::Error> {
    let entries = wire::entries::<D, HttpStatus, Disposition>(deserializer)?;
    Ok(entries.into_iter().map(|(status, disposition)| (status.0, disposition)).collect())
}

impl WorkerConfig {
    /// Reads what an app wrote, with the defaults for what it left out.
    ///
    /// # Errors
    /// Where and why it does not fit.
    pub fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        wire::read(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<WorkerConfig, String> {
        let json: serde_json::Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let config = WorkerConfig::read(&json).map_err(|mismatch| mismatch.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn an_empty_config_has_the_documented_defaults() {
        let queue = parse("{}").unwrap().queue("anything").unwrap();
        assert_eq!((queue.max_attempts, queue.concurrency, queue.max_age), (5, 6, 604_800_000));
        assert_eq!((queue.backoff.base, queue.backoff.max), (1_000, 300_000));
    }

    #[test]
    fn a_misspelt_option_is_named() {
        let error = parse(r#"{"queues": {"notes": {"maxAtempts": 3}}}"#).unwrap_err();
        assert!(error.contains("maxAtempts"), "{error}");
    }

    #[test]
    fn out_of_range_options_are_named() {
        for (json, name) in [
            (r#"{"queues": {"a": {"concurrency": 0}}}"#, "queues.a.concurrency"),
            (r#"{"queues": {"a": {"maxAttempts": 0}}}"#, "queues.a.maxAttempts"),
            (r#"{"queues": {"a": {"timeout": 1}}}"#, "queues.a.timeout"),
            (r#"{"queues": {"a": {"backoff": {"factor": 0.5}}}}"#, "backoff.factor"),
            (r#"{"queues": {"a": {"backoff": {"base": 10, "max": 5}}}}"#, "backoff.max"),
            (r#"{"queues": {"a": {"statuses": {"9999": "retry"}}}}"#, "statuses"),
            (r#"{"queues": {"a": {"idempotency": {"header": "a b"}}}}"#, "idempotency.header"),
            (r#"{"queues": {"a": {"expect": {"status": 404}}}}"#, "expect.status"),
            (r#"{"queues": {"a": {"expect": {"contenttype": "x"}}}}"#, "expect.contenttype"),
            (r#"{"queues": {"a": {"response": {"headers": ["a b"]}}}}"#, "response.headers"),
            (r#"{"queues": {"a": {"batch": {}}}}"#, "batch.url"),
            (r#"{"queues": {"a": {"batch": {"url": "/b", "max": 0}}}}"#, "batch.max"),
            (r#"{"queues": {"a": {"batch": {"url": "/b", "maxBytes": 1000}}}}"#, "batch.maxBytes"),
            (r#"{"queues": {"a": {"batch": {"url": "/b", "wait": 3600001}}}}"#, "batch.wait"),
            (r#"{"queues": {"a": {"batch": {"url": "/b", "results": "results"}}}}"#, "batch.results"),
            (r#"{"queues": {"a": {"batch": {"url": "/b", "wrap": {"a": 1}}}}}"#, "batch.wrap"),
            (r#"{"queues": {"a": {"batch": {"url": "/b", "wrap": {"a": "items", "b": "items"}}}}}"#, "batch.wrap"),
            (r#"{"queues": {"a": {"batch": {"url": "/b", "wrap": {"a": "items", "b": []}}}}}"#, "batch.wrap"),
            (r#"{"queues": {"a": {"batch": {"url": "/b", "size": 1}}}}"#, "batch.size"),
            (r#"{"credentials": ["-"]}"#, "credentials"),
            (r#"{"name": ""}"#, "name"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(name), "{json}: {error}");
        }
    }

    #[test]
    fn strict_knows_only_named_queues() {
        let config = parse(r#"{"strict": true, "queues": {"notes": {}}}"#).unwrap();
        assert!(config.queue("notes").is_ok());
        assert!(config.queue(DEFAULT_QUEUE).is_ok());
        assert_eq!(config.queue("other").unwrap_err().code, ErrorCode::UnknownQueue);
    }

    #[test]
    fn a_max_age_of_nothing_stays_nothing() {
        assert_eq!(parse(r#"{"queues": {"a": {"maxAge": 0}}}"#).unwrap().queue("a").unwrap().max_age, 0);
    }

    #[test]
    fn an_expectation_takes_one_status_or_several() {
        let status = |json: &str| parse(json).unwrap().queue("a").unwrap().expect.unwrap().status;
        assert_eq!(status(r#"{"queues": {"a": {"expect": {"status": 201}}}}"#), [201]);
        assert_eq!(status(r#"{"queues": {"a": {"expect": {"status": [200, 201]}}}}"#), [200, 201]);
        assert_eq!(status(r#"{"queues": {"a": {"expect": {"redirected": false}}}}"#), [0_u16; 0]);
    }
}

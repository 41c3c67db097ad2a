//! What an app may configure of its `fetch` routes, and what the queue decides about a request of one.
//!
//! A route says which of the app's own requests are queued when their first try fails. Which requests match must be known
//! before a worker has loaded any wasm, so `sw/worker/routes.js` matches, and `sw/worker/first-try.js` sends the first try.
//! What is decided here is the rest: whether the configuration is valid, whether a request would overtake the stored jobs
//! of its key, and how long a job waits whose first try the server refused.

use serde::Deserialize;

use crate::{
    error::Error,
    http::reply::{AttemptResult, Response},
    queue::{
        config::{QueueConfig, check_name},
        cycle::retry::wait_after,
        key_order,
        request::is_token,
    },
    store::{Tx, read_ledger},
    time::{Millis, unit},
    wire::text::Text,
};

/// The statuses that a route may queue.
const QUEUEABLE: std::ops::RangeInclusive<u16> = 400..=599;

/// A route, as given to `start({routes})`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename = "!RouteConfig", rename_all = "camelCase")]
pub struct RouteConfig {
    /// The URLs, as the text of a `URLPattern`; the script has built it by now.
    #[serde(rename = "match")]
    pub pattern: String,
    /// The methods; those that change something where there are none.
    pub methods: Option<Vec<String>>,
    /// The queue of its jobs.
    pub queue: Option<String>,
    /// The key of its jobs, in which `{name}` stands for a group of the pattern.
    pub key: Option<String>,
    /// What a first try must come to for its request to be queued.
    #[serde(default)]
    pub on: QueueOn,
    /// Where the browser goes after a form whose submission was queued.
    pub page: Option<String>,
    /// It may match every request.
    #[serde(default)]
    pub allow_all: bool,
}

/// What a first try must come to for its request to be queued.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename = "!QueueOn", default)]
pub struct QueueOn {
    /// No response, or one that the queue's `expect` does not expect.
    pub failure: bool,
    /// No response within so many milliseconds.
    pub timeout: Option<u64>,
    /// One of these statuses.
    pub statuses: Vec<u16>,
}

impl Default for QueueOn {
    fn default() -> Self {
        Self { failure: true, timeout: None, statuses: Vec::new() }
    }
}

/// Checks what the types cannot; `is_known` says whether a queue may be used.
///
/// # Errors
/// `invalid-config` naming the route by its number, the option and its range.
pub(crate) fn check(routes: &[RouteConfig], is_known: impl Fn(&str) -> Result<(), Error>) -> Result<(), Error> {
    for (number, route) in routes.iter().enumerate() {
        route
            .check(&is_known)
            .map_err(|error| Error::invalid_config(["routes.", &number.to_string(), ".", &error.message].text()))?;
    }
    Ok(())
}

/// Whether stored jobs of `key` wait in `queue` for the current owner: a request that is sent now would overtake them.
///
/// # Errors
/// What the transaction returns.
pub async fn would_overtake<T: Tx>(tx: &T, queue: &str, key: &str) -> Result<bool, Error> {
    let ledger = read_ledger(tx).await?;
    key_order::is_occupied(tx, &ledger.owner, queue, key).await
}

/// When a job may be sent whose first try ended at `at` with a refusal, or with no response in time: it was an attempt in
/// all but name, so the queue's backoff and the response's `Retry-After` apply. `roll` is a random number in `[0, 1)`.
#[must_use]
pub fn not_before(config: &QueueConfig, retry_after: Option<String>, date: Option<String>, at: Millis, roll: f64) -> Millis {
    let refusal = AttemptResult::Status(Response { retry_after, date, ..Response::default() });
    at.after(wait_after(&refusal, config, 1, 0, at, roll).wait)
}

impl RouteConfig {
    fn check(&self, is_known: &impl Fn(&str) -> Result<(), Error>) -> Result<(), Error> {
        if self.pattern.is_empty() {
            return Err(Error::invalid_config("match is a URLPattern or its text"));
        }
        if let Some(methods) = &self.methods {
            let forbidden = |method: &String| ["CONNECT", "TRACE", "TRACK"].iter().any(|name| method.eq_ignore_ascii_case(name));
            if methods.is_empty() || methods.iter().any(|method| !is_token(method) || forbidden(method)) {
                return Err(Error::invalid_config("methods are names of HTTP methods that fetch sends, at least one"));
            }
        }
        if let Some(queue) = &self.queue {
            check_name("queue", queue)?;
            is_known(queue).map_err(|error| Error::invalid_config(["queue: ", &error.message].text()))?;
        }
        if let Some(key) = &self.key {
            check_name("key", key)?;
        }
        let QueueOn { failure, timeout, statuses } = &self.on;
        if timeout.is_some_and(|timeout| !(100..=unit::HOUR).contains(&timeout)) {
            return Err(Error::invalid_config("on.timeout is 100 ms to one hour (3600000)"));
        }
        if statuses.iter().any(|status| !QUEUEABLE.contains(status)) {
            return Err(Error::invalid_config("on.statuses are 400 to 599"));
        }
        if !failure && timeout.is_none() && statuses.is_empty() {
            return Err(Error::invalid_config("on: nothing is ever queued; set failure, timeout or statuses, or drop the route"));
        }
        if self.page.as_ref().is_some_and(String::is_empty) {
            return Err(Error::invalid_config("page is a URL of the app"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::config::WorkerConfig;

    fn parse(json: &str) -> Result<Vec<RouteConfig>, String> {
        let json: serde_json::Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let config = WorkerConfig::read(&json).map_err(|mismatch| mismatch.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config.routes)
    }

    #[test]
    fn a_route_queues_failures_unless_it_says_otherwise() {
        let routes = parse(r#"{"routes": [{"match": "/api/*"}, {"match": "/b", "on": {"statuses": [503]}}]}"#).unwrap();
        assert_eq!(routes.iter().map(|route| &route.on.failure).collect::<Vec<_>>(), [&true, &true]);
        assert_eq!((routes[0].on.timeout, &routes[1].on.statuses), (None, &vec![503]));
    }

    #[test]
    fn what_is_wrong_with_a_route_is_named_with_its_number() {
        for (route, name) in [
            (r#"{}"#, "routes.1.match: is missing"),
            (r#"{"match": 7}"#, "routes.1.match"),
            (r#"{"match": ""}"#, "routes.1.match"),
            (r#"{"match": "/b", "method": ["PUT"]}"#, "routes.1.method: unknown member"),
            (r#"{"match": "/b", "methods": []}"#, "routes.1.methods"),
            (r#"{"match": "/b", "methods": ["A B"]}"#, "routes.1.methods"),
            (r#"{"match": "/b", "methods": ["trace"]}"#, "routes.1.methods"),
            (r#"{"match": "/b", "queue": ""}"#, "routes.1.queue"),
            (r#"{"match": "/b", "queue": "other"}"#, "routes.1.queue: no queue \"other\""),
            (r#"{"match": "/b", "key": ""}"#, "routes.1.key"),
            (r#"{"match": "/b", "page": ""}"#, "routes.1.page"),
            (r#"{"match": "/b", "allowAll": 1}"#, "routes.1.allowAll"),
            (r#"{"match": "/b", "on": {"timeout": 10}}"#, "routes.1.on.timeout"),
            (r#"{"match": "/b", "on": {"statuses": [200]}}"#, "routes.1.on.statuses"),
            (r#"{"match": "/b", "on": {"failure": false}}"#, "routes.1.on"),
            (r#"{"match": "/b", "on": {"fail": true}}"#, "routes.1.on.fail"),
        ] {
            let json = format!(r#"{{"strict": true, "routes": [{{"match": "/a"}}, {route}]}}"#);
            let error = parse(&json).unwrap_err();
            assert!(error.contains(name), "{route}: {error}");
        }
        assert!(parse(r#"{"routes": {}}"#).unwrap_err().contains("routes: is not an array"));
    }

    #[test]
    fn a_refused_first_try_waits_as_a_first_attempt_would() {
        let config = QueueConfig::default();
        let at = Millis(1_000_000);
        assert_eq!(not_before(&config, None, None, at, 0.5), Millis(1_000_500));
        assert_eq!(not_before(&config, Some("120".into()), None, at, 0.0), Millis(1_120_000));
        assert_eq!(not_before(&config, Some("soon".into()), None, at, 0.0), at);
    }
}

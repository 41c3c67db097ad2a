//! Parses a fault rule, matches requests against it, and makes it a [`Plan`].

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::Subject;
use super::answer::Answer;
use crate::problem::Problem;

/// All faults, as they are sent and shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FaultSet {
    /// Close every API connection at once, without recording an arrival.
    #[serde(default)]
    pub(crate) down: bool,
    #[serde(default)]
    pub(crate) rules: Vec<Rule>,
}

/// Which requests a fault befalls.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// What path and query begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_contains: Option<String>,
    /// How many requests it befalls; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    /// How many matching requests it lets through before.
    #[serde(default)]
    skip: u64,
    action: Action,
    /// How many requests matched.
    #[serde(default)]
    matched: u64,
    /// How many of them it befell.
    #[serde(default)]
    applied: u64,
}

/// What a fault does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Action {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// A body that is no text, in place of `body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// So many bytes of filling follow the body; chunked, unless `headers` give a `Content-Length`.
    #[serde(default, skip_serializing_if = "is_default")]
    flood: u64,
    /// After head and body nothing more comes, and the connection stays open.
    #[serde(default, skip_serializing_if = "is_default")]
    stall: bool,
    /// Whether other origins may read the reply.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    cors: bool,
    #[serde(default)]
    delay_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drop: Option<DropAt>,
    #[serde(default)]
    hold: bool,
    /// Handle the request although `status` is answered.
    #[serde(default)]
    handle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum DropAt {
    Before,
    After,
}

/// What shall become of one request: first hold, then delay, then the conduct.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) hold: bool,
    pub(crate) delay: Duration,
    pub(crate) conduct: Conduct,
    /// Set on whatever is answered.
    pub(crate) headers: HeaderMap,
    /// Whether other origins may read it.
    pub(crate) cors: bool,
    /// For the arrival's row.
    pub(crate) name: String,
}

/// Whether a request is handled, and what is answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// Not handled, connection cut.
    DropUnhandled,
    /// Not handled, this answered.
    AnswerUnhandled(Answer),
    /// Handled, connection cut.
    HandleAndDrop,
    /// Handled, this answered.
    HandleAndAnswer(Answer),
    /// Handled, and the reply sent.
    Handle,
}

impl Plan {
    pub(crate) fn handles(&self) -> bool {
        matches!(self.conduct, Conduct::HandleAndDrop | Conduct::HandleAndAnswer(..) | Conduct::Handle)
    }
}

impl FaultSet {
    /// Refuses what could not be carried out, and starts all counts at 0.
    ///
    /// # Errors
    /// [`Problem::FaultSetInvalid`] naming the rule.
    pub(super) fn checked(mut self) -> Result<Self, Problem> {
        for (index, rule) in self.rules.iter_mut().enumerate() {
            rule.matched = 0;
            rule.applied = 0;
            let invalid = |reason: String| Problem::FaultSetInvalid(format!("rules[{index}].action: {reason}"));
            let action = &rule.action;
            if let Some(status) = action.status.filter(|status| !(200..=599).contains(status)) {
                return Err(invalid(format!("status {status} is not in 200..=599")));
            }
            if action.status.is_none() && action.shapes_answer() {
                return Err(invalid("`body`, `bodyBase64`, `flood`, `stall` and `handle` need a `status`".to_owned()));
            }
            if action.body.is_some() && action.body_base64.is_some() {
                return Err(invalid("`body` and `bodyBase64` exclude each other".to_owned()));
            }
            if let Some(text) = &action.body_base64
                && let Err(error) = BASE64_STANDARD.decode(text)
            {
                return Err(invalid(format!("`bodyBase64`: {error}")));
            }
            for (name, value) in &action.headers {
                if header(name, value).is_none() {
                    return Err(invalid(format!("`{name}: {value}` is not a header")));
                }
            }
        }
        Ok(self)
    }
}

impl Rule {
    /// Counts a request that matches; true if the fault befalls it.
    pub(super) fn take(&mut self, subject: Subject<'_>) -> bool {
        if !self.matches(subject) {
            return false;
        }
        self.matched += 1;
        let due = self.matched > self.skip && self.times.is_none_or(|times| self.applied < times);
        self.applied += u64::from(due);
        due
    }

    fn matches(&self, subject: Subject<'_>) -> bool {
        let method = match &self.method {
            Some(method) => method.eq_ignore_ascii_case(subject.method),
            None => !subject.preflight,
        };
        method
            && self.path.as_ref().is_none_or(|path| subject.path.starts_with(path))
            && self.body_contains.as_ref().is_none_or(|text| memmem::find(subject.body, text.as_bytes()).is_some())
    }

    pub(super) fn plan(&self, index: usize) -> Plan {
        let action = &self.action;
        let conduct = match (action.drop, action.answer()) {
            (Some(DropAt::Before), _) => Conduct::DropUnhandled,
            (Some(DropAt::After), _) => Conduct::HandleAndDrop,
            (None, Some(answer)) if action.handle => Conduct::HandleAndAnswer(answer),
            (None, Some(answer)) => Conduct::AnswerUnhandled(answer),
            (None, None) => Conduct::Handle,
        };
        Plan {
            hold: action.hold,
            delay: Duration::from_millis(action.delay_ms),
            headers: action.headers.iter().filter_map(|(name, value)| header(name, value)).collect(),
            cors: action.cors,
            name: action.name(index, &conduct),
            conduct,
        }
    }
}

impl Action {
    fn shapes_answer(&self) -> bool {
        self.body.is_some() || self.body_base64.is_some() || self.flood > 0 || self.stall || self.handle
    }

    fn answer(&self) -> Option<Answer> {
        let status = StatusCode::from_u16(self.status?).ok()?;
        let bytes = self.body_base64.as_ref().and_then(|text| BASE64_STANDARD.decode(text).ok());
        let body = bytes.map(Bytes::from).or_else(|| self.body.clone().map(Bytes::from));
        Some(Answer { status, body, flood: self.flood, stall: self.stall })
    }

    fn name(&self, index: usize, conduct: &Conduct) -> String {
        let mut parts = Vec::new();
        if self.hold {
            parts.push("hold".to_owned());
        }
        if self.delay_ms > 0 {
            parts.push(format!("delay {} ms", self.delay_ms));
        }
        match conduct {
            Conduct::DropUnhandled => parts.push("drop before".to_owned()),
            Conduct::HandleAndDrop => parts.push("drop after".to_owned()),
            Conduct::AnswerUnhandled(answer) => parts.push(format!("answer {}", answer.status.as_u16())),
            Conduct::HandleAndAnswer(answer) => parts.push(format!("handle, answer {}", answer.status.as_u16())),
            Conduct::Handle => {}
        }
        if self.flood > 0 {
            parts.push(format!("flood {} bytes", self.flood));
        }
        if self.stall {
            parts.push("stall".to_owned());
        }
        if !self.cors {
            parts.push("no CORS".to_owned());
        }
        format!("rule {index}: {}", parts.join(", "))
    }
}

fn yes() -> bool {
    true
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: serde_json::Value) -> Rule {
        serde_json::from_value(json).unwrap()
    }

    const POST: Subject<'_> = Subject { method: "POST", path: "/api/notes?x=1", body: b"a b", preflight: false };

    #[test]
    fn befalls_the_right_requests() {
        let mut second = rule(serde_json::json!({"path": "/api/notes", "skip": 1, "times": 1, "action": {}}));
        assert_eq!([second.take(POST), second.take(POST), second.take(POST)], [false, true, false]);
        let mut other = rule(serde_json::json!({"method": "put", "action": {}}));
        assert!(!other.take(POST) && other.take(Subject { method: "PUT", ..POST }));
        let mut words = rule(serde_json::json!({"bodyContains": "b", "action": {}}));
        assert!(words.take(POST) && !words.take(Subject { body: b"a", ..POST }));
    }

    #[test]
    fn spares_preflights_unless_named() {
        let preflight = Subject { method: "OPTIONS", preflight: true, ..POST };
        assert!(!rule(serde_json::json!({"action": {}})).take(preflight));
        assert!(rule(serde_json::json!({"method": "OPTIONS", "action": {}})).take(preflight));
    }

    #[test]
    fn refuses_what_it_could_not_carry_out() {
        for action in [
            serde_json::json!({"status": 42}),
            serde_json::json!({"handle": true}),
            serde_json::json!({"stall": true}),
            serde_json::json!({"flood": 1}),
            serde_json::json!({"status": 200, "bodyBase64": "?"}),
            serde_json::json!({"status": 200, "body": "", "bodyBase64": ""}),
            serde_json::json!({"headers": {"a b": "c"}}),
        ] {
            let set = FaultSet { down: false, rules: vec![rule(serde_json::json!({"action": action}))] };
            assert!(matches!(set.checked(), Err(Problem::FaultSetInvalid(_))));
        }
        assert!(serde_json::from_str::<FaultSet>(r#"{"rules": [{"action": {"statsu": 503}}]}"#).is_err());
    }
}

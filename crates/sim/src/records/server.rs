//! A record server: rows with versions, tombstones and a clock of its own, which ties, goes back, and runs ahead of commits.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{flaw::Flaw, rng::Rng};

/// Milliseconds by which a row may become visible behind its time: less than the clients' overlap.
const LATEST_COMMIT: u64 = 8_000;

/// A row.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) data: Map<String, Value>,
    pub(super) version: u64,
    pub(super) at: u64,
    pub(super) is_deleted: bool,
}

/// What a request is answered with.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Option<String>,
}

#[derive(Default)]
pub(super) struct Server {
    pub(super) rows: BTreeMap<String, Row>,
    /// Rows as pages still show them, until their commit is visible.
    hidden: BTreeMap<String, (u64, Option<Row>)>,
    answers: BTreeMap<String, Answer>,
    /// The row that the mutation of a key wrote.
    wrote: BTreeMap<String, String>,
    pub(super) now: u64,
    /// The latest time that any row was given.
    latest: u64,
    /// It gives ids of its own.
    pub(super) assigns_ids: bool,
    /// It says nothing of a row that it has written.
    pub(super) is_terse: bool,
    /// Rows are visible as soon as they have a time, and its clock goes on.
    pub(super) is_prompt: bool,
    /// Its versions are no numbers.
    pub(super) is_opaque: bool,
    made: u64,
    /// Every effect: which row, what was written.
    pub(super) log: Vec<(String, Map<String, Value>)>,
}

impl Row {
    /// Its version, as the server names it.
    pub(super) fn tag(&self, is_opaque: bool) -> Value {
        if is_opaque { json!(format!("v{}", self.version)) } else { json!(self.version) }
    }

    fn json(&self, id: &str, is_opaque: bool) -> Value {
        let mut row = if self.is_deleted { Map::new() } else { self.data.clone() };
        row.insert("id".to_owned(), json!(id));
        row.insert("version".to_owned(), self.tag(is_opaque));
        row.insert("updatedAt".to_owned(), json!(self.at));
        row.insert("deletedAt".to_owned(), if self.is_deleted { json!(self.at) } else { Value::Null });
        Value::Object(row)
    }
}

impl Server {
    pub(super) fn new(now: u64, assigns_ids: bool, is_terse: bool, is_opaque: bool) -> Self {
        Self { now, assigns_ids, is_terse, is_opaque, ..Self::default() }
    }

    /// Handles a request.
    #[expect(clippy::too_many_arguments, reason = "the parts of a request")]
    pub(super) fn handle(
        &mut self,
        method: &str,
        url: &str,
        key: &str,
        if_match: Option<&str>,
        body: Option<&str>,
        flaw: Option<Flaw>,
        rng: &mut Rng,
    ) -> Answer {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let id = path.strip_prefix("https://records.example/notes/");
        match (method, id) {
            ("GET", None) => self.page(query, flaw),
            ("GET", Some(id)) => self.read(id),
            _ => {
                if let Some(answer) = self.answers.get(key).filter(|_| flaw != Some(Flaw::ServerForgetsKeys)) {
                    return answer.clone();
                }
                let answer = self.write(method, id, key, if_match, body, rng);
                if answer.status != 412 {
                    self.answers.insert(key.to_owned(), answer.clone());
                }
                answer
            }
        }
    }

    fn read(&self, id: &str) -> Answer {
        match self.rows.get(id) {
            None => Answer { status: 404, body: None },
            Some(row) if row.is_deleted => Answer { status: 410, body: Some(row.json(id, self.is_opaque).to_string()) },
            Some(row) => Answer { status: 200, body: Some(row.json(id, self.is_opaque).to_string()) },
        }
    }

    fn write(
        &mut self,
        method: &str,
        id: Option<&str>,
        key: &str,
        if_match: Option<&str>,
        body: Option<&str>,
        rng: &mut Rng,
    ) -> Answer {
        let body: Map<String, Value> = body.and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
        let own = |name: &str| matches!(name, "id" | "version" | "updatedAt" | "deletedAt");
        let said: Map<String, Value> =
            body.iter().filter(|(name, _)| !own(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
        let (id, mut row, status) = match id {
            None => {
                let given = body.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                let id = if self.assigns_ids {
                    self.made += 1;
                    format!("srv-{}", self.made)
                } else {
                    given
                };
                match self.rows.get(&id) {
                    Some(row) => {
                        return Answer {
                            status: if row.is_deleted { 410 } else { 409 },
                            body: Some(row.json(&id, self.is_opaque).to_string()),
                        };
                    }
                    None => (id, Row { data: said, version: 0, at: 0, is_deleted: false }, 201),
                }
            }
            Some(id) => {
                let Some(row) = self.rows.get(id) else { return Answer { status: 404, body: None } };
                if row.is_deleted {
                    return Answer { status: 410, body: Some(row.json(id, self.is_opaque).to_string()) };
                }
                if if_match
                    .is_some_and(|version| version.trim_matches('"') != row.tag(self.is_opaque).to_string().trim_matches('"'))
                {
                    return Answer { status: 412, body: (!self.is_terse).then(|| row.json(id, self.is_opaque).to_string()) };
                }
                let mut row = row.clone();
                match method {
                    "PUT" => row.data = said,
                    "PATCH" => {
                        for (name, value) in said {
                            if value.is_null() {
                                row.data.remove(&name)
                            } else {
                                row.data.insert(name, value)
                            };
                        }
                    }
                    _ => row.is_deleted = true,
                }
                (id.to_owned(), row, 200)
            }
        };
        self.commit(&id, &mut row, rng);
        self.wrote.insert(key.to_owned(), id.clone());
        let body = (!self.is_terse && status != 204).then(|| row.json(&id, self.is_opaque).to_string());
        Answer { status: if body.is_none() { 204 } else { status }, body }
    }

    fn commit(&mut self, id: &str, row: &mut Row, rng: &mut Rng) {
        row.version += 1;
        // Of one row the time goes on with the versions.
        row.at = self.now.max(row.at);
        if self.is_prompt {
            // No two commits at one time: a page that ends between them skips none.
            self.now += 1;
            row.at = self.now.max(row.at);
        }
        self.latest = self.latest.max(row.at);
        self.log.push((id.to_owned(), row.data.clone()));
        let before = self.rows.insert(id.to_owned(), row.clone());
        if !self.is_prompt && rng.happens(0.2) {
            let until = self.now + rng.below(LATEST_COMMIT);
            self.hidden.entry(id.to_owned()).or_insert((until, before));
        }
    }

    /// Lets time pass; now and then not at all, or backwards.
    pub(super) fn pass(&mut self, ms: u64, rng: &mut Rng) {
        if !self.is_prompt && rng.happens(0.05) {
            // Pages are still to see what comes then: less far back than the overlap, with all that is hidden.
            self.now = self.now.max(self.latest.saturating_sub(1_500)).saturating_sub(rng.below(1_000));
        } else if rng.happens(0.6) {
            self.now += ms;
        }
        let now = self.now;
        self.hidden.retain(|_, (until, _)| *until > now);
    }

    /// A reply has left: what it tells of is visible.
    pub(super) fn replied(&mut self, key: &str) {
        if let Some(id) = self.wrote.remove(key) {
            self.hidden.remove(&id);
        }
    }

    /// Everything that was committed is visible.
    pub(super) fn settle(&mut self) {
        self.hidden.clear();
    }

    fn page(&self, query: &str, flaw: Option<Flaw>) -> Answer {
        let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let since: u64 = of("updatedSince").and_then(|since| since.parse().ok()).unwrap_or(0);
        let limit: usize = of("limit").and_then(|limit| limit.parse().ok()).unwrap_or(100);
        let after = of("after");
        let mut rows: Vec<(u64, String, Row)> = Vec::new();
        for (id, row) in &self.rows {
            let shown = match self.hidden.get(id) {
                Some((_, before)) => before.clone(),
                None => Some(row.clone()),
            };
            rows.extend(shown.map(|row| (row.at, id.clone(), row)));
        }
        rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        rows.retain(|(at, id, _)| match after {
            Some(_) if flaw == Some(Flaw::PagesByTimeAlone) => *at > since,
            Some(after) => (*at, id.as_str()) > (since, after),
            None => *at >= since,
        });
        rows.truncate(limit);
        let items: Vec<Value> = rows.iter().map(|(_, id, row)| row.json(id, self.is_opaque)).collect();
        Answer { status: 200, body: Some(json!({ "items": items }).to_string()) }
    }
}

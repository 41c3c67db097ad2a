//! Simulates what batches bring with them: queues that send them, items, servers that tell items apart or do not, and that
//! take no more than so many.
//!
//! All that is random here is drawn from a stream of its own, so that a seed without batches is the run that it was.

use std::collections::{BTreeMap, BTreeSet};

use shearwater_core::{
    http::reply::{AttemptResult, Response},
    queue::{
        batch::{BatchConfig, Envelope, ItemResult, Piece},
        config::{QueueConfig, WorkerConfig},
        job::Job,
    },
    time::unit::{MINUTE, SECOND},
};

use crate::{
    check::{Checked, Promise, Violation},
    rng::Rng,
    server::ORIGINS,
};

/// The queues that may have batches.
const QUEUES: [&str; 2] = ["default", "narrow"];

/// An item as it arrives: what it says, what its body says, and the key that its job has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) content: u64,
    pub(crate) body: Option<u64>,
    pub(crate) key: String,
}

/// Has both versions of the app send batches. The new version may have given that up, or another idea of them.
pub(crate) fn configure(configs: &mut [WorkerConfig; 2], rng: &mut Rng) {
    for queue in QUEUES {
        let origin = rng.pick(ORIGINS);
        for (version, config) in configs.iter_mut().enumerate() {
            let batch = BatchConfig {
                url: format!("{origin}/batch"),
                max: rng.pick([2, 3, 5, 50]),
                max_bytes: rng.pick([1 << 10, 64 << 10, 1 << 20]),
                wait: rng.pick([0, 0, SECOND, 10 * MINUTE]),
                envelope: rng.pick([("[", "]"), ("{\"events\":[", "]}")]).into_envelope(),
                results: None,
            };
            let has_none = version == 1 && rng.happens(0.3);
            if !config.queues.iter().any(|(name, _)| name == queue) {
                config.queues.push((queue.to_owned(), QueueConfig::default()));
            }
            let found = config.queues.iter_mut().find(|(name, _)| name == queue);
            if let Some((_, settings)) = found.filter(|_| !has_none) {
                settings.batch = Some(batch);
            }
        }
    }
}

trait IntoEnvelope {
    fn into_envelope(self) -> Envelope;
}

impl IntoEnvelope for (&str, &str) {
    fn into_envelope(self) -> Envelope {
        Envelope { head: self.0.to_owned(), tail: self.1.to_owned() }
    }
}

/// The body of a batch, as it goes over the wire.
pub(crate) fn payload(envelope: &Envelope, bodies: &[Option<u64>]) -> String {
    let mut text = String::new();
    envelope.body(bodies, |piece| match piece {
        Piece::Text(piece) => text.push_str(piece),
        Piece::Item(body) => text.push_str(&format!("{body:?}")),
    });
    text
}

/// What a job says: an item's address is that of all, and its metadata say it.
pub(crate) fn content_of(job: &Job) -> u64 {
    let url = &job.work.request().head.url;
    match &job.metadata {
        Some(metadata) if url.ends_with("/batch") => metadata.parse().unwrap_or(0),
        _ => crate::network::content_of(url),
    }
}

/// How the servers deal with batches.
#[derive(Default)]
pub(crate) struct Batches {
    /// They tell what became of each item, and take the good ones.
    tells: bool,
    /// They take no more items at once.
    most: usize,
    /// Of so many items one is bad.
    bad: u64,
    /// What was answered to each key, and to which contents.
    answers: BTreeMap<String, (Vec<u64>, AttemptResult)>,
    /// Contents that may be applied twice: a person broke their batch while it was not known whether it had arrived.
    pub(crate) excused: BTreeSet<u64>,
}

impl Batches {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self { tells: rng.happens(0.5), most: rng.pick([1, 3, 50, 50]), bad: rng.pick([3, 10, 1_000_000]), ..Self::default() }
    }

    /// Whether this key was answered.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.answers.contains_key(key)
    }

    /// Handles a batch: which of its items are to be applied, and what the client is told.
    pub(crate) fn handle(&mut self, key: &str, items: &[Item], rng: &mut Rng) -> Checked<(Vec<Item>, AttemptResult)> {
        let contents: Vec<u64> = items.iter().map(|item| item.content).collect();
        if let Some(wrong) = items.iter().find(|item| item.body != Some(item.content)) {
            return Err(Violation::new(Promise::Durable, format!("{} arrived with another's body", wrong.key)));
        }
        if let Some((before, answer)) = self.answers.get(key) {
            if *before != contents {
                return Err(Violation::new(Promise::Once, format!("the key {key} stands for {before:?} and {contents:?}")));
            }
            return Ok((Vec::new(), answer.clone()));
        }
        let is_bad = |item: &&Item| item.content.is_multiple_of(self.bad);
        if items.len() > self.most {
            return Ok((Vec::new(), failure(413)));
        }
        let (bad, good): (Vec<&Item>, Vec<&Item>) = items.iter().partition(is_bad);
        if !self.tells && !bad.is_empty() {
            return Ok((Vec::new(), failure(422)));
        }
        let busy = |item: &Item| rng_of(item).is_multiple_of(11);
        let applied: Vec<Item> = good.into_iter().filter(|item| !self.tells || !busy(item)).cloned().collect();
        let result = |item: &Item| match applied.contains(item) {
            true => ItemResult { status: 201, message: None },
            false if is_bad(&item) => ItemResult { status: 422, message: Some("bad".to_owned()) },
            false => ItemResult { status: 503, message: None },
        };
        let results = self.tells.then(|| items.iter().map(result).collect::<Vec<_>>());
        let status = if results.is_some() { 207 } else { 200 };
        let answer = AttemptResult::Status(Response { status, items: results, ..Response::default() });
        self.answers.insert(key.to_owned(), (contents, answer.clone()));
        if let AttemptResult::Status(Response { items: Some(results), .. }) = &answer
            && rng.happens(0.05)
        {
            let miscounted = Some(results.iter().skip(1).cloned().collect());
            return Ok((applied, AttemptResult::Status(Response { status, items: miscounted, ..Response::default() })));
        }
        Ok((applied, answer))
    }

    /// Nothing is wrong with them any more.
    pub(crate) fn calm(&mut self) {
        self.most = usize::MAX;
    }
}

/// Which items a server is too busy for: each only once in a while, so that another try helps.
fn rng_of(item: &Item) -> u64 {
    item.content / 2
}

fn failure(status: u16) -> AttemptResult {
    AttemptResult::Status(Response { status, ..Response::default() })
}

//! Sees to it that a key has at most one effect, as draft-ietf-httpapi-idempotency-key-header asks.
//!
//! A key is *claimed* in memory while its request is being handled (a second request then gets 409), and
//! *kept* in the database, in the transaction of the effect, with the reply to give again. A refusal (4xx)
//! has no effect and keeps nothing: the same key may try again.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use rusqlite::Connection;

use crate::journal::{Journal, Ticket};
use crate::problem::Problem;
use crate::reply::{IDEMPOTENT_REPLAYED, Reply};
use crate::store::StoreError;
use crate::store::replies::{self, Fingerprint};

/// The request header.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_KEY_LENGTH: usize = 255;

/// A key that was parsed: not empty, not endless, visible ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads the header: a structured-field string in quotes, or a bare word. None if there is no such header.
    ///
    /// # Errors
    /// [`Problem::KeyMalformed`], also when there are two of it.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Problem::KeyMalformed);
        }
        value.to_str().map_err(|_| Problem::KeyMalformed)?.parse().map(Some)
    }
}

impl FromStr for IdempotencyKey {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        let key = match text.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or(Problem::KeyMalformed)?,
            None => text.to_owned(),
        };
        let bare = !text.starts_with('"');
        let valid = |c: char| c.is_ascii_graphic() && !(bare && matches!(c, '"' | ',' | ';')) || (c == ' ' && !bare);
        if key.is_empty() || key.len() > MAX_KEY_LENGTH || !key.chars().all(valid) {
            return Err(Problem::KeyMalformed);
        }
        Ok(Self(key))
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads up to the closing quote, which has to be the end.
fn unquote(text: &str) -> Option<String> {
    let mut key = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return chars.as_str().is_empty().then_some(key),
            '\\' => key.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => key.push(c),
        }
    }
}

/// The keys whose requests are being handled, per epoch of the journal.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<HashSet<(u64, IdempotencyKey)>>);

impl Claims {
    /// Claims a key until the [`Claim`] is dropped.
    ///
    /// # Errors
    /// [`Problem::KeyInUse`] while another request has it.
    pub(crate) fn claim(self: &Arc<Self>, ticket: Ticket, key: &IdempotencyKey) -> Result<Claim, Problem> {
        let entry = (ticket.epoch, key.clone());
        if !self.0.lock().insert(entry.clone()) {
            return Err(Problem::KeyInUse);
        }
        Ok(Claim { claims: Arc::clone(self), entry })
    }
}

/// A key that is being handled.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Arc<Claims>,
    entry: (u64, IdempotencyKey),
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.lock().remove(&self.entry);
    }
}

/// A request that was read whole, as a route needs it to commit its effect.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) ticket: Ticket,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) content_type: Option<String>,
    pub(crate) body_size: u32,
    /// The body, or its first mebibyte.
    pub(crate) body_head: Bytes,
}

/// Commits `effect` with its key and its reply, or returns the first reply again.
///
/// # Errors
/// [`Problem::KeyReused`] when the key belongs to another request; [`Problem::Store`].
pub(crate) async fn commit_once(
    journal: &Journal,
    delivery: Delivery,
    effect: impl FnOnce(&Connection) -> Result<Reply, StoreError> + Send + 'static,
) -> Result<Reply, Problem> {
    let ticket = delivery.ticket;
    let outcome = journal.commit(ticket, move |connection| {
        if let Some(first) = first_reply(connection, &delivery)? {
            return Ok(first);
        }
        let reply = effect(connection)?;
        if let Some(key) = &delivery.key
            && reply.status.is_success()
        {
            replies::insert(connection, &key.0, &delivery.fingerprint, ticket.n, &reply)?;
        }
        Ok(Ok(reply))
    });
    outcome.await?
}

/// The first reply to a request's key, if the key was used before: for effects of several transactions.
///
/// # Errors
/// As [`commit_once`].
pub(crate) async fn recall(journal: &Journal, delivery: &Delivery) -> Result<Option<Reply>, Problem> {
    let (ticket, delivery) = (delivery.ticket, delivery.clone());
    journal.commit(ticket, move |connection| first_reply(connection, &delivery)).await?.transpose()
}

type FirstReply = Option<Result<Reply, Problem>>;

fn first_reply(connection: &Connection, delivery: &Delivery) -> Result<FirstReply, StoreError> {
    let Some(key) = &delivery.key else { return Ok(None) };
    Ok(replies::find(connection, &key.0)?.map(|first| match difference(&first.request, &delivery.fingerprint) {
        None => Ok(first.reply.with(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"))),
        Some(difference) => Err(Problem::KeyReused { difference }),
    }))
}

fn difference(first: &Fingerprint, second: &Fingerprint) -> Option<&'static str> {
    if first.method != second.method {
        Some("the method")
    } else if first.path != second.path {
        Some("the path")
    } else if first.body_sha256 != second.body_sha256 {
        Some("the body")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Option<String>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, value.parse().unwrap());
        Ok(IdempotencyKey::of(&headers)?.map(|key| key.to_string()))
    }

    #[test]
    fn quoted_and_bare_are_the_same_key() {
        assert_eq!(parse("\"abc-1\"").unwrap(), parse("abc-1").unwrap());
        assert_eq!(parse(r#""a\"b\\c""#).unwrap().unwrap(), r#"a"b\c"#);
        assert!(IdempotencyKey::of(&HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn malformed_keys_are_refused() {
        let long = "k".repeat(256);
        for bad in ["", "\"\"", "\"abc", "\"a\"b", "a\"b", "a b", "a,b", r#""a\b""#, &long] {
            assert!(matches!(parse(bad), Err(Problem::KeyMalformed)), "{bad}");
        }
    }
}

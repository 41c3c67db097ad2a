//! Carries out a write on a collection: checks it against the row that is there, and stores the new one.

use http::StatusCode;
use http::header::{ETAG, HeaderValue, LOCATION};
use rusqlite::Connection;
use serde_json::Value;

use super::merge_patch::merge;
use super::{Collection, CollectionOptions, Members, Stamp, without_owned};
use crate::if_match::IfMatch;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::store::StoreError;
use crate::store::records::{self, Effect, Record};

/// What a client asks of a collection.
#[derive(Debug)]
pub(crate) enum Operation {
    /// A new row, of the body as it was sent.
    Create(Members),
    Change {
        id: String,
        condition: IfMatch,
        change: Change,
    },
}

/// What becomes of a row.
#[derive(Debug)]
pub(crate) enum Change {
    Patch(Members),
    Replace(Members),
    Delete,
}

/// A write whose time has been taken.
#[derive(Debug)]
pub(crate) struct Write {
    collection: Collection,
    assign_ids: bool,
    stamp: Stamp,
    idempotency_key: Option<String>,
}

impl Write {
    /// Takes the time, and waits for as long as the collection delays its commits.
    pub(crate) async fn begin(collection: Collection, options: CollectionOptions, idempotency_key: Option<String>) -> Self {
        Self { collection, assign_ids: options.assign_ids, stamp: options.stamp().await, idempotency_key }
    }

    /// Has the operation's effect and says what to reply; a refusal has none.
    ///
    /// # Errors
    /// What the database said.
    pub(crate) fn apply(self, connection: &Connection, operation: Operation) -> Result<Reply, StoreError> {
        match operation {
            Operation::Create(body) => self.create(connection, body),
            Operation::Change { id, condition, change } => self.change(connection, &id, &condition, change),
        }
    }

    fn create(self, connection: &Connection, body: Members) -> Result<Reply, StoreError> {
        let given = body.get("id").and_then(Value::as_str).map(str::to_owned);
        let mut data = without_owned(body);
        let id = match given {
            Some(id) if !self.assign_ids && is_uuid(&id) => id,
            given => {
                if let Some(given) = given.filter(|_| self.assign_ids) {
                    data.insert("clientId".to_owned(), Value::String(given));
                }
                records::next_id(connection, &self.collection)?
            }
        };
        if let Some(current) = records::find(connection, &self.collection, &id)? {
            return Ok(reply(if current.deleted { StatusCode::GONE } else { StatusCode::CONFLICT }, &current));
        }
        let record = Record::living(id, 1, self.stamp.time(None), data.clone());
        let location = HeaderValue::try_from(format!("/api/records/{}/{}", self.collection, record.id));
        self.put(connection, &record, "create", Value::Object(data))?;
        let reply = reply(StatusCode::CREATED, &record);
        Ok(match location {
            Ok(location) => reply.with(LOCATION, location),
            Err(_) => reply,
        })
    }

    fn change(self, connection: &Connection, id: &str, condition: &IfMatch, change: Change) -> Result<Reply, StoreError> {
        let current = match records::find(connection, &self.collection, id)? {
            None => return Ok(Problem::NotFound { what: "such record" }.into()),
            Some(current) if current.deleted => return Ok(reply(StatusCode::GONE, &current)),
            Some(current) if !condition.allows(current.version) => {
                return Ok(reply(StatusCode::PRECONDITION_FAILED, &current));
            }
            Some(current) => current,
        };
        let mut data = current.data();
        let (id, version) = (current.id, current.version.saturating_add(1));
        let time = self.stamp.time(Some(current.updated_at));
        let (record, op, sent) = match change {
            Change::Patch(patch) => {
                let patch = without_owned(patch);
                merge(&mut data, patch.clone());
                (Record::living(id, version, time, data), "patch", Value::Object(patch))
            }
            Change::Replace(body) => {
                let body = without_owned(body);
                (Record::living(id, version, time, body.clone()), "replace", Value::Object(body))
            }
            Change::Delete => (Record::tombstone(id, version, time), "delete", Value::Null),
        };
        self.put(connection, &record, op, sent)?;
        Ok(reply(StatusCode::OK, &record))
    }

    fn put(self, connection: &Connection, record: &Record, op: &'static str, data: Value) -> Result<(), StoreError> {
        let effect = Effect { op, data, idempotency_key: self.idempotency_key };
        records::put(connection, &self.collection, record, &effect)
    }
}

/// A reply whose body is the row.
pub(crate) fn reply(status: StatusCode, record: &Record) -> Reply {
    let reply = Reply::json(status, &record.row);
    match HeaderValue::try_from(format!("\"{}\"", record.version)) {
        Ok(etag) => reply.with(ETAG, etag),
        Err(_) => reply,
    }
}

/// Whether a text is a UUID as RFC 9562 writes it.
fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_hexadecimal_in_five_groups() {
        assert!(is_uuid("0192f0c1-8a5e-7b3c-9d2e-4f6a8b0c1d2e") && is_uuid("0192F0C1-8A5E-7B3C-9D2E-4F6A8B0C1D2E"));
        for other in [
            "",
            "0192f0c18a5e7b3c9d2e4f6a8b0c1d2e",
            "0192f0c1-8a5e-7b3c-9d2e-4f6a8b0c1d2",
            "g192f0c1-8a5e-7b3c-9d2e-4f6a8b0c1d2e",
        ] {
            assert!(!is_uuid(other), "{other}");
        }
    }
}

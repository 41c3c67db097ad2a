//! What has to hold of records, at each step and at the end.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use shearwater_core::collections::{config::Strategy, record::CollectionKey, references::is_only_here};

use super::{CLIENTS, NOTES, Records, document};
use crate::check::{Checked, Promise, ensure};

/// What readers of one replica see.
type View = BTreeMap<String, Map<String, Value>>;

/// The ids of records that a record refers to.
fn references_in(record: &Map<String, Value>) -> Vec<&str> {
    let named = ["parent", "see"].into_iter().filter_map(|member| record.get(member));
    let ids = named.flat_map(|value| value.as_array().map_or_else(|| vec![value], |ids| ids.iter().collect()));
    ids.filter_map(Value::as_str).collect()
}

impl Records {
    /// Nothing that was written here is taken back by what comes from elsewhere, nothing is stranded.
    pub(super) fn check(&self) -> Checked {
        for (number, client) in self.clients.iter().enumerate() {
            let db = client.db.borrow();
            let state = db.collection(&CollectionKey::new(NOTES, "")).cloned().unwrap_or_default();
            let is_complete = state.indexes.as_ref().is_some_and(|indexes| indexes.pending.is_none());
            for record in db.records() {
                let is_seen = record.local.is_some() && record.moved.is_none();
                let differs = record.clone().index(&state) && (is_complete || !is_seen);
                ensure(!differs, Promise::Convergent, || {
                    format!("client {number}: {} has other entries than {:?} say: {record:?}", record.id, state.indexes)
                })?;
            }
            for record in db.records().filter(|record| record.moved.is_none()) {
                // Until one row is forgotten, deletions leave tombstones: what the server ever had is listed.
                ensure(record.expired.is_none() || self.has_forgotten, Promise::Convergent, || {
                    format!("client {number}: {} is listed by the server, and has expired: {record:?}", record.id)
                })?;
                let job = record.push.as_ref().and_then(|push| db.job(&push.job));
                ensure(record.push.is_none() || job.is_some(), Promise::Convergent, || {
                    format!("client {number}: {} waits for a job that is gone: {record:?}", record.id)
                })?;
                let differs = document(record.local.as_deref()) != document(record.base.as_deref());
                ensure(!differs || record.is_dirty(), Promise::Convergent, || {
                    format!("client {number}: {} differs from the server and is not pushed: {record:?}", record.id)
                })?;
                ensure(
                    record.local.is_none() || record.is_dirty() || !client.buried.contains(&record.id),
                    Promise::Convergent,
                    || format!("client {number}: {} was deleted, and is back: {record:?}", record.id),
                )?;
                let waits_for = record.waits_for.as_ref().filter(|_| job.is_none() && !record.conflict);
                let waited_for = waits_for.and_then(|referred| self.find(number, &referred.id));
                let is_awaited = client.has_discarded || waited_for.as_ref().is_some_and(is_only_here);
                ensure(waits_for.is_none() || is_awaited, Promise::Convergent, || {
                    format!("client {number}: {} waits for nothing: {record:?}, {waited_for:?}", record.id)
                })?;
                let waits = job.is_some() || record.conflict || record.changed_at.is_none() || waits_for.is_some();
                ensure(waits, Promise::Convergent, || {
                    format!("client {number}: {} is dirty, and nothing is queued: {record:?}", record.id)
                })?;
            }
            drop(db);
            if self.strategy != Strategy::Merge {
                continue;
            }
            // Of one that was deleted, whoever went on editing it has a copy, made of what they knew.
            for (origin, written) in client.written.iter().filter(|(origin, _)| !self.deleted.contains(origin)) {
                let Some(seen) = self.own_member(number, origin) else { continue };
                ensure(seen >= *written, Promise::Convergent, || {
                    format!("client {number} wrote {written} into {origin} and reads {seen}: {:?}", self.find(number, origin))
                })?;
            }
        }
        Ok(())
    }

    /// The member that only this client writes, of a record that readers see.
    fn own_member(&self, client: usize, origin: &str) -> Option<u64> {
        let own = format!("f{client}");
        let view = self.view(client);
        // A pull may bring a row before the reply that says whose it is: until then there are two.
        let records = view.values().filter(|record| record.get("origin").and_then(Value::as_str) == Some(origin));
        records.map(|record| record.get(&own).and_then(Value::as_u64).unwrap_or(0)).max()
    }

    fn view(&self, client: usize) -> View {
        let seen = |record: &shearwater_core::collections::Record| {
            Some((record.id.clone(), document(record.local.as_deref().filter(|_| record.is_listed()))))
        };
        let records = self.records_of(client);
        records.iter().filter(|record| record.local.is_some()).filter_map(seen).filter(|(_, record)| !record.is_empty()).collect()
    }

    /// A request names no record by an id that it has only at this client.
    pub(super) fn check_body(&self, client: usize, body: &str) -> Checked {
        for referred in references_in(&document(Some(body))) {
            let is_known = self.server.rows.contains_key(referred);
            let found = self.find(client, referred).filter(|_| !is_known);
            ensure(found.as_ref().is_none_or(|found| !is_only_here(found)), Promise::Convergent, || {
                format!("client {client} names {referred}, which it has not sent yet: {body}; {found:?}")
            })?;
        }
        Ok(())
    }

    /// At the end, each reference is to a row of the server, and to the one that somebody meant; but for those to records that
    /// were taken back before they were anywhere else.
    fn check_references(&self) -> Checked {
        let origin = |row: &super::server::Row| row.data.get("origin").and_then(Value::as_str).map(str::to_owned);
        let is_gone =
            |origin: &String| self.deleted.contains(origin) || self.clients.iter().any(|client| client.given_up.contains(origin));
        for (id, row) in self.server.rows.iter().filter(|(_, row)| !row.is_deleted) {
            let Some(from) = origin(row) else { continue };
            let meant: Vec<&String> = self.referred.iter().filter(|[by, _]| *by == from).map(|[_, to]| to).collect();
            for referred in references_in(&row.data) {
                let to = self.server.rows.get(referred).and_then(origin);
                let is_meant = match &to {
                    Some(to) => meant.contains(&to),
                    None => meant.iter().any(|to| is_gone(to)),
                };
                ensure(is_meant, Promise::Convergent, || {
                    format!("{id} refers to {referred}, which is {to:?} at the server; it was to be one of {meant:?}")
                })?;
            }
        }
        Ok(())
    }

    /// All is quiet.
    pub(super) fn ending(&self) -> Checked {
        let living: View = self
            .server
            .rows
            .iter()
            .filter(|(_, row)| !row.is_deleted)
            .map(|(id, row)| {
                let mut data = row.data.clone();
                for (name, value) in [
                    ("id", Value::from(id.as_str())),
                    ("version", row.tag(self.server.is_opaque)),
                    ("updatedAt", row.at.into()),
                    ("deletedAt", Value::Null),
                ] {
                    data.insert(name.to_owned(), value);
                }
                (id.clone(), data)
            })
            .collect();
        for client in 0..CLIENTS {
            let view = self.view(client);
            for id in living.keys().chain(view.keys()) {
                ensure(living.get(id) == view.get(id), Promise::Convergent, || {
                    format!(
                        "client {client} has {id} as {:?}; the server as {:?}; {:?}",
                        view.get(id),
                        living.get(id),
                        self.find(client, id)
                    )
                })?;
            }
            for record in self.records_of(client) {
                ensure(!record.is_dirty(), Promise::Convergent, || {
                    format!("client {client}: {} is not pushed: {record:?}", record.id)
                })?;
                ensure(!record.is_tombstone(), Promise::Convergent, || {
                    format!("client {client}: the tombstone of {} stays", record.id)
                })?;
            }
        }
        self.check_references()?;
        let mut origins: Vec<&str> = living.values().filter_map(|record| record.get("origin")?.as_str()).collect();
        // Of one that was deleted, each of those that went on editing it has a copy.
        origins.retain(|origin| !self.deleted.iter().any(|deleted| deleted == origin));
        origins.sort_unstable();
        for pair in origins.windows(2) {
            ensure(pair.first() != pair.last(), Promise::Once, || format!("{pair:?} was created twice"))?;
        }
        for (number, client) in self.clients.iter().enumerate() {
            for (origin, written) in &client.written {
                let is_gone = self.deleted.contains(origin) || client.given_up.contains(origin);
                let own = format!("f{number}");
                let was_pushed = self.server.log.iter().any(|(_, data)| {
                    data.get("origin").and_then(Value::as_str) == Some(origin)
                        && data.get(&own).and_then(Value::as_u64) >= Some(*written)
                });
                let may_lose = matches!(self.strategy, Strategy::RemoteWins | Strategy::NewestWins);
                ensure(is_gone || may_lose || was_pushed, Promise::Convergent, || {
                    format!("client {number} wrote {written} into {origin}, and it never reached the server")
                })?;
                if self.strategy == Strategy::Merge && !is_gone {
                    let at_last = living.values().find(|record| record.get("origin").and_then(Value::as_str) == Some(origin));
                    let value = at_last.and_then(|record| record.get(&own)?.as_u64());
                    ensure(value >= Some(*written), Promise::Convergent, || {
                        format!("client {number} wrote {written} into {origin}; the server has {value:?}")
                    })?;
                }
            }
        }
        Ok(())
    }
}

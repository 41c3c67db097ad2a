//! Takes batches of operations: each has its own transaction, key and result, as if it had been sent alone.
//!
//! An operation's key is that of the request which it stands for: sent alone later, with the same data, it gets
//! the same reply. The key of the batch itself keeps the results in a transaction after those of the operations.

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{JSON, json_of, write};
use crate::app::App;
use crate::idempotency::{Delivery, commit_once, recall};
use crate::if_match::IfMatch;
use crate::problem::Problem;
use crate::records::{Change, Collection, Members, Operation};
use crate::reply::Reply;
use crate::spool::hex;
use crate::store::replies::Fingerprint;

#[derive(Debug, Deserialize)]
struct Batch {
    operations: Vec<Box<RawValue>>,
}

/// An operation as it is sent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Item {
    method: Method,
    id: Option<String>,
    if_match: Option<String>,
    idempotency_key: Option<String>,
    data: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    Post,
    Patch,
    Put,
    Delete,
}

/// `POST /api/records/{collection}/batch`
pub(crate) async fn batch(
    State(app): State<App>,
    Path(collection): Path<Collection>,
    Extension(delivery): Extension<Delivery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply, Problem> {
    let bytes = json_of(&headers, JSON, body).await?;
    let batch: Batch = serde_json::from_slice(&bytes).map_err(|error| malformed("a batch of operations", error.to_string()))?;
    if let Some(first) = recall(&app.journal, &delivery).await? {
        return Ok(first);
    }
    let mut results = Vec::with_capacity(batch.operations.len());
    for item in &batch.operations {
        let reply = match settle(&app, &collection, &delivery, item).await {
            Err(Problem::Store(error)) => return Err(error.into()),
            settled => settled.unwrap_or_else(Reply::from),
        };
        // Every reply of a record is JSON.
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        results.push(json!({ "status": reply.status.as_u16(), "body": body }));
    }
    let reply = Reply::json(StatusCode::MULTI_STATUS, &json!({ "results": results }));
    commit_once(&app.journal, delivery, move |_| Ok(reply)).await
}

async fn settle(app: &App, collection: &Collection, batch: &Delivery, item: &RawValue) -> Result<Reply, Problem> {
    let item: Item = serde_json::from_str(item.get()).map_err(|error| malformed("an operation", error.to_string()))?;
    let key = item.idempotency_key.as_deref().map(str::parse).transpose()?;
    let delivery = Delivery { key, fingerprint: item.fingerprint(collection), body_head: Bytes::new(), ..batch.clone() };
    write(app, collection.clone(), delivery, item.operation()?).await
}

impl Item {
    /// That of the request which it stands for.
    fn fingerprint(&self, collection: &Collection) -> Fingerprint {
        let (method, id) = match self.method {
            Method::Post => ("POST", None),
            Method::Patch => ("PATCH", self.id.as_deref()),
            Method::Put => ("PUT", self.id.as_deref()),
            Method::Delete => ("DELETE", self.id.as_deref()),
        };
        let data = self.data.as_ref().map_or("", |data| data.get());
        Fingerprint {
            method: method.to_owned(),
            path: id.map_or_else(|| format!("/api/records/{collection}"), |id| format!("/api/records/{collection}/{id}")),
            body_sha256: hex(&Sha256::digest(data)),
        }
    }

    fn operation(self) -> Result<Operation, Problem> {
        let condition = IfMatch::version(self.if_match.as_deref());
        let change = match self.method {
            Method::Post => {
                let mut body = members(self.data.as_deref())?;
                if let Some(id) = self.id {
                    body.entry("id").or_insert(Value::String(id));
                }
                return Ok(Operation::Create(body));
            }
            Method::Patch => Change::Patch(members(self.data.as_deref())?),
            Method::Put => Change::Replace(members(self.data.as_deref())?),
            Method::Delete => Change::Delete,
        };
        let id = self.id.ok_or_else(|| malformed("an operation", "there is no `id`".to_owned()))?;
        Ok(Operation::Change { id, condition, change })
    }
}

fn members(data: Option<&RawValue>) -> Result<Members, Problem> {
    let data = data.ok_or_else(|| malformed("an operation", "there is no `data`".to_owned()))?;
    serde_json::from_str(data.get()).map_err(|error| malformed("an operation", error.to_string()))
}

fn malformed(expected: &'static str, reason: String) -> Problem {
    Problem::BodyMalformed { expected, reason }
}

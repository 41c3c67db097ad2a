//! Stands before every API request: records it, lets faults befall it, and sees it to its end.
//!
//! Steps: refuse if down; number the arrival; read the body whole; take the fault plan; claim the key if the
//! request will be handled; hold, delay; handle; cut or answer; record the ending. From the whole body on, the
//! steps run in a task of their own, so that a client which goes away changes nothing any more.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use serde_json::{Map, Value};

use crate::app::App;
use crate::clock::now_ms;
use crate::cors::{self, Preflight};
use crate::faults::{Conduct, Plan, Subject};
use crate::idempotency::{Delivery, IDEMPOTENCY_KEY, IdempotencyKey};
use crate::journal::OpenArrival;
use crate::problem::Problem;
use crate::reply::IDEMPOTENT_REPLAYED;
use crate::serve::DropConnection;
use crate::spool::{MAX_BODY_BYTES, Spool, SpoolError};
use crate::store::arrivals::{BodyFacts, Ending, Head};
use crate::store::replies::Fingerprint;

/// How much of a text body an arrival shows.
const PREVIEW_BYTES: usize = 2_000;

/// The middleware of all API routes.
pub(crate) async fn gate(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.faults.is_down() {
        app.traffic.refuse();
        return DropConnection.into_response();
    }
    let visit = app.traffic.enter();
    let (parts, body) = request.into_parts();
    let arrival = app.journal.open(head_of(&parts));
    let spool = match Spool::read(body).await {
        Ok(spool) => spool,
        Err(SpoolError::Broken(_)) => return DropConnection.into_response(),
        Err(error) => {
            let mut response = match error {
                SpoolError::TooLarge => Problem::BodyTooLarge { limit: MAX_BODY_BYTES },
                other => Problem::Internal(other.to_string()),
            }
            .into_response();
            cors::permit(cors::local_origin(&parts.headers), response.headers_mut());
            arrival.close(Ending { status: Some(response.status().as_u16()), ..Ending::default() });
            return response;
        }
    };
    arrival.record_body(BodyFacts { sha256: spool.sha256().to_owned(), size: spool.size(), preview: preview(spool.head()) });
    let attended = tokio::spawn(async move {
        let response = attend(&app, parts, spool, next, arrival).await;
        drop(visit);
        response
    });
    attended.await.unwrap_or_else(|error| Problem::Internal(error.to_string()).into_response())
}

async fn attend(app: &App, parts: Parts, spool: Spool, next: Next, arrival: OpenArrival) -> Response {
    let origin = cors::local_origin(&parts.headers);
    let preflight = Preflight::of(&parts.method, &parts.headers);
    let plan = app.faults.plan(Subject {
        method: parts.method.as_str(),
        path: &path_of(&parts),
        body: spool.head(),
        preflight: preflight.is_some(),
    });
    let mut response = match preflight {
        Some(preflight) => apply_fault(app, plan.as_ref(), async { preflight.reply() }).await,
        None => deliver(app, plan.as_ref(), parts, spool, next, &arrival).await,
    };
    if plan.as_ref().is_none_or(|plan| plan.cors) {
        cors::permit(origin, response.headers_mut());
    }

    let cut = response.extensions().get::<DropConnection>().is_some();
    arrival.close(Ending {
        status: (!cut).then(|| response.status().as_u16()),
        replayed: response.headers().contains_key(IDEMPOTENT_REPLAYED),
        fault: plan.map(|plan| plan.name),
    });
    response
}

/// Claims the request's key, if it will be handled and has one, and hands it to its route.
async fn deliver(app: &App, plan: Option<&Plan>, parts: Parts, spool: Spool, next: Next, arrival: &OpenArrival) -> Response {
    let claimed = if plan.is_none_or(Plan::handles) && may_have_effect(&parts) {
        IdempotencyKey::of(&parts.headers).and_then(|key| {
            let claim = key.as_ref().map(|key| app.claims.claim(arrival.ticket, key)).transpose()?;
            Ok((key, claim))
        })
    } else {
        Ok((None, None))
    };
    match claimed {
        Err(problem) => shape(app, plan, problem.into_response()),
        Ok((key, claim)) => {
            let request = request_of(parts, spool, arrival, key);
            let response = apply_fault(app, plan, next.run(request)).await;
            drop(claim);
            response
        }
    }
}

/// Carries a plan out around `handling`, which runs only if the plan says so.
async fn apply_fault(app: &App, plan: Option<&Plan>, handling: impl Future<Output = Response>) -> Response {
    let Some(plan) = plan else {
        return handling.await;
    };
    if plan.hold && !app.faults.hold().await {
        return DropConnection.into_response();
    }
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    let handled = if plan.handles() { handling.await } else { Response::default() };
    shape(app, Some(plan), handled)
}

/// Turns what handling gave into what the plan answers.
fn shape(app: &App, plan: Option<&Plan>, handled: Response) -> Response {
    let Some(plan) = plan else { return handled };
    let mut response = match &plan.conduct {
        Conduct::DropUnhandled | Conduct::HandleAndDrop => return DropConnection.into_response(),
        Conduct::AnswerUnhandled(answer) | Conduct::HandleAndAnswer(answer) => answer.clone().into_response(&app.traffic),
        Conduct::Handle => handled,
    };
    for (name, value) in &plan.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// Whether a key means anything: safe methods have no effect, except that the sink counts them.
fn may_have_effect(parts: &Parts) -> bool {
    !parts.method.is_safe() || (parts.uri.path().starts_with("/api/sink") && parts.method != Method::OPTIONS)
}

fn request_of(parts: Parts, spool: Spool, arrival: &OpenArrival, key: Option<IdempotencyKey>) -> Request {
    let delivery = Delivery {
        ticket: arrival.ticket,
        key,
        fingerprint: Fingerprint {
            method: parts.method.to_string(),
            path: path_of(&parts),
            body_sha256: spool.sha256().to_owned(),
        },
        content_type: text_of(&parts.headers, &CONTENT_TYPE),
        body_size: spool.size(),
        body_head: spool.head().clone(),
    };
    let mut request = Request::from_parts(parts, spool.into_body());
    request.extensions_mut().insert(delivery);
    request
}

fn head_of(parts: &Parts) -> Head {
    let mut headers = Map::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        match headers.get_mut(name.as_str()) {
            Some(Value::String(earlier)) => {
                earlier.push_str(", ");
                earlier.push_str(&value);
            }
            _ => {
                headers.insert(name.to_string(), Value::from(value));
            }
        }
    }
    Head {
        at_ms: now_ms(),
        method: parts.method.to_string(),
        path: path_of(parts),
        // What was sent, quotes taken off; a malformed one is shown as it came.
        idempotency_key: match IdempotencyKey::of(&parts.headers) {
            Ok(key) => key.map(|key| key.to_string()),
            Err(_) => text_of(&parts.headers, &IDEMPOTENCY_KEY),
        },
        content_type: text_of(&parts.headers, &CONTENT_TYPE),
        headers: Value::Object(headers),
    }
}

fn path_of(parts: &Parts) -> String {
    parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), ToString::to_string)
}

fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The beginning of a text; none if it is not UTF-8. A character cut in two at the end is left out.
fn preview(head: &[u8]) -> Option<String> {
    let cut = head.len() > PREVIEW_BYTES;
    let start = head.get(..PREVIEW_BYTES).unwrap_or(head);
    match std::str::from_utf8(start) {
        Ok(text) => Some(text.to_owned()),
        Err(error) if cut && error.error_len().is_none() => {
            start.get(..error.valid_up_to()).map(|valid| String::from_utf8_lossy(valid).into_owned())
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preview_is_whole_characters_of_text_only() {
        assert_eq!(preview(b"abc").as_deref(), Some("abc"));
        assert_eq!(preview(&[0xff, 0xfe]), None);
        assert_eq!(preview("ä".as_bytes().split_last().unwrap().1), None);
        let long = format!("x{}", "ä".repeat(PREVIEW_BYTES));
        assert_eq!(preview(long.as_bytes()).unwrap().len(), PREVIEW_BYTES - 1);
    }
}

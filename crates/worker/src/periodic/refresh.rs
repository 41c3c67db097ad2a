//! Fetches entries of a cache anew, and keeps what is there unless the response is plainly a newer form of it.
//!
//! Which response may take an entry's place is the core's to say ([`refresh`](shearwater_core::http::refresh)). One entry
//! after the other: it is nobody's hurry.

use js_sys::Array;
use shearwater_core::{
    http::refresh::{Entry, Fetched, Verdict, conditions, verdict},
    schedule::periodic::Refresh,
    wire::text::Text,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, Headers, Request, RequestCache, RequestInit, RequestMode, Response, ResponseType};

use crate::{engine::Engine, js};

/// Refreshes what `what` names; returns the counts.
///
/// # Errors
/// Which entries had to stay as they are, and why.
pub async fn refresh(engine: &Engine, what: &Refresh) -> Result<String, String> {
    let told = |thrown: JsValue| js::message_of(&thrown);
    let caches = js::scope::window().caches().map_err(told)?;
    let cache: Cache = JsFuture::from(caches.open(&what.cache)).await.map_err(told)?.unchecked_into();
    let requests: Vec<Request> = match &what.urls {
        None => {
            let keys = JsFuture::from(cache.keys()).await.map_err(told)?;
            Array::from(&keys).iter().map(JsCast::unchecked_into).collect()
        }
        Some(urls) => urls.iter().map(|url| Request::new_with_str(url)).collect::<Result<_, _>>().map_err(told)?,
    };
    let (mut refreshed, mut unchanged, mut kept) = (0_u32, 0_u32, Vec::new());
    for request in &requests {
        match one(engine, &cache, request, what.conditional).await.map_err(told) {
            Ok(Verdict::Replace) => refreshed += 1,
            Ok(Verdict::Unchanged) => unchanged += 1,
            Ok(Verdict::Keep(why)) => kept.push([&request.url(), ": ", why].text()),
            Err(why) => kept.push([&request.url(), ": ", &why].text()),
        }
    }
    let counts = [&refreshed.to_string(), " refreshed, ", &unchanged.to_string(), " unchanged"].text();
    match kept.first() {
        None => Ok(counts),
        Some(first) => Err([&counts, ", ", &kept.len().to_string(), " kept as they are: ", first].text()),
    }
}

async fn one(engine: &Engine, cache: &Cache, request: &Request, conditional: bool) -> Result<Verdict, JsValue> {
    let stored = JsFuture::from(cache.match_with_request(request)).await?;
    let entry = stored.dyn_ref::<Response>().map(entry_of);
    let init = RequestInit::new();
    // Another origin would be asked for permission first (CORS), which the browser's own cache needs not.
    let is_own = request.url().starts_with(&[&engine.origin, "/"].text());
    let condition = entry.as_ref().filter(|_| conditional && is_own).and_then(conditions);
    let headers = Headers::new_with_headers(&request.headers())?;
    match condition {
        Some((name, value)) => {
            headers.set(name, value)?;
            // As Fetch has it (§4.5); Chromium asks its own cache all the same, and makes a 304 the 200 that it has there.
            init.set_cache(RequestCache::NoStore);
        }
        // The browser's own cache would put conditions in.
        None if !conditional => init.set_cache(RequestCache::Reload),
        None => init.set_cache(RequestCache::NoCache),
    }
    init.set_headers(&headers);
    if entry.as_ref().is_some_and(|entry| entry.opaque) {
        init.set_mode(RequestMode::NoCors);
    }
    // By its address: Chromium gives all of a cache's requests the mode `no-cors`, in which no condition is sent.
    let response: Response = JsFuture::from(js::scope::fetch(&request.url(), &init)?).await?.unchecked_into();
    let verdict = verdict(entry.as_ref(), &fetched(&response));
    if verdict == Verdict::Replace {
        // It reads the whole body first; a response that breaks off leaves the entry as it is.
        JsFuture::from(cache.put_with_request(request, &response)).await?;
    } else if let Some(body) = response.body() {
        let _ = JsFuture::from(body.cancel()).await;
    }
    Ok(verdict)
}

fn entry_of(response: &Response) -> Entry {
    let headers = response.headers();
    Entry {
        etag: js::http::header(&headers, "etag"),
        last_modified: js::http::header(&headers, "last-modified"),
        content_type: js::http::header(&headers, "content-type"),
        opaque: response.type_() == ResponseType::Opaque,
    }
}

fn fetched(response: &Response) -> Fetched {
    let headers = response.headers();
    Fetched {
        status: response.status(),
        content_type: js::http::header(&headers, "content-type"),
        redirected: response.redirected(),
        opaque: response.type_() == ResponseType::Opaque,
        varies_by_all: js::http::header(&headers, "vary").is_some_and(|vary| vary.split(',').any(|name| name.trim() == "*")),
    }
}

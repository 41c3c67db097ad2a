//! The points of a job's life at which the crash tests kill. Only with the feature `faults`, which never ships.
//!
//! A test names one point in `self.shearwaterPoint`. The worker that comes to it asks the server for
//! `/api/points/<name>` and goes on when that answers; a test has the server hold the request, and kills
//! the worker or the browser meanwhile. A point never lies inside a transaction, which would commit by
//! itself while the answer is awaited.

/// Comes to a point; nothing in what ships.
#[cfg(not(feature = "faults"))]
pub async fn reach(_name: &str) {}

/// Comes to a point, and stays there until the test lets it go on.
#[cfg(feature = "faults")]
pub async fn reach(name: &str) {
    if crate::js::global("shearwaterPoint").as_string().as_deref() != Some(name) {
        return;
    }
    let url = ["/api/points/", name].concat();
    if let Ok(promise) = crate::js::scope::fetch(&url, &web_sys::RequestInit::new()) {
        let _ = wasm_bindgen_futures::JsFuture::from(promise).await;
    }
}

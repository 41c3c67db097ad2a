//! What an app says of images that it leaves in Cache Storage to be uploaded (U6). The script of the worker finds them, and
//! queues each as a form; see `sw/worker/cache-uploads.js`.

use serde::Deserialize;

use crate::{error::Error, queue::config::check_name, wire::text::Text};

/// The uploads of one tag.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename = "!CacheUploadConfig")]
pub struct CacheUploadConfig {
    /// The cache; `image-uploads` when absent.
    pub cache: Option<String>,
    /// Where the forms are posted.
    pub url: String,
    /// The name of the file in the form; `image` when absent.
    pub field: Option<String>,
    /// The queue of its jobs; that of the tag's name when absent.
    pub queue: Option<String>,
}

/// Checks what `start` was given.
///
/// # Errors
/// `invalid-config`.
pub(crate) fn check(uploads: &[(String, CacheUploadConfig)], queue: impl Fn(&str) -> Result<(), Error>) -> Result<(), Error> {
    let mut caches: Vec<&str> = Vec::new();
    for (tag, upload) in uploads {
        let bad = |what: &str| Error::invalid_config(["cacheUploads.", tag, what].text());
        check_name("a tag", tag).map_err(|_| bad(" is no tag: 1 to 256 bytes without control characters"))?;
        queue(upload.queue.as_deref().unwrap_or(tag)).map_err(|_| bad(".queue: no such queue; name it in start({queues})"))?;
        if upload.url.is_empty() || upload.field.as_deref() == Some("") {
            return Err(bad(": url and field are not empty"));
        }
        let cache = upload.cache.as_deref().unwrap_or("image-uploads");
        if cache.is_empty() || cache.starts_with("shearwater") || caches.contains(&cache) {
            return Err(bad(".cache: each is a cache of the app's own, and of one tag"));
        }
        caches.push(cache);
    }
    Ok(())
}

//! Reads `If-Match`: the versions that a change is made for.

use http::HeaderMap;
use http::header::IF_MATCH;

/// What `If-Match` asks of what is to be changed.
#[derive(Debug)]
pub(crate) enum IfMatch {
    Anything,
    Versions(Vec<String>),
}

impl IfMatch {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut tags = Vec::new();
        for value in headers.get_all(IF_MATCH) {
            // A tag that is not text matches nothing.
            tags.extend(value.to_str().unwrap_or("?").split(',').map(|tag| tag.trim().to_owned()));
        }
        if tags.is_empty() || tags.iter().any(|tag| tag == "*") { Self::Anything } else { Self::Versions(tags) }
    }

    /// One version, in quotes or not; none: any.
    pub(crate) fn version(version: Option<&str>) -> Self {
        version.map_or(Self::Anything, |version| Self::Versions(vec![format!("\"{}\"", version.trim_matches('"'))]))
    }

    pub(crate) fn allows(&self, version: u32) -> bool {
        match self {
            Self::Anything => true,
            Self::Versions(tags) => tags.contains(&format!("\"{version}\"")),
        }
    }
}

//! Says how a cached entry is asked for anew, and whether a response may take its place (W3).
//!
//! A cache entry is what a user sees offline: nothing takes its place that is not plainly the same resource, newer. So a
//! failure, a redirect, an error page and a captive portal's page leave it as it is.

/// What is known of an entry that lies in a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// Of another origin, without CORS: nothing of it can be seen (Fetch §2.2.6, opaque filtered response).
    pub opaque: bool,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The status; 0 for an opaque response.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// Whether it was reached by a redirect.
    pub redirected: bool,
    /// As [`Entry::opaque`].
    pub opaque: bool,
    /// `Vary: *`, which no cache takes (Service Workers §5.4.5).
    pub varies_by_all: bool,
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The response takes its place.
    Replace,
    /// It is as new as it can be.
    Unchanged,
    /// It stays, for this reason.
    Keep(&'static str),
}

/// The headers that ask only for what is newer (RFC 9110 §13.1.2, §13.1.3). `If-Modified-Since` is for entries without an
/// `ETag`, since a server ignores it beside `If-None-Match`. An opaque entry has no validator that can be seen.
#[must_use]
pub fn conditions(entry: &Entry) -> Option<(&'static str, &str)> {
    match (&entry.etag, &entry.last_modified) {
        (Some(etag), _) => Some(("if-none-match", etag)),
        (None, Some(date)) => Some(("if-modified-since", date)),
        (None, None) => None,
    }
}

/// Whether `fetched` takes the place of `entry`; there is none where a URL is cached for the first time.
#[must_use]
pub fn verdict(entry: Option<&Entry>, fetched: &Fetched) -> Verdict {
    if fetched.opaque {
        return match entry {
            Some(entry) if !entry.opaque => Verdict::Keep("its new response cannot be seen (no CORS)"),
            _ if fetched.redirected => Verdict::Keep("it is redirected"),
            _ => Verdict::Replace,
        };
    }
    let is_html = |content_type: &Option<String>| content_type.as_deref().is_some_and(is_html);
    match fetched.status {
        304 if entry.is_some() => Verdict::Unchanged,
        _ if fetched.redirected => Verdict::Keep("it is redirected"),
        206 => Verdict::Keep("its new response is partial"),
        200..=299 if fetched.varies_by_all => Verdict::Keep("its new response varies by everything"),
        200..=299
            if entry.is_some_and(|entry| !entry.opaque && !is_html(&entry.content_type)) && is_html(&fetched.content_type) =>
        {
            Verdict::Keep("its new response is a page, as of a captive portal")
        }
        200..=299 => Verdict::Replace,
        _ => Verdict::Keep("its server answers with an error"),
    }
}

fn is_html(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["text/html", "application/xhtml+xml"].iter().any(|html| essence.eq_ignore_ascii_case(html))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(content_type: &str) -> Entry {
        Entry { content_type: Some(content_type.to_owned()), ..Entry::default() }
    }

    fn fetched(status: u16, content_type: &str) -> Fetched {
        Fetched { status, content_type: Some(content_type.to_owned()), ..Fetched::default() }
    }

    #[test]
    fn an_entry_is_asked_for_by_its_strongest_validator() {
        let date = "Tue, 24 Nov 2026 10:00:00 GMT";
        let dated = Entry { last_modified: Some(date.to_owned()), ..Entry::default() };
        assert_eq!(conditions(&dated), Some(("if-modified-since", date)));
        let tagged = Entry { etag: Some("\"a\"".to_owned()), ..dated };
        assert_eq!(conditions(&tagged), Some(("if-none-match", "\"a\"")));
        assert_eq!(conditions(&Entry::default()), None);
    }

    #[test]
    fn only_a_plain_success_takes_the_place_of_an_entry() {
        let json = entry("application/json");
        assert_eq!(verdict(Some(&json), &fetched(200, "application/json")), Verdict::Replace);
        assert_eq!(verdict(Some(&json), &fetched(304, "")), Verdict::Unchanged);
        assert_eq!(verdict(None, &fetched(200, "text/html")), Verdict::Replace);
        for status in [0, 206, 301, 400, 401, 404, 410, 500, 503] {
            assert!(matches!(verdict(Some(&json), &fetched(status, "application/json")), Verdict::Keep(_)), "{status}");
        }
        assert!(matches!(verdict(None, &fetched(304, "")), Verdict::Keep(_)));
        let varying = Fetched { varies_by_all: true, ..fetched(200, "application/json") };
        assert!(matches!(verdict(Some(&json), &varying), Verdict::Keep(_)));
    }

    #[test]
    fn neither_a_login_page_nor_a_portal_takes_the_place_of_an_entry() {
        let login = Fetched { redirected: true, ..fetched(200, "text/html") };
        for kept in [entry("text/html"), entry("application/json")] {
            assert!(matches!(verdict(Some(&kept), &login), Verdict::Keep(_)));
        }
        assert!(matches!(verdict(Some(&entry("image/png")), &fetched(200, "Text/HTML; charset=utf-8")), Verdict::Keep(_)));
        assert_eq!(verdict(Some(&entry("text/html")), &fetched(200, "text/html")), Verdict::Replace);
    }

    #[test]
    fn an_opaque_response_takes_the_place_of_an_opaque_entry_alone() {
        let opaque = Fetched { opaque: true, ..Fetched::default() };
        assert_eq!(verdict(Some(&Entry { opaque: true, ..Entry::default() }), &opaque), Verdict::Replace);
        assert!(matches!(verdict(Some(&entry("image/png")), &opaque), Verdict::Keep(_)));
    }
}

//! What can be queued: the stored form of a request, and what is refused at the door.

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    http::credentials::{in_query, is_credential},
    wire::text::{Text, listed},
};

/// The largest stored header section, in bytes; servers refuse more long before.
const LONGEST_HEADERS: usize = 64 * 1024;

/// The longest stored URL, in bytes; Chromium sends none of more than 2 MiB, and servers refuse it long before.
const LONGEST_URL: usize = 64 * 1024;

/// The longest idempotency key that an app may give, in bytes.
const LONGEST_KEY: usize = 256;

/// A request without its body, as it is stored and sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!RequestHead", rename_all = "camelCase")]
pub struct RequestHead {
    /// The absolute `http(s)` URL, as the platform's URL parser spells it.
    pub url: String,
    /// The method, normalised as `fetch` does.
    pub method: String,
    /// Header names in lower case, and values.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Fetch's `credentials`.
    pub credentials: Option<String>,
    /// Fetch's `mode`.
    pub mode: Option<String>,
    /// Fetch's `redirect`.
    pub redirect: Option<String>,
    /// Fetch's `referrerPolicy`.
    pub referrer_policy: Option<String>,
    /// Fetch's `cache`.
    pub cache: Option<String>,
    /// Fetch's `integrity`.
    pub integrity: Option<String>,
}

/// Forbidden request-headers (Fetch §2.2.2) that `fetch` would drop without a word.
const FORBIDDEN: &[&str] = &[
    "accept-charset",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "connection",
    "content-length",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Referrer Policy §3; the empty string is the app's own policy.
const REFERRER_POLICIES: [&str; 9] = [
    "",
    "no-referrer",
    "no-referrer-when-downgrade",
    "same-origin",
    "origin",
    "strict-origin",
    "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];

impl RequestHead {
    /// Checks the head, takes credentials off it and returns which headers were taken; `credentials` are the name parts
    /// that the configuration adds. A fragment, which is never sent, is dropped.
    ///
    /// The URL itself is parsed by the shell's platform parser before it comes here; this checks that
    /// the result is something `fetch` can send.
    ///
    /// # Errors
    /// `invalid-request` naming the part that cannot be queued.
    pub fn admit(&mut self, credentials: &[String]) -> Result<Vec<String>, Error> {
        if !(self.url.starts_with("https://") || self.url.starts_with("http://")) {
            return Err(Error::invalid_request("url: only http: and https: requests can be queued"));
        }
        if let Some(at) = self.url.find('#') {
            self.url.truncate(at);
        }
        if let Some(name) = in_query(&self.url, credentials) {
            return Err(Error::invalid_request(
                [
                    "url: the parameter \"",
                    name,
                    "\" is a credential, and those are never stored; have the auth hook send a header",
                ]
                .text(),
            ));
        }
        if self.url.len() > LONGEST_URL {
            return Err(Error::invalid_request("url: more than 64 KiB; put data in the body"));
        }
        if !is_token(&self.method) {
            return Err(Error::invalid_request("method is not an HTTP method (RFC 9110 token)"));
        }
        if ["CONNECT", "TRACE", "TRACK"].iter().any(|forbidden| self.method.eq_ignore_ascii_case(forbidden)) {
            return Err(Error::invalid_request(["method ", &self.method, " is forbidden by fetch"].text()));
        }
        check_choice("credentials", self.credentials.as_deref(), &["omit", "same-origin", "include"])?;
        check_choice("mode", self.mode.as_deref(), &["cors", "no-cors", "same-origin"])?;
        check_choice("redirect", self.redirect.as_deref(), &["follow", "error", "manual"])?;
        check_choice(
            "cache",
            self.cache.as_deref(),
            &["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"],
        )?;
        check_choice("referrerPolicy", self.referrer_policy.as_deref(), &REFERRER_POLICIES)?;
        let mut taken = Vec::new();
        let mut size = 0;
        for (name, value) in &mut self.headers {
            name.make_ascii_lowercase();
            size += name.len() + value.len();
            check_header(name, value, credentials)?;
        }
        if size > LONGEST_HEADERS {
            return Err(Error::invalid_request("headers: more than 64 KiB; put data in the body"));
        }
        self.headers.retain(|(name, _)| {
            let keep = !is_credential(name, credentials);
            if !keep {
                taken.push(name.clone());
            }
            keep
        });
        Ok(taken)
    }

    /// The idempotency key that the app gives by the header `name`: a structured-field string (RFC 8941 §3.3.3)
    /// without its quotes, or the same text without any.
    ///
    /// # Errors
    /// `invalid-request` when it could not be sent as such a string.
    pub fn given_key(&self, name: &str) -> Result<Option<String>, Error> {
        let Some((_, value)) = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)) else { return Ok(None) };
        let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        let fits = (1..=LONGEST_KEY).contains(&bare.len());
        // Neither is escaped where the key is sent.
        if !fits || !bare.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\"\\".contains(&byte)) {
            let reason = " is 1 to 256 printable ASCII characters without quotes and backslashes, in quotes or not";
            return Err(Error::invalid_request(["headers: ", name, reason].text()));
        }
        Ok(Some(bare.to_owned()))
    }

    /// This head as `change` has it: an empty URL or method, and an option that is not there, stay as they are.
    /// So do the headers unless `headers` says that these are all; those of the change take the place of
    /// their namesakes, such as the content type of a new body.
    pub fn change(&mut self, mut change: Self, headers: bool) {
        if !headers {
            let kept = std::mem::take(&mut self.headers).into_iter();
            let renewed = |name: &str| change.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            let kept: Vec<_> = kept.filter(|(name, _)| !renewed(name)).collect();
            change.headers.splice(0..0, kept);
        }
        self.headers = change.headers;
        if !change.url.is_empty() {
            self.url = change.url;
        }
        if !change.method.is_empty() {
            self.method = change.method;
        }
        for (option, new) in [
            (&mut self.credentials, change.credentials),
            (&mut self.mode, change.mode),
            (&mut self.redirect, change.redirect),
            (&mut self.referrer_policy, change.referrer_policy),
            (&mut self.cache, change.cache),
            (&mut self.integrity, change.integrity),
        ] {
            if new.is_some() {
                *option = new;
            }
        }
    }
}

/// Whether a method may carry a body in `fetch`.
#[must_use]
pub fn takes_body(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD")
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn check_header(name: &str, value: &str, credentials: &[String]) -> Result<(), Error> {
    if !is_token(name) {
        return Err(Error::invalid_request(["headers: \"", name, "\" is not a header name"].text()));
    }
    if FORBIDDEN.contains(&name) || name.starts_with("sec-") || (name.starts_with("proxy-") && !is_credential(name, credentials))
    {
        return Err(Error::invalid_request(["headers: the browser sets \"", name, "\" itself; leave it out"].text()));
    }
    if value.bytes().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) || value.chars().any(|char| u32::from(char) > 0xff) {
        return Err(Error::invalid_request(["headers: the value of \"", name, "\" cannot be sent"].text()));
    }
    Ok(())
}

fn check_choice(name: &str, value: Option<&str>, choices: &[&str]) -> Result<(), Error> {
    match value {
        Some(value) if !choices.contains(&value) => Err(Error::invalid_request([name, " is one of ", &listed(choices)].text())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, headers: &[(&str, &str)]) -> RequestHead {
        RequestHead {
            url: "https://app.example/api".into(),
            method: method.into(),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..RequestHead::default()
        }
    }

    #[test]
    fn ordinary_requests_are_admitted() {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "patch"] {
            assert_eq!(head(method, &[("Content-Type", "text/plain"), ("X-Thing", "\u{e9}")]).admit(&[]), Ok(vec![]));
        }
    }

    #[test]
    fn credentials_are_taken_off() {
        let mut head = head("POST", &[("Authorization", "Bearer secret"), ("X-CSRF-Token", "t"), ("Accept", "*/*")]);
        assert_eq!(head.admit(&[]).unwrap(), ["authorization", "x-csrf-token"]);
        assert_eq!(head.headers, [("accept".to_owned(), "*/*".to_owned())]);
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_fragments_dropped() {
        let mut bad = head("POST", &[]);
        bad.url = "https://app.example/api?q=1&access_token=s".into();
        assert!(bad.admit(&[]).unwrap_err().message.contains("access_token"));
        let mut good = head("POST", &[("X-Tenant-Pin", "1234")]);
        good.url = "https://app.example/api?q=1#access_token=s".into();
        assert_eq!(good.admit(&["tenant-pin".to_owned()]).unwrap(), ["x-tenant-pin"]);
        assert_eq!((good.url.as_str(), good.headers.len()), ("https://app.example/api?q=1", 0));
    }

    #[test]
    fn an_idempotency_key_is_given_with_quotes_or_without() {
        let given = |value: &str| head("POST", &[("idempotency-key", value)]).given_key("Idempotency-Key");
        for (value, key) in [("\"abc\"", "abc"), ("abc", "abc"), ("8e03978e-40d5", "8e03978e-40d5"), ("a b", "a b")] {
            assert_eq!(given(value), Ok(Some(key.to_owned())), "{value}");
        }
        for value in ["", "\"\"", "\"", "\"a", "a\"", "\"a\";p=1", "a\\b", "é", "a\tb", &"x".repeat(257)] {
            assert!(given(value).is_err(), "{value}");
        }
        assert_eq!(head("POST", &[("idempotency-key", "abc")]).given_key("X-Key"), Ok(None));
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let mut stored = head("PUT", &[("x-thing", "1"), ("content-type", "text/plain")]);
        stored.credentials = Some("include".into());
        let before = stored.clone();
        stored.change(RequestHead::default(), false);
        assert_eq!(stored, before);
        let new_body =
            RequestHead { headers: vec![("content-type".into(), "application/json".into())], ..RequestHead::default() };
        stored.change(new_body, false);
        assert_eq!(stored.headers, head("", &[("x-thing", "1"), ("content-type", "application/json")]).headers);
        stored.change(
            RequestHead { url: "https://app.example/other".into(), method: "PATCH".into(), ..RequestHead::default() },
            true,
        );
        assert_eq!((stored.url.as_str(), stored.method.as_str()), ("https://app.example/other", "PATCH"));
        assert_eq!((stored.headers, stored.credentials.as_deref()), (vec![], Some("include")));
    }

    #[test]
    fn what_fetch_cannot_send_is_refused() {
        for method in ["", "CONNECT", "trace", "TRACK", "A B", "GÉT"] {
            assert!(head(method, &[]).admit(&[]).is_err(), "{method}");
        }
        for (name, value) in
            [("Host", "x"), ("Sec-Fetch-Mode", "x"), ("Proxy-Foo", "x"), ("a b", "x"), ("", "x"), ("x", "a\nb"), ("x", "日")]
        {
            assert!(head("POST", &[(name, value)]).admit(&[]).is_err(), "{name}: {value}");
        }
        for url in ["", "/relative", "ftp://x/", "blob:https://x/y", "data:,x", "javascript:1"] {
            let mut bad = head("POST", &[]);
            bad.url = url.into();
            assert!(bad.admit(&[]).is_err(), "{url}");
        }
        for change in [
            |bad: &mut RequestHead| bad.mode = Some("navigate".into()),
            |bad: &mut RequestHead| bad.referrer_policy = Some("never".into()),
            |bad: &mut RequestHead| bad.url.push_str(&"x".repeat(LONGEST_URL)),
        ] {
            let mut bad = head("POST", &[]);
            change(&mut bad);
            assert!(bad.admit(&[]).is_err());
        }
    }
}

//! What `fetch` refuses before it reaches the network, so that a queue would retry it for ever.
//!
//! [`RequestHead::admit`](crate::queue::request::RequestHead::admit) checks each part of a request by itself; the rules
//! here are about parts that do not go together, and about where a request goes. Sections are those of the Fetch
//! Standard unless another is named.

use crate::{
    error::Error,
    queue::request::RequestHead,
    wire::text::{Text, listed},
};

/// Ports that `fetch` blocks (§2.9 "port blocking").
const BAD_PORTS: [u16; 84] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111,
    113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554,
    556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666,
    6667, 6668, 6669, 6679, 6697, 10080, 65535,
];

/// Refuses a request that `fetch` would not send.
///
/// `origin` is that of its URL and `own` the app's, both as the platform spells them.
///
/// # Errors
/// `invalid-request` naming the part and what to do.
pub fn check(head: &RequestHead, origin: &str, own: &str) -> Result<(), Error> {
    let port = origin.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    if let Some(port) = port.filter(|port| BAD_PORTS.contains(port)) {
        return Err(Error::invalid_request(["url: fetch blocks port ", &port.to_string(), "; serve it on another"].text()));
    }
    // Mixed Content §4.4. A redirect or HSTS to https: comes too late for a request that is blocked here.
    if own.starts_with("https:") && origin.starts_with("http:") && !is_loopback(origin) {
        return Err(Error::invalid_request("url: an https: app cannot send to http: (mixed content); use https:"));
    }
    let is = |option: &Option<String>, value: &str| option.as_deref() == Some(value);
    if is(&head.cache, "only-if-cached") {
        return Err(Error::invalid_request("cache: only-if-cached never reaches a server; leave it out"));
    }
    // §4.1 "main fetch".
    if is(&head.mode, "same-origin") && origin != own {
        return Err(Error::invalid_request(["mode: same-origin does not reach ", origin, "; use cors"].text()));
    }
    if is(&head.mode, "no-cors") {
        const METHODS: [&str; 3] = ["GET", "HEAD", "POST"];
        if !METHODS.contains(&head.method.as_str()) {
            return Err(Error::invalid_request(["mode: no-cors takes the methods ", &listed(&METHODS)].text()));
        }
        if head.redirect.as_ref().is_some_and(|redirect| redirect != "follow") {
            return Err(Error::invalid_request("mode: no-cors takes no redirect but follow"));
        }
        // An opaque reply fails every integrity check.
        if head.integrity.as_ref().is_some_and(|integrity| !integrity.is_empty()) {
            return Err(Error::invalid_request("mode: no-cors takes no integrity"));
        }
    }
    Ok(())
}

/// Whether an `http:` origin is potentially trustworthy (Secure Contexts §3.1), and so never mixed content.
fn is_loopback(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").unwrap_or(origin);
    let host = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(host, _)| host);
    let name = host.strip_suffix('.').unwrap_or(host);
    name == "localhost" || name.ends_with(".localhost") || host == "[::1]" || is_ipv4_loopback(host)
}

/// The URL parser has made each IPv4 address four decimal numbers.
fn is_ipv4_loopback(host: &str) -> bool {
    host.starts_with("127.") && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://app.example";

    fn checked(change: impl FnOnce(&mut RequestHead), origin: &str, own: &str) -> Result<(), String> {
        let mut head = RequestHead { url: [origin, "/api"].text(), method: "POST".into(), ..RequestHead::default() };
        change(&mut head);
        check(&head, origin, own).map_err(|error| error.message)
    }

    fn refused(change: impl FnOnce(&mut RequestHead), origin: &str, part: &str) {
        let message = checked(change, origin, OWN).unwrap_err();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn ordinary_requests_pass() {
        for origin in [OWN, "https://other.example", "https://other.example:8443", "https://[2001:db8::1]"] {
            assert_eq!(checked(|_| {}, origin, OWN), Ok(()), "{origin}");
        }
        assert_eq!(checked(|head| head.mode = Some("same-origin".into()), OWN, OWN), Ok(()));
        assert_eq!(checked(|head| head.mode = Some("no-cors".into()), "https://other.example", OWN), Ok(()));
    }

    #[test]
    fn ports_that_fetch_blocks_are_refused() {
        for port in ["25", "6000", "10080", "65535", "0"] {
            refused(|_| {}, &["https://other.example:", port].text(), "port");
            refused(|_| {}, &["https://[::1]:", port].text(), "port");
        }
        // The last group of an IPv6 address is no port.
        assert_eq!(checked(|_| {}, "https://[2001:db8::25]", OWN), Ok(()));
        assert!(BAD_PORTS.is_sorted());
    }

    #[test]
    fn mixed_content_is_refused_and_loopback_is_none() {
        for origin in [
            "http://other.example",
            "http://other.example:8080",
            "http://127.0.0.1.example",
            "http://notlocalhost",
            "http://[2001:db8::1]",
        ] {
            refused(|_| {}, origin, "mixed content");
            assert_eq!(checked(|_| {}, origin, "http://localhost:8080"), Ok(()), "{origin}");
        }
        for origin in [
            "http://localhost",
            "http://localhost:3000",
            "http://app.localhost",
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://[::1]",
            "http://[::1]:8080",
        ] {
            assert_eq!(checked(|_| {}, origin, OWN), Ok(()), "{origin}");
        }
    }

    #[test]
    fn same_origin_reaches_no_other() {
        refused(|head| head.mode = Some("same-origin".into()), "https://other.example", "https://other.example");
        refused(|head| head.mode = Some("same-origin".into()), "https://app.example:8443", "same-origin");
    }

    #[test]
    fn only_if_cached_is_refused_whatever_the_mode() {
        for mode in [None, Some("same-origin".to_owned())] {
            refused(|head| (head.mode, head.cache) = (mode, Some("only-if-cached".into())), OWN, "only-if-cached");
        }
    }

    #[test]
    fn no_cors_takes_simple_methods_follows_redirects_and_checks_nothing() {
        let no_cors = |head: &mut RequestHead| head.mode = Some("no-cors".into());
        for method in ["PUT", "PATCH", "DELETE", "get"] {
            refused(|head| (no_cors(head), head.method = method.into()).1, OWN, "GET, HEAD, POST");
        }
        for redirect in ["error", "manual"] {
            refused(|head| (no_cors(head), head.redirect = Some(redirect.into())).1, OWN, "redirect");
        }
        refused(|head| (no_cors(head), head.integrity = Some("sha256-x".into())).1, OWN, "integrity");
        let plain = |head: &mut RequestHead| (head.redirect, head.integrity) = (Some("follow".into()), Some(String::new()));
        assert_eq!(checked(|head| (no_cors(head), plain(head)).1, OWN, OWN), Ok(()));
    }
}

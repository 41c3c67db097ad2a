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
            return Err(Error::invalid_request(["mode: no-cors allows only ", &listed(&METHODS)].text()));
        }
        if head.redirect.as_ref().is_some_and(|redirect| redirect != "follow") {
            return Err(Error::invalid_request("mode: no-cors allows only redirect follow"));
        }
        // An opaque reply fails every integrity check.
        if head.integrity.as_ref().is_some_and(|integrity| !integrity.is_empty()) {
            return Err(Error::invalid_request("mode: no-cors allows no integrity"));
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
mod tests;

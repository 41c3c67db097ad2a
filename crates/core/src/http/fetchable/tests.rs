use super::*;

const OWN: &str = "https://app.example";

fn checked(change: impl FnOnce(&mut RequestHead), origin: &str, own: &str) -> Result<(), String> {
    let mut head = RequestHead { url: [origin, "/api"].text(), method: "POST".into(), ..RequestHead::default() };
    change(&mut head);
    check(&head, origin, own).map_err(Error::into_message)
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

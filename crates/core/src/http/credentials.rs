//! Knows by their names which headers and URL parameters are credentials, which are never stored (P4).
//!
//! A name is compared without case and separators: `X-Api-Key`, `x_api_key` and `apikey` are one. It is a credential
//! when it contains one of the parts below, or one that the configuration adds. The list errs on the side of privacy;
//! a header taken off by mistake is one the app can supply in its `auth` hook.

/// What the name of a credential contains.
const PARTS: &[&str] = &[
    "accesskey",
    "accesstoken",
    "apikey",
    "authenticationtoken",
    "authenticitytoken",
    "authorization",
    "authtoken",
    "bearer",
    "clientsecret",
    "credential",
    "csrf",
    "idtoken",
    "passwd",
    "password",
    "privatekey",
    "refreshtoken",
    "secretkey",
    "securitytoken",
    "sessionid",
    "sessiontoken",
    "subscriptionkey",
    "usertoken",
    "verificationtoken",
    "xsrf",
];

/// Names that are credentials as a whole; as a part they would hit `X-Author` or `X-Upload-Token-Id`.
const NAMES: &[&str] = &["auth", "authentication", "cookie", "jwt", "secret", "sid", "token", "xauth", "xsecret", "xtoken"];

/// A name without case and separators.
#[must_use]
pub fn normalised(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}

/// Whether a header or URL parameter of this name is a credential; `more` are the configuration's name parts.
#[must_use]
pub fn is_credential(name: &str, more: &[String]) -> bool {
    let name = normalised(name);
    NAMES.contains(&name.as_str())
        || PARTS.iter().any(|part| name.contains(part))
        || more.iter().any(|part| name.contains(&normalised(part)))
}

/// The first parameter of a URL's query that is a credential, by its name as it stands in the URL.
#[must_use]
pub fn in_query<'a>(url: &'a str, more: &[String]) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    query.split('&').map(|pair| pair.split('=').next().unwrap_or_default()).find(|name| is_credential(&decoded(name), more))
}

/// Text without percent-encoding (RFC 3986 §2.1); what is not UTF-8 is replaced.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => rest = after,
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_the_parts_of_their_names() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "X-Api-Key",
            "Api-Key",
            "X-Auth-Token",
            "X-Access-Token",
            "X-Amz-Security-Token",
            "X-CSRF",
            "X-XSRF",
            "X-CSRFToken",
            "anti-csrf-token",
            "__RequestVerificationToken",
            "authenticity_token",
            "X-Goog-Api-Key",
            "Ocp-Apim-Subscription-Key",
            "access_token",
            "id_token",
            "X-Token",
            "token",
        ] {
            assert!(is_credential(name, &[]), "{name}");
        }
    }

    #[test]
    fn ordinary_names_are_none() {
        for name in [
            "Accept",
            "Content-Type",
            "Idempotency-Key",
            "If-Match",
            "X-Author",
            "X-Request-Id",
            "X-Continuation-Token",
            "pageToken",
            "key",
            "q",
            "X-Correlation-Key",
        ] {
            assert!(!is_credential(name, &[]), "{name}");
        }
        assert!(is_credential("X-Tenant-Pin", &["tenant-pin".to_owned()]));
    }

    #[test]
    fn the_scripts_list_of_names_is_this_one() {
        let script = include_str!("../../../../sw/forms/credentials.js");
        let quoted: Vec<&str> = script.split('"').skip(1).step_by(2).filter(|name| !name.is_empty()).collect();
        let known: Vec<&str> = PARTS.iter().chain(NAMES).copied().collect();
        assert_eq!(quoted, known);
    }

    #[test]
    fn a_query_is_searched_by_parameter() {
        assert_eq!(in_query("https://a.example/x?q=1&access_token=s#access_token", &[]), Some("access_token"));
        assert_eq!(in_query("https://a.example/access_token?q=access_token#token=1", &[]), None);
        assert_eq!(in_query("https://a.example/x", &[]), None);
        assert_eq!(in_query("https://a.example/x?%61ccess%5Ftoken=1", &[]), Some("%61ccess%5Ftoken"));
        assert_eq!(in_query("https://a.example/x?%=1&%zz=2&a%", &[]), None);
    }
}

//! Job identifiers: UUIDs in their canonical text form.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::error::Error;

/// A job's identifier: a UUID (RFC 9562) in lower-case hexadecimal, made by the page.
///
/// The page makes it, so that a request repeated after a lost reply is recognised and stored once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// Checks and takes a UUID's text.
    ///
    /// # Errors
    /// `invalid-request` when the text is not a canonical UUID.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let well_formed = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            });
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid_request("a job id is a lower-case UUID such as crypto.randomUUID() makes"))
        }
    }

    /// Makes a version 4 UUID from 16 random bytes.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = String::with_capacity(36);
        for (at, byte) in bytes.into_iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(*HEX.get(usize::from(nibble)).unwrap_or(&b'0')));
            }
        }
        Self(text)
    }

    /// The UUID as the number that it is.
    #[must_use]
    pub fn as_number(&self) -> u128 {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        self.0.bytes().filter_map(digit).fold(0, |number, digit| number << 4 | u128::from(digit))
    }

    /// The UUID's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer).ok().and_then(|text| Self::parse(&text).ok());
        id.ok_or_else(|| D::Error::custom("is not a job id, which is a lower-case UUID"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_a_version_4_uuid() {
        let id = JobId::from_random([0xff; 16]);
        assert_eq!(id.as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(JobId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn anything_but_a_canonical_uuid_is_refused() {
        for text in [
            "",
            "1",
            "FFFFFFFF-ffff-4fff-bfff-ffffffffffff",
            "ffffffff-ffff-4fff-bfff-fffffffffff\u{e9}",
            "ffffffff_ffff-4fff-bfff-ffffffffffff",
        ] {
            assert!(JobId::parse(text).is_err(), "{text}");
        }
    }
}

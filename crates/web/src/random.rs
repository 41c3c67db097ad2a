//! Random bytes and ids, from the platform's cryptographic source.

use js_sys::Uint8Array;
use web_sys::Crypto;

use crate::{error::sure, scope::window};

/// Sixteen random bytes.
#[must_use]
pub fn bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    sure(crypto().get_random_values_with_u8_array(&mut bytes));
    bytes
}

/// An array of `length` random bytes.
#[must_use]
pub fn array(length: u32) -> Uint8Array {
    /// What `getRandomValues` fills at once (Web Cryptography §10.1.1).
    const MOST: u32 = 65_536;
    let (bytes, crypto) = (Uint8Array::new_with_length(length), crypto());
    let mut from = 0;
    while from < length {
        let upto = length.min(from + MOST);
        sure(crypto.get_random_values_with_js_u8_array(&bytes.subarray(from, upto)));
        from = upto;
    }
    bytes
}

/// A random UUID as text.
#[must_use]
pub fn uuid() -> String {
    crypto().random_uuid()
}

fn crypto() -> Crypto {
    sure(window().crypto())
}

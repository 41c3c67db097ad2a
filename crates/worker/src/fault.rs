//! Errors on their way between Rust and JavaScript, and the panic hook.

use shearwater_core::{Error, ErrorCode, wire::text::Text};
use wasm_bindgen::prelude::*;

use crate::{host::Host, js};

/// The error as JavaScript sees it.
pub fn to_js(error: Error) -> JsValue {
    shearwater_web::error_of(&error)
}

/// The typed error for what the storage threw, told by its name; messages differ by browser.
pub fn storage_error(error: &JsValue) -> Error {
    let (name, message) = (js::name_of(error), js::message_of(error));
    let (code, advice) = match name.as_str() {
        "QuotaExceededError" => {
            (ErrorCode::QuotaExceeded, "the disk or the origin's quota is full; nothing was stored: free space and try again")
        }
        "DataCloneError" => (ErrorCode::InvalidRequest, "the body cannot be stored"),
        "ConstraintError" => (ErrorCode::InvalidRequest, "a job of this id is stored already"),
        "DataError" | "TypeError" => (ErrorCode::Internal, "IndexedDB refused a row"),
        _ => (ErrorCode::StorageUnavailable, "IndexedDB cannot be used (private mode, or the browser lost its connection)"),
    };
    Error::new(code, [advice, " (", &name, ": ", &message, ")"].text())
}

/// Tells the host when this instance dies, which has a new one take its place. A debug build writes the stack to the
/// console before.
pub fn install_panic_hook(host: &Host) {
    let host = host.clone();
    std::panic::set_hook(Box::new(move |info| {
        #[cfg(feature = "debug")]
        console_error_panic_hook::hook(info);
        let place = info.location().map_or(0, std::panic::Location::line);
        let file = info.location().map_or("", std::panic::Location::file);
        let payload = info.payload();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("panic");
        host.panicked(&[text, " at ", file, ":", &place.to_string()].text());
    }));
}

/// Traps on purpose while the script is calling; only with the feature `faults`, which never ships.
#[cfg(feature = "faults")]
pub fn trap_at_once(data: &JsValue) {
    match js::get(data, "op").as_string().as_deref() {
        Some("trap at once") => unreachable_instruction(),
        Some("overflow at once") => {
            let _ = deep(0);
        }
        Some("exhaust at once") => use_up_memory(),
        _ => {}
    }
}

/// The same in a callback of the platform, whose errors nobody catches.
#[cfg(feature = "faults")]
pub fn trap_later(data: &JsValue) {
    match js::get(data, "op").as_string().as_deref() {
        Some("trap later") => unreachable_instruction(),
        Some("overflow later") => {
            let _ = deep(0);
        }
        Some("exhaust later") => use_up_memory(),
        _ => {}
    }
}

#[cfg(all(feature = "faults", target_arch = "wasm32"))]
fn unreachable_instruction() {
    core::arch::wasm32::unreachable()
}

/// Recurs until the engine's stack is used up. Adding what the platform returns keeps it from becoming a loop.
#[cfg(feature = "faults")]
#[inline(never)]
fn deep(depth: u32) -> f64 {
    let low = js_sys::Math::random();
    if low > 2.0 { low } else { low + deep(depth.wrapping_add(1)) }
}

/// Takes all memory that there is, so that whatever asks for some next gets none. No piece is written to: of the 4 GiB
/// the system gives next to nothing.
#[cfg(feature = "faults")]
fn use_up_memory() {
    let mut size = 1_usize << 30;
    while size > 0 {
        let mut piece = Vec::<u8>::new();
        match piece.try_reserve_exact(size) {
            // Or the compiler would leave out what nobody looks at.
            Ok(()) => std::mem::forget(std::hint::black_box(piece)),
            Err(_) => size /= 2,
        }
    }
}

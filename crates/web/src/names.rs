//! Keeps the JavaScript strings of member names, so that each crosses the border once.

use std::cell::RefCell;

use wasm_bindgen::JsValue;

thread_local! {
    /// Sorted by the address of the literal: the same literal is the same string.
    static KNOWN: RefCell<Vec<(usize, usize, JsValue)>> = const { RefCell::new(Vec::new()) };
}

/// The JavaScript string of a literal.
pub(crate) fn js_name(name: &'static str) -> JsValue {
    KNOWN.with_borrow_mut(|known| {
        let key = (name.as_ptr().addr(), name.len());
        match known.binary_search_by(|(address, length, _)| (*address, *length).cmp(&key)) {
            Ok(at) => known.get(at).map_or_else(|| JsValue::from_str(name), |(.., value)| value.clone()),
            Err(at) => {
                let value = JsValue::from_str(name);
                // As `Vec::insert`, whose panic would bring along the formatting of numbers, 0.4 KB of page.wasm.
                let mut next = (key.0, key.1, value.clone());
                known.iter_mut().skip(at).for_each(|place| std::mem::swap(place, &mut next));
                known.push(next);
                value
            }
        }
    })
}

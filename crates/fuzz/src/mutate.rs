//! Changes inputs as values, so that most of what is tried is well-formed JSON.
//!
//! Members travel with their names from one input to another, so the corpus is the dictionary.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Number, Value as Json, json};

/// Changes an input in place; returns its new size.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut dice = Dice::new(seed);
    let tree = data.get(..size).and_then(|text| serde_json::from_slice::<Json>(text).ok());
    let Some(mut tree) = tree.filter(|_| !dice.one_in(32)) else { return fuzzer_mutate(data, size, max_size) };
    change(&mut tree, &mut dice);
    write(&tree, data.get_mut(..max_size).unwrap_or_default()).unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
}

/// Puts a part of the second input into the first; returns the size of what comes of it.
pub fn cross(first: &[u8], second: &[u8], out: &mut [u8], seed: u32) -> usize {
    let mut dice = Dice::new(seed);
    let (Ok(mut tree), Ok(mut other)) = (serde_json::from_slice::<Json>(first), serde_json::from_slice::<Json>(second)) else {
        return 0;
    };
    let donor = any(&mut other, &mut dice);
    let named = match donor {
        Json::Object(members) if !members.is_empty() => {
            let at = dice.below(members.len());
            members.iter().nth(at).map(|(name, value)| (name.clone(), value.clone()))
        }
        _ => None,
    };
    let donor = donor.clone();
    match (any(&mut tree, &mut dice), named) {
        (Json::Object(members), Some((name, value))) => drop(members.insert(name, value)),
        (Json::Array(items), _) if !dice.one_in(3) => items.insert(dice.below(items.len() + 1), donor),
        (place, _) => *place = donor,
    }
    write(&tree, out).unwrap_or(0)
}

fn change(tree: &mut Json, dice: &mut Dice) {
    let copy = if dice.one_in(2) { any(tree, dice).clone() } else { constant(dice) };
    match any(tree, dice) {
        Json::Object(members) if !dice.one_in(8) => {
            let name = members.keys().nth(dice.below(members.len().max(1))).cloned();
            match (name, dice.below(8)) {
                (Some(name), 0..3) => drop(members.remove(&name)),
                (Some(mut name), 3) => {
                    let value = members.remove(&name).unwrap_or_default();
                    name.push('x');
                    members.insert(name, value);
                }
                (Some(name), _) => drop(members.insert(name, copy)),
                (None, _) => drop(members.insert("a".to_owned(), copy)),
            }
        }
        Json::Array(items) if !dice.one_in(8) => {
            let (at, other) = (dice.below(items.len()), dice.below(items.len()));
            match dice.below(4) {
                0 if !items.is_empty() => drop(items.remove(at)),
                1 if !items.is_empty() => items.swap(at, other),
                2 if !items.is_empty() => items.insert(at, items[at].clone()),
                _ => items.insert(at, copy),
            }
        }
        // Mostly what it was in kind, for one value of the wrong kind ends the reading.
        Json::String(text) if !dice.one_in(8) => match copy {
            Json::String(copy) => *text = copy,
            _ => {
                let mut bytes = text.as_bytes().to_vec();
                let size = bytes.len();
                bytes.resize(size + 16, 0);
                let size = fuzzer_mutate(&mut bytes, size, size + 16);
                *text = String::from_utf8_lossy(&bytes[..size]).into_owned();
            }
        },
        Json::Number(number) if !dice.one_in(8) => {
            let old = number.as_i64().unwrap_or(0);
            *number = match (dice.below(8), copy) {
                (0, _) => old.saturating_add(1).into(),
                (1, _) => old.saturating_sub(1).into(),
                (2, _) => old.saturating_mul(2).into(),
                (3 | 4, _) => {
                    // In binary libFuzzer recognises it as what was compared, and knows with what.
                    let mut bytes = old.to_le_bytes();
                    fuzzer_mutate(&mut bytes, 8, 8);
                    i64::from_le_bytes(bytes).into()
                }
                (_, Json::Number(copy)) => copy,
                _ => dice.number(),
            };
        }
        Json::Bool(switch) if !dice.one_in(8) => *switch = !*switch,
        place => *place = copy,
    }
}

/// Values at the edges of what the readers take.
fn constant(dice: &mut Dice) -> Json {
    const NUMBERS: [f64; 16] = [
        0.0,
        1.0,
        -1.0,
        0.5,
        99.0,
        100.0,
        255.0,
        256.0,
        599.0,
        65_536.0,
        4_294_967_295.0,
        4_294_967_296.0,
        9_007_199_254_740_991.0,
        9_007_199_254_740_992.0,
        1e300,
        604_800_000.0,
    ];
    match dice.below(10) {
        0 => Json::Null,
        1 => json!(dice.one_in(2)),
        2 => json!([]),
        3 => json!({}),
        4 => json!({"$number": (["NaN", "inf", "-inf", "-0"][dice.below(4)])}),
        5 => json!(""),
        6 => json!(format!("{:08x}-0000-4000-8000-000000000000", dice.below(4))),
        7 => json!("x".repeat(1 << dice.below(10))),
        8 => Json::Number(dice.number()),
        _ => match NUMBERS[dice.below(NUMBERS.len())] {
            whole if whole.fract() == 0.0 && whole.abs() < 1e18 => json!(whole as i64),
            other => json!(other),
        },
    }
}

/// Any of the values that a value is made of, itself included.
fn any<'a>(tree: &'a mut Json, dice: &mut Dice) -> &'a mut Json {
    let mut at = dice.below(count(tree));
    let Some(found) = nth(tree, &mut at) else { unreachable!("there are as many as were counted") };
    found
}

fn count(tree: &Json) -> usize {
    1 + match tree {
        Json::Array(items) => items.iter().map(count).sum(),
        Json::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

fn nth<'a>(tree: &'a mut Json, at: &mut usize) -> Option<&'a mut Json> {
    if *at == 0 {
        return Some(tree);
    }
    *at -= 1;
    match tree {
        Json::Array(items) => items.iter_mut().find_map(|item| nth(item, at)),
        Json::Object(members) => members.values_mut().find_map(|item| nth(item, at)),
        _ => None,
    }
}

fn write(tree: &Json, out: &mut [u8]) -> Option<usize> {
    let text = tree.to_string();
    out.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(text.len())
}

/// Chance by libFuzzer's seed alone (splitmix64), so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn new(seed: u32) -> Self {
        Self(u64::from(seed))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }

    /// Any number, small ones as likely as large ones; some with a fraction.
    fn number(&mut self) -> Number {
        let whole = {
            let size = 1 << self.below(54);
            self.below(size)
        };
        let fraction = Number::from_f64(whole as f64 / 16.0).filter(|_| self.one_in(4));
        fraction.unwrap_or_else(|| whole.into())
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

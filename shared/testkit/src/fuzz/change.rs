//! Small changes to an input.

use rand::{Rng, RngExt as _};
use serde_json::{Map, Value, json};

/// Fragments of text that are special to parsers.
const WORDS: [&str; 34] = [
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "0",
    "-1",
    "-0",
    "1e999",
    "1e-999",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "9223372036854775807",
    "4294967296",
    "0.1",
    "NaN",
    "|",
    "-",
    "/",
    ":",
    ",",
    "\n",
    "\r\n",
    "\t",
    "%00",
    "__",
    "..",
    "é",
    "\u{202e}",
    "\u{fffd}",
    "=",
];

/// The input with one change; parts may come from `other`.
pub fn change<R: Rng>(rng: &mut R, input: &[u8], other: &[u8]) -> Vec<u8> {
    if rng.random_bool(0.5)
        && let Ok(mut value) = serde_json::from_slice::<Value>(input)
    {
        change_value(rng, &mut value, serde_json::from_slice(other).ok());
        return value.to_string().into_bytes();
    }
    change_bytes(rng, input, other)
}

fn change_bytes<R: Rng>(rng: &mut R, input: &[u8], other: &[u8]) -> Vec<u8> {
    let (from, to) = range(rng, input.len());
    let put = |middle: &[u8], after: usize| [&input[..from], middle, &input[after..]].concat();
    match rng.random_range(0..9) {
        0 if !input.is_empty() => {
            let mut flipped = input.to_vec();
            let at = rng.random_range(0..input.len());
            flipped[at] ^= 1 << rng.random_range(0..8);
            flipped
        }
        1 => put(&[rng.random()], from),
        2 => put(&[], to),
        3 => put(WORDS[rng.random_range(0..WORDS.len())].as_bytes(), from),
        4 => put(WORDS[rng.random_range(0..WORDS.len())].as_bytes(), to),
        5 => input[..from].to_vec(),
        6 => {
            let (begin, end) = range(rng, other.len());
            put(&other[begin..end], to)
        }
        7 => put(&input[from..to].repeat(rng.random_range(2..=9)), to),
        _ => number(rng, input),
    }
}

/// The input with one of its runs of digits replaced.
fn number<R: Rng>(rng: &mut R, input: &[u8]) -> Vec<u8> {
    let starts: Vec<usize> = (0..input.len())
        .filter(|&at| {
            input[at].is_ascii_digit() && !at.checked_sub(1).is_some_and(|before| input[before].is_ascii_digit())
        })
        .collect();
    if starts.is_empty() {
        return input.to_vec();
    }
    let from = starts[rng.random_range(0..starts.len())];
    let to = input[from..].iter().position(|byte| !byte.is_ascii_digit()).map_or(input.len(), |length| from + length);
    let numbers = [
        "0",
        "1",
        "00",
        "65536",
        "2147483648",
        "9223372036854775807",
        "18446744073709551615",
        "99999999999999999999999",
    ];
    [&input[..from], numbers[rng.random_range(0..numbers.len())].as_bytes(), &input[to..]].concat()
}

fn range<R: Rng>(rng: &mut R, length: usize) -> (usize, usize) {
    let from = rng.random_range(0..=length);
    let longest = (length - from).min(40);
    (from, from + rng.random_range(0..=longest))
}

/// Changes one value somewhere inside.
fn change_value<R: Rng>(rng: &mut R, value: &mut Value, other: Option<Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() && rng.random_bool(0.85) => {
            let key = fields.keys().nth(rng.random_range(0..fields.len())).cloned().unwrap_or_default();
            change_field(rng, fields, &key, other);
        }
        Value::Array(items) if !items.is_empty() && rng.random_bool(0.85) => {
            let at = rng.random_range(0..items.len());
            match rng.random_range(0..10) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => change_value(rng, &mut items[at], other),
            }
        }
        value => *value = odd(rng, value, other),
    }
}

fn change_field<R: Rng>(rng: &mut R, fields: &mut Map<String, Value>, key: &str, other: Option<Value>) {
    match rng.random_range(0..12) {
        0 => drop(fields.remove(key)),
        1 => {
            let value = fields.remove(key).unwrap_or_default();
            fields.insert(WORDS[rng.random_range(0..WORDS.len())].to_owned(), value);
        }
        2 => drop(fields.insert("colour".to_owned(), json!("blue"))),
        3 => {
            // A field of the other input replaces this one.
            if let Some(Value::Object(theirs)) = other
                && let Some((name, value)) = theirs.into_iter().next_back()
            {
                fields.insert(name, value);
            }
        }
        _ => change_value(rng, &mut fields[key], other),
    }
}

fn odd<R: Rng>(rng: &mut R, old: &Value, other: Option<Value>) -> Value {
    match rng.random_range(0..22) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(1e308),
        7 => json!(0.1),
        8 => json!(""),
        9 => json!("\u{0}"),
        10 => json!("\u{202e}\u{1f469}\u{200d}\u{1f680}é|:/"),
        11 => json!("x".repeat(rng.random_range(1..300))),
        12 => json!([]),
        13 => json!({}),
        14 => (0..rng.random_range(2..150)).fold(old.clone(), |inner, _| json!([inner])),
        15 => json!([old, old]),
        16 => json!({ "value": old }),
        17 => json!(old.to_string()),
        18 => json!(u64::from(rng.random::<u32>())),
        19 => json!(i64::MAX),
        20 => json!(old.as_i64().unwrap_or_default().wrapping_neg()),
        _ => other.unwrap_or_default(),
    }
}

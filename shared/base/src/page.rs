//! Paging of lists in the HTTP API and on the command line: requests and pages.
//!
//! A page ends at a *place*: the sort key of its last row. The next page has the rows after that place, so rows that are added or
//! removed meanwhile shift no other rows between pages.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The most rows of a page.
pub const MOST: usize = 1_000;

/// The most characters of a cursor.
const LONGEST: usize = 8_192;

/// The end of a page, as URL-safe text for clients. Its content may change between versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// The text is not a cursor, or it is one of another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a cursor of this list; give `next` of the page before as it is, or leave it out for the first page")]
pub struct InvalidCursor;

impl Cursor {
    /// The cursor for the page of the list `list` that ends at `place`.
    ///
    /// # Panics
    ///
    /// The place cannot be written as JSON.
    pub fn at(list: &str, place: &impl Serialize) -> Self {
        let place = serde_json::to_vec(&(list, place)).expect("a place is made of what JSON can hold");
        Self(URL_SAFE_NO_PAD.encode(place))
    }

    /// The place, if the cursor is of the list with this name.
    ///
    /// # Errors
    ///
    /// The cursor is of another list, or was made up.
    pub fn place<P: DeserializeOwned>(&self, list: &str) -> Result<P, InvalidCursor> {
        let (of, place) = read(&self.0)?;
        if of == list { serde_json::from_value(place).map_err(|_| InvalidCursor) } else { Err(InvalidCursor) }
    }
}

fn read(text: &str) -> Result<(String, Value), InvalidCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
    serde_json::from_slice(&bytes).map_err(|_| InvalidCursor)
}

/// Whether a text in it has a NUL character, which Postgres does not accept.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.values().any(has_nul),
        _ => false,
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        if text.len() > LONGEST || has_nul(&read(text)?.1) {
            return Err(InvalidCursor);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn cursor<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Cursor>, D::Error> {
    let text: Option<String> = Option::deserialize(d)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

fn limit<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    match Option::deserialize(d)? {
        Some(limit) if !(1..=MOST).contains(&(limit as usize)) => {
            Err(serde::de::Error::custom(format!("it is {limit}; 1 to {MOST} are allowed")))
        }
        limit => Ok(limit),
    }
}

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Paging {
    /// Where the page begins: `next` of the page before; default: the first page.
    #[serde(default, deserialize_with = "cursor")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]+$"))]
    #[cfg_attr(feature = "clap", arg(long))]
    pub cursor: Option<Cursor>,
    /// The most rows of the page, 1 to 1000.
    #[serde(default, deserialize_with = "limit")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000)))]
    pub limit: Option<u32>,
}

impl Paging {
    /// The first page, of at most so many rows.
    pub fn first(limit: u32) -> Self {
        Self { cursor: None, limit: Some(limit) }
    }

    /// The same page, with at most `most` rows if no limit is given.
    #[must_use]
    pub fn or(&self, most: u32) -> Self {
        Self { limit: self.limit.or(Some(most)), ..self.clone() }
    }

    /// The most rows of the page; default 100.
    pub fn limit(&self) -> usize {
        self.limit.map_or(100, |limit| limit as usize).clamp(1, MOST)
    }

    /// How many rows to read: one more than the page has, to tell whether there is a next page.
    pub fn rows(&self) -> i64 {
        i64::try_from(self.limit()).unwrap_or(0) + 1
    }

    /// The place after which the page begins; none for the first page.
    ///
    /// # Errors
    ///
    /// The cursor is of another list.
    pub fn place<P: DeserializeOwned>(&self, list: &str) -> Result<Option<P>, InvalidCursor> {
        self.cursor.as_ref().map(|cursor| cursor.place(list)).transpose()
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// Its rows.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null on the last page.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The page that `paging` asks for, out of all rows of the list `list`. The rows are sorted by `place`, which is unique.
    ///
    /// # Errors
    ///
    /// The cursor is of another list.
    pub fn of_all<P>(list: &str, rows: Vec<T>, paging: &Paging, place: impl Fn(&T) -> P) -> Result<Self, InvalidCursor>
    where
        P: Ord + Serialize + DeserializeOwned,
    {
        let after: Option<P> = paging.place(list)?;
        let mut items: Vec<T> =
            rows.into_iter().filter(|row| after.as_ref().is_none_or(|after| place(row) > *after)).collect();
        let is_more = items.len() > paging.limit();
        items.truncate(paging.limit());
        let next = items.last().filter(|_| is_more).map(|last| Cursor::at(list, &place(last)));
        Ok(Self { items, next })
    }

    /// Converts each row; the cursor of the next page stays.
    pub fn map<U>(self, other: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(other).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_one_of_another_list_or_made_up_is_refused() {
        let cursor = Cursor::at("jobs", &("2026-01-31", 7));
        let carried: Cursor = cursor.to_string().parse().expect("a cursor");
        assert_eq!(carried.place("jobs"), Ok(("2026-01-31".to_owned(), 7)));
        assert_eq!(carried.place::<(String, i32)>("audit"), Err(InvalidCursor));
        assert_eq!(carried.place::<i64>("jobs"), Err(InvalidCursor));
        let nul = Cursor::at("jobs", &"\0").to_string();
        for text in ["", "00ff", "2026-01-31T09:00:00Z", "AAAA", "e30", nul.as_str(), "a b", &"a".repeat(10_000)] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }

    #[test]
    fn a_cursor_is_safe_in_a_url() {
        let text = Cursor::at("jobs", &"??>>~~\u{ff}\u{1F600}").to_string();
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{text}");
    }

    #[test]
    fn a_page_says_whether_there_is_a_next_one() {
        let page = |paging: &Paging| Page::of_all("numbers", vec![1, 2, 3, 4], paging, |n| *n).expect("a page");
        let first = page(&Paging::first(2));
        assert_eq!(first.items, [1, 2]);
        let second = page(&Paging { cursor: first.next, limit: Some(2) });
        assert_eq!((second.items, second.next), (vec![3, 4], None));
    }

    #[test]
    fn a_limit_out_of_range_is_refused_with_what_is_allowed() {
        for limit in [0, 1_001] {
            let error = serde_json::from_value::<Paging>(json!({ "limit": limit })).expect_err("out of range");
            assert!(error.to_string().contains("1 to 1000"), "{error}");
        }
    }
}

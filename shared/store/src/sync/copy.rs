//! Rows as the text that `COPY ... FROM STDIN` reads.

use std::{borrow::Cow, fmt::Display, fmt::Write as _};

use chrono::{DateTime, SecondsFormat, Utc};

/// Rows, column by column. U+0000, which Postgres cannot hold, becomes U+FFFD.
#[derive(Debug, Default)]
pub(super) struct CopyText {
    text: String,
    in_row: bool,
}

impl CopyText {
    pub fn with_room(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), in_row: false }
    }

    pub fn word(&mut self, value: &str) {
        self.separate();
        let mut rest = value;
        while let Some(at) = rest.find(['\\', '\n', '\r', '\t', '\0']) {
            self.text.push_str(&rest[..at]);
            self.text.push_str(match rest.as_bytes()[at] {
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                _ => "\u{fffd}",
            });
            rest = &rest[at + 1..];
        }
        self.text.push_str(rest);
    }

    pub fn number(&mut self, value: impl Display) {
        self.separate();
        // Writing into a string cannot fail.
        let _ = write!(self.text, "{value}");
    }

    pub fn time(&mut self, value: DateTime<Utc>) {
        self.separate();
        self.text.push_str(&value.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    }

    /// A column by `write`, or null.
    pub fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        if let Some(value) = value {
            write(self, value);
        } else {
            self.separate();
            self.text.push_str("\\N");
        }
    }

    pub fn end_row(&mut self) {
        self.text.push('\n');
        self.in_row = false;
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn separate(&mut self) {
        if self.in_row {
            self.text.push('\t');
        }
        self.in_row = true;
    }
}

/// `text` with every U+0000 in it replaced by U+FFFD.
pub(super) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_column_or_a_row_is_escaped_and_a_nul_replaced() {
        let mut rows = CopyText::default();
        rows.word("a\tb\nc\rd\\N\0ü");
        rows.maybe(None::<&str>, CopyText::word);
        rows.maybe(Some("\\N"), CopyText::word);
        rows.end_row();
        rows.number(7);
        rows.word("");
        rows.time(DateTime::from_timestamp_millis(1_500).expect("a time"));
        rows.end_row();
        let expected = "a\\tb\\nc\\rd\\\\N\u{fffd}ü\t\\N\t\\\\N\n7\t\t1970-01-01T00:00:01.500Z\n";
        assert_eq!(std::str::from_utf8(rows.as_bytes()), Ok(expected));
    }

    #[test]
    fn a_nul_in_text_is_replaced() {
        assert_eq!(without_nul("a\0b"), "a\u{fffd}b");
        assert_eq!(without_nul("ab"), "ab");
    }
}

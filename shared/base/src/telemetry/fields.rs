//! Formatting of the fields of spans and log lines. Every job and every request opens a span, and most never log a line. With the
//! formatter of tracing-subscriber, the fields took a fifth of the time that a worker spent on an empty job.

use std::{
    error::Error,
    fmt::{self, Debug, Write},
};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, FormattedFields, format::Writer},
};

/// Enough for the fields of most spans.
const USUAL: usize = 192;

/// Fields as `name=value`, one after another. Text is quoted unless it is a plain word, and the message is written without its
/// name.
#[derive(Debug)]
pub(super) struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let colour = writer.has_ansi_escapes();
        let mut text = TextVisitor { written: String::with_capacity(USUAL), colour };
        fields.record(&mut text);
        writer.write_str(&text.written)
    }
}

struct TextVisitor {
    written: String,
    colour: bool,
}

impl TextVisitor {
    fn name(&mut self, name: &str) {
        if !self.written.is_empty() {
            self.written.push(' ');
        }
        if name == "message" {
            return;
        }
        if self.colour {
            self.written.extend(["\u{1b}[3m", name, "\u{1b}[0m\u{1b}[2m=\u{1b}[0m"]);
        } else {
            self.written.push_str(name);
            self.written.push('=');
        }
    }

    fn number(&mut self, field: &Field, value: impl fmt::Display) {
        let Some(name) = name_of(field) else { return };
        self.name(name);
        let _ = write!(self.written, "{value}");
    }

    fn value(&mut self, value: fmt::Arguments<'_>) {
        let from = self.written.len();
        // Writing to a string does not fail; a value that cannot be formatted is left out.
        let _ = self.written.write_fmt(value);
        if self.written[from..].chars().any(steers) {
            let cleaned: String = self.written[from..].chars().flat_map(shown).collect();
            self.written.replace_range(from.., &cleaned);
        }
    }
}

/// Whether a character may control a terminal that shows the log.
fn steers(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\r' | '\t')
}

fn shown(character: char) -> impl Iterator<Item = char> {
    let escaped = steers(character).then(|| character.escape_default());
    let kept = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(kept)
}

/// Whether text is clear without quotes.
fn is_word(text: &str) -> bool {
    let steps_out = |byte: &u8| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'=' | b'\\');
    // Counted instead of searched: without an early exit the loop is vectorised.
    !text.is_empty() && text.as_bytes().iter().filter(|byte| steps_out(byte)).count() == 0
}

/// The name under which a field is written; none for the internal fields of the bridge from the `log` crate.
fn name_of(field: &Field) -> Option<&'static str> {
    let name = field.name();
    (!name.starts_with("log.")).then(|| name.strip_prefix("r#").unwrap_or(name))
}

impl Visit for TextVisitor {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let Some(name) = name_of(field) else { return };
        self.name(name);
        match name {
            _ if is_word(value) => self.written.push_str(value),
            "message" => self.value(format_args!("{value}")),
            _ => self.value(format_args!("{value:?}")),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let Some(name) = name_of(field) else { return };
        self.name(name);
        self.value(format_args!("{value}"));
        let mut sources = Vec::new();
        let mut source = value.source();
        while let Some(error) = source {
            sources.push(error.to_string());
            source = error.source();
        }
        if !sources.is_empty() {
            self.name(&format!("{name}.sources"));
            self.value(format_args!("[{}]", sources.join(", ")));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let Some(name) = name_of(field) else { return };
        self.name(name);
        self.value(format_args!("{value:?}"));
    }
}

/// The fields of a span as a JSON object. If a name occurs twice, the later value counts.
#[derive(Debug)]
pub(super) struct JsonFields;

impl<'w> FormatFields<'w> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut json = JsonVisitor(Vec::with_capacity(USUAL));
        json.0.push(b'{');
        fields.record(&mut json);
        json.0.push(b'}');
        writer.write_str(std::str::from_utf8(&json.0).map_err(|_| fmt::Error)?)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &tracing::span::Record<'_>) -> fmt::Result {
        let mut json = JsonVisitor(std::mem::take(&mut current.fields).into_bytes());
        if json.0.pop().is_none() {
            json.0.push(b'{');
        }
        fields.record(&mut json);
        json.0.push(b'}');
        current.fields = String::from_utf8(json.0).map_err(|_| fmt::Error)?;
        Ok(())
    }
}

struct JsonVisitor(Vec<u8>);

impl JsonVisitor {
    fn entry(&mut self, field: &Field, value: &(impl serde::Serialize + ?Sized)) {
        let Some(name) = name_of(field) else { return };
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        // Names and these values are always valid JSON, and writing to memory does not fail.
        let _ = serde_json::to_writer(&mut self.0, name);
        self.0.push(b':');
        let _ = serde_json::to_writer(&mut self.0, value);
    }
}

impl Visit for JsonVisitor {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.entry(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.entry(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.entry(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.entry(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.entry(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.entry(field, &format!("{value:?}"));
    }
}

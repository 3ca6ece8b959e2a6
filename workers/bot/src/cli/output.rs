//! The output of commands: text or JSON on standard output, notes on standard error. Nothing else writes to the terminal, so untrusted text
//! is made harmless in one place.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use perch_base::{Cursor, chain, redact};
pub use perch_base::{Page, Paging};
use serde::Serialize;

use super::{
    error::CommandError,
    format::{
        line::Line,
        table::Listing,
        text::{clean_lines, escaped_json, wrapped},
    },
};

/// The narrowest terminal that the tables are made for.
const NARROW: usize = 80;
/// The width of the name of a fact.
const NAME: usize = 10;

/// The style of the output.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutputStyle {
    /// As JSON.
    pub json: bool,
    /// Whether to use colours; by default as the terminal and `NO_COLOR` say.
    pub colour: Option<bool>,
    /// The width of text in columns; by default that of the terminal.
    pub width: Option<u16>,
}

/// The output of a command.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    colour: bool,
    width: usize,
}

impl Output {
    /// An output for the terminal, file or pipe that standard output is.
    pub fn new(looks: OutputStyle) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = looks.colour.unwrap_or(is_terminal && !no_color);
        let width = match (looks.width, crossterm::terminal::size()) {
            (Some(width), _) => usize::from(width),
            (None, Ok((columns, _))) if is_terminal => usize::from(columns).max(NARROW),
            _ if is_terminal => NARROW,
            // Nothing is cut in a file or a pipe.
            _ => usize::MAX,
        };
        Self { json: looks.json, colour, width }
    }

    /// Whether JSON was requested.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether colours may be used.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// The width in columns; `usize::MAX` where nothing is to be cut.
    pub fn width(&self) -> usize {
        self.width
    }

    #[expect(clippy::unused_self, reason = "the output decides where answers go")]
    fn put(&self, line: &str) -> Result<(), CommandError> {
        writeln!(io::stdout().lock(), "{line}").map_err(CommandError::Output)
    }

    /// Prints one line of text. Line ends within it become spaces.
    pub fn line(&self, text: impl Display) -> Result<(), CommandError> {
        self.styled(&Line::new(text))
    }

    /// Prints one line with its tones.
    pub fn styled(&self, line: &Line) -> Result<(), CommandError> {
        self.put(&line.draw(self.colour))
    }

    /// Prints an empty line.
    pub fn blank(&self) -> Result<(), CommandError> {
        self.put("")
    }

    /// Prints a text with its line ends, each line indented by so many spaces.
    pub fn text(&self, indent: usize, text: &str) -> Result<(), CommandError> {
        clean_lines(text).try_for_each(|line| self.put(&format!("{:indent$}{line}", "")))
    }

    /// Prints a name and its value. The value is wrapped into lines that begin in the same column.
    pub fn fact(&self, name: &str, value: impl Into<Line>) -> Result<(), CommandError> {
        self.hanging(&Line::new(format_args!("{name:<NAME$} ")), NAME + 1, value)
    }

    /// Prints a value after `head`, which is `indent` columns wide, wrapped into lines that begin in the same column.
    pub fn hanging(&self, head: &Line, indent: usize, value: impl Into<Line>) -> Result<(), CommandError> {
        let value = value.into();
        let Some((tone, text)) = value.one_part() else {
            return self.put(&format!("{}{}", head.draw(self.colour), value.draw(self.colour)));
        };
        let lines = wrapped(text, self.width.saturating_sub(indent));
        let mut lines = lines.iter().map(|line| tone.line(line).draw(self.colour));
        self.put(&format!("{}{}", head.draw(self.colour), lines.next().unwrap_or_default()))?;
        lines.try_for_each(|line| self.put(&format!("{:indent$}{line}", "")))
    }

    /// Prints a table.
    pub fn table(&self, listing: &Listing) -> Result<(), CommandError> {
        self.put(&listing.render(self.width, self.colour))
    }

    /// Prints a value as JSON on several lines.
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CommandError> {
        self.put(&escaped_json(serde_json::to_string_pretty(value).map_err(|e| CommandError::Output(e.into()))?))
    }

    /// Prints a value as JSON on one line.
    pub fn json_line<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CommandError> {
        self.put(&escaped_json(serde_json::to_string(value).map_err(|e| CommandError::Output(e.into()))?))
    }

    /// Prints a short answer: `value` where JSON was requested, otherwise `text`.
    pub fn answer<T: Serialize + ?Sized>(&self, value: &T, text: impl Display) -> Result<(), CommandError> {
        if self.json { self.json(value) } else { self.line(text) }
    }

    /// Prints a page of a list: as JSON `items` and `next`, otherwise as a table, or `none` for an empty list, and how to see more.
    pub fn page<T: Serialize>(
        &self,
        page: &Page<T>,
        none: &str,
        listing: impl FnOnce(&[T]) -> Listing,
    ) -> Result<(), CommandError> {
        if self.json {
            return self.json(page);
        }
        match (&page.items[..], &page.next) {
            ([], None) => self.line(none)?,
            ([], Some(_)) => self.line("nothing that fits was found so far")?,
            (items, _) => self.table(&listing(items))?,
        }
        self.more(page.next.as_ref());
        Ok(())
    }

    /// Says how to see the next page, where there is one.
    pub fn more(&self, next: Option<&Cursor>) {
        if let Some(next) = next {
            self.note(format_args!("there are more: --limit N, or go on with --cursor {next}"));
        }
    }

    /// Standard output for data that other programs read, byte by byte as it is.
    pub fn verbatim(&self) -> impl Write + 'static {
        io::stdout()
    }

    /// Prints a note to standard error. Its lines after the first are indented, so that they cannot be taken for another note.
    pub fn note(&self, text: impl Display) {
        remark(&text.to_string());
    }

    /// Prints a note as JSON.
    pub fn json_note<T: Serialize + ?Sized>(&self, value: &T) {
        self.note(escaped_json(serde_json::to_string(value).unwrap_or_default()));
    }

    /// Prints why a command failed to standard error: one line, or an object where JSON was requested.
    pub fn failure(&self, error: &CommandError) {
        if matches!(error, CommandError::Reported) || error.exit_code() == 0 {
            return;
        }
        let text = redact::scrub_url(&chain(error));
        if self.json {
            self.json_note(&serde_json::json!({ "error": text }));
        } else {
            self.note(format_args!("perch: {text}"));
        }
    }

    /// Asks for confirmation of what is about to happen. Without a terminal it needs `yes`.
    pub fn confirm(&self, what: &str, yes: bool) -> Result<(), CommandError> {
        if yes {
            return Ok(());
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(CommandError::Refused(format!(
                "{what}; there is no terminal to ask on, so add --yes to do it"
            )));
        }
        self.note(format_args!("{what}."));
        match dialoguer::Confirm::new().with_prompt("Go on?").default(false).interact() {
            Ok(true) => Ok(()),
            Ok(false) => Err(CommandError::Refused("nothing was done".into())),
            Err(error) => Err(CommandError::Refused(format!("nothing was done: {error}"))),
        }
    }

    /// A progress bar up to `total`, on standard error and only on a terminal.
    pub fn bar(&self, total: u64, unit: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total), self.progress_target());
        bar.set_style(style(&format!("{{bar:30}} {{human_pos}}/{{human_len}} {unit} {{per_sec}} {{msg}}")));
        bar
    }

    /// A counter for an unknown total.
    pub fn spinner(&self, unit: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, self.progress_target());
        bar.set_style(style(&format!("{{spinner}} {{human_pos}} {unit} {{per_sec}} {{msg}}")));
        bar
    }

    /// A spinner with a message for what is being waited for.
    pub fn waiting(&self) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, self.progress_target());
        bar.set_style(style("{spinner} {msg}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    fn progress_target(&self) -> ProgressDrawTarget {
        if self.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() }
    }
}

/// Prints help, or an error of the command line, whose text is untrusted.
pub fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        remark(&error.render().to_string());
    } else {
        // When standard output is closed, the error cannot be reported.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Prints lines to standard error. Those after the first are indented, so that they cannot be taken for another note.
fn remark(text: &str) {
    let mut stderr = io::stderr().lock();
    for (at, line) in clean_lines(text).enumerate() {
        let (indent, line) = if at == 0 { ("", &*line) } else { ("  ", line.trim_start()) };
        // When standard error is closed, the error cannot be reported.
        let _ = writeln!(stderr, "{}", format!("{indent}{line}").trim_end());
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

//! Where answers go: text or JSON on standard output, remarks on standard error. Nothing else writes to a terminal, so what other
//! people wrote is made harmless in one place.

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
/// How wide the name of a fact is.
const NAME: usize = 10;

/// How answers look.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutputStyle {
    /// As JSON.
    pub json: bool,
    /// With colours or without; what the terminal and `NO_COLOR` say where nothing is said.
    pub colour: Option<bool>,
    /// Columns that text is made for; those of the terminal where nothing is said.
    pub width: Option<u16>,
}

/// Where answers go.
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
            // Whoever reads a file or a pipe wants all of it.
            _ => usize::MAX,
        };
        Self { json: looks.json, colour, width }
    }

    /// True when JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// True when colours may be used.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// How many columns there are; as many as there may be where nothing is to be cut.
    pub fn width(&self) -> usize {
        self.width
    }

    #[expect(clippy::unused_self, reason = "the output decides where answers go")]
    fn put(&self, line: &str) -> Result<(), CommandError> {
        writeln!(io::stdout().lock(), "{line}").map_err(CommandError::Output)
    }

    /// One line of text. Line ends within it become blanks.
    pub fn line(&self, text: impl Display) -> Result<(), CommandError> {
        self.styled(&Line::new(text))
    }

    /// One line, with its tones.
    pub fn styled(&self, line: &Line) -> Result<(), CommandError> {
        self.put(&line.draw(self.colour))
    }

    /// An empty line.
    pub fn blank(&self) -> Result<(), CommandError> {
        self.put("")
    }

    /// A text with its line ends, each line after so many blanks.
    pub fn text(&self, indent: usize, text: &str) -> Result<(), CommandError> {
        clean_lines(text).try_for_each(|line| self.put(&format!("{:indent$}{line}", "")))
    }

    /// A name and what there is to say of it, broken into lines that all begin in the same column.
    pub fn fact(&self, name: &str, value: impl Into<Line>) -> Result<(), CommandError> {
        self.hanging(&Line::new(format_args!("{name:<NAME$} ")), NAME + 1, value)
    }

    /// What there is to say after `head`, which is `indent` columns wide.
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

    /// A table.
    pub fn table(&self, listing: &Listing) -> Result<(), CommandError> {
        self.put(&listing.render(self.width, self.colour))
    }

    /// A value as JSON, over several lines.
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CommandError> {
        self.put(&escaped_json(serde_json::to_string_pretty(value).map_err(|e| CommandError::Output(e.into()))?))
    }

    /// A value as JSON on a line of its own.
    pub fn json_line<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CommandError> {
        self.put(&escaped_json(serde_json::to_string(value).map_err(|e| CommandError::Output(e.into()))?))
    }

    /// A short answer: `value` when JSON was asked for, else `text`.
    pub fn answer<T: Serialize + ?Sized>(&self, value: &T, text: impl Display) -> Result<(), CommandError> {
        if self.json { self.json(value) } else { self.line(text) }
    }

    /// A page of a list: as JSON `items` and `next`, else as a table, or `none` where nothing is in it; and how to see more.
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

    /// Where something goes that is made for programs and byte for byte as it is.
    pub fn verbatim(&self) -> impl Write + 'static {
        io::stdout()
    }

    /// A remark that is not part of the answer. What follows its first line is set in, so that it cannot be taken for another.
    pub fn note(&self, text: impl Display) {
        remark(&text.to_string());
    }

    /// A remark as JSON.
    pub fn json_note<T: Serialize + ?Sized>(&self, value: &T) {
        self.note(escaped_json(serde_json::to_string(value).unwrap_or_default()));
    }

    /// Why a command failed, on standard error: one line, or an object when JSON was asked for.
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

    /// Says what is about to happen and asks whether it should. Without a terminal only `yes` says yes.
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

    /// A bar that counts up to `total`, on standard error and only on a terminal.
    pub fn bar(&self, total: u64, unit: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total), self.progress_target());
        bar.set_style(style(&format!("{{bar:30}} {{human_pos}}/{{human_len}} {unit} {{per_sec}} {{msg}}")));
        bar
    }

    /// Counts without knowing the total.
    pub fn spinner(&self, unit: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, self.progress_target());
        bar.set_style(style(&format!("{{spinner}} {{human_pos}} {unit} {{per_sec}} {{msg}}")));
        bar
    }

    /// Says what is being waited for.
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

/// Shows help, or what is wrong with a command line, which may hold anything.
pub fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        remark(&error.render().to_string());
    } else {
        // When standard output is gone there is nobody left to tell.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Lines on standard error. What follows the first is set in, so that it cannot be taken for another remark.
fn remark(text: &str) {
    let mut stderr = io::stderr().lock();
    for (at, line) in clean_lines(text).enumerate() {
        let (indent, line) = if at == 0 { ("", &*line) } else { ("  ", line.trim_start()) };
        // When standard error is gone there is nobody left to tell.
        let _ = writeln!(stderr, "{}", format!("{indent}{line}").trim_end());
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

//! Where answers go: text or JSON on standard output, remarks on standard error.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::{
    cli::Colour,
    error::OpsError,
    format::table::{Listing, Tone},
};

/// What fits everywhere.
const NARROW: usize = 80;

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    colour: bool,
    width: usize,
}

impl Output {
    /// An output for the terminal, file or pipe that standard output is.
    pub fn new(json: bool, colour: Colour) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => is_terminal && !no_color,
        };
        let width = match crossterm::terminal::size() {
            Ok((columns, _)) if is_terminal => usize::from(columns).clamp(NARROW, 200),
            _ => NARROW,
        };
        Self { json, colour, width }
    }

    /// True when JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// True when colours may be used.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One line of text.
    #[expect(clippy::unused_self, reason = "the output decides where answers go")]
    pub fn line(&self, text: impl Display) -> Result<(), OpsError> {
        writeln!(io::stdout().lock(), "{text}").map_err(OpsError::Output)
    }

    /// A table.
    pub fn table(&self, listing: &Listing) -> Result<(), OpsError> {
        self.line(listing.render(self.width, self.colour))
    }

    /// A value as JSON, over several lines.
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), OpsError> {
        self.line(serde_json::to_string_pretty(value).map_err(|e| OpsError::Output(e.into()))?)
    }

    /// A value as JSON on a line of its own.
    pub fn json_line<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), OpsError> {
        self.line(serde_json::to_string(value).map_err(|e| OpsError::Output(e.into()))?)
    }

    /// A short answer: `value` when JSON was asked for, else `text`.
    pub fn answer<T: Serialize + ?Sized>(&self, value: &T, text: impl Display) -> Result<(), OpsError> {
        if self.json { self.json(value) } else { self.line(text) }
    }

    /// A remark that is not part of the answer.
    #[expect(clippy::unused_self, reason = "the output decides where remarks go")]
    pub fn note(&self, text: impl Display) {
        // When standard error is gone there is nobody left to tell.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A word in a colour, where colours may be used.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if self.colour { tone.paint(text) } else { text.to_owned() }
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

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Says what is about to happen and asks whether it should. Without a terminal only `yes` says yes.
pub fn confirm(what: &str, yes: bool) -> Result<(), OpsError> {
    if yes {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(OpsError::Refused(format!("{what}; there is no terminal to ask on, so add --yes to do it")));
    }
    // When standard error is gone the question cannot be asked either.
    let _ = writeln!(io::stderr().lock(), "{what}.");
    match dialoguer::Confirm::new().with_prompt("Go on?").default(false).interact() {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpsError::Refused("nothing was done".into())),
        Err(error) => Err(OpsError::Refused(format!("nothing was done: {error}"))),
    }
}

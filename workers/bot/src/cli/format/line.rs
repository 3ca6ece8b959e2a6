//! Lines of text whose parts have a tone, which is shown as a colour.

use std::fmt::Display;

use crossterm::style::Stylize as _;

use super::text;

/// The tone of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// None.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// Something is wrong.
    Bad,
    /// Less important than the rest.
    Faint,
}

impl Tone {
    /// A line in this tone.
    pub fn line(self, text: impl Display) -> Line {
        Line::default().toned(self, text)
    }

    fn paint(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Good => text.green().to_string(),
            Self::Warn => text.yellow().to_string(),
            Self::Bad => text.red().to_string(),
            Self::Faint => text.dark_grey().to_string(),
        }
    }
}

/// A line for the terminal. Only its tones give colours: characters in its words that a terminal acts on are removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(Vec<(Tone, String)>);

impl Line {
    /// A line with these words.
    pub fn new(text: impl Display) -> Self {
        Tone::Plain.line(text)
    }

    /// The same with more words.
    #[must_use]
    pub fn then(self, text: impl Display) -> Self {
        self.toned(Tone::Plain, text)
    }

    /// The same with more words, in a tone.
    #[must_use]
    pub fn toned(mut self, tone: Tone, text: impl Display) -> Self {
        self.0.push((tone, text.to_string()));
        self
    }

    /// The same with another line after it.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The tone and the words of a line that has only one part.
    pub fn one_part(&self) -> Option<(Tone, &str)> {
        match self.0.as_slice() {
            [(tone, text)] => Some((*tone, text)),
            _ => None,
        }
    }

    /// The line as it is printed.
    pub fn draw(&self, colour: bool) -> String {
        let part = |(tone, text): &(Tone, String)| {
            let clean = text::clean(text);
            if colour { tone.paint(&clean) } else { clean.into_owned() }
        };
        self.0.iter().map(part).collect()
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_colours_only_where_they_may_be_and_only_from_its_tones() {
        let line = Line::new("state ").toned(Tone::Bad, "dead\u{1b}[32m\nok");
        assert_eq!(line.draw(false), "state dead [32m ok");
        let drawn = line.draw(true);
        assert_eq!(drawn.matches('\u{1b}').count(), 2, "{drawn:?}");
    }
}

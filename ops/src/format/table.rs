//! Tables that fit their terminal.

use comfy_table::{Attribute, Cell as DrawnCell, CellAlignment, Color, ContentArrangement, Table, presets};
use crossterm::style::Stylize as _;

use crate::format::text;

/// What a cell says besides its text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
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
    /// The text in its colour.
    pub fn paint(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Good => text.green().to_string(),
            Self::Warn => text.yellow().to_string(),
            Self::Bad => text.red().to_string(),
            Self::Faint => text.dark_grey().to_string(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Whole,
    Number,
    Cut,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    fit: Fit,
}

/// A column that is shown whole: ids, names, states.
pub const fn whole(title: &'static str) -> Column {
    Column { title, fit: Fit::Whole }
}

/// A column of numbers.
pub const fn number(title: &'static str) -> Column {
    Column { title, fit: Fit::Number }
}

/// A column that is cut to the room that the others leave.
pub const fn cut(title: &'static str) -> Column {
    Column { title, fit: Fit::Cut }
}

/// A cell of a table.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// The same in a tone.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    /// The same in a tone if `is`.
    #[must_use]
    pub fn tone_if(self, is: bool, tone: Tone) -> Self {
        if is { self.tone(tone) } else { self }
    }
}

/// A cell with that text on one line.
pub fn cell(text: impl std::fmt::Display) -> Cell {
    Cell { text: text::one_line(&text.to_string()), tone: Tone::Plain }
}

/// A cell with a number; zero steps back, and large numbers are shortened: `99999`, `100k`, `1.2M`.
pub fn compact(n: u64) -> Cell {
    let text = match n {
        0..100_000 => n.to_string(),
        100_000..1_000_000 => format!("{}k", n / 1_000),
        1_000_000..10_000_000 => format!("{}.{}M", n / 1_000_000, n % 1_000_000 / 100_000),
        _ => format!("{}M", n / 1_000_000),
    };
    cell(text).tone_if(n == 0, Tone::Faint)
}

/// A table on its way to the terminal.
#[derive(Debug)]
pub struct Listing {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

const GAP: usize = 2;
/// A column that is cut keeps at least this.
const LEAST: usize = 8;

impl Listing {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table in `width` columns, unless the columns that are shown whole take more.
    pub fn render(&self, width: usize, colour: bool) -> String {
        self.draw(width, colour, true)
    }

    /// The same without the line of titles.
    pub fn render_rows(&self, width: usize, colour: bool) -> String {
        self.draw(width, colour, false)
    }

    fn draw(&self, width: usize, colour: bool, with_header: bool) -> String {
        let widths = self.widths(width);
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if with_header {
            table.set_header(self.columns.iter().map(|column| {
                let drawn = DrawnCell::new(column.title);
                if colour { drawn.add_attribute(Attribute::Dim) } else { drawn }
            }));
        }
        for row in &self.rows {
            table.add_row(row.iter().zip(&widths).map(|(cell, width)| drawn(cell, *width, colour)));
        }
        for (index, column) in self.columns.iter().enumerate() {
            if let Some(drawn) = table.column_mut(index) {
                let is_last = index + 1 == self.columns.len();
                drawn.set_padding((0, if is_last { 0 } else { u16::try_from(GAP).unwrap_or(2) }));
                if column.fit == Fit::Number {
                    drawn.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        table.trim_fmt()
    }

    /// How wide each column is: whole ones as their content, the others share what is left.
    fn widths(&self, total: usize) -> Vec<usize> {
        let content = |index: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| text::width(&cell.text));
            cells.chain([text::width(column.title)]).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(|(i, column)| content(i, column)).collect();
        let gaps = GAP * self.columns.len().saturating_sub(1);
        let fixed: usize =
            self.columns.iter().zip(&widths).filter(|(column, _)| column.fit != Fit::Cut).map(|(_, width)| width).sum();
        let mut room = total.saturating_sub(fixed + gaps);
        let mut flexible: Vec<usize> = (0..widths.len()).filter(|&i| self.columns[i].fit == Fit::Cut).collect();
        // The narrow ones take what they need, so that the wide ones can have the rest.
        flexible.sort_by_key(|&i| widths[i]);
        let mut left = flexible.len();
        for i in flexible {
            widths[i] = widths[i].min((room / left).max(LEAST));
            room = room.saturating_sub(widths[i]);
            left -= 1;
        }
        widths
    }
}

fn drawn(cell: &Cell, width: usize, colour: bool) -> DrawnCell {
    let drawn = DrawnCell::new(text::cut(&cell.text, width));
    match cell.tone {
        _ if !colour => drawn,
        Tone::Plain => drawn,
        Tone::Good => drawn.fg(Color::Green),
        Tone::Warn => drawn.fg(Color::Yellow),
        Tone::Bad => drawn.fg(Color::Red),
        Tone::Faint => drawn.fg(Color::DarkGrey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Listing {
        let mut listing = Listing::new([whole("ID"), number("TRY"), cut("ERROR")]);
        listing.row([
            cell("01JD0000000000000000000000"),
            cell(3),
            cell("the service answered 503 Service Unavailable and said that it would be back in a while"),
        ]);
        listing.row([cell("01JD0000000000000000000001"), cell(12), cell("no")]);
        listing
    }

    #[test]
    fn a_table_fits_its_terminal_with_ids_whole_and_errors_cut() {
        let text = sample().render(80, false);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("01JD0000000000000000000000") && text.contains('…'), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn a_wide_terminal_shows_the_whole_error() {
        assert!(sample().render(200, false).contains("back in a while"));
    }

    #[test]
    fn large_numbers_keep_to_five_columns() {
        for (n, said) in [(0, "0"), (99_999, "99999"), (123_456, "123k"), (1_250_000, "1.2M"), (12_000_000, "12M")] {
            assert_eq!(compact(n).text, said);
        }
    }

    #[test]
    fn there_is_no_colour_unless_it_is_asked_for() {
        let mut listing = Listing::new([whole("STATE")]);
        listing.row([cell("paused").tone(Tone::Warn)]);
        assert!(!listing.render(80, false).contains('\u{1b}'));
        assert!(listing.render(80, true).contains('\u{1b}'));
    }
}

//! Tables that fit the terminal.

use comfy_table::{Attribute, Cell as DrawnCell, CellAlignment, Color, ContentArrangement, Table, presets};

pub use crate::cli::format::line::Tone;
use crate::cli::format::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Whole,
    Number,
    Key,
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

/// A column that is shown whole, because it is meant to be copied. Where it does not fit, it is shown under its row.
pub const fn key(title: &'static str) -> Column {
    Column { title, fit: Fit::Key }
}

/// A column that is cut to the space that the others leave.
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

/// A cell with a number. Zero is faint, and large numbers are shortened: `99999`, `100k`, `1.2M`.
pub fn compact(n: u64) -> Cell {
    let text = match n {
        0..100_000 => n.to_string(),
        100_000..1_000_000 => format!("{}k", n / 1_000),
        1_000_000..10_000_000 => format!("{}.{}M", n / 1_000_000, n % 1_000_000 / 100_000),
        _ => format!("{}M", n / 1_000_000),
    };
    cell(text).tone_if(n == 0, Tone::Faint)
}

/// A row with an optional note under it.
#[derive(Debug, Default)]
struct Row {
    cells: Vec<Cell>,
    below: Option<RowNote>,
}

#[derive(Debug)]
struct RowNote {
    text: String,
    /// The most lines of it on a terminal.
    most: usize,
}

/// A table for the terminal.
#[derive(Debug)]
pub struct Listing {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

const GAP: usize = 2;
/// The least width of a column that is cut.
const LEAST: usize = 8;
/// The indentation of the lines under a row.
const INDENT: usize = 7;

impl Listing {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(Row { cells: cells.into_iter().collect(), below: None });
    }

    /// Adds a note under the last row that is too long for a column: on a terminal at most so many lines of it.
    pub fn below(&mut self, text: impl Into<String>, most: usize) {
        if let Some(row) = self.rows.last_mut() {
            row.below = Some(RowNote { text: text.into(), most });
        }
    }

    /// The table in `width` columns, or more where the columns that are shown whole need it. With `usize::MAX` nothing is cut.
    pub fn render(&self, width: usize, colour: bool) -> String {
        self.draw(width, colour, true)
    }

    /// The same without the line of titles.
    pub fn render_rows(&self, width: usize, colour: bool) -> String {
        self.draw(width, colour, false)
    }

    fn draw(&self, width: usize, colour: bool, with_header: bool) -> String {
        let moved = self.moved(width);
        let stays = |index: &usize| !moved.contains(index);
        let shown: Vec<usize> = (0..self.columns.len()).filter(stays).collect();
        let widths = self.widths(&shown, width);
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if with_header {
            table.set_header(shown.iter().map(|&index| {
                let drawn = DrawnCell::new(self.columns[index].title);
                if colour { drawn.add_attribute(Attribute::Dim) } else { drawn }
            }));
        }
        for row in &self.rows {
            let cells = shown.iter().zip(&widths).filter_map(|(&index, width)| Some((row.cells.get(index)?, *width)));
            table.add_row(cells.map(|(cell, width)| drawn(cell, width, colour)));
        }
        for (place, &index) in shown.iter().enumerate() {
            if let Some(drawn) = table.column_mut(place) {
                let is_last = place + 1 == shown.len();
                drawn.set_padding((0, if is_last { 0 } else { u16::try_from(GAP).unwrap_or(2) }));
                if self.columns[index].fit == Fit::Number {
                    drawn.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        self.with_what_is_below(&table.trim_fmt(), width, &moved, with_header)
    }

    /// Adds the lines under each row.
    fn with_what_is_below(&self, table: &str, width: usize, moved: &[usize], with_header: bool) -> String {
        let mut lines = table.lines().map(str::to_owned);
        let mut out: Vec<String> = lines.by_ref().take(usize::from(with_header)).collect();
        for (line, row) in lines.zip(&self.rows) {
            out.push(line);
            for &index in moved {
                let title = self.columns[index].title.to_lowercase();
                let text = row.cells.get(index).map_or("", |cell| cell.text.as_str());
                out.push(format!("{:INDENT$}{title}  {text}", ""));
            }
            if let Some(below) = &row.below {
                let room = width.saturating_sub(INDENT);
                let most = if width == usize::MAX { usize::MAX } else { below.most };
                let wrapped = text::wrapped(&below.text, room);
                out.extend(wrapped.iter().take(most).map(|line| format!("{:INDENT$}{}", "", text::cut(line, room))));
            }
        }
        out.join("\n")
    }

    fn content(&self, index: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.cells.get(index)).map(|cell| text::width(&cell.text));
        cells.chain([text::width(self.columns[index].title)]).max().unwrap_or(0)
    }

    /// The key columns to be shown under their rows, because the others would not fit beside them. The widest is moved first.
    fn moved(&self, width: usize) -> Vec<usize> {
        let least = |&index: &usize| match self.columns[index].fit {
            Fit::Cut => self.content(index).min(LEAST),
            _ => self.content(index),
        };
        let takes = |shown: &[usize]| shown.iter().map(least).sum::<usize>() + GAP * shown.len().saturating_sub(1);
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut moved = Vec::new();
        while takes(&shown) > width {
            let keys = shown.iter().copied().filter(|&index| self.columns[index].fit == Fit::Key);
            let Some(widest) = keys.max_by_key(|&index| self.content(index)) else { break };
            shown.retain(|&index| index != widest);
            moved.push(widest);
        }
        moved.sort_unstable();
        moved
    }

    /// The width of each column: that of the content for whole ones; the others share the rest.
    fn widths(&self, shown: &[usize], total: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = shown.iter().map(|&index| self.content(index)).collect();
        let is_cut = |place: usize| self.columns[shown[place]].fit == Fit::Cut;
        let gaps = GAP * shown.len().saturating_sub(1);
        let fixed: usize = (0..shown.len()).filter(|&place| !is_cut(place)).map(|place| widths[place]).sum();
        let mut room = total.saturating_sub(fixed + gaps);
        let mut flexible: Vec<usize> = (0..shown.len()).filter(|&place| is_cut(place)).collect();
        // The narrow ones first, so that the wide ones can have what they leave.
        flexible.sort_by_key(|&place| widths[place]);
        let mut left = flexible.len();
        for place in flexible {
            widths[place] = widths[place].min((room / left).max(LEAST));
            room = room.saturating_sub(widths[place]);
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
    fn in_a_pipe_nothing_is_cut() {
        let text = sample().render(usize::MAX, false);
        assert!(text.contains("back in a while") && !text.contains('…'), "{text}");
    }

    #[test]
    fn a_key_that_finds_no_room_stands_whole_under_its_row() {
        let long = "comment:main:2124317787697446932:aae9f533ffed0123456789abcdefaae9f533ffed0123456789abcdef";
        let mut listing = Listing::new([key("KEY"), whole("STATE"), cut("ERROR")]);
        listing.row([cell(long), cell("confirmed"), cell("it said that it would be back in a while")]);
        let text = listing.render(80, false);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("STATE") && lines[1].starts_with("confirmed"), "{text}");
        assert_eq!(lines[2], format!("       key  {long}"));
        let wide = listing.render(200, false);
        assert!(wide.lines().count() == 2 && wide.starts_with("KEY"), "{wide}");
    }

    #[test]
    fn what_is_said_under_a_row_is_cut_on_a_terminal_and_whole_in_a_pipe() {
        let mut listing = Listing::new([whole("QUEUE")]);
        listing.row([cell("extraction")]);
        listing.below("word ".repeat(100), 2);
        assert_eq!(listing.render(80, false).lines().count(), 4);
        assert_eq!(listing.render(usize::MAX, false).matches("word").count(), 100);
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

//! Results as a table of text: commas, quotes and a first line of names (RFC 4180). Decisions only; no I/O.

use perch_picks::settle::Grade;

use super::{Entry, Import, ResultEntry, Verdict};

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct BadLine {
    /// Its number in the file, from 1.
    pub line: usize,
    /// The name of the column.
    pub column: String,
    /// What is wrong there, and what is right.
    pub reason: String,
}

/// The columns of a file with results of games, and of one with outcomes of picks.
const GAMES: [&str; 11] = [
    "date",
    "game",
    "sport",
    "event",
    "first",
    "second",
    "score_first",
    "score_second",
    "winner",
    "called_off",
    "finished_at",
];
const PICKS: [&str; 5] = ["pick_key", "outcome", "leg", "closing", "note"];
/// Bad lines that are named; who has more has another file than meant.
const MOST_NAMED: usize = 50;
/// Lines of one file.
const MOST_LINES: usize = 50_000;

/// Reads a file of results of games, or of outcomes of picks; its first line tells which. Every bad line is named, up to 50
/// of them.
pub fn read_csv(text: &str) -> Result<Import, Vec<BadLine>> {
    let mut lines = Lines::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let bad = |line, column: &str, reason: String| vec![BadLine { line, column: column.to_owned(), reason }];
    let Some((number, header)) = lines.next() else {
        return Err(bad(1, "-", "the file is empty; its first line names the columns".into()));
    };
    let names: Vec<String> =
        header.map_err(|error| vec![error])?.iter().map(|name| name.trim().to_lowercase()).collect();
    let of_picks = names.iter().any(|name| name == "pick_key");
    let known: &[&str] = if of_picks { &PICKS } else { &GAMES };
    for (at, name) in names.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            return Err(bad(number, name, format!("there is no such column; there are {}", known.join(", "))));
        }
        if names[..at].contains(name) {
            return Err(bad(number, name, "the column is named twice".into()));
        }
    }
    let needed: &[&str] = if of_picks { &["pick_key", "outcome"] } else { &["sport"] };
    if let Some(missing) = needed.iter().find(|needed| !names.iter().any(|name| name == *needed)) {
        return Err(bad(number, missing, "the column is missing".into()));
    }
    let (mut import, mut wrong) = (Import::default(), Vec::new());
    for (number, fields) in lines {
        if number > MOST_LINES {
            wrong.push(BadLine {
                line: number,
                column: "-".into(),
                reason: format!("a file has at most {MOST_LINES} lines"),
            });
            break;
        }
        let read = fields.and_then(|fields| {
            let row = Row { number, names: &names, fields: &fields };
            row.is_whole()?;
            if of_picks { row.entry().map(|entry| import.entries.push(entry)) } else { row.game(&mut import) }
        });
        wrong.extend(read.err());
        if wrong.len() >= MOST_NAMED {
            break;
        }
    }
    if wrong.is_empty() && import == Import::default() {
        return Err(bad(number, "-", "no line follows the names of the columns".into()));
    }
    if wrong.is_empty() { Ok(import) } else { Err(wrong) }
}

struct Row<'a> {
    number: usize,
    names: &'a [String],
    fields: &'a [String],
}

impl Row<'_> {
    fn bad(&self, column: &str, reason: impl Into<String>) -> BadLine {
        BadLine { line: self.number, column: column.to_owned(), reason: reason.into() }
    }

    fn is_whole(&self) -> Result<(), BadLine> {
        let (has, wants) = (self.fields.len(), self.names.len());
        if has == wants { Ok(()) } else { Err(self.bad("-", format!("it has {has} fields, the first line {wants}"))) }
    }

    fn text(&self, column: &str) -> Option<&str> {
        let at = self.names.iter().position(|name| name == column)?;
        self.fields.get(at).map(|field| field.trim()).filter(|field| !field.is_empty())
    }

    fn parsed<T: std::str::FromStr>(&self, column: &str, expected: &str) -> Result<Option<T>, BadLine> {
        let read = |text: &str| {
            let shown: String = text.chars().take(40).collect();
            text.parse().map_err(|_| self.bad(column, format!("{shown:?} is not {expected}")))
        };
        self.text(column).map(read).transpose()
    }

    /// Spreadsheets write these words in capitals.
    fn yes(&self, column: &str) -> Result<bool, BadLine> {
        match self.text(column).unwrap_or("false").to_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(true),
            "false" | "no" | "0" => Ok(false),
            _ => Err(self.bad(column, "it is neither true nor false")),
        }
    }

    fn entry(&self) -> Result<(String, Entry), BadLine> {
        let key = self.text("pick_key").ok_or_else(|| self.bad("pick_key", "it is missing"))?;
        let outcome = self.text("outcome").ok_or_else(|| self.bad("outcome", "it is missing"))?;
        let verdict = if outcome.eq_ignore_ascii_case("open") {
            Verdict::Reopened
        } else {
            let grade: Result<Grade, _> = outcome.parse();
            Verdict::Stated(grade.map_err(|error| self.bad("outcome", error.to_string()))?)
        };
        let closing = self.text("closing").map(str::to_owned);
        if let Some(closing) = &closing {
            perch_picks::odds::Odds::parse(closing).map_err(|error| self.bad("closing", error.to_string()))?;
        }
        let leg = self.parsed("leg", "the number of a leg, from 1")?;
        Ok((key.to_owned(), Entry { verdict: Some(verdict), leg, closing, note: self.text("note").map(str::to_owned) }))
    }

    fn game(&self, import: &mut Import) -> Result<(), BadLine> {
        let scores = (self.parsed("score_first", "a number")?, self.parsed("score_second", "a number")?);
        let scores = match scores {
            (Some(first), Some(second)) => Some([first, second]),
            (None, None) => None,
            (Some(_), None) => return Err(self.bad("score_second", "it is missing beside score_first")),
            (None, Some(_)) => return Err(self.bad("score_first", "it is missing beside score_second")),
        };
        let entry = ResultEntry {
            event: self.text("event").map(str::to_owned),
            sport: self.text("sport").unwrap_or_default().to_owned(),
            date: self.parsed("date", "a day such as 2026-01-31")?,
            game: self.parsed("game", "the number of a game of that day, from 1")?,
            first: self.text("first").map(str::to_owned),
            second: self.text("second").map(str::to_owned),
            scores,
            winner: self.text("winner").map(str::to_owned),
            called_off: self.yes("called_off")?,
            finished_at: self.parsed("finished_at", "a time such as 2026-01-31T21:00:00Z")?,
            players: perch_store::Players::new(),
        };
        let row = entry.into_row().map_err(|error| {
            let column = if error.field == "scores" { "score_first" } else { error.field };
            self.bad(column, error.reason)
        })?;
        import.games.push(row);
        Ok(())
    }
}

/// The lines of a table with their numbers, taken apart into fields. A field in quotes may go on over several lines.
#[derive(Debug)]
pub struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    /// The lines of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, number: 0 }
    }

    fn fields(&mut self) -> Result<Vec<String>, BadLine> {
        let started = self.number;
        let bad = |reason: &str| BadLine { line: started, column: "-".into(), reason: reason.to_owned() };
        let (mut fields, mut field, mut quoted, mut closed) = (Vec::new(), String::new(), false, false);
        let mut chars = self.rest.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' if quoted && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                    field.push('"');
                    chars.next();
                }
                '"' if quoted => (quoted, closed) = (false, true),
                '"' if field.is_empty() && !closed => quoted = true,
                '"' => return self.skip(at, bad("a quote stands inside a field that does not begin with one")),
                ',' if !quoted => {
                    fields.push(std::mem::take(&mut field));
                    closed = false;
                }
                '\n' if !quoted => {
                    self.rest = &self.rest[at + 1..];
                    fields.push(field.trim_end_matches('\r').to_owned());
                    return Ok(fields);
                }
                '\r' if !quoted && closed => {}
                _ if closed => return self.skip(at, bad("something follows the quote that ends a field")),
                c => {
                    self.number += usize::from(c == '\n');
                    field.push(c);
                }
            }
        }
        self.rest = "";
        if quoted {
            return Err(bad("a quote is not closed"));
        }
        fields.push(field.trim_end_matches('\r').to_owned());
        Ok(fields)
    }

    /// Goes on after the end of a line that cannot be taken apart.
    fn skip(&mut self, at: usize, error: BadLine) -> Result<Vec<String>, BadLine> {
        self.rest = self.rest[at..].find('\n').map_or("", |end| &self.rest[at + end + 1..]);
        Err(error)
    }
}

impl Iterator for Lines<'_> {
    type Item = (usize, Result<Vec<String>, BadLine>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            self.number += 1;
            let number = self.number;
            let fields = self.fields();
            if !matches!(&fields, Ok(fields) if fields.len() == 1 && fields[0].trim().is_empty()) {
                return Some((number, fields));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(text: &str) -> Vec<(usize, String)> {
        read_csv(text).expect_err("it cannot be used").into_iter().map(|bad| (bad.line, bad.column)).collect()
    }

    #[test]
    fn results_of_games_and_outcomes_of_picks_are_told_apart_by_the_first_line() {
        let games = read_csv(
            "date,sport,first,second,score_first,score_second\r\n2026-11-21,nba,\"Lakers, LA\",Celtics,112,104\r\n",
        );
        let games = games.expect("results").games;
        assert_eq!((games[0].first.as_str(), games[0].score_first), ("Lakers, LA", Some(112.0)));
        let picks = read_csv("\u{feff}Pick_Key,Outcome,closing,leg\n12,won,-120,\n\n13,half-lost,,2\n14,open,,")
            .expect("picks");
        let entries = picks.entries;
        assert_eq!((entries[0].0.as_str(), entries[0].1.verdict), ("12", Some(Verdict::Stated(Grade::Won))));
        assert_eq!((entries[0].1.closing.as_deref(), entries[1].1.leg), (Some("-120"), Some(2)));
        assert_eq!(entries[2].1.verdict, Some(Verdict::Reopened));
    }

    #[test]
    fn a_game_that_was_called_off_is_read_as_spreadsheets_write_it() {
        let text = "date,sport,event,called_off,winner\n2026-11-21,nba,A vs B,TRUE,\n2026-11-21,nba,C vs D,False,C\n";
        let games = read_csv(text).expect("results").games;
        assert_eq!(games.iter().map(|game| game.called_off).collect::<Vec<_>>(), [true, false]);
        assert_eq!(named(&text.replace("TRUE", "maybe")), [(2, "called_off".to_owned())]);
    }

    #[test]
    fn every_bad_line_is_named_by_number_and_column() {
        let text = "date,sport,event,score_first,score_second\n2026-11-21,nba,A vs B,1,2\nsoon,nba,A vs B,1,2\n\
                    2026-11-21,nba,A,1,2\n2026-11-21,nba,A vs B,1\n2026-11-21,nba,A vs B,1,two\n2026-11-21,nba,A vs B,,2\n";
        let columns = [(3, "date"), (4, "event"), (5, "-"), (6, "score_second"), (7, "score_first")];
        assert_eq!(named(text), columns.map(|(line, column)| (line, column.to_owned())));
        assert_eq!(
            named("pick_key,outcome\n1,winner\n,won\n"),
            [(2, "outcome".to_owned()), (3, "pick_key".to_owned())]
        );
    }

    #[test]
    fn a_file_without_sense_is_refused_at_its_first_line() {
        for (text, column) in [
            ("", "-"),
            ("date,sport\n", "-"),
            ("date,score\n", "score"),
            ("sport,sport\n", "sport"),
            ("pick_key,note\n1,x\n", "outcome"),
            ("date,event\n", "sport"),
        ] {
            assert_eq!(named(text), [(1, column.to_owned())], "{text:?}");
        }
    }

    #[test]
    fn quotes_hold_commas_quotes_and_lines_and_are_named_when_they_break() {
        let lines: Vec<_> = Lines::new("a,\"b \"\"c\"\", d\"\n\"two\nlines\",x\n")
            .map(|(n, fields)| (n, fields.expect("fields")))
            .collect();
        assert_eq!(lines[0], (1, vec!["a".to_owned(), "b \"c\", d".to_owned()]));
        assert_eq!((lines[1].0, lines[1].1[0].as_str()), (2, "two\nlines"));
        let broken: Vec<_> = Lines::new("a\"b,c\nd,e\n\"open").map(|(n, fields)| (n, fields.is_ok())).collect();
        assert_eq!(broken, [(1, false), (2, true), (3, false)]);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reading(text in "[a-z0-9,\"\n\r ]{0,80}") {
            let _ = read_csv(&text);
            prop_assert!(Lines::new(&text).count() <= text.len());
        }
    }
}

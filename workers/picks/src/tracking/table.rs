//! Reads results from CSV text with a header line (RFC 4180). Decisions only; no I/O.

use perch_odds::settle::Grade;

use super::{EnteredOutcome, Entry, Import, ResultEntry};

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct BadLine {
    /// Its number in the file, from 1.
    pub line: usize,
    /// The name of the column.
    pub column: String,
    /// What is wrong there, and what is allowed.
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
/// The most bad lines that are named; a file with more is probably the wrong one.
const MOST_NAMED: usize = 50;
/// The most lines of one file.
const MOST_LINES: usize = 50_000;

/// Reads a file of results of games or of outcomes of picks; the header decides which. Every bad line is named, up to 50 of them.
pub fn read_csv(text: &str) -> Result<Import, Vec<BadLine>> {
    let mut lines = lines(text.strip_prefix('\u{feff}').unwrap_or(text));
    let bad = |line, column: &str, reason: String| vec![BadLine { line, column: column.to_owned(), reason }];
    let Some(CsvLine { number, fields }) = lines.next() else {
        return Err(bad(1, "-", "the file is empty; its first line names the columns".into()));
    };
    let names: Vec<String> =
        fields.map_err(|error| vec![error])?.iter().map(|name| name.trim().to_lowercase()).collect();
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
    for CsvLine { number, fields } in lines {
        if number > MOST_LINES {
            wrong.push(BadLine {
                line: number,
                column: "-".into(),
                reason: format!("a file has at most {MOST_LINES} lines"),
            });
            break;
        }
        let read = fields.and_then(|fields| {
            let row = CsvRow { number, names: &names, fields: &fields };
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

struct CsvRow<'a> {
    number: usize,
    names: &'a [String],
    fields: &'a [String],
}

impl CsvRow<'_> {
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

    /// Reads a boolean in any case, since spreadsheets write TRUE and FALSE.
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
        let outcome = if outcome.eq_ignore_ascii_case("open") {
            EnteredOutcome::Reopened
        } else {
            let grade: Result<Grade, _> = outcome.parse();
            EnteredOutcome::Stated(grade.map_err(|error| self.bad("outcome", error.to_string()))?)
        };
        let closing = self.text("closing").map(str::to_owned);
        if let Some(closing) = &closing {
            perch_odds::Odds::parse(closing).map_err(|error| self.bad("closing", error.to_string()))?;
        }
        let leg = self.parsed("leg", "the number of a leg, from 1")?;
        Ok((key.to_owned(), Entry { outcome: Some(outcome), leg, closing, note: self.text("note").map(str::to_owned) }))
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
            players: crate::store::Players::new(),
        };
        let row = entry.into_row().map_err(|error| {
            let column = if error.field == "scores" { "score_first" } else { error.field };
            self.bad(column, error.reason)
        })?;
        import.games.push(row);
        Ok(())
    }
}

/// A record of the file. It spans several lines if a quoted field does.
struct CsvLine {
    /// The number of its first line, from 1.
    number: usize,
    fields: Result<Vec<String>, BadLine>,
}

/// The records of the file that are not empty.
fn lines(text: &str) -> impl Iterator<Item = CsvLine> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let (mut record, mut line) = (csv::StringRecord::new(), 1);
    std::iter::from_fn(move || {
        let from = offset(reader.position().byte());
        // Reading cannot fail: the text is UTF-8, and records may have any number of fields.
        reader.read_record(&mut record).ok().filter(|more| *more)?;
        let raw = &text[from..offset(reader.position().byte())];
        // The raw text of a record begins with the line break before it and with empty lines.
        let held = raw.trim_start_matches(['\r', '\n']);
        let number = line + raw[..raw.len() - held.len()].matches('\n').count();
        line += raw.matches('\n').count();
        let fields = match misquoted(held) {
            None => Ok(record.iter().map(str::to_owned).collect()),
            Some(reason) => Err(BadLine { line: number, column: "-".into(), reason: reason.to_owned() }),
        };
        Some(CsvLine { number, fields })
    })
    .filter(|line| !matches!(&line.fields, Ok(fields) if fields.len() == 1 && fields[0].trim().is_empty()))
}

fn offset(byte: u64) -> usize {
    usize::try_from(byte).unwrap_or(usize::MAX)
}

/// What is wrong with the quotes of a record. The reader takes misplaced quotes for parts of a field, and may so swallow the lines that
/// follow.
fn misquoted(record: &str) -> Option<&'static str> {
    let (mut begins, mut is_quoted, mut chars) = (true, false, record.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.next_if_eq(&'"').is_some() => {}
            '"' if is_quoted => {
                is_quoted = false;
                if chars.peek().is_some_and(|next| !matches!(next, ',' | '\r' | '\n')) {
                    return Some("something follows the quote that ends a field");
                }
            }
            '"' if begins => is_quoted = true,
            '"' => return Some("a quote stands inside a field that does not begin with one"),
            _ => {}
        }
        begins = c == ',' && !is_quoted;
    }
    is_quoted.then_some("a quote is not closed")
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
        assert_eq!((entries[0].0.as_str(), entries[0].1.outcome), ("12", Some(EnteredOutcome::Stated(Grade::Won))));
        assert_eq!((entries[0].1.closing.as_deref(), entries[1].1.leg), (Some("-120"), Some(2)));
        assert_eq!(entries[2].1.outcome, Some(EnteredOutcome::Reopened));
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
    fn quotes_hold_commas_quotes_and_lines() {
        let read: Vec<_> = lines("a,\"b \"\"c\"\", d\"\n\"two\nlines\",x\nlast\n").collect();
        let fields = |at: usize| read[at].fields.clone().expect("fields");
        assert_eq!((read[0].number, fields(0)), (1, vec!["a".to_owned(), "b \"c\", d".to_owned()]));
        assert_eq!((read[1].number, fields(1)[0].as_str()), (2, "two\nlines"));
        assert_eq!((read[2].number, fields(2)[0].as_str()), (4, "last"));
    }

    #[test]
    fn quotes_that_break_swallow_no_line_in_silence() {
        for (rows, bad) in [
            ("12,won,\"nice\n13,lost,x\n", 2),
            ("12,won,\"nice\n13,lost,\"x\n", 2),
            ("12,won,5\" of rain\n13,lost,x\n", 2),
            ("12,won,a\"b\"c\n", 2),
            ("12,won,x\n13,\"lost\"x,y\n", 3),
        ] {
            assert_eq!(named(&format!("pick_key,outcome,note\n{rows}")), [(bad, "-".to_owned())], "{rows:?}");
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        for end in ["\n", "\r\n"] {
            let text = ["pick_key,outcome", "", "", "12,bad", "13,won", "\"14\",\"worse\""].join(end);
            let lines: Vec<usize> = named(&text).into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, [4, 6], "{end:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reading(text in "[a-z0-9,\"\n\r ]{0,80}") {
            let _ = read_csv(&text);
            prop_assert!(lines(&text).count() <= text.len());
        }
    }
}

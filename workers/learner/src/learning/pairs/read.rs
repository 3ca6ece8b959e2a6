use std::io::Read;

use csv::StringRecord;

use super::Package;

/// Why a file of tests cannot be read. Lines are counted from 1, the header is the first.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The header lacks a column.
    #[error("the header has no column {column}; it must have {}", COLUMNS.join(", "))]
    NoColumn {
        /// The column that is missing.
        column: &'static str,
    },
    /// A field that is not what its column holds.
    #[error("line {line}: {field} is {value:?}; it must be {expected}")]
    BadField {
        /// The line on which the row begins.
        line: u64,
        /// The column.
        field: &'static str,
        /// What it says.
        value: String,
        /// What it should say.
        expected: &'static str,
    },
    /// The file is no CSV, or cannot be read.
    #[error("the file cannot be read as CSV: {0}")]
    Csv(#[from] csv::Error),
}

const COLUMNS: [&str; 7] =
    ["clickability_test_id", "test_week", "headline", "excerpt", "eyecatcher_id", "impressions", "clicks"];

/// Reads packages from CSV with the columns of the Upworthy Research Archive; others are skipped. One bad row refuses the file, with its
/// line and field.
pub fn read(source: impl Read) -> Result<Vec<Package>, ReadError> {
    let mut reader = csv::Reader::from_reader(source);
    let header = reader.headers()?.clone();
    let mut places = [0; COLUMNS.len()];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        *place = header.iter().position(|name| name == column).ok_or(ReadError::NoColumn { column })?;
    }
    reader.records().map(|record| Row { record: record?, places }.package()).collect()
}

struct Row {
    record: StringRecord,
    places: [usize; COLUMNS.len()],
}

impl Row {
    fn package(&self) -> Result<Package, ReadError> {
        let package = Package {
            test: self.filled(0)?.to_owned(),
            week: self.number(1)?,
            headline: self.filled(2)?.to_owned(),
            excerpt: self.text(3).to_owned(),
            picture: self.text(4).to_owned(),
            impressions: self.number(5)?,
            clicks: self.number(6)?,
        };
        if package.clicks > package.impressions {
            return Err(self.bad(6, "at most the impressions"));
        }
        Ok(package)
    }

    fn text(&self, column: usize) -> &str {
        self.record.get(self.places[column]).unwrap_or_default()
    }

    fn filled(&self, column: usize) -> Result<&str, ReadError> {
        let text = self.text(column);
        if text.trim().is_empty() { Err(self.bad(column, "filled")) } else { Ok(text) }
    }

    fn number<T: std::str::FromStr>(&self, column: usize) -> Result<T, ReadError> {
        self.text(column).trim().parse().map_err(|_| self.bad(column, "a whole number from 0 up"))
    }

    fn bad(&self, column: usize, expected: &'static str) -> ReadError {
        let line = self.record.position().map_or(0, csv::Position::line);
        ReadError::BadField { line, field: COLUMNS[column], value: self.text(column).to_owned(), expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "clickability_test_id,test_week,headline,lede,excerpt,eyecatcher_id,impressions,clicks\n";

    fn message(rows: &str) -> String {
        read(format!("{HEADER}{rows}").as_bytes()).expect_err("a bad row").to_string()
    }

    #[test]
    fn rows_are_read_and_other_columns_skipped() {
        let read =
            read(format!("{HEADER}t,201425,\"A, b\",\"two\nlines\",e,p,100,7\n").as_bytes()).expect("a good row");
        assert_eq!(
            (read[0].headline.as_str(), read[0].week, read[0].impressions, read[0].clicks),
            ("A, b", 201_425, 100, 7)
        );
    }

    #[test]
    fn a_bad_row_is_named_by_line_and_field() {
        let first = "t,201425,a,\"two\nlines\",e,p,100,7\n";
        assert_eq!(
            message(&format!("{first}t,201425,a,l,e,p,many,7\n")),
            "line 4: impressions is \"many\"; it must be a whole number from 0 up"
        );
        assert_eq!(message("t,201425,a,l,e,p,5,7\n"), "line 2: clicks is \"7\"; it must be at most the impressions");
        assert_eq!(message("t,201425, ,l,e,p,9,7\n"), "line 2: headline is \" \"; it must be filled");
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = read("a,b\n1,2\n".as_bytes()).expect_err("no column fits");
        assert!(error.to_string().starts_with("the header has no column clickability_test_id"));
    }
}

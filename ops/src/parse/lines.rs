//! Lines of any length, read without taking more memory than a line may have.

use std::io::{self, BufRead};

/// A line, numbered from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub number: u64,
    /// Its bytes without the end of line; `None` when it is longer than allowed.
    pub bytes: Option<Vec<u8>>,
}

/// The lines of a reader, blank ones left out.
pub struct Lines<R> {
    reader: R,
    number: u64,
    longest: usize,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `reader`; those of more than `longest` bytes are passed over.
    pub fn new(reader: R, longest: usize) -> Self {
        Self { reader, number: 0, longest }
    }

    fn read(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        let mut line = Some(Vec::new());
        let mut is_any = false;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(is_any.then_some(line));
            }
            is_any = true;
            let end = buffer.iter().position(|&b| b == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let used = end.map_or(buffer.len(), |end| end + 1);
            match &mut line {
                Some(kept) if kept.len() + part.len() <= self.longest => kept.extend_from_slice(part),
                _ => line = None,
            }
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<io::Result<Line>> {
        loop {
            let bytes = match self.read() {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            self.number += 1;
            if bytes.as_ref().is_some_and(|bytes| bytes.trim_ascii().is_empty()) {
                continue;
            }
            return Some(Ok(Line { number: self.number, bytes }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_keep_their_numbers_when_blank_or_overlong_ones_are_passed_over() {
        let text = b"one\n\n  \r\nfar too long for this\nlast".as_slice();
        let lines: Vec<Line> =
            Lines::new(BufReader::with_capacity(4, text), 8).collect::<io::Result<_>>().expect("readable");
        let numbers: Vec<(u64, Option<&[u8]>)> =
            lines.iter().map(|line| (line.number, line.bytes.as_deref())).collect();
        assert_eq!(numbers, [(1, Some(b"one".as_slice())), (4, None), (5, Some(b"last".as_slice()))]);
    }
}

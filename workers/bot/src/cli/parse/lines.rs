//! Reads lines of any length with limited memory.

use std::io::{self, BufRead};

/// A line, numbered from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub number: u64,
    /// Its bytes without the end of line; `None` when it is longer than allowed.
    pub bytes: Option<Vec<u8>>,
}

/// The lines of a reader without blank ones.
pub struct Lines<R> {
    reader: R,
    number: u64,
    longest: usize,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `reader`; those of more than `longest` bytes come without their bytes.
    pub fn new(reader: R, longest: usize) -> Self {
        Self { reader, number: 0, longest }
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Some(Vec::new());
        let mut is_any = false;
        loop {
            let buffer = self.reader.fill_buf()?;
            let end = buffer.iter().position(|&b| b == b'\n');
            let is_last = buffer.is_empty();
            if !is_last {
                is_any = true;
                let part = &buffer[..end.unwrap_or(buffer.len())];
                let used = end.map_or(buffer.len(), |end| end + 1);
                match &mut bytes {
                    Some(kept) if kept.len() + part.len() <= self.longest => kept.extend_from_slice(part),
                    _ => bytes = None,
                }
                self.reader.consume(used);
            }
            if end.is_some() || is_last {
                self.number += u64::from(is_any);
                return Ok(is_any.then_some(Line { number: self.number, bytes }));
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<io::Result<Line>> {
        loop {
            match self.read() {
                Ok(Some(line)) if line.bytes.as_ref().is_some_and(|bytes| bytes.trim_ascii().is_empty()) => {}
                Ok(line) => return line.map(Ok),
                Err(error) => return Some(Err(error)),
            }
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

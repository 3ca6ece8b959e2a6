//! How things look: times, texts, lines, tables.

#[cfg(test)]
mod hostile;
pub mod line;
pub mod table;
pub mod text;
pub mod time;

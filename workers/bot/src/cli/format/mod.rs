//! The format of times, texts, lines and tables.

#[cfg(test)]
mod hostile;
pub mod line;
pub mod table;
pub mod text;
pub mod time;

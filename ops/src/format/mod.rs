//! How things look: times, texts, tables.

pub mod table;
pub mod text;
pub mod time;

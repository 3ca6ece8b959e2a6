//! The pools that do the work, the producers that make it, and the HTTP API through which others ask for it.

pub mod api;

//! The learning poster: what it learns from its own posts, and how sure it is of it. Nothing here reads a clock, a file or a network.

pub mod learning;

//! Private servers that can be killed and restarted on their data.

mod postgres;
mod process;
mod redis;

pub use postgres::PostgresPair;
pub use process::{Signal, free_port, log_file, signal, until};
pub use redis::RedisPair;

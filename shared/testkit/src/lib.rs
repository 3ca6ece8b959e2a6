//! What tests share: a Redis database and a Postgres database of one's own, on servers that `./ops/test` starts.

#[cfg(feature = "database")]
mod database;
mod own_redis;
mod redis;

#[cfg(feature = "database")]
pub use database::{TestDatabase, postgres_settings};
pub use own_redis::{OwnRedis, free_port};
pub use redis::{TestRedis, redis_settings};

//! What tests share: a Redis database and a Postgres database of one's own, on servers that `./ops/test` starts; and the
//! official description of X, which requests and answers are held against.

#[cfg(feature = "contract")]
mod contract;
#[cfg(feature = "database")]
mod database;
mod fuzz;
mod gate;
mod machine;
mod own_redis;
#[cfg(feature = "database")]
mod pooler;
mod redis;

#[cfg(feature = "contract")]
pub use contract::{XOperation, XRequest};
#[cfg(feature = "database")]
pub use database::{TestDatabase, TestRole, postgres_settings};
pub use fuzz::fuzz;
pub use gate::Gate;
pub use machine::Machine;
pub use own_redis::{OwnRedis, free_port};
#[cfg(feature = "database")]
pub use pooler::Pooler;
pub use redis::{TestRedis, redis_settings};

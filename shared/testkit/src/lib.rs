//! Shared by tests: separate Redis and Postgres databases on servers that `./ops/test` starts, and the official description of the X API,
//! which requests and responses are checked against.

#[cfg(feature = "contract")]
mod contract;
#[cfg(feature = "database")]
mod database;
mod fuzz;
mod gate;
mod machine;
mod own_postgres;
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
pub use own_postgres::OwnPostgres;
pub use own_redis::{OwnRedis, free_port};
#[cfg(feature = "database")]
pub use pooler::Pooler;
pub use redis::{TestRedis, redis_settings};

/// The user to run servers as where root runs the tests, because several servers refuse to run as root.
fn unprivileged() -> Option<&'static str> {
    let id = |arguments: &[&str]| {
        let output = std::process::Command::new("id").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let is_root = id(&["-u"]).as_deref() == Some("0");
    is_root.then(|| ["postgres", "perch-postgres"].into_iter().find(|user| id(&["-u", user]).is_some())).flatten()
}

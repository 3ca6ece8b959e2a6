//! What tests share: a Redis database and a Postgres database of one's own, on servers that `./ops/test` starts; and the
//! official description of X, which requests and answers are held against.

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

/// A user to become, where root runs this: several servers refuse to work as root.
fn unprivileged() -> Option<&'static str> {
    let id = |arguments: &[&str]| {
        let output = std::process::Command::new("id").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let is_root = id(&["-u"]).as_deref() == Some("0");
    is_root.then(|| ["postgres", "perch-postgres"].into_iter().find(|user| id(&["-u", user]).is_some())).flatten()
}

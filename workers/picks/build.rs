//! Rebuilds the crate when a migration is added: they are embedded. Its statements are checked against what `.sqlx` knows of them,
//! unless `./ops/sql` asks a database: never the one of a `DATABASE_URL` that happens to be set.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=.sqlx");
    println!("cargo:rerun-if-env-changed=SQLX_OFFLINE");
    if env::var_os("SQLX_OFFLINE").is_none() {
        println!("cargo:rustc-env=SQLX_OFFLINE=true");
    }
}

//! Rebuilds the crate when a migration is added, because migrations are embedded. Statements are checked against `.sqlx`, never against
//! the database of a `DATABASE_URL` that happens to be set; only `./ops/sql` checks them against a database.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=.sqlx");
    println!("cargo:rerun-if-env-changed=SQLX_OFFLINE");
    if env::var_os("SQLX_OFFLINE").is_none() {
        println!("cargo:rustc-env=SQLX_OFFLINE=true");
    }
}

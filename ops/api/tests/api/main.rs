//! The HTTP API over real HTTP, on a real Redis and a real Postgres.

mod accounts;
mod bad_input;
mod batch;
mod bodies;
mod brake;
mod connections;
mod dead;
mod enqueue;
mod fuzz;
mod history;
mod idempotency;
mod keys;
mod mentions;
mod operate;
mod picks;
mod probes;
mod schemathesis;
mod security;
mod spend;
mod world;

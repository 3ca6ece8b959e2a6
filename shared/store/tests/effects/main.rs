//! What the effect ledger guarantees: whatever races, dies or repeats, an effect is permitted once, and its history is known.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

mod claims;
mod history;
mod operators;
mod world;

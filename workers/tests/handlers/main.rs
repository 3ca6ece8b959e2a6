//! The handlers through the real workers: Redis, Postgres and the sandbox are real, and nothing is reached around them.

mod braking;
mod confirming;
mod end_to_end;
mod extraction;
mod freezing;
mod ledger;
mod lost_mentions;
mod mentions;
mod metrics;
mod outages;
mod pacing;
mod polling;
mod publishing;
mod racing_replies;
mod recovery;
mod results;
mod retweeting;
mod reviewing;
mod settling;
mod spending;
mod together;
mod tracking;
mod watching;
mod world;

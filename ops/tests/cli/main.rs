//! The real binary against real servers.

mod accounts;
mod backup;
mod bad_input;
mod brake;
mod dead_letters;
mod doctor;
mod effects;
mod eval;
mod jobs;
mod keys;
mod mentions;
mod picks;
mod play;
mod postgres;
mod processes;
mod spend;
mod world;

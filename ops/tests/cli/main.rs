//! The real binary against real servers.

mod accounts;
mod backup;
mod bad_input;
mod brake;
mod dead_letters;
mod doctor;
mod effects;
mod jobs;
mod keys;
mod processes;
mod world;

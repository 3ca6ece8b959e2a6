//! The real binary against real servers.

mod accounts;
mod backup;
mod bad_input;
mod brake;
mod bulk;
mod dead_letters;
mod doctor;
mod documents;
mod editing;
mod effects;
mod eval;
mod jobs;
mod keys;
mod mentions;
mod outside;
mod personas;
mod picks;
mod play;
mod postgres;
mod processes;
mod second;
mod spend;
mod states;
mod world;

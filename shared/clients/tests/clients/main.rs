//! The clients against local servers: what they send, and how they read the answers.

mod limits_and_metrics;
mod model_client;
mod odd_answers;
mod pictures;
mod secrets;
mod server;
mod sources;
mod world;
mod x_contract;
mod x_failures;
mod x_reading;
mod x_writing;

//! `perch` with one bot more.

use std::process::ExitCode;

use perch_bot_heartbeat::HeartbeatBot;

fn main() -> ExitCode {
    perch_cli::main(perch_workers::bots().with(HeartbeatBot))
}

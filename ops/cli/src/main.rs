//! `perch`, with the bots of Perch.

use std::process::ExitCode;

fn main() -> ExitCode {
    perch_cli::main(perch_workers::bots())
}

//! `perch completions`: what the shell needs to complete commands.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{cli::Cli, error::OpsError};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

pub fn run(args: &Args) -> Result<(), OpsError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "perch", &mut script);
    std::io::stdout().lock().write_all(&script).map_err(OpsError::Output)
}

//! The real `perch`, which lies beside this program.

use std::{path::PathBuf, process::Stdio};

use tokio::process::{Child, Command};

use crate::{
    error::{BenchError, Outcome},
    process,
};

/// A `perch` that runs until this is dropped, which kills it.
#[derive(Debug)]
pub struct Perch(Child);

impl Perch {
    /// Starts one with these arguments and environment variables.
    pub fn start(arguments: &[&str], vars: &[(String, String)]) -> Outcome<Self> {
        let program = program()?;
        let child = command(&program, arguments, vars)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| BenchError::Program { program: program.display().to_string(), source })?;
        Ok(Self(child))
    }

    /// A `perch worker` with all its pools.
    pub fn worker(redis: &str, database: &str) -> Outcome<Self> {
        let vars = [("APP_ENV", "staging"), ("REDIS_URL", redis), ("DATABASE_URL", database)];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self::start(&["worker", "--bind", "127.0.0.1:0"], &vars)
    }

    /// CPU it has taken, in microseconds.
    pub fn cpu(&self) -> Option<f64> {
        process::cpu(self.0.id()?)
    }

    /// Its resident memory, in millions of bytes.
    pub fn resident(&self) -> Option<f64> {
        process::resident(self.0.id()?)
    }
}

/// Runs a command of `perch` to its end, and answers what it printed; an error with what it said when it fails.
pub async fn perch(arguments: &[&str], vars: &[(String, String)]) -> Outcome<String> {
    let program = program()?;
    let ran = command(&program, arguments, vars)
        .output()
        .await
        .map_err(|source| BenchError::Program { program: program.display().to_string(), source })?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(BenchError::Setup(format!("perch {}: {}", arguments.join(" "), said.trim())))
}

fn program() -> Outcome<PathBuf> {
    let here = std::env::current_exe().map_err(BenchError::io("find this program"))?;
    Ok(here.with_file_name("perch"))
}

fn command(program: &PathBuf, arguments: &[&str], vars: &[(String, String)]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).envs(vars.iter().cloned()).stdin(Stdio::null());
    command
}

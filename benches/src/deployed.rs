//! The real `perch`, which lies beside this program.

use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::{
    error::{BenchError, Outcome},
    process,
};

/// A `perch worker` with all its pools. It is killed when this is dropped.
#[derive(Debug)]
pub struct Worker(Child);

impl Worker {
    /// Starts one.
    pub fn spawn(redis: &str, database: &str) -> Outcome<Self> {
        let here = std::env::current_exe().map_err(BenchError::io("find this program"))?;
        let program = here.with_file_name("perch");
        let child = Command::new(&program)
            .args(["worker", "--bind", "127.0.0.1:0"])
            .envs([("APP_ENV", "staging"), ("REDIS_URL", redis), ("DATABASE_URL", database)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| BenchError::Program { program: program.display().to_string(), source })?;
        Ok(Self(child))
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

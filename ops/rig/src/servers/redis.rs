use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::process::{Signal, free_port, log_file, signal, until};
use crate::error::RigError;

/// A Redis with the settings of production: append-only file, written every second, nothing evicted.
#[derive(Debug)]
pub struct RedisServer {
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
}

/// Loading the append-only file takes a while on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl RedisServer {
    /// Starts one with its data in `dir`.
    pub async fn start(dir: &Path) -> Result<Self, RigError> {
        std::fs::create_dir_all(dir).map_err(RigError::io(format!("make the folder {}", dir.display())))?;
        let mut server = Self { dir: dir.to_owned(), port: free_port()?, child: None };
        server.bring_up().await?;
        Ok(server)
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, past every proxy.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends it as `SHUTDOWN` does: everything it was told is on disk.
    pub async fn shut_down(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(child.id(), Signal::Term);
            let _ = tokio::task::spawn_blocking(move || child.wait()).await;
        }
    }

    /// Starts it on its data and waits until it answers.
    pub async fn bring_up(&mut self) -> Result<(), RigError> {
        let log = self.dir.join("redis.log");
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"])
            .arg("--dir")
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(log_file(&log)?)
            .stderr(log_file(&log)?)
            .spawn()
            .map_err(|source| RigError::Program { program: "redis-server".into(), source })?;
        self.child = Some(child);
        let url = self.url();
        let answers = || async {
            let Ok(client) = redis::Client::open(url.as_str()) else { return false };
            let Ok(mut conn) = client.get_multiplexed_async_connection().await else { return false };
            redis::cmd("PING").query_async::<String>(&mut conn).await.is_ok()
        };
        if until(PATIENCE, answers).await { Ok(()) } else { Err(RigError::Silent { what: "redis-server", log }) }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

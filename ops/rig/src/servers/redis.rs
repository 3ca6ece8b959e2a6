use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use perch_testkit::Machine;

use super::process::{Signal, free_port, log_file, signal, until};
use crate::{error::RigError, proxy::Proxy};

/// A Redis with the settings of production: append-only file, written every second, nothing evicted. It may be the replica of
/// another.
#[derive(Debug)]
pub struct RedisServer {
    dir: PathBuf,
    port: u16,
    machine: Machine,
    replica_of: Option<u16>,
    child: Option<Child>,
}

/// Loading the append-only file takes a while on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl RedisServer {
    /// Starts one with its data in `dir`.
    async fn start(dir: &Path, replica_of: Option<u16>) -> Result<Self, RigError> {
        std::fs::create_dir_all(dir).map_err(RigError::io(format!("make the folder {}", dir.display())))?;
        let mut server =
            Self { dir: dir.to_owned(), port: free_port()?, machine: Machine::new(), replica_of, child: None };
        server.bring_up().await?;
        Ok(server)
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    async fn bring_up(&mut self) -> Result<(), RigError> {
        let log = self.dir.join("redis.log");
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"])
            .args(["--repl-ping-replica-period", "1", "--repl-diskless-sync-delay", "0", "--repl-timeout", "60"])
            .arg("--dir")
            .arg(&self.dir);
        if let Some(port) = self.replica_of {
            command.args(["--replicaof", &format!("127.0.0.1 {port}")]);
        }
        let child = command
            .envs(self.machine.variables())
            .stdin(Stdio::null())
            .stdout(log_file(&log)?)
            .stderr(log_file(&log)?)
            .spawn()
            .map_err(|source| RigError::Program { program: "redis-server".into(), source })?;
        self.child = Some(child);
        let answers = || async { self.ask::<String>(&["PING"]).await.is_some() };
        if until(PATIENCE, answers).await { Ok(()) } else { Err(RigError::Silent { what: "redis-server", log }) }
    }

    /// Runs a command; `None` when it fails or answers with another type.
    async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> Option<T> {
        let client = redis::Client::open(url(self.port)).ok()?;
        let asked = async {
            let mut conn = client.get_multiplexed_async_connection().await.ok()?;
            redis::cmd(command[0]).arg(&command[1..]).query_async(&mut conn).await.ok()
        };
        tokio::time::timeout(Duration::from_secs(5), asked).await.ok()?
    }

    async fn is_in_step(&self) -> bool {
        self.ask::<String>(&["INFO", "replication"]).await.is_some_and(|info| info.contains("master_link_status:up"))
    }

    fn signal(&self, with: Signal) {
        if let Some(child) = &self.child {
            signal(child.id(), with);
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// A Redis and a replica of it, which can be promoted.
#[derive(Debug)]
pub struct RedisPair {
    main: RedisServer,
    replica: RedisServer,
    /// The link from the replica to the primary.
    link: Proxy,
}

impl RedisPair {
    /// Starts both, with their data in `dir`.
    pub async fn start(dir: &Path) -> Result<Self, RigError> {
        let main = RedisServer::start(&dir.join("a"), None).await?;
        let link = Proxy::start(main.port).await?;
        let replica = RedisServer::start(&dir.join("b"), Some(link.port())).await?;
        Ok(Self { main, replica, link })
    }

    /// The port of the primary on the loopback interface.
    pub fn port(&self) -> u16 {
        self.main.port
    }

    /// The machine of the primary.
    pub fn machine(&self) -> &Machine {
        &self.main.machine
    }

    /// Kills the primary as `kill -9` does.
    pub fn kill(&mut self) {
        self.main.kill();
    }

    /// Shuts the primary down with `SHUTDOWN`: all its data is on disk.
    pub async fn shut_down(&mut self) {
        if let Some(mut child) = self.main.child.take() {
            signal(child.id(), Signal::Term);
            let _ = tokio::task::spawn_blocking(move || child.wait()).await;
        }
    }

    /// Starts the primary on its data and waits until it answers.
    pub async fn bring_up(&mut self) -> Result<(), RigError> {
        self.main.bring_up().await
    }

    /// Stops the primary as a machine that hangs does: it keeps its connections, accepts new ones, and answers nothing.
    pub fn freeze(&self) {
        self.main.signal(Signal::Stop);
    }

    /// Thaws it.
    pub fn thaw(&self) {
        self.main.signal(Signal::Continue);
    }

    /// Waits until the replica follows the primary.
    pub async fn in_step(&self) -> Result<(), RigError> {
        let in_step = || self.replica.is_in_step();
        if until(PATIENCE, in_step).await {
            Ok(())
        } else {
            Err(RigError::Setup("the replica of Redis does not follow the primary".into()))
        }
    }

    /// Stops replication: the replica misses all writes from now on.
    pub fn lag(&self) {
        self.link.set(crate::proxy::LinkState::Held);
    }

    /// Promotes the replica, which may lag. With `kill` the former primary dies; otherwise it becomes the replica,
    /// and is read-only for clients that stay connected to it.
    pub async fn promote(&mut self, kill: bool) -> Result<(), RigError> {
        if kill {
            self.main.kill();
        }
        if self.replica.ask::<String>(&["REPLICAOF", "NO", "ONE"]).await.is_none() {
            return Err(RigError::Setup("the replica of Redis cannot be promoted".into()));
        }
        self.link.reset();
        self.link.aim(self.replica.port);
        self.link.set(crate::proxy::LinkState::Normal);
        std::mem::swap(&mut self.main, &mut self.replica);
        self.main.replica_of = None;
        let link = self.link.port();
        self.replica.replica_of = Some(link);
        if kill {
            return self.replica.bring_up().await;
        }
        let told = self.replica.ask::<String>(&["REPLICAOF", "127.0.0.1", &link.to_string()]).await;
        told.map(|_| ()).ok_or_else(|| RigError::Setup("the former primary does not follow the new one".into()))
    }
}

//! Private Redis servers with the durability of production, and their statistics.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::StreamExt as _;
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use tempfile::TempDir;

use crate::{
    error::{BenchError, Outcome, until},
    numbers::float,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A Redis with an append-only file that is written every second. It is never rewritten, so that no second process takes
/// part in the measurement.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    child: Child,
    conn: MultiplexedConnection,
    dir: TempDir,
}

impl RedisServer {
    /// Starts an empty one.
    pub async fn start() -> Outcome<Self> {
        Self::with(&[]).await
    }

    async fn with(more: &[&str]) -> Outcome<Self> {
        let dir = TempDir::new().map_err(BenchError::io("make a folder for Redis"))?;
        let port = free_port()?;
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"])
            .args(["--maxmemory-policy", "noeviction"])
            .args(more)
            .arg("--dir")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(log(dir.path())?)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| BenchError::Program { program: "redis-server".into(), source })?;
        let url = format!("redis://127.0.0.1:{port}");
        until("redis-server", PATIENCE, Duration::from_millis(10), || async { Ok(connect(&url).await.is_ok()) })
            .await?;
        let conn = connect(&url).await?;
        Ok(Self { port, child, conn, dir })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection for reading statistics only.
    pub fn conn(&self) -> MultiplexedConnection {
        self.conn.clone()
    }

    /// CPU that the process has taken since its start, all threads, in microseconds.
    pub async fn cpu(&self) -> Outcome<f64> {
        let info = self.info("cpu").await?;
        Ok((read(&info, "used_cpu_user:")? + read(&info, "used_cpu_sys:")?) * 1e6)
    }

    /// CPU of its main thread alone, in microseconds. NaN before Redis 7.
    pub async fn main_thread_cpu(&self) -> Outcome<f64> {
        let info = self.info("cpu").await?;
        let of = |field| read(&info, field).unwrap_or(f64::NAN);
        Ok((of("used_cpu_user_main_thread:") + of("used_cpu_sys_main_thread:")) * 1e6)
    }

    /// Bytes of memory in use.
    pub async fn memory(&self) -> Outcome<f64> {
        read(&self.info("memory").await?, "used_memory:")
    }

    /// Counts the commands that clients send within `window`, without those that scripts run.
    pub async fn sent(&self, window: Duration) -> Outcome<usize> {
        let client = redis::Client::open(self.url())?;
        let mut lines = client.get_async_monitor().await?.into_on_message::<String>();
        let ends = tokio::time::Instant::now() + window;
        let mut sent = 0;
        while let Ok(Some(line)) = tokio::time::timeout_at(ends, lines.next()).await {
            // A line begins with a time and, in brackets, the database and who runs the command.
            if !line.split(']').next().is_some_and(|head| head.ends_with(" lua")) {
                sent += 1;
            }
        }
        Ok(sent)
    }

    /// Commands run since the start, those in scripts too.
    pub async fn commands(&self) -> Outcome<f64> {
        read(&self.info("stats").await?, "total_commands_processed:")
    }

    /// Bytes that it has read and written since its start.
    pub async fn traffic(&self) -> Outcome<Traffic> {
        let info = self.info("stats").await?;
        Ok(Traffic {
            sent: read(&info, "total_net_input_bytes:")?,
            received: read(&info, "total_net_output_bytes:")?,
            answer: float(format!("${}\r\n{info}\r\n", info.len()).len()),
        })
    }

    /// Empties it.
    pub async fn wipe(&self) -> Outcome {
        redis::cmd("FLUSHALL").arg("SYNC").exec_async(&mut self.conn()).await?;
        Ok(())
    }

    /// Waits until all data is on disk, so that writing the prepared data does not affect the next
    /// measurement.
    pub async fn settle(&self) -> Outcome {
        // Redis 7 writes into a folder.
        let folders = [self.dir.path().to_owned(), self.dir.path().join("appendonlydir")];
        let settled = tokio::task::spawn_blocking(move || {
            for folder in folders.iter().filter(|folder| folder.is_dir()) {
                for entry in std::fs::read_dir(folder)? {
                    std::fs::File::open(entry?.path())?.sync_all()?;
                }
            }
            Ok(())
        });
        settled.await.map_err(BenchError::setup)?.map_err(BenchError::io("write the append-only file out"))
    }

    async fn info(&self, section: &str) -> Outcome<String> {
        Ok(redis::cmd("INFO").arg(section).query_async(&mut self.conn()).await?)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes between a server and its clients.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// To the server.
    pub sent: f64,
    /// From it.
    pub received: f64,
    /// Bytes of the INFO answer itself, which the server counts only afterwards.
    pub answer: f64,
}

/// Three masters that share the slots.
#[derive(Debug)]
pub struct RedisCluster(Vec<RedisServer>);

impl RedisCluster {
    /// Starts an empty one.
    pub async fn start() -> Outcome<Self> {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            // The bus port is set by hand: the default of port + 10,000 may not exist.
            let bus = free_port()?.to_string();
            nodes.push(RedisServer::with(&["--cluster-enabled", "yes", "--cluster-port", &bus]).await?);
        }
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        let made = create
            .arg("--cluster-yes")
            .stdout(Stdio::null())
            .status()
            .map_err(|source| BenchError::Program { program: "redis-cli".into(), source })?;
        if !made.success() {
            return Err(BenchError::Setup("redis-cli could not make a cluster of three servers".into()));
        }
        for node in &nodes {
            until("the cluster", PATIENCE, Duration::from_millis(50), || async {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut node.conn()).await?;
                Ok(info.contains("cluster_state:ok"))
            })
            .await?;
        }
        Ok(Self(nodes))
    }

    /// The URLs of its nodes, with commas between them.
    pub fn url(&self) -> String {
        self.0.iter().map(RedisServer::url).collect::<Vec<_>>().join(",")
    }

    /// CPU of all nodes since their start, one by one, in microseconds.
    pub async fn cpu(&self) -> Outcome<Vec<f64>> {
        let mut each = Vec::new();
        for node in &self.0 {
            each.push(node.cpu().await?);
        }
        Ok(each)
    }

    /// Empties it.
    pub async fn wipe(&self) -> Outcome {
        for node in &self.0 {
            node.wipe().await?;
        }
        Ok(())
    }
}

/// A plain connection that waits as long as it takes.
pub async fn connect(url: &str) -> Outcome<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(5)))
        .set_response_timeout(Some(Duration::from_secs(600)));
    let client = redis::Client::open(url)?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

fn read(info: &str, field: &str) -> Outcome<f64> {
    let found = info.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok());
    found.ok_or_else(|| BenchError::Setup(format!("this Redis does not say its {field}")))
}

/// A port that was free a moment ago, below those that systems hand out to outgoing connections.
pub fn free_port() -> Outcome<u16> {
    (0..100)
        .map(|_| rand::random_range(20_000..32_000))
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or_else(|| BenchError::Setup("no free port found between 20000 and 32000 on 127.0.0.1".into()))
}

fn log(dir: &Path) -> Outcome<std::fs::File> {
    std::fs::File::create(dir.join("redis.log")).map_err(BenchError::io("write the log of Redis"))
}

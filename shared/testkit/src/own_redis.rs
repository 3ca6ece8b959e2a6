use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::Machine;

/// A separate Redis server, for tests that kill, restart or configure it. It has an append-only file.
#[derive(Debug)]
pub struct OwnRedis {
    dir: TempDir,
    port: u16,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    child: Option<Child>,
}

impl OwnRedis {
    /// Starts one whose append-only file is synced on every write.
    pub async fn start() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// Starts one with the given arguments of `redis-server`.
    ///
    /// # Panics
    /// When `redis-server` cannot be started.
    pub async fn with(arguments: &[&str]) -> Self {
        Self::start_with(arguments, Vec::new()).await
    }

    /// Starts one on this simulated machine.
    pub async fn on(machine: &Machine) -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"], machine.variables()).await
    }

    async fn start_with(arguments: &[&str], variables: Vec<(&'static str, String)>) -> Self {
        let mut server = Self {
            dir: TempDir::new().expect("a temporary folder"),
            port: free_port(),
            arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
            variables,
            child: None,
        };
        server.restart().await;
        server
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
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

    /// Freezes it like a machine that hangs: it keeps its connections, accepts new ones, and answers nothing.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it continue.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().is_ok_and(|sent| sent.success()), "kill {signal}");
    }

    /// Restarts it on its port with its data, and waits until it answers.
    ///
    /// # Panics
    /// When it does not answer within 20 seconds.
    pub async fn restart(&mut self) {
        self.kill();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &self.port.to_string(), "--dir"])
            .arg(self.dir.path())
            .args(&self.arguments)
            .envs(self.variables.iter().cloned())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed; ./ops/test installs it");
        self.child = Some(child);
        let client = redis::Client::open(self.url()).expect("a Redis URL");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        loop {
            pace.tick().await;
            if let Ok(mut conn) = client.get_multiplexed_async_connection().await
                && redis::cmd("PING").query_async::<String>(&mut conn).await.is_ok()
            {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "redis-server does not answer on port {}", self.port);
        }
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago.
///
/// # Panics
/// When the loopback interface has none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

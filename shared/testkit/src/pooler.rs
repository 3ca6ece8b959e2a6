use std::{
    fmt::Write as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use secrecy::SecretString;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use url::Url;

use crate::{TestDatabase, free_port, unprivileged};

/// A `PgBouncer` in transaction mode before the Postgres of the tests. It ends with the value.
#[derive(Debug)]
pub struct Pooler {
    // The folder of the configuration, which has a password.
    _dir: TempDir,
    port: u16,
    child: Child,
}

impl Pooler {
    /// A pooler with this many server connections for all its clients together.
    ///
    /// # Panics
    /// When `pgbouncer` cannot be started.
    pub async fn with_sessions(sessions: u32) -> Self {
        let server = Url::parse(&crate::database::server_url()).expect("a URL");
        let dir = TempDir::new().expect("a temporary folder");
        let port = free_port();
        let mut text = String::from("[databases]\n* = ");
        let (host, server_port) = (server.host_str().unwrap_or("127.0.0.1"), server.port().unwrap_or(5432));
        let _ = write!(text, "host={host} port={server_port} user={}", server.username());
        if let Some(password) = server.password() {
            let _ = write!(text, " password={password}");
        }
        let _ = write!(
            text,
            "\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {sessions}\nmax_client_conn = 200\n"
        );
        // PgBouncer refuses to run as root.
        if let Some(user) = unprivileged() {
            let _ = writeln!(text, "user = {user}");
        }
        let config = dir.path().join("pgbouncer.ini");
        std::fs::write(&config, text).expect("a temporary file");
        let child = Command::new("pgbouncer")
            .arg("-q")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer is installed; ./ops/test installs it");
        let pooler = Self { _dir: dir, port, child };
        pooler.answers().await;
        pooler
    }

    async fn answers(&self) {
        let url = self.url_of(&crate::database::server_url());
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        loop {
            pace.tick().await;
            // PgBouncer refuses a startup parameter that the driver sets by default, so this connection is made without it.
            let options: sqlx::postgres::PgConnectOptions = url.parse().expect("a URL");
            if PgConnection::connect_with(&options.extra_float_digits(None)).await.is_ok() {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "pgbouncer does not answer on port {}", self.port);
        }
    }

    /// A URL of the server through this pooler.
    fn url_of(&self, url: &str) -> String {
        let mut url = Url::parse(url).expect("a URL");
        url.set_host(Some("127.0.0.1"))
            .and_then(|()| url.set_port(Some(self.port)).map_err(|()| url::ParseError::InvalidPort))
            .expect("a URL with a host");
        url.to_string()
    }

    /// The URL of a database through this pooler.
    pub fn url(&self, database: &TestDatabase) -> String {
        self.url_of(database.url())
    }

    /// The same as in the configuration.
    pub fn secret_url(&self, database: &TestDatabase) -> SecretString {
        SecretString::from(self.url(database))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

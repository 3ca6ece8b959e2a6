use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};

use super::process::{Signal, free_port, log_file, signal, until};
use crate::error::RigError;

/// A Postgres whose processes can be ended at once. It waits for the disk as in production: what the books are held against is
/// what it has answered.
#[derive(Debug)]
pub struct Postgres {
    dir: PathBuf,
    log: PathBuf,
    port: u16,
    /// The user to become, where root runs this: Postgres refuses root.
    user: Option<String>,
    child: Option<Child>,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Postgres {
    /// Starts one with an empty database `perch`, its data in `dir`.
    pub async fn start(dir: &Path) -> Result<Self, RigError> {
        let log = dir.with_extension("log");
        let mut server = Self { dir: dir.to_owned(), log, port: free_port()?, user: user()?, child: None };
        server.create()?;
        server.bring_up().await?;
        let mut conn = PgConnection::connect(&server.url_of("postgres")).await?;
        sqlx::raw_sql("create database perch").execute(&mut conn).await?;
        Ok(server)
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the database, past every proxy.
    pub fn url(&self) -> String {
        self.url_of("perch")
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn create(&self) -> Result<(), RigError> {
        let dir = self.dir.display().to_string();
        std::fs::create_dir_all(&self.dir).map_err(RigError::io(format!("make the folder {dir}")))?;
        if let Some(user) = &self.user {
            run(Command::new("chown").args([user.as_str(), dir.as_str()]))?;
        }
        let mut initdb = self.command("initdb");
        initdb.args(["-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"]);
        run(initdb.arg(self.dir.join("data")))
    }

    /// One of the programs of Postgres, as a user that it accepts.
    fn command(&self, program: &str) -> Command {
        let program = find(program);
        let mut command = match &self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(program);
                command
            }
        };
        command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        command
    }

    /// Ends it at once (`pg_ctl stop -m immediate`) or without loss of time for its clients (`-m fast`).
    pub async fn stop(&mut self, how: Signal) {
        if let Some(mut child) = self.child.take() {
            signal(child.id(), how);
            let _ = tokio::task::spawn_blocking(move || child.wait()).await;
        }
    }

    /// Starts it on its data and waits until it answers.
    pub async fn bring_up(&mut self) -> Result<(), RigError> {
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.dir.join("data"))
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=300"])
            .stdout(log_file(&self.log)?)
            .stderr(log_file(&self.log)?)
            .spawn()
            .map_err(|source| RigError::Program { program: "postgres".into(), source })?;
        self.child = Some(child);
        let url = self.url_of("postgres");
        let answers = || async {
            match PgConnection::connect(&url).await {
                Ok(conn) => conn.close().await.is_ok(),
                Err(_) => false,
            }
        };
        let log = self.log.clone();
        if until(PATIENCE, answers).await { Ok(()) } else { Err(RigError::Silent { what: "postgres", log }) }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(child.id(), Signal::Quit);
            let _ = child.wait();
        }
    }
}

fn run(command: &mut Command) -> Result<(), RigError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| RigError::Program { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(RigError::Ended { program, said })
}

/// The user that runs Postgres where this one is root; `None` where it is not.
fn user() -> Result<Option<String>, RigError> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if id(&["-u"]).as_deref() != Some("0") {
        return Ok(None);
    }
    let found = ["postgres", "perch-postgres"].into_iter().find(|user| id(&["-u", user]).is_some());
    let missing = || RigError::Setup("PostgreSQL refuses to run as root: create a user named postgres for it".into());
    found.map(|user| Some(user.to_owned())).ok_or_else(missing)
}

/// The program on the path, else where Debian puts the newest version.
fn find(program: &str) -> PathBuf {
    let on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    if on_path {
        return program.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(program)).filter(|path| path.is_file()).max();
    found.unwrap_or_else(|| program.into())
}

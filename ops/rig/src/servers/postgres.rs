use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use perch_testkit::Machine;
use sqlx::{Connection as _, PgConnection};

use super::process::{Signal, free_port, log_file, signal, signal_group, until};
use crate::{
    error::RigError,
    proxy::{LinkState, Proxy},
};

/// A Postgres that waits for the disk, as in production, because the checks rely on what it answered. Its processes can
/// be stopped at once, and it may be the standby of another.
#[derive(Debug)]
struct Server {
    dir: PathBuf,
    port: u16,
    machine: Machine,
    /// The user that runs Postgres when root runs the rig: Postgres refuses to run as root.
    user: Option<String>,
    child: Option<Child>,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Server {
    /// A server with its data in `dir`, which the caller has to fill.
    fn new(dir: PathBuf) -> Result<Self, RigError> {
        let server = Self { dir, port: free_port()?, machine: Machine::new(), user: user()?, child: None };
        let dir = server.dir.display().to_string();
        std::fs::create_dir_all(&server.dir).map_err(RigError::io(format!("make the folder {dir}")))?;
        if let Some(user) = &server.user {
            run(Command::new("chown").args([user.as_str(), dir.as_str()]))?;
        }
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn make_data(&self) -> Result<(), RigError> {
        let mut initdb = self.command("initdb");
        initdb.args(["-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"]);
        run(initdb.arg(self.data()))
    }

    /// Copies the data of the server on `port` into `to`; with what makes a server a standby when `standby` says so.
    async fn copy(&self, port: u16, to: &Path, standby: bool) -> Result<(), RigError> {
        let mut copy = self.command("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-X", "stream", "-c", "fast", "--no-sync"]);
        copy.args(["-p", &port.to_string()]).arg("-D").arg(to);
        if standby {
            copy.arg("-R");
        }
        let copied = tokio::task::spawn_blocking(move || run(&mut copy)).await;
        copied.map_err(RigError::setup)?
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

    async fn stop(&mut self, how: Signal) {
        if let Some(mut child) = self.child.take() {
            signal(child.id(), how);
            let _ = tokio::task::spawn_blocking(move || child.wait()).await;
        }
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    fn start(&mut self) -> Result<(), RigError> {
        let log = self.dir.with_extension("log");
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=300"])
            .args(["-c", "wal_keep_size=512MB", "-c", "wal_receiver_status_interval=1s"])
            .envs(self.machine.variables())
            // Its processes are frozen together.
            .process_group(0)
            .stdout(log_file(&log)?)
            .stderr(log_file(&log)?)
            .spawn()
            .map_err(|source| RigError::Program { program: "postgres".into(), source })?;
        self.child = Some(child);
        Ok(())
    }

    async fn bring_up(&mut self) -> Result<(), RigError> {
        self.start()?;
        let answers = || async { self.execute(&["select 1"]).await.is_ok() };
        let log = self.dir.with_extension("log");
        if until(PATIENCE, answers).await { Ok(()) } else { Err(RigError::Silent { what: "postgres", log }) }
    }

    async fn connection(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&url_of(self.port, "postgres")).await
    }

    async fn execute(&self, statements: &[&'static str]) -> Result<(), sqlx::Error> {
        let mut conn = self.connection().await?;
        for statement in statements {
            sqlx::raw_sql(*statement).execute(&mut conn).await?;
        }
        conn.close().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal_group(child.id(), Signal::Continue);
            signal(child.id(), Signal::Quit);
            let _ = child.wait();
        }
    }
}

fn url_of(port: u16, database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{database}")
}

/// A Postgres and a standby of it, which can be promoted.
#[derive(Debug)]
pub struct PostgresPair {
    dir: PathBuf,
    main: Server,
    standby: Server,
    /// The link from the standby to the primary.
    link: Proxy,
    /// How many data folders were made; names the next one.
    made: u32,
}

impl PostgresPair {
    /// Starts both, their data in `dir`, with an empty database `perch`.
    pub async fn start(dir: &Path) -> Result<Self, RigError> {
        let mut main = Server::new(dir.join("1"))?;
        main.make_data()?;
        main.bring_up().await?;
        main.execute(&["create database perch"]).await?;
        let link = Proxy::start(main.port).await?;
        let standby = Server::new(dir.join("2"))?;
        let mut pair = Self { dir: dir.to_owned(), main, standby, link, made: 2 };
        pair.follow().await?;
        Ok(pair)
    }

    /// The port of the primary on the loopback interface.
    pub fn port(&self) -> u16 {
        self.main.port
    }

    /// The machine of the primary.
    pub fn machine(&self) -> &Machine {
        &self.main.machine
    }

    /// Ends the primary at once (`pg_ctl stop -m immediate`) or without loss of time for its clients (`-m fast`).
    pub async fn stop(&mut self, how: Signal) {
        self.main.stop(how).await;
    }

    /// Starts the primary on its data, unless it runs, and waits until it answers.
    pub async fn bring_up(&mut self) -> Result<(), RigError> {
        // After a full disk, Postgres stops and may or may not start again by itself.
        if !self.main.has_ended() {
            let answers = || async { self.main.execute(&["select 1"]).await.is_ok() };
            if until(Duration::from_secs(5), answers).await {
                return Ok(());
            }
            self.main.stop(Signal::Quit).await;
        }
        self.main.bring_up().await
    }

    /// Stops the primary as a machine that hangs does: it keeps its connections, and answers nothing.
    pub fn freeze(&self) {
        if let Some(child) = &self.main.child {
            signal_group(child.id(), Signal::Stop);
        }
    }

    /// Thaws it.
    pub fn thaw(&self) {
        if let Some(child) = &self.main.child {
            signal_group(child.id(), Signal::Continue);
        }
    }

    /// With `only`, makes new sessions read-only and ends the others. Without it, new sessions may write again;
    /// read-only ones stay read-only.
    pub async fn read_only(&self, only: bool) -> Result<(), RigError> {
        let statements: &[&'static str] = if only {
            &["alter database perch set default_transaction_read_only = on", END_SESSIONS]
        } else {
            &["alter database perch reset default_transaction_read_only"]
        };
        Ok(self.main.execute(statements).await?)
    }

    /// Replaces the standby with a new copy of the primary.
    async fn follow(&mut self) -> Result<(), RigError> {
        self.link.aim(self.main.port);
        self.link.set(LinkState::Normal);
        self.standby.copy(self.link.port(), &self.standby.data(), true).await?;
        self.standby.bring_up().await
    }

    fn another(&mut self) -> Result<Server, RigError> {
        self.made += 1;
        Server::new(self.dir.join(self.made.to_string()))
    }

    /// Stops replication: the standby misses all commits from now on.
    pub fn lag(&self) {
        self.link.set(LinkState::Held);
    }

    /// Promotes the standby, which may lag; the former primary dies.
    pub async fn promote(&mut self) -> Result<(), RigError> {
        self.main.stop(Signal::Quit).await;
        self.link.reset();
        self.standby.execute(&["select pg_promote(true, 60)"]).await?;
        std::mem::swap(&mut self.main, &mut self.standby);
        Ok(())
    }

    /// Gives a primary that was promoted or restored a new standby.
    pub async fn renew_standby(&mut self) -> Result<(), RigError> {
        let new = self.another()?;
        let mut old = std::mem::replace(&mut self.standby, new);
        old.stop(Signal::Quit).await;
        let _ = std::fs::remove_dir_all(&old.dir);
        self.follow().await
    }

    /// Copies the primary, to be restored later.
    pub async fn back_up(&self) -> Result<(), RigError> {
        let copy = self.main.dir.join("copy");
        self.main.copy(self.main.port, &copy, false).await
    }

    /// Replaces the primary with the copy, like a restored disk snapshot.
    pub async fn restore(&mut self) -> Result<(), RigError> {
        self.main.stop(Signal::Quit).await;
        let (copy, data) = (self.main.dir.join("copy"), self.main.data());
        let restored = std::fs::remove_dir_all(&data).and_then(|()| std::fs::rename(&copy, &data));
        restored.map_err(RigError::io("restore the copy of Postgres"))?;
        self.main.bring_up().await
    }
}

const END_SESSIONS: &str = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'perch'";

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

/// A program on the PATH, or else the newest version where Debian puts it.
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

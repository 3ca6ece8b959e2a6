use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{free_port, unprivileged};

/// A separate Postgres server, whose only user needs no password. It ends with the value.
#[derive(Debug)]
pub struct OwnPostgres {
    folder: TempDir,
    port: u16,
    options: String,
}

impl OwnPostgres {
    /// Starts an empty one.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start() -> Self {
        Self::with(&[], "")
    }

    /// The same with these files (name, content) in its folder, and further options.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn with(files: &[(&str, Vec<u8>)], options: &str) -> Self {
        let (folder, port) = (TempDir::new().expect("a temporary folder"), free_port());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is this test's own");
        let options =
            format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off {options}");
        let server = Self { folder, port, options };
        fs::create_dir(server.data()).expect("it is empty");
        give(&server.data());
        let made = program("initdb")
            .args(["-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(server.data())
            .status();
        assert!(made.is_ok_and(|status| status.success()), "initdb works");
        for (name, content) in files {
            server.put(name, content);
        }
        server.run();
        server
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Restarts it as a standby without a primary, which can be promoted.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn stand_by(&self) {
        self.stop("fast");
        self.put("standby.signal", b"");
        self.run();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn put(&self, name: &str, content: &[u8]) {
        let to = self.data().join(name);
        fs::write(&to, content).expect("it can be written");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("it was just made");
        give(&to);
    }

    fn run(&self) {
        let log = self.data().join("log");
        let mut start = program("pg_ctl");
        start.arg("-D").arg(self.data()).arg("-l").arg(&log).args(["-w", "-o", &self.options, "start"]);
        let started = start.status();
        let log = fs::read_to_string(log).unwrap_or_default();
        assert!(started.is_ok_and(|status| status.success()), "Postgres starts: {log}");
    }

    fn stop(&self, how: &str) {
        let _ = program("pg_ctl").arg("-D").arg(self.data()).args(["-m", how, "stop"]).status();
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        self.stop("immediate");
    }
}

/// A program of Postgres, run as another user where root runs the tests, because Postgres refuses root.
fn program(name: &str) -> Command {
    let mut command = Command::new(found(name));
    command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some((user, group)) = ids() {
        command.uid(user).gid(group);
    }
    command
}

/// The path of the program: in `PATH`, or where Debian installs it.
fn found(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let program = std::env::split_paths(&path).chain(debian).map(|folder| folder.join(name)).find(|path| path.exists());
    program.unwrap_or_else(|| panic!("{name} is not installed; ./ops/test installs it"))
}

/// The ids of the user to run as and of its group, where root runs the tests.
fn ids() -> Option<(u32, u32)> {
    let user = unprivileged()?;
    let id = |which: &str| {
        let output = Command::new("id").args([which, user]).output().expect("every system has it");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
    };
    Some((id("-u"), id("-g")))
}

fn give(path: &std::path::Path) {
    if let Some((user, group)) = ids() {
        chown(path, Some(user), Some(group)).expect("root may");
    }
}

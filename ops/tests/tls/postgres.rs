//! A Postgres of one's own that takes connections over TLS alone, or none over TLS.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use perch_testkit::free_port;
use tempfile::TempDir;

use crate::certificates::Certificates;

pub struct Postgres {
    folder: TempDir,
    port: u16,
}

impl Postgres {
    /// With TLS it shows the certificate of `certificates`, and refuses whoever does without.
    pub fn start(certificates: Option<&Certificates>) -> Self {
        let server = Self { folder: TempDir::new().expect("a temporary folder"), port: free_port() };
        let folder = server.folder.path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("it is this test's own");
        let data = folder.join("data");
        fs::create_dir(&data).expect("it is empty");
        own(&data);
        let made = program("initdb").args(["-U", "postgres", "--auth=trust", "--no-sync", "-D"]).arg(&data).status();
        assert!(made.is_ok_and(|status| status.success()), "initdb works");
        let mut options =
            format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off", server.port);
        if let Some(certificates) = certificates {
            for (name, from) in [("server.crt", certificates.server()), ("server.key", certificates.key())] {
                let to = data.join(name);
                fs::copy(from, &to).expect("the certificate is there");
                fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("it was just made");
                own(&to);
            }
            fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").expect("it can be written");
            options.push_str(" -c ssl=on");
        }
        let log = data.join("log");
        let started =
            program("pg_ctl").arg("-D").arg(&data).arg("-l").arg(&log).args(["-w", "-o", &options, "start"]).status();
        let log = fs::read_to_string(log).unwrap_or_default();
        assert!(started.is_ok_and(|status| status.success()), "Postgres starts: {log}");
        server
    }

    /// Its URL, with `host` as its name and these parameters.
    pub fn url(&self, host: &str, parameters: &str) -> String {
        format!("postgres://postgres@{host}:{}/postgres?{parameters}", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ =
            program("pg_ctl").arg("-D").arg(self.folder.path().join("data")).args(["-m", "immediate", "stop"]).status();
    }
}

/// A program of Postgres, as somebody whom Postgres accepts: it refuses root.
fn program(name: &str) -> Command {
    let mut command = Command::new(found(name));
    command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if id(&["-u"]) == Some(0) {
        let (user, group) = (id(&["-u", "postgres"]), id(&["-g", "postgres"]));
        command.uid(user.expect("there is a user postgres")).gid(group.expect("it has a group"));
    }
    command
}

/// Where the program is: on the path, or where Debian puts it.
fn found(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let program = std::env::split_paths(&path).chain(debian).map(|folder| folder.join(name)).find(|path| path.exists());
    program.unwrap_or_else(|| panic!("{name} is not installed; ./ops/test installs it"))
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn own(path: &Path) {
    if id(&["-u"]) == Some(0) {
        let user = id(&["-u", "postgres"]);
        std::os::unix::fs::chown(path, user, id(&["-g", "postgres"])).expect("root may");
    }
}

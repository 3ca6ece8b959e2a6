//! `./ops/run` on a terminal, in a folder of its own, with this build in place of one that takes minutes.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tempfile::TempDir;

use super::sample::{Sample, root};
use crate::{processes::address, world::until};

pub struct Screen {
    folder: TempDir,
    terminal: Child,
    written: Arc<Mutex<String>>,
}

/// Answers as `cargo` does where everything is built.
const CARGO: &str = r#"#!/bin/sh
if [ "$1" = metadata ]; then echo "{\"target_directory\":\"$PWD/target\"}"; fi
"#;

impl Screen {
    pub fn of_run() -> Self {
        let folder = tempfile::Builder::new().prefix("perch-run.").tempdir().expect("a folder");
        let open = |path: &str| {
            fs::set_permissions(folder.path().join(path), fs::Permissions::from_mode(0o711)).expect("it is one's own");
        };
        // The user of PostgreSQL has to pass when root runs this.
        open("");
        for shared in ["ops", "config"] {
            symlink(root().join(shared).canonicalize().expect("it is there"), folder.path().join(shared))
                .expect("a link");
        }
        for made in ["bin", "target/quick"] {
            fs::create_dir_all(folder.path().join(made)).expect("a folder");
        }
        symlink(env!("CARGO_BIN_EXE_perch"), folder.path().join("target/quick/perch")).expect("a link");
        fs::write(folder.path().join("bin/cargo"), CARGO).expect("a file");
        fs::set_permissions(folder.path().join("bin/cargo"), fs::Permissions::from_mode(0o755)).expect("one's own");

        // A terminal of 80 columns without colours.
        let mut terminal = Command::new("script");
        if cfg!(target_os = "macos") {
            terminal.args(["-q", "/dev/null", "./ops/run", "--width", "80"]);
        } else {
            terminal.args(["--quiet", "--flush", "--return", "--command", "./ops/run --width 80", "/dev/null"]);
        }
        let path = std::env::var("PATH").expect("a way to programs");
        terminal.env_clear().env("PATH", format!("{}:{path}", folder.path().join("bin").display()));
        terminal.env("NO_COLOR", "1").env("TERM", "xterm").env("SHELL", "/bin/sh");
        terminal.env("PERCH__HTTP__BIND", address()).env("PERCH__SANDBOX__BIND", address());
        terminal.current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut terminal = terminal.spawn().expect("script is there, which gives a program a terminal");
        let written = Arc::<Mutex<String>>::default();
        let (mut output, text) = (terminal.stdout.take().expect("it was asked for"), Arc::clone(&written));
        std::thread::spawn(move || {
            let (mut bytes, mut all) = ([0; 4096], Vec::new());
            // It ends with the terminal.
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                all.extend_from_slice(&bytes[..n]);
                *text.lock().unwrap_or_else(PoisonError::into_inner) = String::from_utf8_lossy(&all).replace('\r', "");
            }
        });
        Self { folder, terminal, written }
    }

    /// What stands there: what was said before the view began, and the view as it was drawn last.
    fn text(&self) -> String {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let said = written.split('\u{1b}').next().unwrap_or_default();
        let drawn = written.rsplit("\u{1b}[?7l").find_map(|view| view.split_once("\u{1b}[?7h"));
        format!("{said}{}", drawn.map_or("", |(view, _)| view))
    }

    /// Waits until the screen is what a sample shows; answers what is wrong with it when that does not come.
    pub async fn becomes(&self, sample: &Sample) -> Option<String> {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        let alike = tokio::time::timeout(Duration::from_secs(120), async {
            while sample.difference(&self.text()).is_some() {
                pace.tick().await;
            }
        });
        alike.await.err().and_then(|_| sample.difference(&self.text()))
    }

    /// Types Ctrl-C and waits until the servers have stopped, too.
    pub async fn ends(mut self) {
        let mut keys = self.terminal.stdin.take().expect("it was asked for");
        // What has ended by itself reads no keys.
        let _ = keys.write_all(b"\x03");
        let terminal = std::cell::RefCell::new(&mut self.terminal);
        let has_ended = || async { terminal.borrow_mut().try_wait().expect("it is a child").is_some() };
        until("everything stops", has_ended).await;
        let lock = self.folder.path().join(".data/lock");
        until("the servers stop", || async { !lock.exists() }).await;
        // Where PostgreSQL could not work in this folder.
        if let Ok(elsewhere) = fs::read_link(self.folder.path().join(".data/postgres")) {
            fs::remove_dir_all(elsewhere).expect("it is one's own");
        }
    }
}

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::error::RigError;

/// The signals that a run sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Kills the process at once.
    Kill,
    /// Asks the process to stop.
    Term,
    /// Freezes the process.
    Stop,
    /// Thaws the process.
    Continue,
    /// Postgres: ends at once, without writing anything back.
    Quit,
    /// Postgres: ends as soon as it can without loss.
    Interrupt,
}

/// Sends a signal. It is no error when the process has ended already.
pub fn signal(pid: u32, signal: Signal) {
    send(&pid.to_string(), signal);
}

/// Sends a signal to a process that leads a group, and to the whole group.
pub fn signal_group(pid: u32, signal: Signal) {
    send(&format!("-{pid}"), signal);
}

fn send(to: &str, signal: Signal) {
    let name = match signal {
        Signal::Kill => "KILL",
        Signal::Term => "TERM",
        Signal::Stop => "STOP",
        Signal::Continue => "CONT",
        Signal::Quit => "QUIT",
        Signal::Interrupt => "INT",
    };
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -{name} {to}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// A port on which nobody listens, below those that the system gives to outgoing connections: a server that is down
/// for a moment must get it back.
pub fn free_port() -> Result<u16, RigError> {
    for _ in 0..100 {
        let port = rand::random_range(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(RigError::Setup("no free port found between 20000 and 32000 on 127.0.0.1".into()))
}

/// Opens a log for appending.
pub fn log_file(path: &Path) -> Result<File, RigError> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(RigError::io(format!("write the log {}", path.display())))
}

/// Waits until `holds` is true; false when it was not within the time.
pub async fn until<Fut: Future<Output = bool>>(within: Duration, holds: impl Fn() -> Fut) -> bool {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let waited = async {
        while !holds().await {
            pace.tick().await;
        }
    };
    tokio::time::timeout(within, waited).await.is_ok()
}

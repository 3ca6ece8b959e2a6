//! The request that a process stop.

use tokio_util::sync::CancellationToken;

use crate::error::CommandError;

/// A request to stop the process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// A token that is cancelled when the process has to stop.
    pub fn token(&self) -> CancellationToken {
        self.0.clone()
    }

    /// Asks the process to stop.
    pub fn ask(&self) {
        self.0.cancel();
    }

    /// Whether the process was asked to stop.
    pub fn is_asked(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// The exit code after a second signal: 128 plus the number of SIGINT.
const BROKEN_OFF: i32 = 130;

/// Ends the process gracefully at the first SIGINT, SIGTERM or SIGHUP (a closed terminal), and at once at the second.
pub fn on_signals(stop: &Stop) -> Result<(), CommandError> {
    let stop = stop.clone();
    let mut signals = Signals::new().map_err(CommandError::Runtime)?;
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping: running jobs may finish; a second signal stops at once");
        stop.ask();
        signals.next().await;
        std::process::exit(BROKEN_OFF);
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

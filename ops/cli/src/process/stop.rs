//! When a process ends.

use tokio_util::sync::CancellationToken;

use crate::error::CommandError;

/// The end of a process: asked for once.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// For everything that has to end.
    pub fn token(&self) -> CancellationToken {
        self.0.clone()
    }

    /// Asks for the end.
    pub fn ask(&self) {
        self.0.cancel();
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// The exit code of a process that was broken off: 128 and the number of SIGINT.
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

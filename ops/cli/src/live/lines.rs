//! Carries log lines to a live view that owns the terminal.

use std::io;

use tokio::sync::mpsc;
use tracing_subscriber::fmt::{MakeWriter, writer::BoxMakeWriter};

/// Lines that may wait to be shown; more are dropped.
const WAITING: usize = 1_000;

/// The log lines, as they are written.
pub type LogLines = mpsc::Receiver<String>;

/// A writer for log lines, and the receiver of what it writes.
pub fn log_lines() -> (BoxMakeWriter, LogLines) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (BoxMakeWriter::new(ToView(sender)), receiver)
}

#[derive(Clone)]
struct ToView(mpsc::Sender<String>);

impl io::Write for ToView {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A slow view must not delay the work, so lines are dropped.
        let _ = self.0.try_send(String::from_utf8_lossy(bytes).trim_end().to_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for ToView {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

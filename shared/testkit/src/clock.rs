use std::{fs::OpenOptions, io::Write as _, path::PathBuf, process::Command};

use chrono::TimeDelta;
use tempfile::TempDir;

/// A clock that is wrong, for the processes that are started with it: they see the time of day plus an offset that can be set while
/// they run. Their monotonic clocks are right. On Linux, for programs that are linked with the C library at run time.
#[derive(Debug)]
pub struct WrongClock {
    dir: TempDir,
}

impl WrongClock {
    /// One that is right until its offset is set.
    ///
    /// # Panics
    /// When the C compiler cannot make what is preloaded into the processes.
    pub fn new() -> Self {
        let clock = Self { dir: TempDir::new().expect("a temporary folder") };
        clock.set(TimeDelta::zero());
        let source = clock.dir.path().join("clock_shim.c");
        std::fs::write(&source, include_str!("clock_shim.c")).expect("a file in a folder of one's own");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(clock.shim()).arg(&source).status();
        assert!(built.is_ok_and(|status| status.success()), "cc compiles {}", source.display());
        clock
    }

    /// Sets how far the clock is ahead, for running processes as well.
    ///
    /// # Panics
    /// When its file cannot be written.
    pub fn set(&self, ahead: TimeDelta) {
        let nanos = ahead.num_nanoseconds().expect("an offset of less than 292 years");
        // In place, since processes have the file mapped.
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.file());
        let written = file.and_then(|mut file| file.write_all(&nanos.to_ne_bytes()));
        written.expect("a file in a folder of one's own");
    }

    /// The variables with which a process is started that goes by the clock.
    pub fn variables(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", self.shim()), ("PERCH_CLOCK_OFFSET", self.file())]
    }

    fn shim(&self) -> PathBuf {
        self.dir.path().join("clock_shim.so")
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("offset")
    }
}

impl Default for WrongClock {
    fn default() -> Self {
        Self::new()
    }
}

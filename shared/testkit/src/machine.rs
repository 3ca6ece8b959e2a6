use std::{fs::OpenOptions, io::Write as _, path::PathBuf, process::Command};

use chrono::TimeDelta;
use tempfile::TempDir;

/// A simulated machine for processes that are started with its variables: its clock may be wrong and its disk may be full, and both may
/// change while they run. It works on Linux, for programs that are dynamically linked with the C library.
#[derive(Debug)]
pub struct Machine {
    dir: TempDir,
}

/// The preloaded shims: name, source, and the variable with the path of the shim's file.
const SHIMS: [(&str, &str, &str); 2] = [
    ("clock_shim", include_str!("clock_shim.c"), "PERCH_CLOCK_OFFSET"),
    ("disk_shim", include_str!("disk_shim.c"), "PERCH_DISK_FULL"),
];

impl Machine {
    /// A machine that does not differ from the real one until something is set.
    ///
    /// # Panics
    /// When the C compiler cannot build the shims.
    pub fn new() -> Self {
        let machine = Self { dir: TempDir::new().expect("a temporary folder") };
        open_to_others(&machine.dir);
        machine.set_clock(TimeDelta::zero());
        machine.fill_disk(false);
        for (name, text, _) in SHIMS {
            let source = machine.path(&format!("{name}.c"));
            std::fs::write(&source, text).expect("a file in a folder of one's own");
            let mut cc = Command::new("cc");
            cc.args(["-shared", "-fPIC", "-O2", "-o"]).arg(machine.path(&format!("{name}.so"))).arg(&source);
            assert!(cc.status().is_ok_and(|status| status.success()), "cc compiles {}", source.display());
        }
        machine
    }

    /// Sets how far its clock is ahead. Monotonic clocks are not changed.
    ///
    /// # Panics
    /// When its file cannot be written.
    pub fn set_clock(&self, ahead: TimeDelta) {
        self.write("clock_shim", ahead.num_nanoseconds().expect("an offset of less than 292 years"));
    }

    /// Fills its disk, or frees it again.
    ///
    /// # Panics
    /// When its file cannot be written.
    pub fn fill_disk(&self, full: bool) {
        self.write("disk_shim", full.into());
    }

    fn write(&self, name: &str, number: i64) {
        // In place, because processes have the file mapped.
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.path(name));
        let written = file.and_then(|mut file| file.write_all(&number.to_ne_bytes()));
        written.expect("a file in a folder of one's own");
    }

    /// The environment variables for a process on this machine.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let shims: Vec<String> = SHIMS.iter().map(|(name, ..)| self.text(&format!("{name}.so"))).collect();
        let files = SHIMS.iter().map(|(name, _, variable)| (*variable, self.text(name)));
        files.chain([("LD_PRELOAD", shims.join(":"))]).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// Opens a folder for the user as whom servers run that refuse to run as root.
fn open_to_others(dir: &TempDir) {
    use std::os::unix::fs::PermissionsExt as _;
    let opened = std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755));
    opened.expect("a folder of one's own");
}

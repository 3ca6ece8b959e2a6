//! A short run of `./ops/torture`.

use std::{path::Path, process::Command};

#[test]
fn nothing_is_lost_and_nothing_happens_twice_while_everything_is_broken_for_two_minutes() {
    let run = Command::new(env!("CARGO_BIN_EXE_rig"))
        .args(["torture", "--minutes", "2", "--jobs", "1500", "--workers", "3", "--seed", "20260801"])
        .env("PERCH_CONFIG_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config"))
        .output()
        .expect("the rig is built");
    let told = String::from_utf8_lossy(&run.stdout);
    let complained = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{told}\n{complained}");
    assert!(told.contains("The books are in order"), "{told}");
}

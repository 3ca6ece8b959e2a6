//! The torture notices when a part of the protection is switched off. Each run takes minutes, so these are not among the tests of
//! `./ops/test`: `./ops/test -p perch-rig --run-ignored only` runs them.

use std::{path::Path, process::Command};

fn torture(without: &str, minutes: &str, incidents: &[&str]) -> (bool, String) {
    let mut run = Command::new(env!("CARGO_BIN_EXE_rig"));
    run.args(["torture", "--seed", "11", "--workers", "3", "--minutes", minutes, "--without", without]);
    if minutes == "0.5" {
        run.args(["--jobs", "500"]);
    }
    for incident in incidents {
        run.args(["--only", incident]);
    }
    let run = run
        .env("PERCH_CONFIG_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config"))
        .output()
        .expect("the rig is built");
    let told = format!("{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    (run.status.success(), told)
}

#[track_caller]
fn fails(without: &str, minutes: &str, incidents: &[&str]) {
    let (went_well, told) = torture(without, minutes, incidents);
    assert!(!went_well && told.contains("The books are NOT in order"), "{told}");
}

#[test]
#[ignore = "takes minutes"]
fn with_everything_switched_on_the_same_runs_pass() {
    let all = ["redis-behind", "redis-ahead", "failover-of-redis", "failover-of-postgres", "restore-of-postgres"];
    let (went_well, told) = torture("nothing", "0.5", &all);
    assert!(went_well, "{told}");
}

#[test]
#[ignore = "takes minutes"]
fn a_failover_of_redis_that_goes_unnoticed_loses_jobs() {
    fails("failover", "0.5", &["failover-of-redis"]);
}

#[test]
#[ignore = "takes minutes"]
fn who_does_not_ask_whether_a_lost_effect_happened_does_it_twice() {
    fails("asking", "0.5", &["failover-of-postgres", "restore-of-postgres"]);
}

#[test]
#[ignore = "takes minutes"]
fn who_believes_a_clock_that_was_ahead_leaves_jobs_stuck() {
    fails("clocks", "0.5", &["redis-ahead"]);
}

#[test]
#[ignore = "takes minutes"]
fn an_effect_without_a_claim_happens_twice() {
    fails("claim", "1.5", &[]);
}

#[test]
#[ignore = "takes minutes"]
fn an_effect_of_unknown_outcome_that_is_just_repeated_happens_twice() {
    fails("reconciliation", "1.5", &[]);
}

#[test]
#[ignore = "takes minutes"]
fn jobs_of_lost_workers_that_nobody_takes_are_stuck() {
    fails("reaper", "1.5", &[]);
}

//! What operators type, in every broken form: times, durations, rates, ids, edits, lines of jobs, whole command lines.

#[path = "../src/commands/dead/edit.rs"]
#[allow(dead_code, missing_docs, reason = "the command uses the rest")]
mod edit;
#[path = "../src/commands/dead/edit_process.rs"]
#[allow(dead_code, missing_docs, reason = "the command uses the rest")]
mod edit_process;
#[path = "../src/parse/mod.rs"]
#[allow(dead_code, reason = "the commands use the rest")]
mod parse;
#[path = "../src/commands/enqueue/record.rs"]
#[allow(dead_code, reason = "the command uses the rest")]
mod record;

use std::{
    io::BufReader,
    process::{Command, Stdio},
    time::Duration,
};

use chrono::Utc;
use perch_jobs::JobKind;
use perch_queue::EnqueueOptions;
use perch_testkit::{free_port, fuzz};
use serde_json::value::RawValue;

fn corpus(name: &str) -> String {
    format!("{}/tests/corpus/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// An error as an operator sees it: it repeats what was typed, so that it can be found.
fn said(error: &str) -> &'static str {
    assert!(!error.is_empty());
    "refused"
}

#[test]
fn a_time_a_duration_a_rate_and_an_id_are_refused_or_can_be_reckoned_with() {
    fuzz(corpus("words"), |input| {
        let text = String::from_utf8_lossy(input);
        let time = parse::time::time(&text).map_or_else(|error| said(&error), |_| "time");
        let duration = match parse::time::duration(&text) {
            Ok(duration) => {
                // As the commands do: from now on, and back from now.
                let _ = (Utc::now() + duration, Utc::now() - duration);
                "duration"
            }
            Err(error) => said(&error),
        };
        let rate = match text.parse::<parse::rate::Rate>() {
            Ok(rate) => {
                assert!(rate.due(u64::MAX) >= rate.due(1) && (1..=100).contains(&rate.step(100)));
                "rate"
            }
            Err(error) => said(&error),
        };
        let id = parse::job_id(&text).map_or_else(|error| said(&error), |_| "id");
        format!("{time} {duration} {rate} {id}")
    });
}

/// The largest payload that an edit may make.
const PAYLOAD: usize = 64 * 1024;

#[test]
fn an_edit_of_whatever_kind_ends_soon_in_little_memory_and_reads_nothing_but_the_payload() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_perch"));
    fuzz(corpus("edits"), |input| {
        let text = String::from_utf8_lossy(input);
        let (code, payload) = text.split_once('\n').unwrap_or((&text, "{}"));
        // An endless one costs its processor time, and longer than 20 seconds is the end of this test.
        let process = match edit_process::EditProcess::start_with(program, code, PAYLOAD) {
            Ok(process) => process,
            Err(error) => return said(&error).to_owned(),
        };
        let Ok(payload) = RawValue::from_string(payload.to_owned()) else { return "no json".to_owned() };
        match process.apply(&payload) {
            Ok(edited) => {
                assert!(edited.get().len() <= PAYLOAD && !edited.get().contains("CARGO"), "{edited}");
                "edited".to_owned()
            }
            Err(error) => said(&error).to_owned() + &error.chars().take(20).collect::<String>(),
        }
    });
}

#[test]
fn a_line_of_a_file_is_a_job_or_is_refused_with_its_place() {
    let types = perch_jobs::types();
    let kind = JobKind::from_static("poll_account");
    fuzz(corpus("lines"), |input| {
        let mut outcomes = String::new();
        for line in parse::lines::Lines::new(BufReader::with_capacity(16, input), 400) {
            let line = line.expect("memory can be read");
            for kind in [None, Some(&kind)] {
                let common = record::Common {
                    kind,
                    options: EnqueueOptions::default(),
                    max_attempts: Some(3),
                    types: &types,
                    now: &Utc::now,
                    most_ahead: Duration::from_secs(60),
                };
                let read = line.bytes.as_ref().map(|bytes| record::read(bytes, &common));
                outcomes.push(match read {
                    None => 'l',
                    Some(Ok(_)) => 'o',
                    Some(Err(error)) => said(&error.error).chars().next().unwrap_or_default(),
                });
            }
        }
        outcomes.chars().take(6).collect()
    });
}

#[test]
fn a_command_line_is_refused_in_words_and_never_by_a_panic() {
    let away = format!("redis://127.0.0.1:{}", free_port());
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    fuzz(corpus("arguments"), |input| {
        let text = String::from_utf8_lossy(input).replace('\0', " ");
        let words: Vec<&str> = text.split('\n').take(12).collect();
        // These would run until they are told to stop, or ask a server that is not there for long.
        if words.iter().any(|word| {
            [
                "up",
                "worker",
                "api",
                "scheduler",
                "sandbox",
                "migrate",
                "-f",
                "--file",
                "-o",
                "--config-dir",
                "tail",
                "top",
            ]
            .contains(word)
        }) {
            return "left out".to_owned();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_perch"));
        command.env_clear().env("APP_ENV", "staging").env("PERCH_CONFIG_DIR", &config).env("REDIS_URL", &away);
        command
            .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
            .env("PERCH__POSTGRES__ACQUIRE_TIMEOUT", "100ms");
        command.args(&words).stdin(Stdio::null()).current_dir(std::env::temp_dir());
        let output = command.output().expect("the binary is built");
        let errors = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code().expect("it ended by itself");
        assert!([0, 1, 2].contains(&code) && !errors.contains("panicked"), "{code}: {errors}");
        assert!(code == 0 || !errors.is_empty() || !output.stdout.is_empty(), "it says why");
        format!("{code} {}", errors.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
    });
}

#[test]
fn a_duration_beyond_a_lifetime_is_refused() {
    assert_eq!(parse::time::duration("36500d"), Ok(Duration::from_secs(36_500 * 86_400)));
    assert!(parse::time::duration("200000y").expect_err("too long").contains("200000y"));
}

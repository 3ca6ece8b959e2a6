//! The programs of `examples/`, run against a Redis as anybody would run them.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use perch_testkit::TestRedis;

/// Where cargo puts the examples that it builds with the tests.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("the path of this test");
    tests.parent().and_then(Path::parent).expect("target/debug").join("examples").join(name)
}

/// An example that runs; it is ended with the test.
struct Running(Child);

impl Running {
    fn start(name: &str, redis: &TestRedis) -> Self {
        let mut command = Command::new(example(name));
        command.env("REDIS_URL", redis.url()).stdout(Stdio::piped());
        Self(command.spawn().expect("cargo builds the examples with the tests"))
    }

    /// Waits for a line.
    fn says(&mut self, line: &str) {
        let out = BufReader::new(self.0.stdout.take().expect("it is piped"));
        let mut lines = out.lines().map(|line| line.expect("text"));
        assert!(lines.any(|said| said == line), "it ended without {line:?}");
    }

    /// Asks it to stop, and waits until it has.
    fn stop(mut self) {
        let told = Command::new("kill").arg("-INT").arg(self.0.id().to_string()).status().expect("kill is there");
        assert!(told.success());
        assert!(self.0.wait().expect("it ends").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_program_runs_its_job_and_stops_when_it_is_asked_to() {
    let redis = TestRedis::claim().await;
    let mut running = Running::start("minimal", &redis);
    running.says("Hello, world!");
    running.stop();
    let source = include_str!("../examples/minimal.rs");
    let lines = source.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("//!")).count();
    assert!(lines <= 15, "{lines} lines");
}

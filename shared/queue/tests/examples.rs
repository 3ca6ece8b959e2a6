//! The programs of `examples/`, run against a Redis like a user would.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Once,
};

use perch_testkit::{TestDatabase, TestRedis};

#[test]
fn the_program_that_readme_and_documents_show_is_the_minimal_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let program = read("shared/queue/examples/minimal.rs");
    let (_, program) = program.split_once('\n').expect("a first line of documentation");
    for document in ["README.md", "docs/embedding.md"] {
        assert!(read(document).contains(program), "{document} shows another program");
    }
}

/// The program of an example. Built for the whole workspace, so that the build of the tests is reused.
fn example(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--locked", "--workspace", "--examples", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
            .status();
        assert!(built.expect("cargo runs the tests").success());
    });
    let tests = std::env::current_exe().expect("the path of this test");
    tests.parent().and_then(Path::parent).expect("target/debug").join("examples").join(name)
}

/// An example that runs; it is ended with the test.
struct Running(Child);

impl Running {
    fn start(name: &str, redis: &TestRedis) -> Self {
        Self::with(name, &[("REDIS_URL", redis.url())])
    }

    fn with(name: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(example(name));
        command.envs(variables.iter().copied()).stdout(Stdio::piped());
        Self(command.spawn().expect("it was built"))
    }

    /// Waits for lines, in their order.
    fn says_in_order(&mut self, wanted: &[&str]) {
        let out = BufReader::new(self.0.stdout.take().expect("it is piped"));
        let mut wanted = wanted.iter().peekable();
        for said in out.lines() {
            let said = said.expect("text");
            wanted.next_if(|line| **line == said);
            if wanted.peek().is_none() {
                return;
            }
        }
        panic!("it ended without {:?}", wanted.peek());
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
    running.says_in_order(&["Hello, world!"]);
    running.stop();
    let source = include_str!("../examples/minimal.rs");
    let lines = source.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("//!")).count();
    assert!(lines <= 15, "{lines} lines");
}

/// Each of the others, with the lines that it prints, in their order.
const OTHERS: [(&str, &[&str]); 8] = [
    ("cancel", &["told to stop"]),
    ("cron", &["tick", "tick"]),
    ("events", &["enqueued", "started", "succeeded"]),
    ("limits", &["order 1 of customer 7", "order 2 of customer 7", "order 3 of customer 7"]),
    ("priorities", &["a telegram", "a letter", "a card"]),
    ("retries", &["attempt 1 of 3", "attempt 2 of 3", "attempt 3 of 3", "somebody answers"]),
    ("stop", &["uploading", "uploaded", "stopped"]),
    ("unique", &["customer 7: Accepted", "customer 7: Kept", "customer 8: Accepted"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_the_outbox_runs_once_its_transaction_has_committed() {
    let (redis, database) = (TestRedis::claim().await, TestDatabase::create().await);
    Running::with("outbox", &[("REDIS_URL", redis.url()), ("DATABASE_URL", database.url())])
        .says_in_order(&["order 2 is paid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_prints_what_it_is_about_and_is_short() {
    for (name, lines) in OTHERS {
        let redis = TestRedis::claim().await;
        Running::start(name, &redis).says_in_order(lines);
        let source = std::fs::read_to_string(format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR")));
        let length = source.expect("an example").lines().count();
        assert!(length < 60, "{name}: {length} lines");
    }
}

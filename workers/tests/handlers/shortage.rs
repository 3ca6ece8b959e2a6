//! A process that lacks resources does not consume attempts of its jobs. Each test runs in a separate process, whose file descriptors it
//! uses up.

use std::{fs::File, process::Command};

use perch_jobs::{JobId, PollAccount, QueueName, RetryPolicy};
use perch_queue::{EnqueueOptions, Queue};
use perch_store::{AttemptOutcome, JobState};
use rlimit::Resource;

use crate::world::{LAKERS, SALLY, World, eventually, publication};

/// The variable that tells a process that it was started for one test.
const ALONE: &str = "PERCH_TEST_ALONE";

/// Whether this is the separate process of the test. Otherwise it starts that process, and asserts that it succeeds.
fn is_alone(story: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("the path of this test");
    let mut child = Command::new(program);
    child.args(["--exact", &format!("shortage::{story}"), "--nocapture"]).env(ALONE, "1");
    let output = child.output().expect("the test starts itself");
    let told = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}\n{complained}");
    false
}

/// Holds every file descriptor that this process may still open.
struct Hoard {
    files: Vec<File>,
    before: (u64, u64),
}

impl Hoard {
    fn take() -> Self {
        let before = Resource::NOFILE.get().expect("there is a limit");
        let mut files = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            // From the first that is free, few are left to take under this limit.
            if files.is_empty() {
                Resource::NOFILE.set(512.min(before.1), before.1).expect("a limit may be lowered");
            }
            files.push(file);
        }
        Self { files, before }
    }

    fn give_back(self) {
        drop(self.files);
        Resource::NOFILE.set(self.before.0, self.before.1).expect("it was so before");
    }
}

/// One attempt: the first that counts as failed is the last.
fn once() -> EnqueueOptions {
    EnqueueOptions { retry: Some(RetryPolicy { max_attempts: 1, ..RetryPolicy::DEFAULT }), ..EnqueueOptions::default() }
}

/// The outcome of the first attempt of a job: snoozed, or dead.
async fn tried(world: &World, queue: &'static str, id: JobId) -> Option<perch_queue::JobState> {
    let queue = world.client.queues().get(&QueueName::from_static(queue)).expect("it is configured");
    let view = queue.job(id).await.expect("Redis answers")?;
    let ended = [perch_queue::JobState::Delayed, perch_queue::JobState::Dead];
    ended.contains(&view.state).then_some(view.state)
}

/// Lets these jobs run while no file descriptor is left, and releases the descriptors once each job was snoozed.
async fn tried_without_descriptors(world: &World, jobs: &[(&'static str, JobId)]) {
    let hoard = Hoard::take();
    resumed(world).await;
    for (queue, id) in jobs {
        let what = format!("the job {id} of {queue} is tried");
        let state = eventually(&what, || async { tried(world, queue, *id).await }).await;
        assert_eq!(state, perch_queue::JobState::Delayed, "the job of {queue} spent its attempt");
    }
    hoard.give_back();
}

fn queues(world: &World) -> impl Iterator<Item = &Queue> {
    world.client.queues().iter()
}

async fn paused(world: &World) {
    for queue in queues(world) {
        queue.pause("the test").await.expect("Redis answers");
    }
}

async fn resumed(world: &World) {
    for queue in queues(world) {
        queue.resume("the test").await.expect("Redis answers");
    }
}

async fn ended_well(world: &World, id: JobId) {
    let ended = world.ended(id).await;
    assert_eq!(ended.state, JobState::Done, "{:?}", ended.last_error);
    let outcomes = world.outcomes(id).await;
    assert!(outcomes.iter().all(|outcome| *outcome != AttemptOutcome::Retried), "{outcomes:?}");
}

#[tokio::test]
async fn a_job_that_cannot_connect_for_want_of_file_descriptors_spends_no_attempt() {
    if !is_alone("a_job_that_cannot_connect_for_want_of_file_descriptors_spends_no_attempt") {
        return;
    }
    let world =
        World::with(&[("PERCH__PICKS__RULES_AFTER", "1"), ("PERCH__CRON__POLL_ACCOUNTS__ENABLED", "false")]).await;
    paused(&world).await;
    let poll = world.enqueue_with(&PollAccount { username: SALLY.into() }, once()).await;
    let post = world.enqueue_with(&publication("Short of descriptors", None, None), once()).await;
    let reading = world.enqueue_with(&world.written(SALLY, LAKERS), once()).await;
    // The connections to Redis and Postgres are there, and none to the sandbox.
    let jobs = [("extraction", poll), ("pending_posts", post), ("extraction", reading)];
    tried_without_descriptors(&world, &jobs).await;
    for (_, id) in jobs {
        ended_well(&world, id).await;
    }
    let result = world.ended(reading).await.result.expect("a result");
    assert_ne!(result["model"], "rules", "the rules do not stand in for models that were never asked");
}

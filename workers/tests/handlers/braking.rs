//! The brakes under a stream of posts, with two pools.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, QueueName};
use perch_queue::{EntryId, EventKind, NewJob, Queue};
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{AttemptOutcome, Brake, BrakeCheck, BrakeState, EffectState, JobState};
use perch_workers::bots;
use serde_json::json;

use crate::world::{BOT, LAKERS, SALLY, SECOND, SECOND_BOT, World, eventually, of_second, publication, retweet};

/// Many posts of one account at once.
const WIDE: [(&str, &str); 2] =
    [("PERCH__QUEUES__PENDING_POSTS__CONCURRENCY", "6"), ("PERCH__QUEUES__PENDING_POSTS__GROUP_CONCURRENCY", "0")];

impl World {
    fn brake(&self) -> Brake {
        Brake::new(self.client.queues().redis().clone(), self.store.clone())
    }

    fn brake_of(&self, scope: &str) -> Brake {
        let scope = scope.parse().expect("a scope");
        Brake::of(self.client.queues().redis().clone(), self.store.clone(), scope)
    }

    async fn pull(&self, reason: &str) -> BrakeState {
        self.brake().pull("ann", reason, json!({})).await.expect("Redis answers").state
    }

    async fn lift(&self) {
        let lifted = self.brake().lift("bob", "mended", json!({})).await.expect("Redis and Postgres answer");
        assert!(lifted.changed && !lifted.state.on);
    }

    fn posts(&self) -> Queue {
        self.client.queues().get(&QueueName::from_static("pending_posts")).expect("it is configured").clone()
    }

    async fn enqueue_posts(&self, count: usize) -> Vec<JobId> {
        let jobs = (0..count).map(|n| NewJob::of(&publication(&format!("Number {n}"), None, None)).expect("JSON"));
        let answers = self.client.submit_all(jobs.collect()).await;
        answers.into_iter().map(|answer| answer.expect("Redis accepts it").id).collect()
    }

    async fn pull_of(&self, scope: &str) {
        let pulled = self.brake_of(scope).pull("ann", "odd words", json!({})).await.expect("Redis answers");
        assert!(pulled.changed && pulled.state.on);
    }

    async fn lift_of(&self, scope: &str) {
        let lifted = self.brake_of(scope).lift("bob", "mended", json!({})).await.expect("Redis and Postgres answer");
        assert!(lifted.changed && !lifted.state.on);
    }

    /// Waits until a job was put off because of the brake of an account or a bot, which is in its history.
    async fn stopped_by(&self, id: JobId, scope: &str) {
        let why = eventually("the job was put off", || async {
            self.sync().await;
            let attempts = self.store.history().attempts(id).await.expect("Postgres answers");
            attempts.into_iter().find(|attempt| attempt.outcome == AttemptOutcome::Snoozed)?.error
        })
        .await;
        assert!(why.contains(&format!("the brake of the {scope} is on")) && why.contains("ann: odd words"), "{why}");
    }

    /// Does not wait until a job that was put off is due.
    async fn run_now(&self, id: JobId) {
        self.posts().run_now(id).await.expect("Redis answers");
    }

    fn made_by(&self, username: &str) -> usize {
        self.x.made().iter().filter(|post| post.account == username).count()
    }

    async fn events_of(&self, kind: EventKind) -> usize {
        let entries = self.posts().events_after(EntryId::default(), 100_000).await.expect("Redis answers");
        entries.iter().flat_map(|(_, events)| events).filter(|event| event.kind == kind).count()
    }

    /// Waits until so many jobs have been taken and stand before the brake.
    async fn stands(&self, running: u64) {
        eventually("workers hold jobs and go no further", || async {
            let stats = self.posts().stats().await.expect("Redis answers");
            (stats.running == running).then_some(())
        })
        .await;
    }

    fn made_at(&self) -> Vec<DateTime<Utc>> {
        self.x.made().iter().map(|post| post.created_at).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_brake_is_pulled_no_pool_begins_a_call_and_once_it_is_lifted_every_post_goes_out() {
    let world = World::without_workers(&WIDE).await.work().work();
    world.x.set_limit(Endpoint::CreatePost, 10_000);
    let ids = world.enqueue_posts(120).await;
    eventually("posts flow", || async { (world.x.made().len() > 10).then_some(()) }).await;

    let asked = Instant::now();
    world.pull("wrong odds").await;
    let (answered, took) = (Utc::now(), asked.elapsed());
    assert!(took < Duration::from_secs(2), "{took:?}");
    world.stands(12).await;
    let before = world.x.calls(Endpoint::CreatePost);
    assert!(before < 120, "something is left to stop");

    let lifting = Utc::now();
    world.lift().await;
    let lifted = Instant::now();
    eventually("jobs go on by themselves", || async { (world.x.made().len() as u64 > before).then_some(()) }).await;
    assert!(lifted.elapsed() < Duration::from_secs(5), "{:?}", lifted.elapsed());
    for id in &ids {
        let job = world.ended(*id).await;
        assert_eq!((job.state, job.attempts), (JobState::Done, 1), "{:?}", job.last_error);
    }
    let made = world.made_at();
    assert_eq!(made.len(), 120, "each once");
    let within: Vec<_> = made.iter().filter(|at| **at > answered && **at < lifting).collect();
    assert!(within.is_empty(), "answered at {answered}, lifted at {lifting}: {within:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_jobs_that_wait_for_the_brake_keep_no_more_awake_than_there_are_places() {
    let one_place = [("PERCH__QUEUES__PENDING_POSTS__CONCURRENCY", "2")];
    let world = World::without_workers(&one_place).await;
    world.x.set_limit(Endpoint::CreatePost, 10_000);
    world.pull("wrong odds").await;
    let ids = world.enqueue_posts(1_000).await;
    let world = world.work();
    // One of the account runs at a time. It is put off when it has waited for a while, and the next one takes its place.
    eventually("one was put off", || async { (world.events_of(EventKind::Snoozed).await > 0).then_some(()) }).await;
    let started = world.events_of(EventKind::Started).await;
    assert!(started <= 4, "{started} attempts in more than ten seconds");
    let stats = world.posts().stats().await.expect("Redis answers");
    assert_eq!(stats.waiting() + stats.delayed + stats.running, 1_000);
    assert_eq!(world.x.calls(Endpoint::CreatePost), 0);

    let lifted = Instant::now();
    world.lift().await;
    eventually("they go on", || async { (world.x.made().len() >= 3).then_some(()) }).await;
    assert!(lifted.elapsed() < Duration::from_secs(5), "{:?}", lifted.elapsed());
    world.sync().await;
    let attempts = world.store.history().attempts(ids[0]).await.expect("Postgres answers");
    let first = attempts.first().expect("it was the first to be taken");
    let told = first.error.as_deref().is_some_and(|error| error.contains("pulled by ann: wrong odds"));
    assert!(first.outcome == AttemptOutcome::Snoozed && told, "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_wiped_while_the_brake_is_on_lets_nothing_out() {
    let world = World::without_workers(&[]).await;
    world.pull("wrong odds").await;
    world.redis().wipe().await;
    let world = world.work();
    let id = world.enqueue(&publication("Not yet", None, None)).await;
    world.stands(1).await;
    eventually("Redis holds the brake again", || async {
        matches!(world.brake().look_again().await, Ok(Some(BrakeCheck::Braked(_)))).then_some(())
    })
    .await;
    assert_eq!(world.x.calls(Endpoint::CreatePost), 0);
    world.lift().await;
    assert_eq!(world.ended(id).await.state, JobState::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_whose_answer_was_lost_is_found_and_recorded_although_the_brake_is_on() {
    let world = World::without_workers(&[]).await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::DropAfter).times(1));
    let world = world.work();
    let id = world.enqueue(&publication("Made, and the answer lost", None, Some("promise:1"))).await;
    eventually("the answer is lost", || async {
        (!world.x.made().is_empty() && world.effect("promise:1").await.state == EffectState::Unknown).then_some(())
    })
    .await;
    world.pull("wrong odds").await;
    // What has happened is looked for and recorded whatever the brake says.
    assert_eq!(world.ended(id).await.state, JobState::Done);
    assert_eq!((world.x.made().len(), world.x.calls(Endpoint::CreatePost)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_simulated_stops_at_the_brake_too() {
    let world = World::without_workers(&[("PERCH__X__BASE_URL", "https://api.x.com")]).await;
    world.pull("rehearsal").await;
    let world = world.work();
    let id = world.enqueue(&publication("Nobody sees this", None, Some("promise:2"))).await;
    world.stands(1).await;
    assert!(world.store.effects().get("promise:2").await.expect("Postgres answers").is_none(), "nothing is claimed");
    world.lift().await;
    assert_eq!(world.ended(id).await.result, Some(json!({ "outcome": "simulated" })));
}

#[tokio::test]
async fn while_the_brake_is_on_nothing_is_asked_of_x_for_retweets_and_replies_and_they_go_out_after_it() {
    let world = World::without_workers(&WIDE).await.work();
    let post = world.x.publish(SALLY, LAKERS);
    world.pull("the keys are being changed").await;
    let reply = publication("Nice one", Some(post.parse().expect("an id")), None);
    let ids = [world.enqueue(&retweet(&post)).await, world.enqueue(&reply).await];
    world.stands(2).await;
    let asked = [Endpoint::Me, Endpoint::Retweet, Endpoint::CreatePost].map(|endpoint| world.x.calls(endpoint));
    assert_eq!(asked, [0, 0, 0]);

    world.lift().await;
    for id in ids {
        let ended = world.ended(id).await;
        assert_eq!((ended.state, ended.last_error), (JobState::Done, None));
    }
    assert_eq!(world.x.made().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_brake_of_an_account_is_on_its_posts_wait_and_another_account_goes_on() {
    let world = World::without_workers(&[&WIDE[..], &SECOND].concat()).await;
    world.pull_of("account:main").await;
    // More than there are places in both pools.
    let ids = world.enqueue_posts(30).await;
    let world = world.work().work();
    for n in 0..5 {
        let id = world.enqueue(&of_second(&format!("Second opinion, part {n}"))).await;
        assert_eq!(world.ended(id).await.state, JobState::Done);
    }
    world.stopped_by(ids[0], "account main").await;
    eventually("all of them gave up their places", || async {
        let stats = world.posts().stats().await.expect("Redis answers");
        (stats.delayed == 30 && stats.running == 0).then_some(())
    })
    .await;
    assert_eq!((world.made_by(BOT), world.made_by(SECOND_BOT)), (0, 5));

    world.lift_of("account:main").await;
    for id in &ids {
        world.run_now(*id).await;
    }
    for id in &ids {
        let job = world.ended(*id).await;
        assert_eq!((job.state, job.attempts), (JobState::Done, 1), "{:?}", job.last_error);
    }
    assert_eq!(world.made_by(BOT), 30, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_brake_of_a_bot_is_on_what_it_publishes_waits_and_other_posts_of_its_account_go_on() {
    let world = World::without_workers(&WIDE).await;
    world.pull_of("bot:mentions").await;
    let post = world.x.publish(SALLY, LAKERS);
    let world = world.work();
    // A reply without a source is that of the bot that answers mentions.
    let reply = world.enqueue(&publication("Nice one", Some(post.parse().expect("an id")), None)).await;
    world.stopped_by(reply, "bot mentions").await;
    let own = world.enqueue(&publication("Good morning", None, None)).await;
    assert_eq!(world.ended(own).await.state, JobState::Done);
    assert_eq!(world.x.made().len(), 1);
    world.lift_of("bot:mentions").await;
    world.run_now(reply).await;
    let ended = world.ended(reply).await;
    assert_eq!((ended.state, ended.attempts), (JobState::Done, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_brake_of_an_account_is_pulled_no_pool_begins_a_call_of_it_and_no_attempt_counts() {
    let world = World::without_workers(&WIDE).await.work().work();
    world.x.set_limit(Endpoint::CreatePost, 10_000);
    let ids = world.enqueue_posts(120).await;
    eventually("posts flow", || async { (world.x.made().len() > 10).then_some(()) }).await;
    world.pull_of("account:main").await;
    let answered = Utc::now();
    eventually("what was left is put off", || async {
        let stats = world.posts().stats().await.expect("Redis answers");
        (stats.running == 0 && stats.waiting() == 0).then_some(())
    })
    .await;
    let before = world.x.calls(Endpoint::CreatePost);
    assert!(before < 120, "something is left to stop");
    let late: Vec<_> = world.made_at().into_iter().filter(|at| *at > answered).collect();
    assert!(late.is_empty(), "answered at {answered}: {late:?}");
    world.lift_of("account:main").await;
    for id in &ids {
        world.run_now(*id).await;
    }
    for id in &ids {
        let job = world.ended(*id).await;
        assert_eq!((job.state, job.attempts), (JobState::Done, 1), "{:?}", job.last_error);
    }
    assert_eq!(world.x.made().len(), 120, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_wiped_while_the_brake_of_an_account_is_on_lets_nothing_of_it_out() {
    let world = World::without_workers(&SECOND).await;
    world.pull_of("account:main").await;
    world.redis().wipe().await;
    let world = world.work();
    let braked = world.enqueue(&publication("Not yet", None, None)).await;
    world.stopped_by(braked, "account main").await;
    let other = world.enqueue(&of_second("Go on")).await;
    assert_eq!(world.ended(other).await.state, JobState::Done);
    assert_eq!((world.made_by(BOT), world.made_by(SECOND_BOT)), (0, 1));
    world.lift_of("account:main").await;
    world.run_now(braked).await;
    assert_eq!(world.ended(braked).await.state, JobState::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_pulls_its_own_brake_is_named_in_the_audit_log_and_nothing_but_a_person_lifts_it() {
    use perch_bot::OwnBrake;

    let world = World::without_workers(&[]).await;
    let platform = bots().platform(&world.settings, &world.store, &world.client).expect("valid settings");
    let pull = || platform.pull_brake("mentions", OwnBrake::Bot, "X refused three replies");
    assert!(pull().await.expect("Redis answers").changed);
    assert!(!pull().await.expect("Redis answers").changed);
    let main = publication("x", None, None).account;
    platform.pull_brake("mentions", OwnBrake::Account(&main), "X refused three replies").await.expect("Redis answers");
    for scope in ["bot:mentions", "account:main"] {
        let state = world.brake_of(scope).state().await.expect("both answer");
        assert_eq!((state.on, state.by.as_deref()), (true, Some("mentions")), "{scope}");
    }
    assert!(!world.brake().state().await.expect("both answer").on);
}

//! A learning poster whose process dies between two steps: each text is paid for once where it was kept, each post goes out once, and each
//! reward is frozen once.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use perch_sandbox::Endpoint;
use sqlx::PgPool;

use crate::{
    at_each,
    stage::{Stage, comes_true},
};

pub const OF_CANDIDATES: [&str; 2] = ["candidates.answered", "candidates.drafted"];
pub const OF_A_DECISION: [&str; 2] = ["decision.logged", "decision.handed_over"];
pub const OF_A_REWARD: [&str; 1] = ["reward.frozen"];

const WORKER: [&str; 4] = ["worker", "candidates", "scoring", "pending_posts"];

/// What the scheduler would enqueue is enqueued by the test.
fn settings(stage: &Stage) -> Vec<(&'static str, String)> {
    vec![
        ("PERCH__MODELS__PROVIDERS__TOGETHER__BASE_URL", format!("{}/v1", stage.sandbox.base_url())),
        ("TOGETHER_API_KEY", "sandbox-model-key".to_owned()),
        ("PERCH__LEARNER__REWARD_AGE", "1s".to_owned()),
    ]
}

fn worker(stage: &Stage, point: Option<&str>) -> crate::stage::Process {
    let settings = settings(stage);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    stage.run_with(&WORKER, point, &settings)
}

async fn execute(pool: &PgPool, sql: &'static str) {
    sqlx::query(sql).execute(pool).await.expect("Postgres answers");
}

/// A learning poster with one slot, which is due now.
pub async fn one_slot(stage: &Stage) -> DateTime<Utc> {
    let run = |arguments: &[&str]| drop(stage.world.run(arguments).went_well());
    run(&["personas", "add", "baker", "--account", "main", "--prompt", "You are a baker.", "--topic", "rye"]);
    run(&["learn", "add", "baker", "--posts-per-day", "24", "--hours", "0-23", "--min-gap-minutes", "0"]);
    {
        let _worker = worker(stage, None);
        run(&["enqueue", "run_learner", "{}"]);
        comes_true("the days are planned", || async { stage.count("select count(*) from learner.slots").await > 0 })
            .await;
        comes_true("nothing runs", || async { stage.left("scoring").await + stage.left("candidates").await == 0 })
            .await;
    }
    let pool = stage.world.database.raw();
    execute(&pool, "delete from learner.slots where slot_at > (select min(slot_at) from learner.slots)").await;
    execute(&pool, "delete from learner.candidates").await;
    let slot_at = DateTime::from_timestamp(Utc::now().timestamp() / 60 * 60, 0).expect("a time");
    sqlx::query("update learner.slots set slot_at = $1").bind(slot_at).execute(&pool).await.expect("Postgres answers");
    slot_at
}

fn enqueue(stage: &Stage, kind: &str, slot_at: DateTime<Utc>) {
    let payload = serde_json::json!({ "bot": "baker", "slot_at": slot_at }).to_string();
    stage.world.run(&["enqueue", kind, &payload]).went_well();
}

const READY: &str = "select count(*) from learner.candidates where state = 'ready'";

pub async fn written(stage: &Stage, slot_at: DateTime<Utc>) {
    let _worker = worker(stage, None);
    enqueue(stage, "write_candidates", slot_at);
    comes_true("there are candidates", || async { stage.count(READY).await > 1 }).await;
    comes_true("nothing runs", || async { stage.left("candidates").await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_dies_candidates_are_judged_and_those_that_were_kept_are_not_paid_for_again() {
    at_each(&OF_CANDIDATES, |point| async move {
        let stage = Stage::start().await;
        let slot_at = one_slot(&stage).await;
        let before = stage.sandbox.state().calls(Endpoint::Chat);
        enqueue(&stage, "write_candidates", slot_at);
        worker(&stage, Some(point)).dies(point).await;
        let _worker = worker(&stage, None);
        comes_true(&format!("{point}: candidates are ready"), || async { stage.count(READY).await > 1 }).await;
        comes_true(&format!("{point}: nothing runs"), || async { stage.left("candidates").await == 0 }).await;
        let calls = stage.sandbox.state().calls(Endpoint::Chat) - before;
        assert_eq!(calls, if point == "candidates.drafted" { 1 } else { 2 }, "{point}");
        assert_eq!(stage.count("select count(*) from learner.candidates where state = 'drafted'").await, 0, "{point}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_dies_a_slot_is_decided_once_and_its_post_goes_out_once() {
    at_each(&OF_A_DECISION, |point| async move {
        let stage = Stage::start().await;
        let slot_at = one_slot(&stage).await;
        written(&stage, slot_at).await;
        enqueue(&stage, "score_candidates", slot_at);
        worker(&stage, Some(point)).dies(point).await;
        assert_eq!(stage.count("select count(*) from learner.decisions").await, 1, "{point}: it is in the log");
        published(&stage, point).await;
        let texts: Vec<String> = stage.sandbox.state().made().into_iter().map(|post| post.text).collect();
        assert_eq!(texts.len(), 1, "{point}: {texts:?}");
        assert_eq!(stage.count("select count(*) from learner.decisions").await, 1, "{point}");
        assert_eq!(stage.count("select count(*) from learner.slots where state = 'published'").await, 1, "{point}");
    })
    .await;
}

/// Runs until what was decided is published. What was left behind waits for a minute before it is handed over again.
async fn published(stage: &Stage, point: &str) {
    let pool = stage.world.database.raw();
    execute(&pool, "update learner.decisions set decided_at = decided_at - interval '2 minutes'").await;
    let _worker = worker(stage, None);
    comes_true(&format!("{point}: the post is published"), || async {
        stage.world.run(&["enqueue", "run_learner", "{}"]).went_well();
        stage.count("select count(*) from learner.outcomes where state = 'published'").await == 1
    })
    .await;
    // A run that is killed comes again only after a while, and another is not enqueued meanwhile.
    comes_true(&format!("{point}: nothing runs"), || async { stage.left("scoring").await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_dies_a_reward_is_frozen_once() {
    at_each(&OF_A_REWARD, |point| async move {
        let stage = Stage::start().await;
        let slot_at = one_slot(&stage).await;
        written(&stage, slot_at).await;
        enqueue(&stage, "score_candidates", slot_at);
        published(&stage, point).await;
        let pool = stage.world.database.raw();
        // Old enough for its reward.
        execute(&pool, "update learner.outcomes set published_at = published_at - interval '10 seconds'").await;
        execute(
            &pool,
            "insert into post_metrics (environment, post_id, observed_at, likes, replies, reposts, quotes, impressions, version_ms,
                                       version_seq)
             select environment, external_id, published_at + interval '2 seconds', 5, 1, 0, 0, 1000, 1, 1 from learner.outcomes",
        )
        .await;
        {
            let dying = worker(&stage, Some(point));
            stage.world.run(&["enqueue", "run_learner", "{}"]).went_well();
            dying.dies(point).await;
        }
        let rewards = "select count(*) from learner.rewards where reward is not null";
        assert_eq!(stage.count(rewards).await, 1, "{point}");
        let _worker = worker(&stage, None);
        stage.world.run(&["enqueue", "run_learner", "{}"]).went_well();
        comes_true(&format!("{point}: nothing runs"), || async { stage.left("scoring").await == 0 }).await;
        assert_eq!(stage.count(rewards).await, 1, "{point}");
        let posts: BTreeSet<String> = stage.sandbox.state().made().into_iter().map(|post| post.id).collect();
        assert_eq!(posts.len(), 1, "{point}");
    })
    .await;
}

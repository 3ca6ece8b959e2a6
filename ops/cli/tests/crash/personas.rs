//! A persona whose process dies between two steps: no post is written twice, what a model was paid for is kept, and each slot is filled once.

use chrono::{TimeDelta, Timelike as _, Utc};
use perch_sandbox::Endpoint;

use crate::{
    at_each,
    stage::{Process, Stage, comes_true},
};

pub const OF_A_STOCK: [&str; 2] = ["stock.answered", "stock.drafted"];
pub const OF_A_SLOT: [&str; 3] = ["slot.reserved", "slot.enqueued", "slot.filled"];

const WORKER: [&str; 3] = ["worker", "generation", "pending_posts"];

/// What the scheduler would enqueue is enqueued by the test.
fn worker(stage: &Stage, point: Option<&str>) -> Process {
    let model = format!("{}/v1", stage.sandbox.base_url());
    let settings =
        [("PERCH__MODELS__PROVIDERS__TOGETHER__BASE_URL", &*model), ("TOGETHER_API_KEY", "sandbox-model-key")];
    stage.run_with(&WORKER, point, &settings)
}

fn enqueue(stage: &Stage, kind: &str, payload: &str) {
    stage.world.run(&["enqueue", kind, payload]).went_well();
}

/// A persona with one slot a day, at this minute.
fn baker(stage: &Stage, schedule: &str) {
    let persona = ["personas", "add", "baker", "--account", "main", "--prompt", "You are a baker.", "--topic", "rye"];
    stage.world.run(&[&persona[..], &["--schedule", schedule]].concat()).went_well();
}

const READY: &str = "select count(*) from personas.posts where state = 'ready'";

/// Waits until a replenishment has ended with posts in the stock.
async fn replenished(stage: &Stage, point: &str) {
    comes_true(&format!("{point}: there are posts"), || async { stage.count(READY).await > 1 }).await;
    comes_true(&format!("{point}: nothing runs"), || async { stage.left("generation").await == 0 }).await;
}

const REPLENISH: &str = r#"{"persona": "baker", "now": true}"#;

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_dies_the_posts_of_an_answer_are_kept_once_and_judged() {
    at_each(&OF_A_STOCK, |point| async move {
        let stage = Stage::start().await;
        baker(&stage, "0 9 * * *");
        enqueue(&stage, "replenish_stock", REPLENISH);
        worker(&stage, Some(point)).dies(point).await;
        let kept = stage.count("select count(*) from personas.posts").await;
        assert_eq!(kept > 0, point == "stock.drafted", "{point}");
        let _worker = worker(&stage, None);
        replenished(&stage, point).await;
        assert_eq!(stage.count("select count(*) from personas.posts where state = 'drafted'").await, 0, "{point}");
        let all = stage.count("select count(*) from personas.posts").await;
        let distinct = stage.count("select count(distinct content) from personas.posts").await;
        assert!(all == distinct && all >= kept, "{point}: {all} posts, {distinct} texts, {kept} of the first answer");
        assert!(stage.sandbox.state().calls(Endpoint::Chat) <= 2, "{point}");
    })
    .await;
}

/// A persona with posts and one slot, which is due.
pub async fn slot_due(stage: &Stage, point: &str) {
    let slot_at = Utc::now() - TimeDelta::minutes(1);
    baker(stage, &format!("{} {} * * *", slot_at.minute(), slot_at.hour()));
    let pool = stage.world.database.raw();
    let execute = async |sql: &'static str| {
        sqlx::query(sql).execute(&pool).await.expect("Postgres answers");
    };
    {
        let _worker = worker(stage, None);
        enqueue(stage, "replenish_stock", REPLENISH);
        replenished(stage, point).await;
        enqueue(stage, "run_personas", "{}");
        comes_true("its slots are known", || async { stage.count("select count(*) from personas.progress").await > 0 })
            .await;
        comes_true("nothing runs", || async { stage.left("generation").await == 0 }).await;
    }
    // The times from before it was added are none of its slots.
    execute(
        "update personas set created_at = created_at - interval '1 hour', updated_at = updated_at - interval '1 hour'",
    )
    .await;
    sqlx::query("update personas.progress set slots_until = $1")
        .bind(slot_at - TimeDelta::minutes(1))
        .execute(&pool)
        .await
        .expect("Postgres answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_dies_a_slot_is_filled_once_and_its_post_goes_out_once() {
    at_each(&OF_A_SLOT, |point| async move {
        let stage = Stage::start().await;
        slot_due(&stage, point).await;
        let pool = stage.world.database.raw();
        let execute = async |sql: &'static str| {
            sqlx::query(sql).execute(&pool).await.expect("Postgres answers");
        };
        enqueue(&stage, "run_personas", "{}");
        worker(&stage, Some(point)).dies(point).await;
        // What was left behind waits for a minute before it is handed over again.
        execute("update personas.posts set updated_at = updated_at - interval '2 minutes' where state = 'reserved'")
            .await;
        let _worker = worker(&stage, None);
        comes_true(&format!("{point}: its post is published"), || async {
            enqueue(&stage, "run_personas", "{}");
            stage.count("select count(*) from personas.slots where state = 'published'").await == 1
        })
        .await;
        comes_true(&format!("{point}: nothing runs"), || async { stage.left("pending_posts").await == 0 }).await;
        let texts: Vec<String> = stage.sandbox.state().made().into_iter().map(|post| post.text).collect();
        assert_eq!(texts.len(), 1, "{point}: {texts:?}");
        assert_eq!(stage.count("select count(*) from personas.slots").await, 1, "{point}");
        assert_eq!(stage.count("select count(*) from personas.posts where state = 'published'").await, 1, "{point}");
    })
    .await;
}

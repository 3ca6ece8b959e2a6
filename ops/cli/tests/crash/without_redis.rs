//! A scheduler whose Redis is away: it decides and publishes through Postgres, and dies at it.

use crate::{
    OF_PUBLISHING, POST, at_each, learning, nothing_waits_in_the_outbox, personas,
    stage::{Process, Stage, comes_true},
    the_post_is_made_once,
};

/// Nobody listens there.
const NOWHERE: &str = "redis://127.0.0.1:1";

/// A scheduler that cannot reach Redis.
fn cut_off(stage: &Stage, point: Option<&str>, settings: &[(&str, &str)]) -> Process {
    let away = [("REDIS_URL", NOWHERE), ("PERCH__POSTING__WITHOUT_REDIS_AFTER", "1s")];
    stage.run_with(&["scheduler"], point, &[&away, settings].concat())
}

async fn is_published(stage: &Stage, point: &str) {
    comes_true(&format!("{point}: it is published"), || async {
        stage.count("select count(*) from effects where state = 'confirmed'").await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_scheduler_dies_that_publishes_without_redis_a_post_is_made_once() {
    let points: Vec<&str> = OF_PUBLISHING.into_iter().filter(|point| *point != "publish.recorded").collect();
    at_each(&points, |point| async move {
        let stage = Stage::start().await;
        let enqueued =
            stage.world.perch(&["enqueue", "publish_post", POST]).env("REDIS_URL", NOWHERE).status().expect("it runs");
        assert!(enqueued.success(), "{point}: the ledger has it");
        cut_off(&stage, Some(point), &[]).dies(point).await;
        {
            let _scheduler = cut_off(&stage, None, &[]);
            is_published(&stage, point).await;
        }
        assert_eq!(stage.sandbox.state().made().len(), 1, "{point}");
        let _scheduler = stage.run(&["scheduler"], None);
        let _worker = stage.run(&["worker"], None);
        nothing_waits_in_the_outbox(&stage, point).await;
        the_post_is_made_once(&stage, point).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_of_personas_and_of_learning_posters_are_filled_without_redis_each_once() {
    let stories = ["personas", "learner"];
    at_each(&stories, |story| async move {
        let stage = Stage::start().await;
        let enabled = if story == "personas" {
            personas::slot_due(&stage, story).await;
            "PERCH__CRON__RUN_PERSONAS__ENABLED"
        } else {
            let slot_at = learning::one_slot(&stage).await;
            learning::written(&stage, slot_at).await;
            "PERCH__CRON__RUN_LEARNER__ENABLED"
        };
        {
            let _first = cut_off(&stage, None, &[(enabled, "true")]);
            let _second = cut_off(&stage, None, &[(enabled, "true")]);
            is_published(&stage, story).await;
        }
        assert_eq!(stage.sandbox.state().made().len(), 1, "{story}");
        let _scheduler = stage.run_with(&["scheduler"], None, &[(enabled, "true")]);
        let _worker = stage.run(&["worker", "pending_posts"], None);
        nothing_waits_in_the_outbox(&stage, story).await;
        comes_true(&format!("{story}: its job is done"), || async { stage.left("pending_posts").await == 0 }).await;
        assert_eq!(stage.sandbox.state().made().len(), 1, "{story}");
        assert_eq!(stage.count("select count(*) from effects").await, 1, "{story}");
    })
    .await;
}

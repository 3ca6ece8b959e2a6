//! What the sync promises about the records that bots write.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

mod world;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use perch_base::Environment;
use perch_jobs::AccountId;
use perch_store::{ActionKind, ActionRecord, ActionState, HotRecord, HotStore, MetricPoint, PublishedPost, Recorded};
use world::{ENV, HOT, Note, World};

fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

fn note(id: &str, text: &str) -> Note {
    Note { id: id.into(), text: text.into() }
}

fn action(state: ActionState, external_id: Option<&str>) -> ActionRecord {
    ActionRecord {
        key: "comment:main:1".into(),
        kind: ActionKind::Comment,
        account: AccountId::from_static("main"),
        subject: Some("spread|nba".into()),
        source_post: Some("1".parse().unwrap()),
        text: "Nice".into(),
        state,
        external_id: external_id.map(Into::into),
        error: None,
        why: None,
        job_id: None,
        created_at: now(),
    }
}

fn metrics(at: DateTime<Utc>, likes: u64) -> MetricPoint {
    MetricPoint {
        post_id: "900".parse().unwrap(),
        observed_at: at,
        likes,
        replies: 1,
        reposts: 2,
        quotes: 3,
        bookmarks: None,
        impressions: Some(1_000),
    }
}

fn hot<T: Recorded>(record: &T) -> HotRecord {
    HotRecord::of(record).unwrap()
}

async fn put(world: &World, records: &[HotRecord]) {
    HotStore::new(world.redis.door(), ENV).put(records).await.unwrap();
}

#[tokio::test]
async fn every_family_comes_to_rest_in_its_table() {
    let world = World::start().await;
    let published = PublishedPost {
        post_id: "900".parse().unwrap(),
        account: AccountId::from_static("main"),
        text: "Nice".into(),
        reply_to: Some("1".parse().unwrap()),
        subject: None,
        job_id: Some(world::job(1)),
        published_at: now(),
    };
    let (note, action) = (note("1", "Lakers\0 -3.5"), action(ActionState::Simulated, None));
    let (early, late) = (metrics(now() - TimeDelta::hours(1), 5), metrics(now(), 50));
    put(&world, &[hot(&note), hot(&action), hot(&published), hot(&late), hot(&early)]).await;
    let report = world.sync().await;
    assert_eq!((report.hot, report.streams[0].rejected), (5, 0));

    assert_eq!(world.notes().await, ["Lakers\u{fffd} -3.5"]);
    assert_eq!(world.store.actions().latest(5).await.unwrap(), [action]);
    let since = now() - TimeDelta::minutes(1);
    assert_eq!(world.store.performance().published_since(since, 5).await.unwrap(), [published]);
    assert_eq!(world.store.performance().series(&early.post_id, 10).await.unwrap(), [early, late]);
}

#[tokio::test]
async fn of_two_records_with_one_key_the_newer_wins_in_one_batch_and_across_batches() {
    let world = World::start().await;
    put(&world, &[hot(&note("1", "first")), hot(&note("1", "second"))]).await;
    world.sync().await;
    assert_eq!(world.notes().await, ["second"]);
    put(&world, &[hot(&note("1", "third"))]).await;
    world.sync().await;
    assert_eq!(world.notes().await, ["third"]);
}

#[tokio::test]
async fn a_record_written_at_once_is_not_undone_by_an_older_one_that_comes_later() {
    let world = World::start().await;
    put(&world, &[hot(&note("1", "older"))]).await;
    world.store.record(&[note("1", "newer")]).await.unwrap();
    world.sync().await;
    assert_eq!(world.notes().await, ["newer"]);
}

#[tokio::test]
async fn an_action_to_come_is_pending_until_it_is_known_what_became_of_it_or_its_job_is_dead() {
    let world = World::start().await;
    let job = world::job(7);
    let intended = ActionRecord { job_id: Some(job), ..action(ActionState::Pending, None) };
    let shown = async || world.store.actions().get(&intended.key).await.unwrap().unwrap();
    world.store.actions().intend(&[&intended]).await.unwrap();
    assert_eq!((shown().await.state, shown().await.error), (ActionState::Pending, None));

    sqlx::query(
        "insert into jobs (environment, id, queue, state, last_error, created_at, changed_at)
         values ('staging', $1, 'pending_posts', 'dead', 'its worker was lost', now(), now())",
    )
    .bind(job.to_string())
    .execute(&world.database.raw())
    .await
    .unwrap();
    let dead = shown().await;
    assert_eq!((dead.state, dead.error.as_deref()), (ActionState::Failed, Some("its worker was lost")));

    world.store.record(&[action(ActionState::Published, Some("901"))]).await.unwrap();
    world.store.actions().intend(&[&intended]).await.unwrap();
    let published = shown().await;
    assert_eq!((published.state, published.external_id.as_deref()), (ActionState::Published, Some("901")));
    assert_eq!(published.error, None);
}

#[tokio::test]
async fn a_published_action_stays_published_whatever_a_late_attempt_says() {
    let world = World::start().await;
    world.store.record(&[action(ActionState::Failed, None)]).await.unwrap();
    world.store.record(&[action(ActionState::Published, Some("777"))]).await.unwrap();
    world.store.record(&[action(ActionState::Failed, None)]).await.unwrap();
    let stored = world.store.actions().get("comment:main:1").await.unwrap().unwrap();
    assert_eq!((stored.state, stored.external_id.as_deref()), (ActionState::Published, Some("777")));
}

#[tokio::test]
async fn a_record_that_cannot_be_stored_is_put_aside_and_the_rest_goes_on() {
    let mut world = World::start().await;
    world.raw_entry(HOT, "notes 1", br#"{"id":1}"#).await;
    world.raw_entry(HOT, "dragons 1", b"{}").await;
    let mut endless = metrics(now(), 1);
    endless.impressions = Some(u64::MAX);
    put(&world, &[hot(&endless), hot(&note("5", "good"))]).await;
    let report = world.sync().await;
    assert_eq!((report.hot, report.streams[0].rejected), (2, 3));
    assert_eq!(world.notes().await, ["good"]);
    assert_eq!(world.store.sync_rejects(10).await.unwrap().len(), 3);
    assert_eq!(world.sync().await.hot, 0);
}

#[tokio::test]
async fn staging_and_production_share_a_database_and_never_meet() {
    let world = World::start().await;
    let production = world.database.store(Environment::Production);
    production.record(&[note("1", "of production")]).await.unwrap();
    put(&world, &[hot(&note("1", "of staging"))]).await;
    world.sync().await;
    assert_eq!(world.notes_of("production").await, ["of production"]);
    assert_eq!(world.notes().await, ["of staging"]);
}

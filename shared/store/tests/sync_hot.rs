//! What the sync promises about the records that bots write.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

mod world;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use perch_base::Environment;
use perch_jobs::{AccountId, Answer, Pick, Post};
use perch_store::{
    ActionKind, ActionRecord, ActionState, HotRecord, HotStore, MetricPoint, PickBody, PickRecord, PickSighting,
    PostRecord, PublishedPost, Recorded,
};
use world::{ENV, HOT, World};

fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

fn post(id: &str, text: &str) -> PostRecord {
    let post = Post {
        id: id.parse().unwrap(),
        author_id: "42".into(),
        author: "sharp".into(),
        text: text.into(),
        created_at: now(),
        media: Vec::new(),
    };
    PostRecord { post, read_at: now() }
}

fn lakers(odds: &str) -> Pick {
    let text = format!(
        r#"{{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,
            "player":null,"stat":null,"odds":"{odds}","units":2}}"#
    );
    let Ok(Answer::One(pick)) = Answer::parse(&text) else { panic!("a pick") };
    pick
}

fn pick(odds: &str, source: &str, author: &str) -> PickRecord {
    PickRecord::new(PickBody::Single(lakers(odds)), source.parse().unwrap(), author.into(), now())
}

fn action(state: ActionState, external_id: Option<&str>) -> ActionRecord {
    ActionRecord {
        key: "comment:main:1".into(),
        kind: ActionKind::Comment,
        account: AccountId::from_static("main"),
        pick_key: Some(pick("-110", "1", "sharp").key),
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
        pick_key: None,
        job_id: Some(world::job(1)),
        published_at: now(),
    };
    let (post, pick, action) =
        (post("1", "Lakers\0 -3.5"), pick("-110", "1", "sharp"), action(ActionState::Simulated, None));
    let (early, late) = (metrics(now() - TimeDelta::hours(1), 5), metrics(now(), 50));
    let sighting = PickSighting {
        pick_key: pick.key.clone(),
        post_id: "2".parse().unwrap(),
        author: "square".into(),
        odds: Some("-115".into()),
        units: None,
        seen_at: now() + TimeDelta::seconds(1),
    };
    put(&world, &[hot(&post), hot(&pick), hot(&action), hot(&published), hot(&late), hot(&early), hot(&sighting)])
        .await;
    let report = world.sync().await;
    assert_eq!((report.hot, report.streams[0].rejected), (7, 0));

    let stored = world.store.posts().get(&post.post.id).await.unwrap().unwrap();
    assert_eq!(stored.post.text, "Lakers\u{fffd} -3.5");
    assert_eq!(world.store.posts().latest(Some("sharp"), 5).await.unwrap().len(), 1);
    assert_eq!(world.store.picks().latest(5).await.unwrap(), std::slice::from_ref(&pick));
    assert_eq!(world.store.picks().sightings(&pick.key).await.unwrap().len(), 2);
    assert_eq!(world.store.picks().actions_of(&pick.key).await.unwrap(), std::slice::from_ref(&action));
    assert_eq!(world.store.picks().latest_actions(5).await.unwrap(), [action]);
    let since = now() - TimeDelta::minutes(1);
    assert_eq!(world.store.performance().published_since(since, 5).await.unwrap(), [published]);
    assert_eq!(world.store.performance().series(&early.post_id, 10).await.unwrap(), [early, late]);
    assert_eq!(world.store.posts().latest(Some("nobody"), 5).await.unwrap(), []);
}

#[tokio::test]
async fn of_two_records_with_one_key_the_newer_wins_in_one_batch_and_across_batches() {
    let world = World::start().await;
    put(&world, &[hot(&post("1", "first")), hot(&post("1", "second"))]).await;
    world.sync().await;
    assert_eq!(world.store.posts().latest(None, 5).await.unwrap()[0].post.text, "second");
    put(&world, &[hot(&post("1", "third"))]).await;
    world.sync().await;
    assert_eq!(world.store.posts().latest(None, 5).await.unwrap()[0].post.text, "third");
}

#[tokio::test]
async fn a_record_written_at_once_is_not_undone_by_an_older_one_that_comes_later() {
    let world = World::start().await;
    put(&world, &[hot(&post("1", "older"))]).await;
    world.store.record(&[post("1", "newer")]).await.unwrap();
    world.sync().await;
    assert_eq!(world.store.posts().latest(None, 5).await.unwrap()[0].post.text, "newer");
}

#[tokio::test]
async fn the_first_post_keeps_the_pick_and_the_others_are_sightings() {
    let world = World::start().await;
    let (first, second) = (pick("-110", "1", "sharp"), pick("+105", "2", "square"));
    put(&world, &[hot(&first), hot(&second)]).await;
    world.sync().await;
    put(&world, &[hot(&pick("+200", "3", "late")), hot(&first)]).await;
    world.sync().await;
    let picks = world.store.picks().latest(5).await.unwrap();
    assert_eq!(picks.len(), 1);
    assert_eq!((picks[0].source_post.as_str(), picks[0].author.as_str()), ("1", "sharp"));
    assert_eq!(world.store.picks().get(&first.key).await.unwrap().unwrap().pick, first.pick);
    assert_eq!(world.store.picks().sightings(&first.key).await.unwrap().len(), 3);

    let of_posts = world.store.picks().of_posts(&["2".parse().unwrap(), "4".parse().unwrap()]).await.unwrap();
    assert_eq!(of_posts.len(), 1);
    assert_eq!((of_posts[0].key.as_str(), of_posts[0].source_post.as_str()), (first.key.as_str(), "2"));
}

#[tokio::test]
async fn the_one_retweet_of_a_post_with_several_picks_is_an_action_of_each() {
    let world = World::start().await;
    let first = pick("-110", "1", "sharp");
    let second = PickRecord { key: "another".into(), ..first.clone() };
    let elsewhere = PickRecord { key: "elsewhere".into(), source_post: "2".parse().unwrap(), ..first.clone() };
    let retweet = ActionRecord {
        key: "retweet:main:1".into(),
        kind: ActionKind::Retweet,
        text: String::new(),
        ..action(ActionState::Published, Some("901"))
    };
    let comment = action(ActionState::Published, Some("902"));
    put(&world, &[hot(&first), hot(&second), hot(&elsewhere), hot(&retweet), hot(&comment)]).await;
    world.sync().await;
    for (pick, actions) in [(&first, 2), (&second, 1), (&elsewhere, 0)] {
        let of = world.store.picks().actions_of(&pick.key).await.unwrap();
        assert_eq!(of.len(), actions, "{}: {of:?}", pick.key);
    }
}

#[tokio::test]
async fn an_action_to_come_is_pending_until_it_is_known_what_became_of_it_or_its_job_is_dead() {
    let world = World::start().await;
    let job = world::job(7);
    let intended = ActionRecord { job_id: Some(job), ..action(ActionState::Pending, None) };
    let shown = async || world.store.picks().action(&intended.key).await.unwrap().unwrap();
    world.store.picks().intend(&[&intended]).await.unwrap();
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
    world.store.picks().intend(&[&intended]).await.unwrap();
    let published = shown().await;
    assert_eq!((published.state, published.external_id.as_deref()), (ActionState::Published, Some("901")));
    assert_eq!(published.error, None);
}

#[tokio::test]
async fn a_parlay_is_one_pick_whatever_the_order_of_its_legs() {
    let world = World::start().await;
    let mut nets = lakers("-110");
    nets.selection = Some("Brooklyn Nets".into());
    let parlay = |legs: [Pick; 2]| {
        let text = serde_json::json!({ "type": "parlay", "picks": legs, "odds": "+264" }).to_string();
        let Ok(Answer::Parlay(parlay)) = Answer::parse(&text) else { panic!("a parlay") };
        PickRecord::new(PickBody::Parlay(parlay), "1".parse().unwrap(), "sharp".into(), now())
    };
    let (one, other) = (parlay([lakers("-110"), nets.clone()]), parlay([nets, lakers("-110")]));
    world.store.record(&[one.clone(), other]).await.unwrap();
    let stored = world.store.picks().latest(5).await.unwrap();
    assert_eq!((stored.len(), &stored[0].key), (1, &one.key));
    assert!(matches!(stored[0].pick, PickBody::Parlay(_)));
}

#[tokio::test]
async fn a_published_action_stays_published_whatever_a_late_attempt_says() {
    let world = World::start().await;
    world.store.record(&[action(ActionState::Failed, None)]).await.unwrap();
    world.store.record(&[action(ActionState::Published, Some("777"))]).await.unwrap();
    world.store.record(&[action(ActionState::Failed, None)]).await.unwrap();
    let stored = world.store.picks().action("comment:main:1").await.unwrap().unwrap();
    assert_eq!((stored.state, stored.external_id.as_deref()), (ActionState::Published, Some("777")));
}

#[tokio::test]
async fn a_record_that_cannot_be_stored_is_put_aside_and_the_rest_goes_on() {
    let mut world = World::start().await;
    world.raw_entry(HOT, "posts 1", br#"{"post":{"id":"one"}}"#).await;
    world.raw_entry(HOT, "dragons 1", b"{}").await;
    let mut endless = metrics(now(), 1);
    endless.impressions = Some(u64::MAX);
    put(&world, &[hot(&endless), hot(&post("5", "good"))]).await;
    let report = world.sync().await;
    assert_eq!((report.hot, report.streams[0].rejected), (2, 3));
    assert_eq!(world.store.posts().latest(None, 5).await.unwrap().len(), 1);
    assert_eq!(world.store.sync_rejects(10).await.unwrap().len(), 3);
    assert_eq!(world.sync().await.hot, 0);
}

#[tokio::test]
async fn staging_and_production_share_a_database_and_never_meet() {
    let world = World::start().await;
    let production = world.database.store(Environment::Production);
    production.record(&[post("1", "of production")]).await.unwrap();
    put(&world, &[hot(&post("1", "of staging"))]).await;
    world.sync().await;
    assert_eq!(production.posts().latest(None, 5).await.unwrap()[0].post.text, "of production");
    assert_eq!(world.store.posts().latest(None, 5).await.unwrap()[0].post.text, "of staging");
}

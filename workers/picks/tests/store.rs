//! The guarantees of the tables of the bot, and of the sync of records into them.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use chrono::{DateTime, SubsecRound, Utc};
use perch_base::Environment;
use perch_bot::Bots;
use perch_bot_picks::{
    PicksBot,
    store::{ExtractionRecord, PickBody, PickRecord, PickSighting, PicksStore as _, PostRecord},
};
use perch_jobs::{AccountId, ExtractedBets, Pick, Post};
use perch_store::{ActionKind, ActionRecord, ActionState, HotRecord, HotStore, Recorded, Store, SyncReport, Syncer};
use perch_testkit::{TestDatabase, TestRedis};

const ENV: Environment = Environment::Staging;

struct World {
    redis: TestRedis,
    store: Store,
    _database: TestDatabase,
}

impl World {
    async fn start() -> Self {
        let database = TestDatabase::of(|store| Bots::default().with(PicksBot).store(store)).await;
        Self { redis: TestRedis::claim().await, store: database.store(ENV), _database: database }
    }

    async fn sync(&self) -> SyncReport {
        Syncer::new(self.redis.door(), self.store.clone(), ENV, &[], 100).run_once().await.unwrap()
    }
}

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
    let Ok(ExtractedBets::One(pick)) = ExtractedBets::parse(&text) else { panic!("a pick") };
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
        subject: Some(pick("-110", "1", "sharp").key),
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

fn hot<T: Recorded>(record: &T) -> HotRecord {
    HotRecord::of(record).unwrap()
}

async fn put(world: &World, records: &[HotRecord]) {
    HotStore::new(world.redis.door(), ENV).put(records).await.unwrap();
}

#[tokio::test]
async fn every_record_comes_to_rest_in_its_table() {
    let world = World::start().await;
    let (post, pick, action) =
        (post("1", "Lakers\0 -3.5"), pick("-110", "1", "sharp"), action(ActionState::Simulated, None));
    let sighting = PickSighting {
        pick_key: pick.key.clone(),
        post_id: "2".parse().unwrap(),
        author: "square".into(),
        odds: Some("-115".into()),
        units: None,
        seen_at: now() + chrono::TimeDelta::seconds(1),
    };
    let extraction: ExtractionRecord = serde_json::from_value(serde_json::json!({
        "post_id": "1", "worth": true, "reason": "odds", "sampled": false, "dropped": 0, "objections": 0,
        "prompt_tokens": 0, "completion_tokens": 0, "at": now(),
    }))
    .unwrap();
    put(&world, &[hot(&post), hot(&pick), hot(&action), hot(&sighting), hot(&extraction)]).await;
    let report = world.sync().await;
    assert_eq!((report.hot, report.streams[0].rejected), (5, 0));

    let stored = world.store.posts().get(&post.post.id).await.unwrap().unwrap();
    assert_eq!(stored.post.text, "Lakers\u{fffd} -3.5");
    assert_eq!(world.store.posts().latest(Some("sharp"), 5).await.unwrap().len(), 1);
    assert_eq!(world.store.posts().latest(Some("nobody"), 5).await.unwrap(), []);
    assert_eq!(world.store.picks().latest(5).await.unwrap(), std::slice::from_ref(&pick));
    assert_eq!(world.store.picks().sightings(&pick.key).await.unwrap().len(), 2);
    assert_eq!(world.store.picks().actions_of(&pick.key).await.unwrap(), [action]);
    assert!(world.store.extractions().get(&post.post.id).await.unwrap().is_some());
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
async fn a_parlay_is_one_pick_whatever_the_order_of_its_legs() {
    let world = World::start().await;
    let mut nets = lakers("-110");
    nets.selection = Some("Brooklyn Nets".into());
    let parlay = |legs: [Pick; 2]| {
        let text = serde_json::json!({ "type": "parlay", "picks": legs, "odds": "+264" }).to_string();
        let Ok(ExtractedBets::Parlay(parlay)) = ExtractedBets::parse(&text) else { panic!("a parlay") };
        PickRecord::new(PickBody::Parlay(parlay), "1".parse().unwrap(), "sharp".into(), now())
    };
    let (one, other) = (parlay([lakers("-110"), nets.clone()]), parlay([nets, lakers("-110")]));
    world.store.record(&[one.clone(), other]).await.unwrap();
    let stored = world.store.picks().latest(5).await.unwrap();
    assert_eq!((stored.len(), &stored[0].key), (1, &one.key));
    assert!(matches!(stored[0].pick, PickBody::Parlay(_)));
}

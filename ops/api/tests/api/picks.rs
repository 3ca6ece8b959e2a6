use chrono::{TimeDelta, Utc};
use perch_bot_picks::store::{PickBody, PickRecord};
use perch_jobs::ExtractedBets;
use perch_store::{ActionKind, ActionRecord, ActionState, Scope};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, seen};

const LAKERS: &str = r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,"player":null,"stat":null,"odds":"-110","units":2}"#;

/// Records that an account named a pick a day ago; answers its key.
async fn named(world: &World, post: &str, json: &str) -> String {
    let Ok(ExtractedBets::One(pick)) = ExtractedBets::parse(json) else { panic!("one pick") };
    let at = Utc::now() - TimeDelta::days(1);
    let record = PickRecord::new(PickBody::Single(pick), post.parse().expect("an id"), "Sharp_Sally".into(), at);
    let key = record.key.clone();
    world.store.record(&[record]).await.expect("Postgres answers");
    key
}

fn game(first: f64, second: f64) -> Value {
    let date = Utc::now().date_naive();
    json!({ "sport": "nba", "date": date, "event": "Utah Jazz vs Los Angeles Lakers", "scores": [first, second] })
}

#[tokio::test]
async fn a_pick_is_looked_at_settled_and_counted_over_the_api() {
    let world = World::start().await;
    named(&world, "1", LAKERS).await;
    let list = world.get("/api/v1/picks?open=true&account=sharp_sally").await.json();
    let number = list["items"][0]["number"].to_string();
    assert_eq!((&list["items"][0]["state"], &list["items"][0]["pick"]["line"]), (&json!("open"), &json!(-3.5)));

    let path = format!("/api/v1/picks/{number}/settle");
    let settled = world.operate(&path, &json!({ "score": [112, 104], "closing": "-120" })).await.json();
    assert_eq!((&settled["state"], &settled["units"]), (&json!("won"), &json!(1.82)));
    let pick = world.get(&format!("/api/v1/picks/{number}")).await.json();
    assert_eq!((&pick["source"], &pick["settled_by"]), (&json!("score"), &json!("api:operator")));
    assert_eq!(
        (pick["bets"].as_array().map(Vec::len), pick["settlements"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
    let record = world.get("/api/v1/record?by=month&sport=nba").await.json();
    assert_eq!((&record["total"]["won"], record["groups"].as_array().map(Vec::len)), (&json!(1), Some(1)));
    assert_eq!(world.audited().await.iter().map(|line| line.0.as_str()).collect::<Vec<_>>(), ["pick.settle"]);
}

#[tokio::test]
async fn results_of_games_settle_what_they_decide_unless_it_is_a_dry_run() {
    let world = World::start().await;
    let key = named(&world, "1", LAKERS).await;
    named(&world, "2", &LAKERS.replace("Los Angeles Lakers", "Boston Celtics")).await;
    let dry =
        world.operate("/api/v1/results", &json!({ "results": [game(104.0, 106.0)], "dry_run": true })).await.json();
    assert_eq!((&dry["settled"][0]["key"], &dry["settled"][0]["state"]), (&json!(key), &json!("lost")));
    assert_eq!(world.get("/api/v1/picks?open=false").await.json()["items"], json!([]));
    let done = world.operate("/api/v1/results", &json!({ "results": [game(104.0, 106.0)] })).await.json();
    assert_eq!((&done["games"], &done["open"]), (&json!(1), &json!(1)));
    assert_eq!(world.get("/api/v1/picks?open=false").await.json()["items"][0]["units"], -2.0);
}

#[tokio::test]
async fn what_decides_nothing_is_refused_by_field() {
    let world = World::start().await;
    let key = named(&world, "1", LAKERS).await;
    named(&world, "2", &LAKERS.replace("Los Angeles Lakers", "Boston Celtics")).await;
    let number = world.get("/api/v1/picks").await.json()["items"][0]["number"].to_string();
    let path = format!("/api/v1/picks/{number}/settle");
    for (body, field) in [
        (json!({}), "$.outcome"),
        (json!({ "outcome": "winner" }), "$.outcome"),
        (json!({ "outcome": "won", "score": [1, 2] }), "$.outcome"),
        (json!({ "outcome": "won", "leg": 1 }), "$.leg"),
        (json!({ "outcome": "won", "closing": "nine" }), "$.closing"),
        (json!({ "outcom": "won" }), "$.outcom"),
    ] {
        assert_eq!(world.operate(&path, &body).await.problem(422, "invalid-request").0, field);
    }
    world.operate(&path, &json!({ "counted": 3 })).await.problem(422, "invalid-request");
    let bad = world.operate("/api/v1/results", &json!({ "results": [game(1.0, 2.0), { "sport": "nba" }] })).await;
    assert_eq!(bad.problem(422, "invalid-request").0, "$.results[1].event");
    world.get("/api/v1/picks/99999").await.problem(404, "not-found");
    world.get(&format!("/api/v1/picks/{}", &key[..6])).await.problem(409, "conflict");
    assert_eq!(world.get("/api/v1/record?by=moon").await.problem(400, "invalid-query").0, "by");
    assert_eq!(world.get("/api/v1/picks?limit=0").await.problem(400, "invalid-query").0, "limit");
    let looker = world.request(Method::POST, &path, Scope::Read).json(&json!({ "outcome": "won" }));
    seen(looker).await.problem(403, "forbidden");
}

#[tokio::test]
async fn what_only_the_rules_have_read_is_listed_and_confirmed_over_the_api() {
    let world = World::start().await;
    let Ok(ExtractedBets::One(pick)) = ExtractedBets::parse(LAKERS) else { panic!("one pick") };
    let mut waiting = PickRecord::new(PickBody::Single(pick), "1".parse().expect("an id"), "sally".into(), Utc::now());
    waiting.read_by = Some("rules".into());
    waiting.planned = Some(vec![ActionRecord {
        key: "comment:main:1:abc".into(),
        kind: ActionKind::Comment,
        account: "main".parse().expect("a name"),
        subject: Some(waiting.key.clone()),
        source_post: Some(waiting.source_post.clone()),
        text: "Lakers -3.5".into(),
        state: ActionState::Pending,
        external_id: None,
        error: None,
        why: None,
        job_id: None,
        created_at: Utc::now(),
    }]);
    world.store.record(&[waiting]).await.expect("Postgres answers");
    named(&world, "2", &LAKERS.replace("Los Angeles Lakers", "Boston Celtics")).await;

    let list = world.get("/api/v1/picks?unconfirmed=true").await.json();
    let [pick] = list["items"].as_array().expect("a list").as_slice() else { panic!("one waits: {list}") };
    assert_eq!((&pick["read_by"], &pick["unconfirmed"]), (&json!("rules"), &json!(true)));
    let path = format!("/api/v1/picks/{}/confirm", pick["number"]);
    let looker = world.request(Method::POST, &path, Scope::Read);
    seen(looker).await.problem(403, "forbidden");
    let confirmed = world.operate(&path, &json!({})).await.json();
    assert_eq!(confirmed["actions"][0]["kind"], json!("comment"));
    world.operate(&path, &json!({})).await.problem(409, "conflict");
    assert_eq!(world.get("/api/v1/picks?unconfirmed=true").await.json()["items"], json!([]));
    let shown = world.get(&format!("/api/v1/picks/{}", pick["number"])).await.json();
    assert_eq!((&shown["confirmed_by"], &shown["actions"][0]["state"]), (&json!("api:operator"), &json!("pending")));
    assert_eq!(world.audited().await.iter().map(|line| line.0.as_str()).collect::<Vec<_>>(), ["pick.confirm"]);
}

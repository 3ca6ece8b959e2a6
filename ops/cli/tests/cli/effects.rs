use chrono::Utc;
use perch_base::Environment;
use perch_jobs::JobId;
use perch_store::{Claim, EffectIntent, Permit, Store, request_digest};
use serde_json::json;

use crate::world::World;

/// A key as long as they get in practice.
const KEY: &str = "comment:main:1849212345678901234:6f1c0b5b8d11";

fn ledger(world: &World) -> Store {
    world.database.store(Environment::Staging)
}

async fn claim(store: &Store, key: &str, kind: &str) -> Permit {
    let intent = EffectIntent {
        key: key.into(),
        kind: kind.into(),
        account: "main".into(),
        digest: request_digest(&["main", key]),
        job: JobId::at(Utc::now()),
        attempt: 3,
        holder: "worker-1-a1b2".into(),
        live: true,
    };
    match store.effects().claim(&intent).await.expect("Postgres answers") {
        Claim::Granted(permit) => permit,
        other => panic!("it is new: {other:?}"),
    }
}

/// An effect whose answer was lost.
async fn lost(store: &Store, key: &str, kind: &str) -> Permit {
    let permit = claim(store, key, kind).await;
    store.effects().unknown(&permit, "POST /2/tweets as main: no answer in time").await.expect("Postgres answers");
    permit
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_are_listed_by_state_kind_account_and_age_in_80_columns() {
    let world = World::start().await;
    let store = ledger(&world);
    assert!(world.run(&["effects", "list"]).went_well().stdout.contains("no such effect"));
    let _late = lost(&store, KEY, "reply").await;
    let permit = claim(&store, "retweet:main:1849212345678901234", "retweet").await;
    store.effects().confirm(&permit, Some("1849"), &json!({})).await.expect("Postgres answers");

    let table = world.run(&["effects", "list", "--width", "80"]).went_well().stdout;
    let is_key = |line: &str| line.trim_start().starts_with("key ");
    assert!(table.lines().all(|line| line.chars().count() <= 80 || is_key(line)) && table.contains(KEY), "{table}");
    assert!(table.contains("retweet:main:1849212345678901234"), "{table}");
    let keys = |filter: &[&str]| -> Vec<String> {
        let listed = world.json(&[&["effects", "list"], filter].concat())["items"].take();
        listed.as_array().expect("a list").iter().map(|e| e["key"].as_str().expect("a key").to_owned()).collect()
    };
    assert_eq!(keys(&[]).len(), 2);
    assert_eq!(keys(&["--limit", "1"]), ["retweet:main:1849212345678901234"]);
    assert_eq!(keys(&["--state", "unknown"]), [KEY]);
    assert_eq!(keys(&["--kind", "retweet", "--account", "main"]), ["retweet:main:1849212345678901234"]);
    assert!(keys(&["--account", "other"]).is_empty() && keys(&["--until", "1h"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_is_shown_with_its_history_and_what_to_do_about_it() {
    let world = World::start().await;
    let _late = lost(&ledger(&world), KEY, "reply").await;
    let text = world.run(&["effects", "show", KEY]).went_well().stdout;
    for part in ["unknown", "no answer in time", "claimed", "attempt 3 of worker-1-a1b2", "effects resolve"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let known = world.json(&["effects", "show", KEY]);
    assert_eq!((&known["effect"]["state"], &known["effect"]["kind"]), (&json!("unknown"), &json!("reply")));
    let events: Vec<&str> =
        known["history"].as_array().expect("a list").iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(events, ["claimed", "unknown"]);
    let missing = world.run(&["effects", "show", "nothing"]);
    assert!(missing.code == 1 && missing.stderr.contains("perch effects list"), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_asks_first_is_audited_and_shuts_out_the_late_worker() {
    let world = World::start().await;
    let store = ledger(&world);
    let late = lost(&store, KEY, "reply").await;
    let resolve = ["effects", "resolve", KEY, "--confirmed", "--id", "1849", "--reason", "it is on the profile"];
    let asked = world.run(&resolve);
    assert!(asked.code == 1 && asked.stderr.contains("--yes"), "{asked:?}");
    assert_eq!(world.json(&["effects", "show", KEY])["effect"]["state"], "unknown");

    let resolved = world.json(&[&resolve[..], &["--yes"]].concat());
    assert_eq!((&resolved["state"], &resolved["external_id"]), (&json!("confirmed"), &json!("1849")));
    assert!(store.effects().fail(&late, "late").await.is_err());
    let line = &world.list(&["audit", "list", "--object", KEY])[0];
    assert_eq!((&line["action"], &line["actor"]), (&json!("effect.resolve"), &json!("tester")));
    assert_eq!(line["details"]["reason"], "it is on the profile");
    let shown = world.run(&["effects", "show", KEY]).went_well().stdout;
    assert!(shown.contains("resolved") && shown.contains("by tester"), "{shown}");

    let again = world.run(&["effects", "resolve", KEY, "--not-done", "--reason", "no", "--yes"]);
    assert!(again.code == 1 && again.stderr.contains("not taken back"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_did_not_happen_is_free_again_and_one_in_use_is_left_alone() {
    let world = World::start().await;
    let store = ledger(&world);
    let _late = lost(&store, KEY, "reply").await;
    let not_done = |key| world.run(&["effects", "resolve", key, "--not-done", "--reason", "it is not there", "--yes"]);
    assert!(not_done(KEY).went_well().stdout.contains("failed"));
    assert!(not_done(KEY).stderr.contains("says already"));
    let _permit = claim(&store, "post:2", "post").await;
    let busy = not_done("post:2");
    assert!(busy.code == 1 && busy.stderr.contains("try again in"), "{busy:?}");
    assert_eq!(not_done("post:3").code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_that_says_too_little_or_nonsense_is_refused_before_anything_happens() {
    let world = World::start().await;
    let _late = lost(&ledger(&world), KEY, "reply").await;
    let bad: [&[&str]; 5] = [
        &["--reason", "x"],
        &["--confirmed"],
        &["--confirmed", "--not-done", "--reason", "x"],
        &["--not-done", "--id", "1", "--reason", "x"],
        &["--confirmed", "--id", "a post", "--reason", "x"],
    ];
    for arguments in bad {
        let ran = world.run(&[&["effects", "resolve", KEY, "--yes"], arguments].concat());
        assert_eq!(ran.code, 2, "{ran:?}");
    }
    assert_eq!(world.json(&["effects", "show", KEY])["history"].as_array().map(Vec::len), Some(2));
}

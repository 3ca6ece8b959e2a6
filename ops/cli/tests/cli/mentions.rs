use std::time::Duration;

use chrono::Utc;
use perch_base::Environment;
use perch_bot_mentions::{MentionStore as _, SeenMention, WrittenReply};
use perch_jobs::{AccountId, JobId, Mention, PostId};
use perch_store::Store;
use serde_json::json;

use crate::world::World;

/// A mention whose reply waits for a person; answers the number of the review.
async fn waiting(store: &Store, id: &str, proposed: Option<&str>) -> i64 {
    let post: PostId = id.parse().expect("an id");
    let mention = Mention {
        id: post.clone(),
        text: "@perch_bot they voided my bet, who do I even talk to about this now?".into(),
        author_id: "12".into(),
        conversation_id: post.clone(),
        created_at: Utc::now(),
        processed_at: Utc::now(),
        referenced_tweet_id: None,
    };
    let seen = SeenMention { mention, author: Some("Fan_One".into()), left_out: None };
    let account = AccountId::from_static("main");
    store.mentions().begin(&account, &seen, JobId::at(Utc::now())).await.expect("Postgres answers");
    let written = WrittenReply { text: proposed.map(str::to_owned), ..WrittenReply::default() };
    let reasons = json!([{ "code": "coarse", "at": { "start": 11, "end": 15 }, "found": "dick" }]);
    let opened = store.reviews().open(&account, &post, &written, &reasons, Duration::from_secs(600)).await;
    opened.expect("Postgres answers").expect("it is new")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_is_told_to_stop_and_start_and_says_how_it_stands() {
    let world = World::start().await;
    let stopped = world.json(&["mentions", "stop"]);
    assert_eq!(stopped, json!({ "account": "main", "running": false, "changed": true }));
    world.run(&["mentions", "pause"]).went_well();
    world.run(&["mentions", "interval", "90s"]).went_well();
    let text = world.run(&["mentions", "status"]).went_well().stdout;
    for part in ["stopped", "every 1m 30s", "paused", "by tester", "last day   none"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let status = &world.json(&["mentions", "status"])[0];
    assert_eq!((&status["polling"], &status["interval_ms"]), (&json!(false), &json!(90_000)));
    let reset = world.run(&["mentions", "interval", "--reset"]).went_well().stdout;
    assert!(reset.contains("as mentions.interval says"), "{reset}");
    assert_ne!(world.json(&["mentions", "status"])[0]["interval_ms"], json!(90_000));
    let fetch = world.json(&["mentions", "fetch"]);
    let job = world.json(&["jobs", "show", fetch["job_id"].as_str().expect("a job")]);
    assert!(job.to_string().contains("poll_mentions"), "{job}");
    for word in ["start", "resume"] {
        assert_eq!(world.json(&["mentions", word])["changed"], true, "{word}");
    }
    let audited = world.list(&["audit", "list", "--object", "main"]);
    let actions: Vec<&str> =
        audited.as_array().expect("a list").iter().rev().filter_map(|line| line["action"].as_str()).collect();
    let expected =
        ["stop", "pause", "interval", "interval", "fetch", "start", "resume"].map(|word| format!("mentions.{word}"));
    assert_eq!(actions, expected);

    let stranger = world.run(&["mentions", "stop", "--account", "other"]);
    assert!(stranger.code == 1 && stranger.stderr.contains("main"), "{stranger:?}");
    assert_eq!(world.run(&["mentions", "interval", "10ms"]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_blocked_and_unblocked_by_handle_or_id() {
    let world = World::start().await;
    assert!(world.run(&["mentions", "blocked"]).went_well().stdout.contains("nobody"));
    world.run(&["mentions", "block", "@Troll_One", "--reason", "spam"]).went_well();
    world.run(&["mentions", "block", "4711"]).went_well();
    assert_eq!(world.json(&["mentions", "block", "troll_one"])["changed"], false);
    let blocked = world.list(&["mentions", "blocked"]);
    let who: Vec<&str> = blocked.as_array().expect("a list").iter().filter_map(|user| user["user"].as_str()).collect();
    assert_eq!(who, ["4711", "troll_one"]);
    assert_eq!(world.json(&["mentions", "unblock", "TROLL_ONE"])["changed"], true);
    assert!(world.run(&["mentions", "unblock", "troll_one"]).went_well().stdout.contains("was not blocked"));
    let nobody = world.run(&["mentions", "block", "not a handle"]);
    assert!(nobody.code == 2 && nobody.stderr.contains("neither a handle"), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_waits_is_listed_shown_and_decided() {
    let world = World::start().await;
    assert!(world.run(&["review", "list"]).went_well().stdout.contains("no reply waits"));
    let store = world.database.store(Environment::Staging);
    let (first, second) = (
        waiting(&store, "1849212345678901234", Some("That was a dick move.")).await,
        waiting(&store, "1850", None).await,
    );
    let table = world.run(&["review", "list", "--width", "80"]).went_well().stdout;
    assert!(table.lines().all(|line| line.chars().count() <= 80) && table.contains("coarse"), "{table}");
    let shown = world.run(&["review", "show", &first.to_string()]).went_well().stdout;
    for part in ["1849212345678901234 by @Fan_One", "That was a dick move.", "it is coarse", "review approve"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let bad = world.run(&["review", "approve", &first.to_string(), "--text", "What a shitshow"]);
    assert!(bad.code == 1 && bad.stderr.contains("it swears (\"shitshow\")"), "{bad:?}");
    let approved = world.run(&["review", "approve", &first.to_string()]).went_well();
    assert!(approved.stdout.contains("goes out") && approved.stderr.contains("by your word"), "{approved:?}");
    let bare = world.run(&["review", "approve", &second.to_string()]);
    assert!(bare.code == 2 && bare.stderr.contains("--text"), "{bare:?}");
    world.run(&["review", "reject", &second.to_string(), "--reason", "not for us"]).went_well();
    let late = world.run(&["review", "reject", &first.to_string()]);
    assert!(late.code == 1 && late.stderr.contains("approved already"), "{late:?}");

    assert_eq!(world.list(&["review", "list"]), json!([]));
    assert_eq!(world.list(&["review", "list", "--state", "all"]).as_array().map(Vec::len), Some(2));
    let mentions = world.list(&["mentions", "list", "--state", "sending", "--author", "@fan_one"]);
    assert_eq!(mentions[0]["reply"], "That was a dick move.");
    let table = world.run(&["mentions", "list", "--width", "80"]).went_well().stdout;
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert_eq!(world.list(&["audit", "list", "--object", &second.to_string()])[0]["action"], "review.reject");
}

use std::time::Duration;

use chrono::Utc;
use perch_bot_mentions::{MentionState, MentionStore as _, SeenMention, WrittenReply};
use perch_jobs::{AccountId, JobId, Mention, PostId};
use perch_store::{JobState, Scope};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Seen, World, seen};

fn main_account() -> AccountId {
    AccountId::from_static("main")
}

/// A mention whose reply waits for a person; answers the number of the review.
async fn waiting(world: &World, id: &str, proposed: Option<&str>) -> i64 {
    let post: PostId = id.parse().expect("an id");
    let mention = Mention {
        id: post.clone(),
        text: "@perch_bot who tonight?".into(),
        author_id: "12".into(),
        conversation_id: post.clone(),
        created_at: Utc::now(),
        processed_at: Utc::now(),
        referenced_tweet_id: None,
    };
    let seen = SeenMention { mention, author: Some("Fan_One".into()), left_out: None };
    let account = main_account();
    world.store.mentions().begin(&account, &seen, JobId::at(Utc::now())).await.expect("Postgres answers");
    let written = WrittenReply { text: proposed.map(str::to_owned), prompt_tokens: 7, ..WrittenReply::default() };
    let (reasons, waits) = (json!([]), Duration::from_secs(600));
    let opened = world.store.reviews().open(&account, &post, &written, &reasons, waits).await;
    opened.expect("Postgres answers").expect("it is new")
}

async fn post(world: &World, path: &str, body: &Value) -> Seen {
    world.operate(path, body).await
}

async fn put(world: &World, path: &str, body: &Value) -> Seen {
    seen(world.request(Method::PUT, path, Scope::Operate).json(body)).await
}

#[tokio::test]
async fn reading_and_replying_are_switched_for_all_processes_and_the_audit_log_says_by_whom() {
    let world = World::start().await;
    let fresh = world.get("/api/v1/mentions/main/status").await.json();
    assert_eq!(
        (&fresh["polling"], &fresh["replying"], &fresh["interval_ms"]),
        (&json!(true), &json!(true), &json!(2000))
    );
    assert_eq!((&fresh["poll"]["last"], &fresh["last_day"]["states"]), (&json!(null), &json!({})));

    for (path, running, changed) in [("stop", false, true), ("stop", false, false), ("pause", false, true)] {
        let answer = post(&world, &format!("/api/v1/mentions/main/{path}"), &json!({})).await.json();
        assert_eq!(answer, json!({ "account": "main", "running": running, "changed": changed }), "{path}");
    }
    let set = put(&world, "/api/v1/mentions/main/interval", &json!({ "interval_ms": 90_000 })).await;
    assert_eq!(set.json(), json!({ "interval_ms": 90_000 }));
    let status = world.get("/api/v1/mentions/main/status").await.json();
    assert_eq!((&status["polling"], &status["replying"]), (&json!(false), &json!(false)));
    assert_eq!((&status["interval_ms"], &status["changed_by"]), (&json!(90_000), &json!("api:operator")));
    for path in ["start", "resume"] {
        let answer = post(&world, &format!("/api/v1/mentions/main/{path}"), &json!({})).await.json();
        assert_eq!((&answer["running"], &answer["changed"]), (&json!(true), &json!(true)), "{path}");
    }
    let actions: Vec<String> = world.audited().await.into_iter().map(|(action, _, _)| action).collect();
    let expected = ["stop", "stop", "pause", "interval", "start", "resume"].map(|word| format!("mentions.{word}"));
    assert_eq!(actions, expected);
}

#[tokio::test]
async fn a_fetch_enqueues_one_job_that_overrides_the_interval() {
    let world = World::start().await;
    let first = post(&world, "/api/v1/mentions/main/fetch", &json!({})).await;
    assert_eq!(first.status, 202);
    let again = post(&world, "/api/v1/mentions/main/fetch", &json!({})).await.json();
    assert_eq!(first.json(), again, "the one that waits stands for both");
    let id = again["job_id"].as_str().expect("an id").to_owned();
    let job = world.get(&format!("/api/v1/jobs/{id}")).await.json();
    assert_eq!((&job["kind"], &job["payload"]), (&json!("poll_mentions"), &json!({ "account": "main", "now": true })));
}

#[tokio::test]
async fn an_account_or_an_interval_that_cannot_be_is_refused_by_its_field() {
    let world = World::start().await;
    let (_, detail) = world.get("/api/v1/mentions/other/status").await.problem(404, "not-found");
    assert!(detail.contains("main"), "{detail}");
    for bad in [0, 999, 86_400_001] {
        let answer = put(&world, "/api/v1/mentions/main/interval", &json!({ "interval_ms": bad })).await;
        assert_eq!(answer.problem(422, "invalid-request").0, "$.interval_ms");
    }
    world.get("/api/v1/mentions/main?state=lost").await.problem(400, "invalid-query");
    world.get("/api/v1/mentions/main?cursor=yesterday").await.problem(400, "invalid-query");
    world.get("/api/v1/reviews/none").await.problem(404, "not-found");
    world.get("/api/v1/reviews/4711").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_review_is_approved_in_other_words_once_and_its_reply_is_a_job_of_its_effect() {
    let world = World::start().await;
    let id = waiting(&world, "1849", Some("Proposed.")).await;
    let list = world.get("/api/v1/reviews?state=open&account=main").await.json();
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["author"]), (&json!(id), &json!("Fan_One")));
    let path = format!("/api/v1/reviews/{id}/approve");
    for bad in ["What a shitshow", "see evil.example.com", "@someone_else look", "mail me@example.org"] {
        assert_eq!(
            post(&world, &path, &json!({ "text": bad })).await.problem(422, "invalid-request").0,
            "$.text",
            "{bad}"
        );
    }
    let approved = post(&world, &path, &json!({ "text": "@fan_one a damn good question." })).await.json();
    assert_eq!((&approved["state"], &approved["decided_by"]), (&json!("approved"), &json!("api:operator")));
    assert_eq!(approved["flags"][0]["code"], "coarse");
    assert_eq!(post(&world, &path, &json!({})).await.status, 200, "once more changes nothing");
    post(&world, &path, &json!({ "text": "Other words." })).await.problem(409, "conflict");

    let mention = world.get("/api/v1/mentions/main?state=sending").await.json()["items"][0].clone();
    assert_eq!((&mention["id"], &mention["reply"]), (&json!("1849"), &json!("@fan_one a damn good question.")));
    let job = mention["publish_job_id"].as_str().expect("a job");
    let job = world.get(&format!("/api/v1/jobs/{job}")).await.json();
    assert_eq!(
        (&job["payload"]["effect_key"], &job["payload"]["reply_to"]),
        (&json!("reply:main:1849"), &json!("1849"))
    );
    let stats = world.queue("pending_posts").stats().await.expect("Redis answers");
    assert_eq!(stats.waiting(), 1);
    assert_eq!(world.audited().await.iter().filter(|(action, _, _)| action == "review.approve").count(), 2);
}

#[tokio::test]
async fn a_rejected_review_leaves_its_mention_unanswered() {
    let world = World::start().await;
    let id = waiting(&world, "1850", None).await;
    let bare = post(&world, &format!("/api/v1/reviews/{id}/approve"), &json!({})).await;
    assert_eq!(bare.problem(422, "invalid-request").0, "$.text", "nothing was proposed");
    let path = format!("/api/v1/reviews/{id}/reject");
    let rejected = post(&world, &path, &json!({ "reason": "not for us" })).await.json();
    assert_eq!((&rejected["state"], &rejected["note"]), (&json!("rejected"), &json!("not for us")));
    post(&world, &path, &json!({})).await.problem(409, "conflict");
    let record = world.store.mentions().get(&main_account(), &"1850".parse().expect("an id")).await;
    assert_eq!(record.expect("Postgres answers").expect("it is known").state, MentionState::Rejected);
    let jobs = world.store.history().search(&perch_store::JobFilter::default()).await.expect("Postgres answers");
    assert!(jobs.iter().all(|job| job.state == JobState::Done || job.kind.as_deref() != Some("publish_post")));
}

#[tokio::test]
async fn a_user_is_blocked_and_unblocked_and_each_is_in_the_audit_log() {
    let world = World::start().await;
    let path = "/api/v1/mentions/main/blocked";
    let block = json!({ "user": "@Troll_42", "reason": "spam" });
    for (status, changed) in [(201, true), (200, false)] {
        let answer = post(&world, path, &block).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.json(),
            json!({ "account": "main", "user": "troll_42", "blocked": true, "changed": changed })
        );
    }
    let listed = world.get(path).await.json()["items"][0].clone();
    assert_eq!((&listed["user"], &listed["reason"]), (&json!("troll_42"), &json!("spam")));
    assert_eq!(listed["author_id"], json!(null), "no mention has told it");
    assert_eq!(listed["blocked_by"], json!("api:operator"));

    for changed in [true, false] {
        let request = world.request(Method::DELETE, &format!("{path}/TROLL_42"), Scope::Operate);
        let answer = seen(request).await.json();
        assert_eq!((&answer["blocked"], &answer["changed"]), (&json!(false), &json!(changed)));
    }
    assert_eq!(world.get(path).await.json(), json!({ "items": [], "next": null }));
    let actions: Vec<String> = world.audited().await.into_iter().map(|(action, _, _)| action).collect();
    assert_eq!(actions, ["block", "block", "unblock", "unblock"].map(|word| format!("mentions.{word}")));

    for bad in ["", "two words", "@", "a_handle_far_too_long"] {
        assert_eq!(post(&world, path, &json!({ "user": bad })).await.problem(422, "invalid-request").0, "$.user");
    }
}

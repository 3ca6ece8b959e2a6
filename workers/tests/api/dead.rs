use perch_jobs::PollAccount;
use perch_queue::{Fail, worker::Handlers};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, seen};

/// A world with dead letters of two causes: three posts that are not there and one account that is locked.
async fn with_dead_letters() -> (World, Vec<String>) {
    let world = World::start().await;
    let mut ids = Vec::new();
    for username in ["gone1", "gone2", "gone3", "locked"] {
        let job = json!({ "kind": "poll_account", "payload": { "username": username } });
        ids.push(world.enqueue(&job).await.id());
    }
    let handlers = Handlers::new().on::<PollAccount, _, _>(async |job: PollAccount| {
        let cause =
            if job.username == "locked" { "the account is locked" } else { "there is no post 1849212345678901234" };
        Err::<(), _>(Fail::Dead(cause.to_owned()))
    });
    let queue = world.queue("extraction");
    world
        .work_until(handlers, "all four are dead", || async { queue.stats().await.is_ok_and(|stats| stats.dead == 4) })
        .await;
    (world, ids)
}

async fn dead(world: &World) -> u64 {
    world.queue("extraction").stats().await.expect("the queue").dead
}

fn listed(answer: &Value) -> usize {
    answer["letters"].as_array().expect("letters").len()
}

#[tokio::test]
async fn dead_letters_are_listed_by_what_they_have_in_common() {
    let (world, ids) = with_dead_letters().await;
    let all = world.get("/api/v1/dead").await.json();
    assert_eq!(listed(&all), 4);
    assert_eq!(listed(&world.get("/api/v1/dead?queue=extraction&kind=poll_account&error=LOCKED").await.json()), 1);
    assert_eq!(listed(&world.get("/api/v1/dead?kind=publish_post").await.json()), 0);
    assert_eq!(listed(&world.get("/api/v1/dead?limit=2").await.json()), 2);
    assert_eq!(listed(&world.get("/api/v1/dead?queue=pending_posts").await.json()), 0);
    let locked = world.get("/api/v1/dead?error=locked").await.json();
    assert_eq!(
        (&locked["letters"][0]["id"], &locked["letters"][0]["payload"]["username"]),
        (&json!(ids[3]), &json!("locked"))
    );
}

#[tokio::test]
async fn dead_letters_are_grouped_by_cause() {
    let (world, _) = with_dead_letters().await;
    let stats = world.get("/api/v1/dead/stats").await.json();
    assert_eq!((&stats["letters"], &stats["complete"]), (&json!(4), &json!(true)));
    let groups: Vec<(&Value, &Value)> =
        stats["groups"].as_array().expect("groups").iter().map(|group| (&group["cause"], &group["count"])).collect();
    assert_eq!(groups, [(&json!("there is no post #"), &json!(3)), (&json!("the account is locked"), &json!(1))]);
}

#[tokio::test]
async fn a_dry_run_says_what_a_replay_would_bring_back_and_touches_nothing() {
    let (world, _) = with_dead_letters().await;
    let answer = world.operate("/api/v1/dead/replay", &json!({ "filter": { "error": "post" }, "dry_run": true })).await;
    assert_eq!(answer.json()["counts"], json!({ "would_replay": 3 }));
    assert_eq!(dead(&world).await, 4);
    assert!(world.audited().await.is_empty());
}

#[tokio::test]
async fn a_replay_by_filter_stops_at_its_limit_and_is_in_the_audit_log() {
    let (world, _) = with_dead_letters().await;
    let request = json!({ "filter": { "queue": "extraction", "error": "post" }, "limit": 2 });
    let answer = world.operate("/api/v1/dead/replay", &request).await.json();
    assert_eq!(answer["counts"], json!({ "replayed": 2 }));
    assert_eq!(dead(&world).await, 2);
    assert_eq!(world.queue("extraction").stats().await.expect("the queue").waiting(), 2);
    let line = ("dead.replay".to_owned(), "extraction".to_owned(), "api:operator".to_owned());
    assert_eq!(world.audited().await, [line]);
    let rest = world.operate("/api/v1/dead/replay", &json!({ "filter": {} })).await.json();
    assert_eq!(rest["counts"], json!({ "replayed": 2 }));
}

#[tokio::test]
async fn a_replay_by_id_tells_of_each_id_what_became_of_it() {
    let (world, ids) = with_dead_letters().await;
    let missing = "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2";
    let answer = world.operate("/api/v1/dead/replay", &json!({ "ids": [ids[0], missing] })).await.json();
    assert_eq!(answer["counts"], json!({ "gone": 1, "replayed": 1 }));
    assert_eq!(dead(&world).await, 3);
}

#[tokio::test]
async fn a_discard_removes_letters_for_good() {
    let (world, ids) = with_dead_letters().await;
    let answer = world.operate("/api/v1/dead/discard", &json!({ "ids": [ids[3]] })).await.json();
    assert_eq!(answer["counts"], json!({ "discarded": 1 }));
    let rest = world.operate("/api/v1/dead/discard", &json!({ "filter": { "error": "post" } })).await.json();
    assert_eq!(rest["counts"], json!({ "discarded": 3 }));
    assert_eq!(dead(&world).await, 0);
}

#[tokio::test]
async fn a_dead_job_is_not_cancelled_but_pointed_to_the_discard() {
    let (world, ids) = with_dead_letters().await;
    let path = format!("/api/v1/jobs/{}", ids[0]);
    let (_, detail) =
        seen(world.request(Method::DELETE, &path, perch_store::Scope::Operate)).await.problem(409, "conflict");
    assert!(detail.contains("discard"), "{detail}");
    let job = world.get(&path).await.json();
    assert_eq!((&job["state"], &job["last_error"]), (&json!("dead"), &json!("there is no post 1849212345678901234")));
    assert_eq!(job["attempt_history"][0]["attempt"], 1);
}

#[tokio::test]
async fn a_request_that_does_not_say_which_letters_is_refused() {
    let world = World::start().await;
    let cases = [
        (json!({}), "$"),
        (json!({ "ids": [], "filter": {} }), "$.filter"),
        (json!({ "filter": {}, "limit": 0 }), "$.limit"),
        (json!({ "filter": { "queue": "nope" } }), "$.filter.queue"),
        (json!({ "filter": { "kid": "x" } }), "$.filter.kid"),
        (json!({ "ids": ["x"] }), "$.ids[0]"),
    ];
    for (request, field) in cases {
        let answer = world.operate("/api/v1/dead/replay", &request).await;
        assert_eq!(answer.problem(422, "invalid-request").0, field, "{request}");
    }
}

use std::collections::BTreeSet;

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
    answer["items"].as_array().expect("letters").len()
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
        (&locked["items"][0]["id"], &locked["items"][0]["payload"]["username"]),
        (&json!(ids[3]), &json!("locked"))
    );
}

#[tokio::test]
async fn dead_letters_are_grouped_by_cause() {
    let (world, _) = with_dead_letters().await;
    let stats = world.get("/api/v1/dead/stats").await.json();
    assert_eq!((&stats["letters"], &stats["complete"]), (&json!(4), &json!(true)));
    let groups: Vec<(&Value, &Value)> =
        stats["causes"].as_array().expect("causes").iter().map(|group| (&group["cause"], &group["count"])).collect();
    assert_eq!(groups, [(&json!("there is no post #"), &json!(3)), (&json!("the account is locked"), &json!(1))]);
}

/// Has jobs of two queues die, many of them in one millisecond; answers their ids.
async fn with_bursts(world: &World) -> BTreeSet<String> {
    let mut redis = world.redis.raw().await;
    let mut ids = BTreeSet::new();
    for n in 0..60_i64 {
        let (queue, job) = if n % 3 == 0 {
            ("pending_posts", json!({ "kind": "publish_post", "payload": { "account": "main", "text": "a" } }))
        } else {
            ("extraction", json!({ "kind": "poll_account", "payload": { "username": format!("u{n}") } }))
        };
        let id = world.enqueue(&job).await.id();
        let name = |part: &str| format!("stg:{{{queue}}}:{part}");
        let died = 1_790_000_000_000_i64 + n / 20;
        let _: () = redis::pipe()
            .cmd("LREM")
            .arg(name("ready:normal"))
            .arg(0)
            .arg(&id)
            .ignore()
            .cmd("ZADD")
            .arg(name("dead"))
            .arg(died)
            .arg(&id)
            .ignore()
            .query_async(&mut redis)
            .await
            .expect("Redis answers");
        ids.insert(id);
    }
    ids
}

/// Walks through the pages of a list until there is no next one.
async fn walked(world: &World, query: &str, mut between: impl AsyncFnMut(&[String])) -> Vec<String> {
    let (mut ids, mut next) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/api/v1/dead?{query}{next}")).await.json();
        let letters: Vec<String> = page["items"]
            .as_array()
            .unwrap_or_else(|| panic!("letters in {page}"))
            .iter()
            .map(|letter| letter["id"].as_str().expect("an id").to_owned())
            .collect();
        between(&letters).await;
        ids.extend(letters);
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return ids,
        }
        assert!(ids.len() <= 60, "the walk goes in circles: {ids:?}");
    }
}

#[tokio::test]
async fn a_walk_through_the_pages_sees_every_letter_once_however_many_died_together() {
    let world = World::start().await;
    let ids = with_bursts(&world).await;
    for limit in [1, 7, 20, 60, 1_000] {
        let seen = walked(&world, &format!("limit={limit}"), async |_| ()).await;
        assert_eq!(seen.len(), 60, "{limit} a page");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), ids, "{limit} a page");
    }
    let polls = walked(&world, "limit=7&kind=poll_account&queue=extraction", async |_| ()).await;
    assert_eq!((polls.len(), polls.iter().collect::<BTreeSet<_>>().len()), (40, 40));
    let before = chrono::DateTime::from_timestamp_millis(1_790_000_000_001).expect("a time").to_rfc3339();
    let old = walked(&world, &format!("limit=7&until={}", before.replace('+', "%2B")), async |_| ()).await;
    assert_eq!(old.len(), 20, "those of the first millisecond");
}

#[tokio::test]
async fn letters_that_are_taken_away_during_a_walk_move_no_other_out_of_sight() {
    let world = World::start().await;
    let ids = with_bursts(&world).await;
    let seen = walked(&world, "limit=7", async |letters| {
        let answer = world.operate("/api/v1/dead/discard", &json!({ "ids": letters })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    })
    .await;
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), ids);
}

#[tokio::test]
async fn a_place_among_dead_letters_that_was_made_up_is_refused() {
    let world = World::start().await;
    for cursor in ["", "x", "2026-01-31T09:00:00Z", "AAAA"] {
        let answer = world.get(&format!("/api/v1/dead?cursor={cursor}")).await;
        assert_eq!(answer.problem(400, "invalid-query").0, "cursor");
    }
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

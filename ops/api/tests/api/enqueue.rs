use chrono::{TimeDelta, Utc};
use perch_store::Scope;
use perch_testkit::OwnRedis;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, eventually, seen};

fn poll(username: &str) -> Value {
    json!({ "kind": "poll_account", "payload": { "username": username } })
}

fn with(mut job: Value, more: &Value) -> Value {
    let fields = job.as_object_mut().expect("a job is an object");
    fields.extend(more.as_object().expect("an object").clone());
    job
}

async fn jobs_in(world: &World, queue: &'static str) -> u64 {
    let stats = world.queue(queue).stats().await.expect("the queue");
    stats.waiting() + stats.delayed
}

#[tokio::test]
async fn an_enqueued_job_waits_in_its_queue_and_can_be_looked_up() {
    let world = World::start().await;
    let answer = world.enqueue(&poll("sharp_sally")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!((&answer.json()["queue"], &answer.json()["outcome"]), (&json!("extraction"), &json!("accepted")));
    assert_eq!(answer.header("location"), format!("/api/v1/jobs/{}", answer.id()));

    let job = world.get(answer.header("location")).await.json();
    assert_eq!((&job["state"], &job["kind"]), (&json!("waiting"), &json!("poll_account")));
    assert_eq!(job["payload"], json!({ "username": "sharp_sally" }));
    let list = world.get("/api/v1/jobs?queue=extraction&state=waiting").await.json();
    assert_eq!(list["items"][0]["id"], answer.id());
}

#[tokio::test]
async fn a_time_in_the_past_means_at_once_and_one_ahead_means_later() {
    let world = World::start().await;
    let past = world.enqueue(&with(poll("a"), &json!({ "run_at": "2001-01-01T00:00:00Z" }))).await;
    let at = Utc::now() + TimeDelta::hours(1);
    let later = world.enqueue(&with(poll("b"), &json!({ "run_at": at }))).await;
    let delayed = world.enqueue(&with(poll("c"), &json!({ "delay_ms": 60_000 }))).await;
    let state = async |id: String| world.get(&format!("/api/v1/jobs/{id}")).await.json()["state"].clone();
    assert_eq!(state(past.id()).await, "waiting");
    assert_eq!(state(later.id()).await, "delayed");
    assert_eq!(state(delayed.id()).await, "delayed");
}

#[tokio::test]
async fn a_time_absurdly_far_ahead_is_refused() {
    let world = World::start().await;
    let years = world.enqueue(&with(poll("a"), &json!({ "run_at": "2999-01-01T00:00:00Z" }))).await;
    assert_eq!(years.problem(422, "invalid-request").0, "$.run_at");
    for delay in [u64::MAX, 1_000 * 366 * 86_400_000] {
        let ages = world.enqueue(&with(poll("a"), &json!({ "delay_ms": delay }))).await;
        assert_eq!(ages.problem(422, "invalid-request").0, "$.delay_ms", "{delay}");
    }
    assert_eq!(jobs_in(&world, "extraction").await, 0);
}

#[tokio::test]
async fn what_a_request_asks_for_is_what_the_job_gets() {
    let world = World::start().await;
    let asked = json!({
        "priority": "high", "retry": { "max_attempts": 2 }, "timeout_ms": 5_000, "group": "mine",
        "unique": { "key": "only", "scope": { "window_ms": 1_000 } },
        "deadline": Utc::now() + TimeDelta::hours(2),
    });
    let id = world.enqueue(&with(poll("a"), &asked)).await.id();
    let view = world.queue("extraction").job(id.parse().expect("an id")).await.expect("Redis").expect("the job");
    let envelope = view.decoded().expect("readable");
    assert_eq!((envelope.max_attempts, envelope.timeout_ms), (2, Some(5_000)));
    assert_eq!((envelope.group.as_deref(), envelope.unique.map(|u| u.key)), (Some("mine"), Some("only".to_owned())));
    assert!(envelope.deadline.is_some() && !envelope.priority.is_normal());
}

#[tokio::test]
async fn a_unique_key_that_is_held_keeps_refuses_or_replaces() {
    let world = World::start().await;
    let held = world.enqueue(&poll("a")).await.id();

    let kept = world.enqueue(&poll("a")).await;
    assert_eq!((kept.status.as_u16(), kept.json()["outcome"].clone(), kept.id()), (200, json!("kept"), held.clone()));

    let refused = world.enqueue(&with(poll("a"), &json!({ "on_conflict": "reject" }))).await;
    assert_eq!(refused.problem(409, "conflict").0, "$.unique.key");
    assert_eq!(refused.json()["job_id"], held);

    let replaced = world.enqueue(&with(poll("a"), &json!({ "on_conflict": "replace" }))).await;
    assert_eq!((replaced.status.as_u16(), &replaced.json()["replaced"]), (201, &json!(held)));
    assert_eq!(jobs_in(&world, "extraction").await, 1);
}

#[tokio::test]
async fn an_id_given_twice_is_one_job() {
    let world = World::start().await;
    let job = with(json!({ "kind": "sync_hot_state", "payload": {} }), &json!({ "id": "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2" }));
    assert_eq!(world.enqueue(&job).await.status, 201);
    let again = world.enqueue(&job).await;
    assert_eq!((again.status.as_u16(), &again.json()["outcome"]), (200, &json!("duplicate")));
}

#[tokio::test]
async fn the_trace_of_the_caller_is_the_trace_of_the_job() {
    let world = World::start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let sent = world.job(&poll("a")).header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let id = seen(sent).await.id();
    let job = world.get(&format!("/api/v1/jobs/{id}")).await.json();
    assert!(job["traceparent"].as_str().is_some_and(|parent| parent.contains(trace)), "{job}");
}

#[tokio::test]
async fn a_request_sent_twice_with_one_idempotency_key_is_one_job_and_one_answer() {
    let world = World::start().await;
    let send = async || {
        seen(
            world
                .job(&json!({ "kind": "sync_hot_state", "payload": {}, "unique": null }))
                .header("Idempotency-Key", "k-1"),
        )
        .await
    };
    let (first, second) = (send().await, send().await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 200));
    assert_eq!(first.json(), second.json());
    assert_eq!((first.header("idempotency-replayed"), second.header("idempotency-replayed")), ("", "true"));
    assert_eq!(jobs_in(&world, "sync_to_store").await, 1);
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_one_request_even_across_queues() {
    let world = World::start().await;
    let send = async |job: Value| seen(world.job(&job).header("Idempotency-Key", "k-1")).await;
    let first = send(poll("a")).await;
    let other = send(poll("b")).await;
    assert_eq!(other.problem(422, "key-reused").0, "Idempotency-Key");
    assert_eq!(other.json()["job_id"], first.id());
    send(json!({ "kind": "sync_hot_state", "payload": {} })).await.problem(422, "key-reused");
    assert_eq!((jobs_in(&world, "extraction").await, jobs_in(&world, "sync_to_store").await), (1, 0));
}

#[tokio::test]
async fn a_refused_request_may_come_back_corrected_with_its_key() {
    let world = World::start().await;
    let refused =
        seen(world.job(&json!({ "kind": "poll_account", "payload": {} })).header("Idempotency-Key", "k")).await;
    refused.problem(422, "invalid-payload");
    assert_eq!(seen(world.job(&poll("a")).header("Idempotency-Key", "k")).await.status, 201);
}

#[tokio::test]
async fn a_repetition_after_an_answer_that_was_never_given_finds_the_same_job() {
    let world = World::start().await;
    let send = async || seen(world.job(&poll("a")).header("Idempotency-Key", "k-1")).await;
    let first = send().await;
    // As a process leaves it that is killed between the enqueue and its answer.
    let mut redis = world.redis.raw().await;
    let names: Vec<String> = redis::cmd("KEYS").arg("stg:idempotency:*").query_async(&mut redis).await.expect("KEYS");
    let kept: String = redis::cmd("GET").arg(&names[0]).query_async(&mut redis).await.expect("what is kept");
    let mut kept: Value = serde_json::from_str(&kept).expect("JSON");
    kept.as_object_mut().expect("an object").remove("answer");
    redis::cmd("SET").arg(&names[0]).arg(kept.to_string()).exec_async(&mut redis).await.expect("SET");

    let second = send().await;
    assert_eq!((second.id(), second.json()["outcome"].clone()), (first.id(), json!("accepted")));
    assert_eq!(jobs_in(&world, "extraction").await, 1);
}

#[tokio::test]
async fn the_same_key_of_two_callers_is_two_requests() {
    let world = World::start().await;
    let other = world.store.api_keys().create("other", &[Scope::Enqueue]).await.expect("a key").token;
    let mine = seen(world.job(&poll("a")).header("Idempotency-Key", "k")).await;
    let theirs = world
        .bare(Method::POST, "/api/v1/jobs")
        .bearer_auth(secrecy::ExposeSecret::expose_secret(&other))
        .header("Idempotency-Key", "k")
        .json(&poll("b"));
    let theirs = seen(theirs).await;
    assert_eq!((mine.status.as_u16(), theirs.status.as_u16()), (201, 201));
    assert_ne!(mine.id(), theirs.id());
}

#[tokio::test]
async fn when_redis_is_away_nothing_is_said_to_be_accepted() {
    let world = World::without_redis().await;
    let requests = [
        world.job(&poll("a")),
        world.job(&poll("a")).header("Idempotency-Key", "k"),
        world.request(Method::POST, "/api/v1/jobs/batch", Scope::Enqueue).json(&json!([poll("a"), poll("b")])),
        world
            .request(Method::POST, "/api/v1/jobs/batch", Scope::Enqueue)
            .header("content-type", "application/x-ndjson")
            .body(format!("{}\n{}\n", poll("a"), poll("b"))),
        world.request(Method::GET, "/api/v1/queues", Scope::Read),
    ];
    for request in requests {
        let answer = seen(request).await;
        answer.problem(503, "unavailable");
        assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{answer:?}");
        assert!(!answer.text.contains("127.0.0.1"), "{answer:?}");
    }
}

#[tokio::test]
async fn when_redis_is_away_postgres_keeps_the_jobs_of_a_ledger_queue_and_the_answer_says_so() {
    let world = World::without_redis().await;
    let post = json!({ "kind": "publish_post", "payload": { "account": "main", "text": "kept" } });
    let answer = seen(world.job(&post)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["outcome"]), (202, &json!("deferred")), "{answer:?}");
    let batch = world.request(Method::POST, "/api/v1/jobs/batch", Scope::Enqueue).json(&json!([post, poll("a")]));
    let answer = seen(batch).await;
    let statuses: Vec<_> =
        answer.json()["results"].as_array().expect("a list").iter().map(|r| r["status"].clone()).collect();
    assert_eq!((answer.status.as_u16(), statuses), (207, vec![json!(202), json!(503)]), "{answer:?}");
    assert_eq!(answer.json()["accepted"], 1);
    assert_eq!(world.store.outbox().backlog().await.expect("Postgres answers").waiting, 2);
}

/// A Redis that accepts connections and answers nothing.
#[tokio::test(flavor = "multi_thread")]
async fn while_redis_hangs_ledger_jobs_are_kept_others_are_refused_and_ready_says_so() {
    let redis = OwnRedis::start().await;
    let world = World::on_redis(&redis.url()).await;
    let post =
        |n: usize| json!({ "kind": "publish_post", "payload": { "account": "main", "text": format!("kept {n}") } });
    assert_eq!(world.enqueue(&post(0)).await.status.as_u16(), 201);
    redis.freeze();
    let first = world.enqueue(&post(1)).await;
    assert_eq!((first.status.as_u16(), &first.json()["outcome"]), (202, &json!("deferred")), "{first:?}");
    let posts: Vec<Value> = (2..32).map(post).collect();
    let kept = futures::future::join_all(posts.iter().map(|post| seen(world.job(post)))).await;
    assert!(kept.iter().all(|answer| answer.status.as_u16() == 202), "{kept:?}");
    let polls: Vec<Value> = (0..30).map(|n| poll(&format!("a{n}"))).collect();
    for answer in futures::future::join_all(polls.iter().map(|poll| seen(world.job(poll)))).await {
        answer.problem(503, "unavailable");
    }
    let ready = seen(world.bare(Method::GET, "/ready")).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["redis"]["ok"]), (503, &json!(false)), "{ready:?}");
    redis.thaw();
    eventually("it is ready again", || async { seen(world.bare(Method::GET, "/ready")).await.status == 200 }).await;
    assert_eq!(world.store.outbox().backlog().await.expect("Postgres answers").waiting, 31);
}

#[tokio::test]
async fn a_queue_that_holds_as_many_jobs_as_it_may_answers_429_and_when_to_come_again() {
    let vars = [("PERCH__QUEUES__EXTRACTION__MAX_DEPTH", "2"), ("PERCH__QUEUES__PENDING_POSTS__MAX_DEPTH", "1")];
    let world = World::with(&vars).await;
    let post =
        |n: usize| json!({ "kind": "publish_post", "payload": { "account": "main", "text": format!("post {n}") } });
    for job in [poll("a"), poll("b"), post(0)] {
        assert_eq!(world.enqueue(&job).await.status.as_u16(), 201);
    }
    for job in [poll("c"), post(1)] {
        for request in [world.job(&job), world.job(&job).header("Idempotency-Key", "k")] {
            let answer = seen(request).await;
            let (_, detail) = answer.problem(429, "queue-full");
            assert!(detail.contains("max_depth"), "{detail}");
            assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{answer:?}");
        }
    }
    let batch = world.request(Method::POST, "/api/v1/jobs/batch", Scope::Enqueue).json(&json!([poll("d"), post(2)]));
    let answer = seen(batch).await;
    let statuses: Vec<_> =
        answer.json()["results"].as_array().expect("a list").iter().map(|r| r["status"].clone()).collect();
    assert_eq!((answer.status.as_u16(), statuses), (207, vec![json!(429), json!(429)]), "{answer:?}");
    assert_eq!(world.store.outbox().backlog().await.expect("Postgres answers").waiting, 0, "nothing of it is kept");
}

#[tokio::test]
async fn jobs_that_are_not_finished_can_be_paged() {
    let world = World::start().await;
    for n in 0..5 {
        world.enqueue(&poll(&format!("a{n}"))).await;
    }
    let ids = async |query: &str| {
        let page = world.get(&format!("/api/v1/jobs?{query}")).await.json();
        let jobs = page["items"].as_array().expect("a list").iter();
        let ids: Vec<String> = jobs.map(|job| job["id"].as_str().unwrap_or_default().to_owned()).collect();
        (ids, page["next"].as_str().map(str::to_owned))
    };
    let (all, end) = ids("").await;
    assert_eq!((all.len(), end), (5, None));
    for query in ["queue=extraction&state=waiting&limit=2", "limit=2"] {
        let (mut walked, mut cursor) = ids(query).await;
        while let Some(next) = cursor {
            let (more, end) = ids(&format!("{query}&cursor={next}")).await;
            walked.extend(more);
            cursor = end;
        }
        assert_eq!(walked, all, "{query}");
    }
}

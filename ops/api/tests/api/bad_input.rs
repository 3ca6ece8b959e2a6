use perch_store::Scope;
use reqwest::Method;
use serde_json::json;

use crate::world::{World, seen};

#[tokio::test]
async fn malformed_json_is_refused_with_its_line_and_column() {
    let world = World::start().await;
    let answer = seen(world.job_text("{\n  \"kind\": \"poll_account\",,\n}")).await;
    let (_, detail) = answer.problem(400, "invalid-json");
    assert!(detail.starts_with("Line 2, column 26:"), "{detail}");
}

#[tokio::test]
async fn a_payload_of_the_wrong_shape_is_refused_with_its_path() {
    let world = World::start().await;
    let post = json!({ "id": 7, "author_id": "1", "author": "a", "text": "t", "created_at": "2026-01-01T00:00:00Z" });
    let answer =
        world.enqueue(&json!({ "kind": "extract_post", "payload": { "account": "main", "post": post } })).await;
    let (field, reason) = answer.problem(422, "invalid-payload");
    assert_eq!(field, "$.payload.post.id");
    assert!(reason.contains("expected a string"), "{reason}");
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_name_wherever_it_stands() {
    let world = World::start().await;
    let payload = json!({ "username": "a" });
    let outside = world.enqueue(&json!({ "kind": "poll_account", "payload": payload, "runat": 1 })).await;
    assert_eq!(outside.problem(422, "invalid-request").0, "$.runat");
    let nested = json!({ "kind": "poll_account", "payload": payload, "retry": { "tries": 3 } });
    assert_eq!(world.enqueue(&nested).await.problem(422, "invalid-request").0, "$.retry.tries");
    let inside = json!({ "kind": "poll_account", "payload": { "username": "a", "user": "a" } });
    assert_eq!(world.enqueue(&inside).await.problem(422, "invalid-payload").0, "$.payload.user");
}

#[tokio::test]
async fn a_value_out_of_range_is_refused_by_its_field() {
    let world = World::start().await;
    let cases = [
        (json!({ "timeout_ms": 0 }), "$.timeout_ms"),
        (json!({ "retry": { "max_attempts": 0 } }), "$.retry.max_attempts"),
        (json!({ "retry": { "base_ms": 10, "cap_ms": 1 } }), "$.retry.cap_ms"),
        (json!({ "deadline": "2001-01-01T00:00:00Z" }), "$.deadline"),
        (json!({ "priority": "urgent" }), "$.priority"),
        (json!({ "run_at": "tomorrow" }), "$.run_at"),
        (json!({ "delay_ms": -1 }), "$.delay_ms"),
        (json!({ "group": "a|b" }), "$.group"),
        (json!({ "unique": { "key": "", "scope": "done" } }), "$.unique.key"),
        (json!({ "unique": { "key": "k", "scope": { "window_ms": 0 } } }), "$.unique.scope"),
        (json!({ "id": "01kaj3z8q0v5n6t7r8s9w0x1y2" }), "$.id"),
        (json!({ "on_conflict": "ignore" }), "$.on_conflict"),
    ];
    for (wrong, field) in cases {
        let mut job = json!({ "kind": "sync_hot_state", "payload": {} });
        job.as_object_mut().expect("an object").extend(wrong.as_object().expect("an object").clone());
        assert_eq!(world.enqueue(&job).await.problem(422, "invalid-request").0, field, "{job}");
    }
    let missing = world.enqueue(&json!({ "kind": "sync_hot_state" })).await;
    assert!(missing.problem(422, "invalid-request").1.contains("payload"));
}

#[tokio::test]
async fn an_enqueue_key_cannot_take_the_place_of_a_reply_or_of_any_other_effect_of_perch_itself() {
    let world = World::start().await;
    for key in ["reply:main:1849", "comment:main:1849:0", "summary:2026-01-31", "retweet:main:1849", "publish:x"] {
        let payload = json!({ "account": "main", "text": "mine", "effect_key": key });
        let job = json!({ "kind": "publish_post", "payload": payload });
        assert_eq!(world.enqueue(&job).await.problem(422, "invalid-payload").0, "$.payload.effect_key", "{key}");
        let batch = world.request(Method::POST, "/api/v1/jobs/batch", Scope::Enqueue).json(&json!([job]));
        assert_eq!(seen(batch).await.json()["results"][0]["status"], 422, "{key}");
        let unique = json!({ "key": key, "scope": "done" });
        let job = json!({ "kind": "publish_post", "payload": { "account": "main", "text": "mine" }, "unique": unique });
        assert_eq!(world.enqueue(&job).await.problem(422, "invalid-request").0, "$.unique.key", "{key}");
    }
    let own = json!({ "account": "main", "text": "mine", "effect_key": "friday" });
    assert_eq!(world.enqueue(&json!({ "kind": "publish_post", "payload": own })).await.status, 201);
}

#[tokio::test]
async fn an_unknown_kind_is_refused_with_the_kinds_there_are() {
    let world = World::start().await;
    for kind in ["publish_tweet", "", "Kind With Spaces"] {
        let (field, reason) = world.enqueue(&json!({ "kind": kind, "payload": {} })).await.problem(422, "unknown-kind");
        assert_eq!(field, "$.kind");
        assert!(reason.contains("publish_post") && reason.contains("extract_post"), "{reason}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let vars = [("PERCH__HTTP__MAX_BODY_BYTES", "4096"), ("PERCH__ENGINE__MAX_PAYLOAD_BYTES", "1024")];
    let world = World::with(&vars).await;
    let body = format!(r#"{{"kind":"sync_hot_state","payload":{{}},"group":"{}"}}"#, "x".repeat(5_000));
    seen(world.job_text(body.clone())).await.problem(413, "too-large");
    let chunks =
        body.into_bytes().chunks(1_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
    let streamed = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    seen(world.job_text(streamed)).await.problem(413, "too-large");
}

#[tokio::test]
async fn a_payload_that_is_too_large_is_refused_with_its_size_and_the_limit() {
    let world = World::with(&[("PERCH__ENGINE__MAX_PAYLOAD_BYTES", "1024")]).await;
    let answer = world.enqueue(&json!({ "kind": "poll_account", "payload": { "username": "x".repeat(2_000) } })).await;
    let (field, reason) = answer.problem(413, "too-large");
    assert_eq!(field, "$.payload");
    assert!(reason.contains("1024") && reason.contains("max_payload_bytes"), "{reason}");
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_refused_with_the_place() {
    let world = World::start().await;
    let (_, detail) = seen(world.job_text(b"{\"kind\":\"\xff\"}".to_vec())).await.problem(400, "not-utf-8");
    assert!(detail.contains("byte 9"), "{detail}");
}

#[tokio::test]
async fn deep_nesting_is_refused_and_harms_nobody() {
    let world = World::start().await;
    let deep = format!(r#"{{"kind":"poll_account","payload":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let (_, detail) = seen(world.job_text(deep)).await.problem(422, "invalid-request");
    assert!(detail.contains("nested"), "{detail}");
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let world = World::start().await;
    let text =
        world.request(Method::POST, "/api/v1/jobs", Scope::Enqueue).header("content-type", "text/plain").body("{}");
    assert_eq!(seen(text).await.problem(415, "unsupported-media-type").0, "Content-Type");
    let none = world.request(Method::POST, "/api/v1/jobs", Scope::Enqueue).body("{}");
    seen(none).await.problem(415, "unsupported-media-type");
    let form = world.request(Method::POST, "/api/v1/dead/replay", Scope::Operate).form(&[("ids", "1")]);
    seen(form).await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn a_path_that_is_not_there_and_a_method_that_it_lacks_are_problems_too() {
    let world = World::start().await;
    for path in ["/nowhere", "/api/v1/nowhere", "/api/v2/jobs"] {
        world.get(path).await.problem(404, "not-found");
    }
    let put = seen(world.request(Method::PUT, "/api/v1/jobs", Scope::Operate)).await;
    put.problem(405, "method-not-allowed");
    assert!(put.header("allow").contains("GET") && put.header("allow").contains("POST"), "{put:?}");
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused_by_its_parameter() {
    let world = World::start().await;
    let cases = [
        ("/api/v1/jobs?limit=many", "limit"),
        ("/api/v1/jobs?limit=0", "limit"),
        ("/api/v1/jobs?limit=5000", "limit"),
        ("/api/v1/jobs?limit=1&limit=2", "limit"),
        ("/api/v1/jobs?cursor=x", "cursor"),
        ("/api/v1/jobs?cursor=", "cursor"),
        ("/api/v1/jobs?state=sleeping", "state"),
        ("/api/v1/jobs?state=unknown", "state"),
        ("/api/v1/jobs?colour=blue", "colour"),
        ("/api/v1/jobs?offset=2000", "offset"),
        ("/api/v1/jobs?before=x", "before"),
        ("/api/v1/jobs?parent=x", "parent"),
        ("/api/v1/jobs?since=yesterday", "since"),
        ("/api/v1/jobs?queue=no+name", "queue"),
        ("/api/v1/dead?until=yesterday", "until"),
        ("/api/v1/dead/stats?limit=1", "limit"),
        ("/api/v1/queues?limit=0", "limit"),
        ("/api/v1/spend?since=soon", "since"),
    ];
    for (path, named) in cases {
        let (field, reason) = world.get(path).await.problem(400, "invalid-query");
        assert_eq!(field, named, "{path}: {reason}");
    }
}

#[tokio::test]
async fn a_cursor_goes_on_in_its_own_list_alone() {
    let world = World::start().await;
    let cursor = world.get("/api/v1/queues?limit=1").await.json()["next"].as_str().expect("there are more").to_owned();
    assert_eq!(world.get(&format!("/api/v1/queues?cursor={cursor}")).await.status, 200);
    for list in ["jobs", "jobs?state=done", "dead", "kinds", "cron", "workers", "spend", "picks", "accounts", "reviews"]
    {
        let mark = if list.contains('?') { '&' } else { '?' };
        let answer = world.get(&format!("/api/v1/{list}{mark}cursor={cursor}")).await;
        let (field, reason) = answer.problem(400, "invalid-query");
        assert!(field == "cursor" && reason.contains("of this list"), "{list}: {field} {reason}");
    }
}

#[tokio::test]
async fn an_id_or_a_queue_that_is_not_there_is_not_found() {
    let world = World::start().await;
    world.get("/api/v1/jobs/not-an-id").await.problem(404, "not-found");
    world.get("/api/v1/jobs/01KAJ3Z8Q0V5N6T7R8S9W0X1Y2").await.problem(404, "not-found");
    let (_, detail) = world.get("/api/v1/queues/nope").await.problem(404, "not-found");
    assert!(detail.contains("pending_posts"), "{detail}");
    for path in ["/api/v1/jobs?queue=nope", "/api/v1/dead?queue=nope", "/api/v1/limits?account=nope"] {
        let (field, reason) = world.get(path).await.problem(404, "not-found");
        assert!(path.contains(&format!("{field}=nope")) && reason.contains("nope"), "{path}: {field} {reason}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_id_of_its_request() {
    let world = World::start().await;
    let given = seen(world.bare(Method::GET, "/nowhere").header("x-request-id", "mine-1")).await;
    assert_eq!(given.header("x-request-id"), "mine-1");
    let made = seen(world.bare(Method::GET, "/health")).await;
    assert_eq!(made.header("x-request-id").len(), 26);
}

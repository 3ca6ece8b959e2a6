//! Bodies that are too large, too slow, too many, or not what they should be.

use perch_api as api;
use perch_store::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::world::{PATIENCE, World, eventually, seen};

const MIB: usize = 1024 * 1024;

struct Sent<'a> {
    method: &'a str,
    path: &'a str,
    token: &'a str,
    media: &'a str,
}

impl Sent<'_> {
    fn head(&self, length: &str) -> String {
        let Self { method, path, token, media } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-type: {media}\r\n{length}\r\n\r\n"
        )
    }
}

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.address()).await.expect("it listens")
}

/// The head of the answer.
async fn answered(stream: &mut TcpStream) -> String {
    let mut told = [0; 400];
    let read = timeout(PATIENCE, stream.read(&mut told)).await.expect("an answer in time").expect("an answer");
    String::from_utf8_lossy(&told[..read]).into_owned()
}

/// Writes all of the request before it reads anything, as Python's urllib does.
async fn wrote_all_first(world: &World, sent: &Sent<'_>, body: &[u8]) -> String {
    let mut stream = connect(world).await;
    let write = async {
        stream.write_all(sent.head(&format!("content-length: {}", body.len())).as_bytes()).await?;
        stream.write_all(body).await
    };
    write.await.unwrap_or_else(|error| panic!("{} {}: {error}, where an answer is due", sent.method, sent.path));
    answered(&mut stream).await
}

#[tokio::test]
async fn whoever_writes_a_whole_request_before_reading_sees_why_it_is_refused() {
    let world = World::start().await;
    let (enqueue, read) = (world.token(Scope::Enqueue), world.token(Scope::Read));
    let (json, body) = ("application/json", vec![b' '; 20 * MIB]);
    let cases = [
        ("POST", "/api/v1/jobs", enqueue, json, "413"),
        ("POST", "/api/v1/jobs/batch", enqueue, json, "413"),
        ("POST", "/api/v1/jobs", "perch_stg_unknown", json, "401"),
        ("POST", "/api/v1/jobs", read, json, "403"),
        ("POST", "/api/v1/jobs", enqueue, "text/plain", "415"),
        ("POST", "/nowhere", enqueue, json, "404"),
        ("POST", "/health", enqueue, json, "405"),
        ("PUT", "/api/v1/brake", world.token(Scope::Operate), json, "413"),
    ];
    for (method, path, token, media, status) in cases {
        let told = wrote_all_first(&world, &Sent { method, path, token, media }, &body).await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {told}");
    }
}

#[tokio::test]
async fn who_asks_before_sending_a_body_that_is_too_large_is_told_without_sending_it() {
    let world = World::start().await;
    let token = world.token(Scope::Enqueue);
    let sent = Sent { method: "POST", path: "/api/v1/jobs", token, media: "application/json" };
    let mut stream = connect(&world).await;
    let head = sent.head("content-length: 20000000\r\nexpect: 100-continue");
    stream.write_all(head.as_bytes()).await.expect("it is sent");
    let told = answered(&mut stream).await;
    assert!(told.starts_with("HTTP/1.1 413"), "{told}");
}

#[tokio::test]
async fn a_single_job_has_room_for_the_largest_payload_and_no_more() {
    let world = World::start().await;
    let job = |bytes: usize| {
        let text = "x".repeat(bytes);
        json!({ "kind": "publish_post", "payload": { "account": "main", "text": text } })
    };
    let largest = world.enqueue(&job(262_144 - 30)).await;
    assert_ne!(largest.status, 413, "{largest:?}");
    let (field, _) = world.enqueue(&job(262_144)).await.problem(413, "too-large");
    assert_eq!(field, "$.payload");
    let (_, detail) = world.enqueue(&job(400_000)).await.problem(413, "too-large");
    assert!(detail.contains("307200"), "{detail}");
}

/// The bytes that bodies hold, as the metrics tell.
async fn bodies_hold(world: &World) -> usize {
    let metrics = world.get("/metrics").await.text;
    let held = metrics.lines().find_map(|line| line.strip_prefix("perch_http_body_bytes "));
    held.expect("it is told").parse().expect("whole bytes")
}

#[tokio::test]
async fn all_bodies_together_have_only_so_much_room_and_give_it_back() {
    let vars = [("PERCH__HTTP__MAX_BODY_BYTES", "1048576"), ("PERCH__HTTP__BYTES_UNDER_WAY", "2097152")];
    let world = World::with(&vars).await;
    let token = world.token(Scope::Enqueue);
    let sent = Sent { method: "POST", path: "/api/v1/jobs/batch", token, media: "application/json" };
    let head = sent.head("content-length: 1048576");
    let batch = || {
        let body = format!("[{}]", " ".repeat(MIB / 2));
        let request = world.request(Method::POST, "/api/v1/jobs/batch", Scope::Enqueue);
        async { seen(request.header("content-type", "application/json").body(body)).await }
    };
    eventually("the key is known", || async { batch().await.status == 200 }).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&world).await;
        stream.write_all(head.as_bytes()).await.expect("it is sent");
        stream.write_all(&vec![b' '; MIB - 2]).await.expect("there is room");
        slow.push(stream);
    }
    // A request that asks whether there is room would take some of it from those who are still sending.
    eventually("the room is taken", || async { bodies_hold(&world).await == 2 * (MIB - 2) }).await;
    let refused = batch().await;
    let (_, detail) = refused.problem(503, "overloaded");
    assert!(detail.contains("http.bytes_under_way") && refused.header("retry-after") == "1", "{refused:?}");
    for stream in &mut slow {
        stream.write_all(b"[]").await.expect("it is sent");
        let told = answered(stream).await;
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    }
    assert_eq!(batch().await.status, 200, "the room is free again");
}

#[tokio::test]
async fn an_array_is_no_job_no_payload_and_no_request() {
    let world = World::start().await;
    let job = world.enqueue(&json!(["poll_account", { "username": "a" }])).await;
    assert_eq!(job.problem(422, "invalid-request").0, "$");
    let payload = world.enqueue(&json!({ "kind": "poll_account", "payload": ["a"] })).await;
    assert_eq!(payload.problem(422, "invalid-payload").0, "$.payload");
    let retry = json!({ "kind": "poll_account", "payload": { "username": "a" }, "retry": [1, 2, 3] });
    assert_eq!(world.enqueue(&retry).await.problem(422, "invalid-request").0, "$.retry");
    let brake = world.request(Method::PUT, "/api/v1/brake", Scope::Operate).json(&json!(["no reason"]));
    assert_eq!(seen(brake).await.problem(422, "invalid-request").0, "$");
    let batch = json!([["poll_account", { "username": "a" }]]);
    let request = world.request(Method::POST, "/api/v1/jobs/batch", Scope::Enqueue).json(&batch);
    assert_eq!(seen(request).await.json()["refused"], 1);
}

/// The operations of the document as method, path and the names of their parameters in the query.
fn operations() -> Vec<(Method, String, Vec<String>)> {
    let document = json!(api::openapi(&perch_workers::bots()));
    let paths = document["paths"].as_object().expect("paths").clone();
    let all = paths.into_iter().filter(|(path, _)| path.starts_with("/api/")).flat_map(|(path, item)| {
        let operations = item.as_object().expect("operations").clone().into_iter();
        operations.map(move |(method, operation)| {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let names = query.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect();
            (method.to_uppercase().parse().expect("a method"), path.clone(), names)
        })
    });
    all.collect()
}

fn filled(path: &str, value: &str) -> String {
    let mut path = path.to_owned();
    while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
        path.replace_range(from..=to, value);
    }
    path
}

async fn asked(world: &World, method: &Method, path: &str, body: &Value) -> crate::world::Seen {
    let scope = if path.starts_with("/api/v1/jobs") && *method == Method::POST && !path.ends_with("/run-now") {
        Scope::Enqueue
    } else {
        Scope::Operate
    };
    let request = world.request(method.clone(), path, scope);
    seen(if *method == Method::GET { request } else { request.json(body) }).await
}

#[tokio::test]
async fn a_nul_character_is_refused_wherever_it_is_sent() {
    let world = World::with(&[("PERCH__HTTP__RATE_PER_SECOND", "10000"), ("PERCH__HTTP__RATE_BURST", "10000")]).await;
    for (method, path, query) in operations() {
        for name in query {
            let path = format!("{}?{name}=a%00b", filled(&path, "main"));
            asked(&world, &method, &path, &json!({})).await.problem(400, "invalid-query");
        }
        if path.contains('{') {
            let answer = asked(&world, &method, &filled(&path, "a%00b"), &json!({})).await;
            answer.problem(404, "not-found");
        }
    }
    let body = json!({ "reason": "a\u{0}b" });
    let pulled = seen(world.request(Method::PUT, "/api/v1/brake", Scope::Operate).json(&body)).await;
    assert_eq!(pulled.problem(422, "invalid-request").0, "$.reason");
    let note = json!({ "handle": "sharp_sally", "note": "a\u{0}b" });
    assert_eq!(world.operate("/api/v1/accounts", &note).await.problem(422, "invalid-request").0, "$.note");
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_is_answered_with_a_problem() {
    let world = World::with(&[("PERCH__HTTP__RATE_PER_SECOND", "10000"), ("PERCH__HTTP__RATE_BURST", "10000")]).await;
    let mut asked_for = 0;
    for (method, path, _) in operations().into_iter().filter(|(_, path, _)| path.contains('{')) {
        let answer = asked(&world, &method, &filled(&path, "%FF"), &json!({})).await;
        answer.problem(404, "not-found");
        asked_for += 1;
    }
    assert!(asked_for > 15);
}

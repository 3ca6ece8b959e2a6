//! Clients that send nothing whole, read nothing, or open more connections than there is room for.

use std::time::Duration;

use perch_store::Scope;
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::world::{PATIENCE, World, eventually, seen};

/// Connections that a server closes in the time of a test.
const SHORT: (&str, &str) = ("PERCH__HTTP__IDLE_TIMEOUT", "1s");
/// Connections that nothing closes in the time of a test but the want of room.
const LONG: (&str, &str) = ("PERCH__HTTP__IDLE_TIMEOUT", "1h");

async fn connected(world: &World, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.address()).await.expect("it listens");
    stream.write_all(sent.as_bytes()).await.expect("it takes what is sent");
    stream
}

/// Reads until the connection is closed, however that shows.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut told = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut told)).await.expect("the connection is closed in time");
    told
}

#[tokio::test]
async fn a_connection_on_which_no_whole_head_arrives_is_closed() {
    let world = World::with(&[SHORT]).await;
    for sent in ["", "GET /health HTTP/1.1\r\nhost: a\r\n", "GET /heal"] {
        let told = closed(&mut connected(&world, sent).await).await;
        assert!(!told.starts_with(b"HTTP/1.1 200"), "{sent:?}: {}", String::from_utf8_lossy(&told));
    }
}

#[tokio::test]
async fn a_head_of_more_than_64_kib_is_refused_before_it_is_whole() {
    let world = World::with(&[LONG]).await;
    let head = format!("GET /health HTTP/1.1\r\nhost: a\r\nx-long: {}", "x".repeat(80 * 1024));
    let told = closed(&mut connected(&world, &head).await).await;
    assert!(told.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&told));
}

#[tokio::test]
async fn a_connection_that_is_idle_after_its_answer_is_closed() {
    let world = World::with(&[SHORT]).await;
    let told = closed(&mut connected(&world, "GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await).await;
    assert!(told.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&told));
}

#[tokio::test]
async fn a_connection_whose_client_reads_no_answer_is_closed() {
    let world = World::with(&[SHORT]).await;
    let (_unread, mut writer) = connected(&world, "").await.into_split();
    let ask = "GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(64);
    let asking = async { while writer.write_all(ask.as_bytes()).await.is_ok() {} };
    timeout(PATIENCE, asking).await.expect("the connection is closed in time");
}

#[tokio::test]
async fn half_sent_and_idle_connections_keep_neither_clients_nor_health_checks_out() {
    let world = World::with(&[LONG, ("PERCH__HTTP__MAX_CONNECTIONS", "8")]).await;
    let mut idlers = Vec::new();
    for _ in 0..24 {
        idlers.push(connected(&world, "POST /api/v1/jobs HTTP/1.1\r\nhost: a\r\n").await);
    }
    assert_eq!(seen(world.bare(Method::GET, "/health")).await.status, 200);
    assert_eq!(world.get("/api/v1/queues").await.status, 200);
    // The first came when there was room, and gave it to the later ones.
    for idler in idlers.iter_mut().take(16) {
        closed(idler).await;
    }
}

/// A request whose body does not come to its end.
async fn slow(world: &World, scope: Scope) -> TcpStream {
    let token = world.token(scope);
    let head = format!(
        "POST /api/v1/jobs HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{"
    );
    connected(world, &head).await
}

#[tokio::test]
async fn a_connection_with_a_keyed_request_keeps_its_place() {
    let world = World::with(&[LONG, ("PERCH__HTTP__MAX_CONNECTIONS", "8")]).await;
    let mut kept = slow(&world, Scope::Enqueue).await;
    // The request is under way once its key is known.
    assert_eq!(seen(world.bare(Method::GET, "/health")).await.status, 200);
    eventually("the key was looked up", || async {
        let keys = world.store.api_keys().list(&perch_base::Paging::default()).await.expect("Postgres answers").items;
        keys.iter().any(|key| key.name == "producer" && key.last_used.is_some())
    })
    .await;
    let mut idlers = Vec::new();
    for _ in 0..24 {
        idlers.push(connected(&world, "GET ").await);
    }
    assert_eq!(seen(world.bare(Method::GET, "/health")).await.status, 200);
    let rest = format!("{:99}", "}");
    kept.write_all(rest.as_bytes()).await.expect("it is still there");
    let mut answer = [0; 12];
    timeout(PATIENCE, kept.read_exact(&mut answer)).await.expect("in time").expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 422");
}

#[tokio::test]
async fn a_key_has_only_so_many_requests_under_way_and_takes_nothing_from_another() {
    let world = World::with(&[("PERCH__HTTP__REQUESTS_PER_KEY", "2")]).await;
    let job = || async { seen(world.job_text("{}")).await };
    let slow = [slow(&world, Scope::Enqueue).await, slow(&world, Scope::Enqueue).await];
    eventually("a third request is refused", || async { job().await.status == 429 }).await;
    let refused = job().await;
    let (_, detail) = refused.problem(429, "rate-limited");
    assert!(detail.contains("http.requests_per_key") && refused.header("retry-after") == "1", "{refused:?}");
    assert_eq!(world.get("/api/v1/queues").await.status, 200);
    drop(slow);
    eventually("there is room again", || async { job().await.status == 422 }).await;
}

#[tokio::test]
async fn the_end_of_a_process_waits_for_no_idle_connection() {
    let world = World::with(&[LONG, ("PERCH__ENGINE__SHUTDOWN_GRACE", "1h")]).await;
    let _half_sent = connected(&world, "GET /health HTTP/1.1\r\n").await;
    let _idle = connected(&world, "").await;
    let mut answered = connected(&world, "GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
    answered.read_exact(&mut [0; 12]).await.expect("an answer");
    timeout(Duration::from_secs(30), world.stop()).await.expect("it stops");
}

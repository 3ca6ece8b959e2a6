//! What Perch talks to in this test: services that send the credentials back in every way they can, and a collector of
//! traces.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request, read whole.
struct Request {
    /// Method and path, without the query.
    target: String,
    /// The value of its header Authorization.
    authorization: String,
    body: Vec<u8>,
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let header = |name: &str| {
        let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut words = head.split([' ', '?']);
    Some(Request {
        target: format!("{} {}", words.next()?, words.next()?),
        authorization: header("authorization").unwrap_or_default(),
        body: bytes.split_off(head_end + 4),
    })
}

async fn answer(stream: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let text = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes()).await;
}

/// X and a model provider, hostile: each call is answered in the next of [`Way`].
pub struct Hostile {
    pub url: String,
    task: JoinHandle<()>,
    seen: Arc<Mutex<Vec<String>>>,
}

/// How a call is answered; the first ones hold what came in the header Authorization.
#[derive(Clone, Copy)]
enum Way {
    Refused(u16),
    Cut,
    OfAnotherShape,
    ErrorsAlone,
    RateLimited,
    Redirected,
    Dropped,
    Talkative,
    Good,
}

const WAYS: [Way; 13] = [
    Way::Refused(500),
    Way::Cut,
    Way::Talkative,
    Way::Refused(403),
    Way::Good,
    Way::Refused(401),
    Way::OfAnotherShape,
    Way::ErrorsAlone,
    Way::Dropped,
    Way::RateLimited,
    Way::Redirected,
    Way::Refused(400),
    Way::Refused(404),
];

/// How call number `turn` of an endpoint is answered. A model that only talks does so long enough for a job to give up and
/// keep its last words.
fn way(target: &str, turn: usize) -> Way {
    const TALK: usize = 4;
    match turn.checked_sub(TALK) {
        None if target.contains("chat") => Way::Talkative,
        None => WAYS[turn],
        Some(rest) if target.contains("chat") => WAYS[rest % WAYS.len()],
        Some(_) => WAYS[turn % WAYS.len()],
    }
}

impl Hostile {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, turns) = (seen.clone(), Arc::new(Mutex::new(HashMap::<String, usize>::new())));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (noted, turns) = (noted.clone(), turns.clone());
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    locked(&noted).push(format!("{} {}", request.target, request.authorization));
                    let way = {
                        let mut turns = locked(&turns);
                        let turn = turns.entry(kind(&request.target)).or_default();
                        *turn += 1;
                        way(&request.target, *turn - 1)
                    };
                    respond(&mut stream, &request, way).await;
                });
            }
        });
        Self { url, task, seen }
    }

    /// Requests that came, with the credentials they brought.
    pub fn seen(&self) -> Vec<String> {
        locked(&self.seen).clone()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The endpoint of a request, without the ids in its path.
fn kind(target: &str) -> String {
    target.chars().filter(|c| !c.is_ascii_digit()).take(24).collect()
}

async fn respond(stream: &mut TcpStream, request: &Request, way: Way) {
    let echo = format!("what is {}?", request.authorization);
    let problem = |status: u16| {
        json!({
            "title": echo, "detail": echo, "type": format!("https://api.x.com/2/problems/{echo}"), "status": status,
            "error": { "message": echo, "type": echo, "code": echo }, "errors": [{ "message": echo, "title": echo }],
        })
    };
    let chat = |message: Value| json!({ "model": "m", "choices": [{ "message": message, "finish_reason": "stop" }] });
    match way {
        Way::Refused(status) => answer(stream, status, "", &problem(status).to_string()).await,
        Way::Cut => answer(stream, 200, "", &format!("{{\"data\": {{\"id\": \"{}", echo.replace('"', "'"))).await,
        Way::OfAnotherShape => answer(stream, 200, "", &json!({ "data": echo, "choices": echo }).to_string()).await,
        Way::ErrorsAlone => {
            let mut body = chat(json!({ "refusal": echo }));
            body["errors"] = json!([problem(404)]);
            answer(stream, 200, "", &body.to_string()).await;
        }
        Way::RateLimited => {
            let plain = echo.replace(['\r', '\n'], "");
            let headers = format!("retry-after: 1\r\nx-rate-limit-limit: {plain}\r\nx-request-id: {plain}\r\n");
            answer(stream, 429, &headers, &problem(429).to_string()).await;
        }
        Way::Redirected => {
            let headers = format!("location: http://127.0.0.1:9/?{}\r\n", request.authorization.replace(' ', "+"));
            answer(stream, 302, &headers, &problem(302).to_string()).await;
        }
        Way::Dropped => {}
        Way::Talkative if request.target.contains("chat") => {
            answer(stream, 200, "", &chat(json!({ "content": echo })).to_string()).await;
        }
        Way::Talkative | Way::Good => answer(stream, 200, "", &good(request).to_string()).await,
    }
}

fn good(request: &Request) -> Value {
    let user = json!({ "id": "1001", "name": "Perch", "username": "perch_bot" });
    match request.target.as_str() {
        target if target.contains("chat") => {
            json!({ "model": "m", "choices": [{ "message": { "content": "null" }, "finish_reason": "stop" }] })
        }
        "POST /2/tweets" => {
            let sent: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            json!({ "data": { "id": "1900000000000000001", "text": sent["text"] } })
        }
        target if target.contains("/users/") && !target.ends_with("/tweets") => json!({ "data": user }),
        _ => json!({ "data": [], "meta": { "result_count": 0 } }),
    }
}

/// Takes traces over HTTP and keeps the bodies as they came.
pub struct Collector {
    pub url: String,
    task: JoinHandle<()>,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    bodies: Vec<u8>,
    authorizations: Vec<String>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let received = Arc::new(Mutex::new(Received::default()));
        let kept = received.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    {
                        let mut kept = locked(&kept);
                        kept.bodies.extend(request.body);
                        kept.authorizations.push(request.authorization);
                    }
                    answer(&mut stream, 200, "", "").await;
                });
            }
        });
        Self { url, task, received }
    }

    /// All bodies, one after another.
    pub fn bodies(&self) -> Vec<u8> {
        locked(&self.received).bodies.clone()
    }

    /// Whether a request brought this header Authorization.
    pub fn was_called_with(&self, authorization: &str) -> bool {
        locked(&self.received).authorizations.iter().any(|given| given == authorization)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

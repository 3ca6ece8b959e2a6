//! Servers that record requests and give prepared answers.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use perch_testkit::XRequest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use url::Url;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Captured {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Captured {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn query(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The request as the description of X is asked about it.
    pub fn to_x(&self) -> XRequest {
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.to_str().unwrap_or_default().to_owned())
        };
        XRequest {
            method: self.method.to_string(),
            path: self.uri.path().to_owned(),
            query: self.query(),
            headers: self.headers.iter().map(header).collect(),
            body: self.body.to_vec(),
        }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// An answer to give.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Reply {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, &body.to_string())
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::bytes(status, body.as_bytes())
    }

    pub fn bytes(status: u16, body: &[u8]) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::copy_from_slice(body) }
    }

    pub fn with(mut self, name: &'static str, value: &impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

#[derive(Default)]
struct Shared {
    captured: Mutex<Vec<Captured>>,
    replies: Mutex<VecDeque<Reply>>,
}

/// A server on a free port, which stops when this is dropped.
pub struct Server {
    pub base: Url,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Server {
    /// Gives the replies in order; a request beyond them is answered 418.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let shared = Arc::new(Shared { replies: Mutex::new(replies.into_iter().collect()), ..Shared::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let (listener, base) = listen().await;
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("the server runs") });
        Self { base, shared, task }
    }

    pub fn requests(&self) -> Vec<Captured> {
        self.shared.captured.lock().expect("not poisoned").clone()
    }

    /// The only request there was.
    pub fn request(&self) -> Captured {
        let mut all = self.requests();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.captured.lock().expect("not poisoned").push(Captured { method, uri, headers, body });
    let reply = shared.replies.lock().expect("not poisoned").pop_front();
    let reply = reply.unwrap_or_else(|| Reply::text(418, "no reply is left"));
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).expect("a status"));
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    response.body(reply.body.into()).expect("a response")
}

/// What a broken server does once it has read the head of a request.
#[derive(Clone, Copy)]
pub enum Fault {
    /// Closes the connection.
    Drop,
    /// Never answers.
    Silence,
    /// Starts an answer of status 201 and closes in the middle of its body.
    HalfAnAnswer,
    /// Sends an answer without announcing its size, for ever.
    Endless,
    /// The same, one byte at a time.
    Drip,
}

/// A server that breaks every request in one way.
pub struct BrokenServer {
    pub base: Url,
    task: JoinHandle<()>,
}

impl BrokenServer {
    pub async fn start(fault: Fault) -> Self {
        let (listener, base) = listen().await;
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(misbehave(stream, fault));
            }
        });
        Self { base, task }
    }
}

impl Drop for BrokenServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn misbehave(mut stream: TcpStream, fault: Fault) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk).await {
            Ok(length) if length > 0 => head.extend_from_slice(&chunk[..length]),
            _ => return,
        }
    }
    match fault {
        Fault::Drop => {}
        Fault::Silence => std::future::pending().await,
        Fault::HalfAnAnswer => {
            let _ = stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"data\":").await;
        }
        Fault::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
            while stream.write_all(&[b' '; 8_192]).await.is_ok() {}
        }
        Fault::Drip => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// An address on which nobody listens.
pub async fn closed_port() -> Url {
    let (listener, base) = listen().await;
    drop(listener);
    base
}

async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, Url::parse(&format!("http://{address}")).expect("a URL"))
}

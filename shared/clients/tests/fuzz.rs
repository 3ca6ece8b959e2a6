//! What X and the model providers answer, in every broken form: status, headers and body.

#[path = "clients/world.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod world;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use perch_clients::{
    LocalLimits, ModelClient, RateLimits, XClient,
    models::{ChatRequest, Message},
    text::{fit, weighted_length},
    x::{CreatePost, PostsQuery},
};
use perch_testkit::fuzz;
use url::Url;
use world::{
    BEARER, CONSUMER_KEY, CONSUMER_SECRET, MODEL_KEY, PATIENT, Permit, TOKEN, TOKEN_SECRET, main_account, post_id,
    provider, x_client_with,
};

fn corpus(name: &str) -> String {
    format!("{}/tests/corpus/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A server that gives every request the same answer, byte for byte.
struct Parrot {
    base: Url,
    says: Arc<Mutex<Vec<u8>>>,
}

impl Parrot {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("it is bound")).parse().expect("a URL");
        let says = Arc::new(Mutex::new(Vec::new()));
        let answer = says.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut request = Vec::new();
                let mut chunk = [0; 4096];
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut chunk) {
                        Ok(length) if length > 0 => request.extend_from_slice(&chunk[..length]),
                        _ => break,
                    }
                }
                let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let _ = stream.write_all(&answer);
            }
        });
        Self { base, says }
    }

    /// From now on answers with `input`: the status, headers and, after an empty line, the body.
    fn say(&self, input: &[u8]) {
        let split = input.windows(2).position(|end| end == b"\n\n");
        let (head, body) = split.map_or((&b"200"[..], input), |at| (&input[..at], &input[at + 2..]));
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.trim().parse::<u16>().ok()).unwrap_or(200).clamp(200, 599);
        let mut answer = format!("HTTP/1.1 {status} Answer\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for line in lines.filter(|line| !line.to_ascii_lowercase().starts_with("content-length")) {
            answer.push_str(line);
            answer.push_str("\r\n");
        }
        answer.push_str("\r\n");
        let answer = [answer.as_bytes(), body].concat();
        *self.says.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

/// Records windows as usual, but never makes a caller wait.
struct Patient(LocalLimits);

impl RateLimits for Patient {
    fn check<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Duration>> {
        Box::pin(async {
            let _ = self.0.check(key).await;
            None
        })
    }

    fn record<'a>(&'a self, key: &'a str, limit: u32, remaining: u32, reset: DateTime<Utc>) -> BoxFuture<'a, ()> {
        self.0.record(key, limit, remaining, reset)
    }
}

/// The credentials that X knows, and so can send back.
const OF_X: [&str; 5] = [BEARER, CONSUMER_KEY, CONSUMER_SECRET, TOKEN, TOKEN_SECRET];

/// The first word of a result, and the check that an error shows none of these credentials.
fn kind<T: std::fmt::Debug, E: std::error::Error>(result: &Result<T, E>, secrets: &[&str]) -> String {
    let text = format!("{result:?}");
    if let Err(error) = result {
        let said = format!("{error} {text}");
        for secret in secrets {
            assert!(!said.contains(secret), "{secret} is in {said}");
        }
        assert!(!error.to_string().is_empty());
    }
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '(').collect()
}

async fn ask_x(x: &XClient) -> String {
    let (account, query) = (main_account(), PostsQuery::default());
    let page = x.user_posts("1", &query).await;
    let posts = page.as_ref().map(perch_clients::x::Page::to_posts);
    let read = posts.map_or_else(|_| "none".to_owned(), |posts| kind(&posts, &OF_X));
    let post = CreatePost { text: "hi".into(), reply_to: None, ..CreatePost::default() };
    let made = x.create_post(Permit, &account, &post).await;
    if let Err(error) = &made {
        let _ = error.write_outcome();
    }
    [
        kind(&x.user_by_username("capper").await, &OF_X),
        kind(&x.me(&account).await, &OF_X),
        kind(&page, &OF_X),
        read,
        kind(&x.posts(&[post_id("1849")]).await, &OF_X),
        kind(&x.mentions(&account, "1", &query).await, &OF_X),
        kind(&x.posts_in_full(&[post_id("1849")]).await, &OF_X),
        kind(&made, &OF_X),
        kind(&x.find_recent_post(&account, "1", &post.text, None, Utc::now()).await, &OF_X),
        kind(&x.retweet(Permit, &account, "1", &post_id("1849")).await, &OF_X),
    ]
    .join(" ")
}

#[test]
fn whatever_a_service_answers_is_a_value_or_an_error_that_shows_no_credential() {
    let parrot = Parrot::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limits = || Arc::new(Patient(LocalLimits::new()));
    let x = x_client_with(&parrot.base, PATIENT, limits());
    let model = ModelClient::new(provider(&parrot.base), limits()).expect("a client");
    let request = ChatRequest { messages: vec![Message::user("hi")], ..ChatRequest::default() };
    fuzz(corpus("answers"), |input| {
        parrot.say(input);
        runtime
            .block_on(async { format!("{} {}", ask_x(&x).await, kind(&model.complete(&request).await, &[MODEL_KEY])) })
    });
}

#[test]
fn a_text_cut_to_fit_fits_and_is_the_beginning_of_what_it_was() {
    fuzz(corpus("texts"), |input| {
        let text = String::from_utf8_lossy(input);
        let fitting = fit(&text, 280);
        assert!(weighted_length(&fitting) <= 280, "{fitting:?}");
        if weighted_length(&text) <= 280 { "fits".to_owned() } else { "cut".to_owned() }
    });
}

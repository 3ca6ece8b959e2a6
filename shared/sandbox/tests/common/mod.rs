//! A running sandbox and a client that calls it like the real clients.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use perch_sandbox::{Actor, CONSUMER_SECRET, NewPost, Question, Sandbox, SandboxOptions, SandboxState, Scene, Turn};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use sha1::Sha1;
use url::Url;

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An actor whose accounts post numbers and get replies from a fan, and whose model repeats the marked text or the text of a picture.
#[derive(Debug)]
pub struct Parrot;

impl Actor for Parrot {
    fn backlog(&self, scene: &mut Scene<'_>, account: &str) {
        for n in 1..=11 {
            scene.write(account, format!("before {n}").as_str());
        }
    }

    fn turn(&self, scene: &mut Scene<'_>, turn: &mut Turn<'_>) {
        let said = scene.write(turn.account, format!("turn {}", turn.number).as_str());
        for bot in scene.bots().to_vec() {
            let reply = NewPost { reply_to: Some(said.clone()), ..NewPost::from(format!("@{bot} heard it?").as_str()) };
            scene.write("fan", reply);
        }
    }

    fn answer(&self, question: &Question) -> Option<String> {
        let marked = question.marked("say").map(str::to_owned);
        Some(question.in_words(&marked.or_else(|| question.pictured.first().cloned())?))
    }
}

pub struct TestWorld {
    pub sandbox: Sandbox,
    pub state: SandboxState,
    pub client: Client,
}

impl TestWorld {
    pub async fn start() -> Self {
        Self::with(SandboxOptions {
            bot_accounts: vec!["perch_bot".into(), "other_bot".into()],
            watched: vec!["capper".into()],
            actors: vec![Arc::new(Parrot)],
            ..SandboxOptions::default()
        })
        .await
    }

    pub async fn with(options: SandboxOptions) -> Self {
        perch_base::tls::install();
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sandbox = Sandbox::start(bind, options).await.expect("a free port of this machine");
        let client = Client::builder().no_proxy().build().expect("a plain client");
        Self { state: sandbox.state(), sandbox, client }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.base_url())
    }

    /// A read with the application's token.
    pub fn read(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path)).bearer_auth("sandbox-bearer")
    }

    pub async fn json(&self, path: &str) -> Value {
        self.read(path).send().await.expect("an answer").json().await.expect("JSON")
    }

    /// A request signed for a bot account.
    pub fn signed(&self, method: Method, path: &str, user: &str) -> RequestBuilder {
        let secret = format!("sandbox-{user}-secret");
        self.signed_with(method, path, &format!("sandbox-{user}-token"), &secret)
    }

    pub fn signed_with(&self, method: Method, path: &str, token: &str, secret: &str) -> RequestBuilder {
        let url = Url::parse(&self.url(path)).expect("a valid URL");
        let header = authorization(method.as_str(), &url, token, secret);
        self.client.request(method, url).header("authorization", header)
    }

    pub fn post(&self, user: &str, body: &Value) -> RequestBuilder {
        self.signed(Method::POST, "/2/tweets", user).json(body)
    }

    pub fn chat(&self, body: &Value) -> RequestBuilder {
        self.client.post(self.url("/v1/chat/completions")).bearer_auth("sandbox-key").json(body)
    }

    pub fn fault(&self, body: &Value) -> RequestBuilder {
        self.client.post(self.url("/sandbox/faults")).json(body)
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

fn authorization(method: &str, url: &Url, token: &str, secret: &str) -> String {
    let oauth = [
        ("oauth_consumer_key", "sandbox-consumer".to_owned()),
        ("oauth_nonce", "once".to_owned()),
        ("oauth_signature_method", "HMAC-SHA1".to_owned()),
        ("oauth_timestamp", chrono::Utc::now().timestamp().to_string()),
        ("oauth_token", token.to_owned()),
        ("oauth_version", "1.0".to_owned()),
    ];
    let mut pairs: Vec<String> = oauth.iter().map(|(k, v)| format!("{k}={}", encode(v))).collect();
    pairs.extend(url.query_pairs().map(|(k, v)| format!("{}={}", encode(&k), encode(&v))));
    pairs.sort();
    let mut base_url = url.clone();
    base_url.set_query(None);
    let base = format!("{method}&{}&{}", encode(base_url.as_str()), encode(&pairs.join("&")));
    let key = format!("{}&{}", encode(CONSUMER_SECRET), encode(secret));
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("any length");
    mac.update(base.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let fields: Vec<String> = oauth
        .iter()
        .map(|(k, v)| format!("{k}=\"{}\"", encode(v)))
        .chain([format!("oauth_signature=\"{}\"", encode(&signature))])
        .collect();
    format!("OAuth {}", fields.join(", "))
}

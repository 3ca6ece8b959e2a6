//! Clients ready to use, and answers as X gives them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use perch_clients::{
    EffectPermit, LocalLimits, ModelClient, RateLimits, XClient,
    models::{Dialect, ProviderConfig},
    x::XConfig,
};
use perch_jobs::{AccountId, PostId};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

pub const BEARER: &str = "bearer-token-4711";
pub const CONSUMER_KEY: &str = "consumer-key-4712";
pub const CONSUMER_SECRET: &str = "consumer-secret-4713";
pub const TOKEN: &str = "access-token-4714";
pub const TOKEN_SECRET: &str = "access-secret-4715";
pub const MODEL_KEY: &str = "sk-model-key-4716";

/// Long enough for any answer that comes.
pub const PATIENT: Duration = Duration::from_secs(20);
/// Short enough to wait for an answer that never comes.
pub const HASTY: Duration = Duration::from_millis(300);

pub struct Permit;

impl EffectPermit for Permit {
    fn effect_key(&self) -> &'static str {
        "publish:test"
    }

    fn holds(&self) -> bool {
        true
    }
}

pub fn main_account() -> AccountId {
    AccountId::from_static("main")
}

pub fn post_id(text: &str) -> PostId {
    text.parse().expect("a post id")
}

pub fn x_config(base_url: &Url, timeout: Duration) -> XConfig {
    let secret = |text: &str| SecretString::from(text.to_owned());
    XConfig {
        base_url: base_url.clone(),
        timeout,
        bearer: Some(secret(BEARER)),
        consumer: Some((secret(CONSUMER_KEY), secret(CONSUMER_SECRET))),
        accounts: BTreeMap::from([(main_account(), (secret(TOKEN), secret(TOKEN_SECRET)))]),
    }
}

pub fn x_client(base_url: &Url) -> XClient {
    x_client_with(base_url, PATIENT, Arc::new(LocalLimits::new()))
}

pub fn x_client_with(base_url: &Url, timeout: Duration, limits: Arc<dyn RateLimits>) -> XClient {
    XClient::new(x_config(base_url, timeout), limits).expect("a client")
}

pub fn provider(base_url: &Url) -> ProviderConfig {
    ProviderConfig {
        name: "grok".into(),
        base_url: base_url.join("v1").expect("a URL"),
        model: "grok-4".into(),
        key: Some(SecretString::from(MODEL_KEY.to_owned())),
        key_variable: "XAI_API_KEY".into(),
        timeout: PATIENT,
        images: true,
        dialect: Dialect::default(),
    }
}

pub fn model_client(base_url: &Url) -> ModelClient {
    ModelClient::new(provider(base_url), Arc::new(LocalLimits::new())).expect("a client")
}

/// A page of two posts with author and picture.
pub fn timeline() -> Value {
    json!({
        "data": [
            {
                "id": "1849", "text": "Lakers -3.5 &amp; over 220", "author_id": "2244994945",
                "created_at": "2026-08-20T17:00:00.000Z",
                "attachments": { "media_keys": ["3_1", "7_2"] },
                "public_metrics": {
                    "repost_count": 3, "reply_count": 1, "like_count": 12, "quote_count": 0,
                    "bookmark_count": 2, "impression_count": 900,
                },
            },
            {
                "id": "1848", "text": "RT @other: Suns ML", "author_id": "2244994945",
                "created_at": "2026-08-20T16:00:00.000Z",
                "referenced_posts": [{ "type": "retweeted", "id": "1700" }],
            },
        ],
        "includes": {
            "users": [{ "id": "2244994945", "name": "The Capper", "username": "capper" }],
            "media": [
                { "media_key": "3_1", "type": "photo", "url": "https://example.com/slip.png", "alt_text": "The slip" },
                { "media_key": "7_2", "type": "video", "preview_image_url": "https://example.com/still.png" },
            ],
        },
        "meta": { "newest_id": "1849", "oldest_id": "1848", "result_count": 2, "next_token": "7140dibdnow9c7btw" },
    })
}

/// The answer to a created post.
pub fn created() -> Value {
    json!({ "data": { "id": "1850", "text": "Tailing this." } })
}

/// A problem object.
pub fn problem(status: u16, kind: &str, title: &str, detail: &str) -> Value {
    json!({ "type": kind, "title": title, "detail": detail, "status": status })
}

//! The client and the sandbox together, each checked against the official description of the X API.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    response::Response,
};
use chrono::{TimeDelta, Utc};
use common::{Parrot, TestWorld};
use perch_clients::{
    EffectPermit, LocalLimits, XClient, XError,
    x::{AnalyticsQuery, CreatePost, Granularity, MediaFile, MediaId, PostsQuery, XConfig},
};
use perch_jobs::{AccountId, PostId};
use perch_sandbox::{AccountStanding, CONSUMER_SECRET, Endpoint, NewPost, Plan, SandboxOptions};
use perch_testkit::{XOperation, XRequest};
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;

/// A request, and what came back for it.
struct Exchange {
    request: XRequest,
    status: u16,
    answer: Value,
}

/// Records the exchanges between the client and the sandbox.
#[derive(Clone)]
struct Between {
    sandbox: String,
    client: reqwest::Client,
    passed: Arc<Mutex<Vec<Exchange>>>,
}

async fn pass(State(between): State<Between>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body").to_vec();
    let header =
        |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.to_str().expect("text").to_owned());
    let url = format!("{}{}", between.sandbox, parts.uri.path_and_query().map_or("/", |path| path.as_str()));
    let sent = between.client.request(parts.method.clone(), url).headers(parts.headers.clone()).body(body.clone());
    let came = sent.send().await.expect("the sandbox answers");
    let mut response = Response::builder().status(came.status());
    for (name, value) in came.headers().iter().filter(|(name, _)| *name != "content-length") {
        response = response.header(name, value);
    }
    let status = came.status().as_u16();
    let bytes = came.bytes().await.expect("a body");
    let request = XRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
        headers: parts.headers.iter().map(header).collect(),
        body,
    };
    let answer = serde_json::from_slice(&bytes).expect("the sandbox answers in JSON");
    between.passed.lock().expect("not poisoned").push(Exchange { request, status, answer });
    response.body(Body::from(bytes)).expect("a response")
}

struct Permit;

impl EffectPermit for Permit {
    fn effect_key(&self) -> &'static str {
        "publish:test"
    }

    fn holds(&self) -> bool {
        true
    }
}

struct Pair {
    world: TestWorld,
    x: XClient,
    between: Between,
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn main_account() -> AccountId {
    AccountId::from_static("main")
}

fn id(text: &str) -> PostId {
    text.parse().expect("an id")
}

fn options() -> SandboxOptions {
    SandboxOptions {
        bot_accounts: vec!["perch_bot".into()],
        watched: vec!["capper".into()],
        actors: vec![Arc::new(Parrot)],
        plan: Plan::SelfServe,
        ..SandboxOptions::default()
    }
}

impl Pair {
    async fn start() -> Self {
        Self::with(options()).await
    }

    async fn with(options: SandboxOptions) -> Self {
        let world = TestWorld::with(options).await;
        let between =
            Between { sandbox: world.sandbox.base_url(), client: world.client.clone(), passed: Arc::default() };
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(bind).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(pass).with_state(between.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        let config = XConfig {
            base_url: format!("http://{address}").parse().expect("a URL"),
            timeout: std::time::Duration::from_secs(20),
            bearer: Some(secret("sandbox-bearer")),
            consumer: Some((secret("sandbox-consumer"), secret(CONSUMER_SECRET))),
            accounts: BTreeMap::from([(
                main_account(),
                (secret("sandbox-perch_bot-token"), secret("sandbox-perch_bot-secret")),
            )]),
        };
        let x = XClient::new(config, Arc::new(LocalLimits::new())).expect("a client");
        Self { world, x, between }
    }

    async fn make(&self, text: &str, reply_to: Option<&str>) -> Result<PostId, XError> {
        let post = CreatePost { text: text.into(), reply_to: reply_to.map(id), ..CreatePost::default() };
        self.x.create_post(Permit, &main_account(), &post).await.map(|made| made.id)
    }

    /// Checks every exchange so far against the description, and answers their operations.
    fn check(&self) -> BTreeSet<String> {
        let passed = self.between.passed.lock().expect("not poisoned");
        passed.iter().map(check).collect()
    }
}

/// Refusals that X explains with types which the description does not list.
const UNLISTED: [&str; 2] = ["about:blank", "https://api.x.com/2/problems/rate-limit-exceeded"];

fn check(exchange: &Exchange) -> String {
    let Exchange { request, status, answer } = exchange;
    let operation = XOperation::of(request);
    let name = format!("{} {}", request.method, operation.path);
    assert_eq!(operation.check(request), Vec::<String>::new(), "{name} {:?}", request.query);
    let is_unlisted = *status >= 400 && UNLISTED.iter().any(|kind| answer["type"] == *kind);
    if is_unlisted {
        assert_eq!(answer["status"], *status, "{name}: {answer}");
        assert!(answer["title"].is_string() && answer["detail"].is_string(), "{name}: {answer}");
    } else {
        assert_eq!(operation.check_answer(*status, answer), Vec::<String>::new(), "{name} {status}: {answer}");
    }
    name
}

#[tokio::test]
async fn what_the_client_sends_and_the_sandbox_answers_follows_the_description_for_every_operation() {
    let pair = Pair::start().await;
    let (x, state) = (&pair.x, &pair.world.state);
    let bot = x.me(&main_account()).await.expect("the account").id;
    let capper = x.user_by_username("capper").await.expect("the account").id;

    let pick = state.publish("capper", NewPost { picture: Some("Suns +4.5".into()), ..NewPost::from("Tonight") });
    let long = format!("{} https://example.com/card #NBA $LAL", "Lakers ML. ".repeat(40));
    state.publish("capper", long.as_str());
    state.publish("capper", NewPost { quote_of: Some(pick.clone()), ..NewPost::from("Still on it & happy") });
    let elsewhere = NewPost { image: Some("https://example.com/slip.png".into()), ..NewPost::from("The slip") };
    state.publish("capper", elsewhere);
    let asked = NewPost { reply_to: Some(pick.clone()), ..NewPost::from("@perch_bot thoughts? https://example.com/x") };
    let asked = state.publish("fan", asked);

    let mut query = PostsQuery { max_results: 5, ..PostsQuery::default() };
    let mut read = 0;
    loop {
        let page = x.user_posts(&capper, &query).await.expect("a page");
        read += page.to_posts().expect("whole posts").len();
        match page.next_token {
            Some(token) => query.pagination_token = Some(token),
            None => break,
        }
    }
    assert_eq!(read, 15, "eleven from the start and four of this test");
    let mentions = x.mentions(&main_account(), &bot, &PostsQuery::default()).await.expect("a page");
    assert_eq!(mentions.data[0].conversation_id, Some(id(&pick)));
    assert_eq!(mentions.data[0].in_reply_to_user_id.as_deref(), Some(capper.as_str()));
    assert_eq!(mentions.includes.post(&id(&pick)).map(|post| post.text.as_str()), Some("Tonight"));

    let made = pair.make("I like it. https://example.com/why & more", Some(&asked)).await.expect("it was asked for");
    let since = Utc::now() - TimeDelta::minutes(1);
    let text = "I like it. https://example.com/why & more";
    let found = x.find_recent_post(&main_account(), &bot, text, Some(&id(&asked)), since).await.expect("an answer");
    assert_eq!(found.found, Some(made.clone()), "known again behind the short link and the entity");
    x.retweet(Permit, &main_account(), &bot, &id(&pick)).await.expect("a repost");
    let found = x.find_recent_repost(&main_account(), &bot, &id(&pick), since).await.expect("an answer");
    assert!(found.found.is_some());
    let metrics = x.posts(&[made.clone(), id("123")]).await.expect("an answer");
    assert_eq!((metrics.data.len(), metrics.errors.len()), (1, 1));
    let conversation = x.posts_in_full(&[id(&asked), made]).await.expect("an answer");
    assert_eq!(conversation.data.len(), 2);
    assert!(conversation.includes.post(&id(&pick)).is_some());

    picture_gif_and_analytics(&pair, &bot).await;
    let described: BTreeSet<String> = XOperation::all().into_iter().collect();
    assert_eq!(pair.check(), described);
}

/// A PNG with nothing but its first bytes, and the same of a GIF of two parts.
fn file(first: &[u8], length: usize) -> MediaFile {
    let mut bytes = first.to_vec();
    bytes.resize(length, 7);
    MediaFile::of(axum::body::Bytes::from(bytes)).expect("a file that posts can carry")
}

/// Files in one request and in parts, a post with each, what X tells its author of it, and its deletion.
async fn picture_gif_and_analytics(pair: &Pair, bot: &str) {
    let (x, account) = (&pair.x, main_account());
    let picture = file(b"\x89PNG\r\n\x1a\n", 900);
    let picture = x.upload_media(Permit, &account, &picture).await.expect("it is taken");
    x.describe_media(Permit, &account, &picture, "A slip").await.expect("it is described");
    let gif = x.upload_media(Permit, &account, &file(b"GIF89a", 2_500_000)).await.expect("it is taken in parts");
    let with =
        |media_ids: Vec<MediaId>| CreatePost { text: format!("{media_ids:?}"), media_ids, ..CreatePost::default() };
    let together = x.create_post(Permit, &account, &with(vec![picture.clone(), gif.clone()])).await;
    assert!(matches!(together, Err(XError::Problem { status: 400, .. })), "{together:?}");
    let made = x.create_post(Permit, &account, &with(vec![picture])).await.expect("a post").id;
    x.create_post(Permit, &account, &with(vec![gif])).await.expect("a post");
    assert_eq!(pair.world.state.made()[2].alt_texts, ["A slip"]);
    let shown = x.posts_in_full(std::slice::from_ref(&made)).await.expect("an answer");
    let url = shown.includes.media[0].url.clone().expect("a picture has an address").replace("http://", "");
    let (_, path) = url.split_once('/').expect("a path");
    let bytes =
        pair.world.client.get(format!("{}/{path}", pair.world.sandbox.base_url())).send().await.expect("it is there");
    assert_eq!(bytes.headers()["content-type"], "image/png");

    let now = Utc::now();
    for granularity in [Granularity::Total, Granularity::Hourly] {
        let query = AnalyticsQuery { start: now - TimeDelta::days(2), end: now + TimeDelta::minutes(1), granularity };
        let told = x.post_analytics(&account, &[made.clone(), id("123")], &query).await.expect("an answer");
        assert_eq!((told.data.len(), told.errors.len()), (1, 1), "{told:?}");
        let has_buckets = !told.data[0].buckets.is_empty();
        assert_eq!(has_buckets, granularity == Granularity::Hourly);
        assert_eq!(told.data[0].total.follows.is_some(), granularity == Granularity::Total);
    }
    let own = x.own_posts(&account, bot, std::slice::from_ref(&made)).await.expect("an answer");
    assert!(own.data[0].non_public_metrics.is_some() && own.data[0].organic_metrics.is_some(), "{own:?}");
    x.delete_post(Permit, &account, &made).await.expect("it is deleted");
}

#[tokio::test]
async fn every_refusal_of_the_sandbox_follows_the_description_and_is_told_apart_by_the_client() {
    let pair = Pair::start().await;
    let (x, state) = (&pair.x, &pair.world.state);
    let (bot, capper) = (state.add_account("perch_bot"), state.add_account("capper"));
    let pick = state.publish("capper", "Suns +4.5");
    let gone = state.publish("capper", "Lakers ML");
    state.delete(&gone);
    let everything = PostsQuery::default();

    assert!(matches!(x.user_by_username("nobody").await, Err(XError::NotFound { .. })));
    assert!(matches!(x.user_posts("7", &everything).await, Err(XError::NotFound { .. })));
    assert!(matches!(x.mentions(&main_account(), "7", &everything).await, Err(XError::NotFound { .. })));
    assert!(matches!(pair.make("Noted", Some(&pick)).await, Err(XError::ReplyNotAllowed { .. })));
    assert!(matches!(pair.make("Noted", Some(&gone)).await, Err(XError::TargetGone { .. })));
    pair.make("Once", None).await.expect("a post");
    assert!(matches!(pair.make("Once", None).await, Err(XError::DuplicateContent { .. })));
    assert!(matches!(pair.make(&"x".repeat(300), None).await, Err(XError::Problem { status: 400, .. })));
    x.retweet(Permit, &main_account(), &bot, &id(&pick)).await.expect("a repost");
    let again = x.retweet(Permit, &main_account(), &bot, &id(&pick)).await;
    assert!(matches!(again, Err(XError::AlreadyReposted { .. })), "{again:?}");
    let not_there = x.retweet(Permit, &main_account(), &bot, &id(&gone)).await;
    assert!(matches!(not_there, Err(XError::NotFound { .. })), "{not_there:?}");
    let wrong_page = PostsQuery { pagination_token: Some("nonsense".into()), ..PostsQuery::default() };
    assert!(matches!(x.user_posts(&capper, &wrong_page).await, Err(XError::Problem { status: 400, .. })));

    state.set_standing("capper", AccountStanding::Protected);
    assert!(matches!(x.user_posts(&capper, &everything).await, Err(XError::Hidden { .. })));
    let hidden = x.posts_in_full(&[id(&pick)]).await.expect("an answer");
    assert_eq!(hidden.errors[0].absence(), perch_clients::x::Absence::Hidden);
    state.set_standing("capper", AccountStanding::Suspended);
    assert!(matches!(x.user_by_username("capper").await, Err(XError::NotFound { .. })));

    state.set_limit(Endpoint::User, 1);
    assert!(matches!(x.user_by_username("nobody").await, Err(XError::RateLimited { .. })));
    pair.check();
}

#[tokio::test]
async fn an_account_reads_its_own_posts_from_its_timeline_and_an_edit_tells_its_earlier_versions() {
    let pair = Pair::start().await;
    let (x, state) = (&pair.x, &pair.world.state);
    let bot = state.add_account("perch_bot");
    let mut made = Vec::new();
    for text in ["One", "Two", "Three", "Four"] {
        made.push(pair.make(text, None).await.expect("a post"));
    }
    let own = async |ids: &[&PostId]| {
        let ids: Vec<PostId> = ids.iter().copied().cloned().collect();
        x.own_posts(&main_account(), &bot, &ids).await.expect("an answer").data
    };
    let alone = own(&[&made[1]]).await;
    assert_eq!(alone.iter().map(|post| &post.id).collect::<Vec<_>>(), [&made[1]]);
    assert!(alone[0].public_metrics.is_some_and(|counts| counts.like_count.is_some()));
    assert_eq!(own(&[&made[3], &made[0]]).await.len(), 2, "and the two between them are left out");

    let edited = state.edit(made[0].as_str(), "One and a half").expect("it is there");
    let page = x.user_posts(&bot, &PostsQuery::default()).await.expect("a page");
    let newest = page.data.iter().find(|post| post.id.as_str() == edited).expect("the newest version");
    assert_eq!((newest.earlier(), page.data.len()), (vec![made[0].clone()], 4));
    pair.check();
}

#[tokio::test]
async fn the_followers_of_an_account_grow_by_those_whom_its_posts_made_followers() {
    let pair = Pair::with(SandboxOptions { reader_speed: 1_000_000.0, rate_limits: false, ..options() }).await;
    let (x, account) = (&pair.x, main_account());
    let followers = async || {
        let me = x.me(&account).await.expect("the account");
        me.public_metrics.and_then(|counts| counts.followers_count).expect("followers")
    };
    let before = followers().await;
    let mut made = Vec::new();
    for number in 0..30 {
        made.push(pair.make(&format!("What would you change about loaf {number}?"), None).await.expect("a post"));
    }
    let all_seen = async || {
        let now = Utc::now();
        let query = AnalyticsQuery {
            start: now - TimeDelta::days(1),
            end: now + TimeDelta::days(1),
            granularity: Granularity::Total,
        };
        let told = x.post_analytics(&account, &made, &query).await.expect("an answer");
        assert_eq!(told.data.len(), made.len());
        told.data.iter().filter_map(|post| post.total.follows).sum::<u64>()
    };
    // Readers are done with a post after 48 hours of theirs, which are 173 milliseconds here.
    let mut gained = all_seen().await;
    while gained == 0 || before + gained != followers().await {
        tokio::task::yield_now().await;
        gained = all_seen().await;
    }
    pair.check();
}

use chrono::{TimeZone as _, Utc};
use perch_clients::x::{Absence, CreatePost, PostsQuery};
use perch_testkit::XOperation;
use serde_json::{Value, json};

use crate::{
    server::{Captured, Reply, Server},
    world::{Permit, created, main_account, post_id, timeline, x_client},
};

/// A user as X gives one.
fn user() -> Value {
    json!({ "data": { "id": "2244994945", "name": "The Capper", "username": "capper" } })
}

/// Serves one answer, and checks both the answer and the request against the API description.
async fn exchange<F: AsyncFnOnce(perch_clients::XClient)>(
    status: u16,
    answer: Value,
    call: F,
) -> (Captured, &'static str) {
    let server = Server::start([Reply::json(status, &answer)]).await;
    call(x_client(&server.base)).await;
    let request = server.request();
    let operation = XOperation::of(&request.to_x());
    assert_eq!(operation.check(&request.to_x()), Vec::<String>::new());
    assert_eq!(operation.check_answer(status, &answer), Vec::<String>::new());
    (request, operation.path)
}

#[tokio::test]
async fn reading_a_user_by_handle_follows_the_description() {
    let (request, path) = exchange(200, user(), async |x| {
        assert_eq!(x.user_by_username("@capper").await.expect("a user").id, "2244994945");
    })
    .await;
    assert_eq!(path, "/2/users/by/username/{username}");
    assert!(request.header("user-agent").starts_with("perch/"));
}

#[tokio::test]
async fn reading_the_own_user_follows_the_description() {
    let (_, path) = exchange(200, user(), async |x| {
        assert_eq!(x.me(&main_account()).await.expect("a user").username, "capper");
    })
    .await;
    assert_eq!(path, "/2/users/me");
}

#[tokio::test]
async fn reading_posts_with_every_option_follows_the_description() {
    let query = PostsQuery {
        max_results: 1,
        since_id: Some(post_id("1700")),
        until_id: Some(post_id("1900")),
        start_time: Some(Utc.with_ymd_and_hms(2026, 8, 19, 12, 0, 0).single().expect("a time")),
        pagination_token: Some("7140dibdnow9c7btw".into()),
        exclude_replies: true,
        exclude_reposts: true,
    };
    let (request, path) = exchange(200, timeline(), async |x| {
        assert_eq!(x.user_posts("2244994945", &query).await.expect("a page").data.len(), 2);
    })
    .await;
    assert_eq!(path, "/2/users/{id}/tweets");
    assert_eq!(request.parameter("exclude").as_deref(), Some("replies,retweets"));
    assert_eq!(request.parameter("start_time").as_deref(), Some("2026-08-19T12:00:00Z"));
    assert_eq!(request.parameter("max_results").as_deref(), Some("5"), "5 is the least that X takes");
}

/// A mention that answers a post of the bot and quotes another one, with all that comes along.
fn conversation() -> Value {
    json!({
        "data": [{
            "id": "1852", "text": "@perch_bot who do you like here? https://t.co/a1B2c3", "author_id": "77",
            "conversation_id": "1849", "in_reply_to_user_id": "99", "created_at": "2026-08-20T18:00:05.000Z",
            "attachments": { "media_keys": ["3_9"] },
            "referenced_posts": [{ "type": "replied_to", "id": "1850" }, { "type": "quoted", "id": "1700" }],
            "entities": {
                "mentions": [{ "start": 0, "end": 10, "username": "perch_bot", "id": "99" }],
                "urls": [{ "start": 33, "end": 56, "url": "https://t.co/a1B2c3", "expanded_url": "https://example.com/7" }],
            },
            "note_post": { "text": "@perch_bot who do you like here? And the rest of it" },
        }],
        "includes": {
            "users": [
                { "id": "77", "name": "A Fan", "username": "fan" },
                { "id": "99", "name": "Perch", "username": "perch_bot" },
            ],
            "media": [{
                "media_key": "3_9", "type": "photo", "url": "https://example.com/slip.png", "width": 1080, "height": 608,
            }],
            "posts": [{ "id": "1850", "text": "Tailing this.", "author_id": "99", "conversation_id": "1849" }],
        },
    })
}

#[tokio::test]
async fn reading_mentions_follows_the_description() {
    let query = PostsQuery {
        max_results: 200,
        since_id: Some(post_id("1700")),
        until_id: Some(post_id("1900")),
        start_time: Some(Utc.with_ymd_and_hms(2026, 8, 19, 12, 0, 0).single().expect("a time")),
        pagination_token: Some("7140dibdnow9c7btw".into()),
        exclude_replies: true,
        exclude_reposts: true,
    };
    let mut answer = conversation();
    answer["meta"] = json!({
        "result_count": 1, "newest_id": "1852", "oldest_id": "1852",
        "next_token": "7140dibdnow9c7btw", "previous_token": "77qpymm88g5h9vqkl",
    });
    let (request, path) = exchange(200, answer, async |x| {
        let page = x.mentions(&main_account(), "99", &query).await.expect("a page");
        let mention = &page.data[0];
        assert_eq!(mention.conversation_id, Some(post_id("1849")));
        assert_eq!(mention.in_reply_to_user_id.as_deref(), Some("99"));
        assert_eq!((mention.replied_to(), mention.quoted()), (Some(&post_id("1850")), Some(&post_id("1700"))));
        let named = mention.entities.as_ref().and_then(|entities| entities.mentions.as_ref()).expect("it names one");
        assert_eq!(named[0].username.as_deref(), Some("perch_bot"));
        assert_eq!(page.includes.user("77").map(|user| user.username.as_str()), Some("fan"));
        assert_eq!((page.newest_id, page.next_token.is_some()), (Some(post_id("1852")), true));
    })
    .await;
    assert_eq!(path, "/2/users/{id}/mentions");
    assert_eq!(request.parameter("max_results").as_deref(), Some("100"), "100 is the most that X takes");
    assert_eq!(request.parameter("exclude"), None, "mentions cannot be narrowed so");
}

#[tokio::test]
async fn reading_a_conversation_follows_the_description() {
    let mut answer = conversation();
    answer["errors"] = json!([
        { "type": "https://api.x.com/2/problems/resource-not-found", "title": "Not Found Error",
          "detail": "Could not find post with ids: [1].", "resource_type": "post", "resource_id": "1",
          "parameter": "ids", "value": "1" },
        { "type": "https://api.x.com/2/problems/not-authorized-for-resource", "title": "Authorization Error",
          "detail": "Sorry, you are not authorized to see the post with ids: [2].", "resource_type": "post",
          "resource_id": "2", "parameter": "ids", "value": "2" },
    ]);
    let (request, path) = exchange(200, answer, async |x| {
        let found = x.posts_in_full(&["1852", "1", "2"].map(post_id)).await.expect("an answer");
        let post = &found.data[0];
        assert_eq!(post.full_text(), "@perch_bot who do you like here? And the rest of it");
        let answered = post.replied_to().and_then(|id| found.includes.post(id)).expect("it came along");
        assert_eq!(answered.text, "Tailing this.");
        assert_eq!(post.quoted().and_then(|id| found.includes.post(id)), None, "it did not come along");
        assert_eq!((found.includes.media[0].width, found.includes.media[0].height), (Some(1080), Some(608)));
        let absences: Vec<_> =
            found.errors.iter().map(|error| (error.resource_id.as_deref(), error.absence())).collect();
        assert_eq!(absences, [(Some("1"), Absence::Gone), (Some("2"), Absence::Hidden)]);
    })
    .await;
    assert_eq!(path, "/2/tweets");
    assert_eq!(request.parameter("ids").as_deref(), Some("1852,1,2"));
}

#[tokio::test]
async fn looking_for_a_recent_post_follows_the_description() {
    let answer = json!({ "data": [{
        "id": "1850", "text": "@capper Tailing this. https://t.co/a1B2c3", "created_at": "2026-08-20T18:00:05.000Z",
        "referenced_posts": [{ "type": "replied_to", "id": "1849" }],
        "entities": { "urls": [{ "start": 22, "end": 45, "url": "https://t.co/a1B2c3", "expanded_url": "https://example.com/7" }] },
    }], "meta": { "result_count": 1 } });
    let since = Utc.with_ymd_and_hms(2026, 8, 20, 18, 0, 0).single().expect("a time");
    exchange(200, answer, async |x| {
        let text = "Tailing this. https://example.com/7";
        let found =
            x.find_recent_post(&main_account(), "99", text, Some(&post_id("1849")), since).await.expect("an answer");
        assert_eq!((found.found, found.looked_at), (Some(post_id("1850")), 1));
    })
    .await;
}

#[tokio::test]
async fn reading_metrics_follows_the_description() {
    let answer = json!({
        "data": [{ "id": "1849", "text": "x", "public_metrics": {
            "repost_count": 3, "reply_count": 1, "like_count": 12, "quote_count": 0, "bookmark_count": 2, "impression_count": 900 } }],
        "errors": [{
            "type": "https://api.x.com/2/problems/resource-not-found", "title": "Not Found Error",
            "detail": "Could not find post with ids: [1].", "resource_type": "post", "resource_id": "1",
            "parameter": "ids", "value": "1" }],
    });
    let (request, path) = exchange(200, answer, async |x| {
        let partial = x.posts(&[post_id("1849"), post_id("1")]).await.expect("an answer");
        assert_eq!((partial.data.len(), partial.errors.len()), (1, 1));
    })
    .await;
    assert_eq!(path, "/2/tweets");
    assert_eq!(request.parameter("ids").as_deref(), Some("1849,1"));
}

#[tokio::test]
async fn posting_and_replying_follow_the_description() {
    for reply_to in [None, Some(post_id("1849"))] {
        let post = CreatePost {
            text: "Tailing this. 🔥 \"2u\" & more".into(),
            reply_to: reply_to.clone(),
            ..CreatePost::default()
        };
        let (request, path) = exchange(201, created(), async |x| {
            let created = x.create_post(Permit, &main_account(), &post).await.expect("a post");
            assert_eq!(created.id, post_id("1850"));
        })
        .await;
        assert_eq!(path, "/2/tweets");
        assert_eq!(request.json()["text"], post.text);
        assert_eq!(request.json().pointer("/reply/in_reply_to_tweet_id"), reply_to.map(|_| json!("1849")).as_ref());
    }
}

#[tokio::test]
async fn retweeting_follows_the_description() {
    let answer = json!({ "data": { "retweeted": true, "rest_id": "1849" } });
    let (request, path) = exchange(200, answer, async |x| {
        assert!(x.retweet(Permit, &main_account(), "99", &post_id("1849")).await.expect("an answer").retweeted);
    })
    .await;
    assert_eq!(path, "/2/users/{id}/retweets");
    assert_eq!(request.json(), json!({ "tweet_id": "1849" }));
}

#[tokio::test]
async fn the_check_itself_sees_what_breaks_the_description() {
    let server = Server::start([Reply::json(200, &timeline()), Reply::json(201, &created())]).await;
    let x = x_client(&server.base);
    x.user_posts("99", &PostsQuery::default()).await.expect("a page");
    let post = CreatePost { text: "hi".into(), reply_to: None, ..CreatePost::default() };
    x.create_post(Permit, &main_account(), &post).await.expect("a post");
    let [read, write] = server.requests().try_into().expect("two requests");
    let complaints = |request: &Captured| XOperation::of(&request.to_x()).check(&request.to_x());

    let mut wrong = read.clone();
    wrong.uri = "/2/users/99/tweets?tweet.fields=created_at&max_results=3&expansions=author".parse().expect("a URI");
    assert_eq!(complaints(&wrong).len(), 3, "{:?}", complaints(&wrong));
    let mut wrong = write.clone();
    wrong.body = r#"{"text":"hi","reply":{"in_reply_to_tweet_id":7},"extra":1}"#.into();
    wrong.headers.insert("authorization", http::HeaderValue::from_static("Bearer abc"));
    assert_eq!(complaints(&wrong).len(), 3, "{:?}", complaints(&wrong));
    assert_eq!(XOperation::of(&write.to_x()).check_answer(201, &json!({ "data": { "id": 7 } })).len(), 2);
}

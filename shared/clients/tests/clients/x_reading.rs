use std::sync::{Arc, Mutex};

use chrono::{TimeZone as _, Utc};
use futures::future::{BoxFuture, ready};
use perch_base::{Classified as _, Disposition};
use perch_clients::{Charge, Meter, OverBudget, Reservation, Spender, XError, x::PostsQuery};
use serde_json::json;

use crate::{
    server::{BrokenServer, Fault, Reply, Server},
    world::{BEARER, HASTY, main_account, post_id, timeline, x_client},
};

/// A meter in memory: the units of each call, and of each abandoned call.
#[derive(Default)]
struct Books {
    settled: Mutex<Vec<u32>>,
    abandoned: Mutex<Vec<u32>>,
}

impl Meter for Books {
    fn reserve(&self, charge: Charge, most: u32) -> BoxFuture<'_, Result<Reservation, OverBudget>> {
        Box::pin(ready(Ok(Reservation { charge, most, at: Utc::now() })))
    }

    fn settle<'a>(&'a self, _: Reservation, _: &'a Spender, units: u32) -> BoxFuture<'a, ()> {
        self.settled.lock().expect("nobody panics with it").push(units);
        Box::pin(ready(()))
    }

    fn abandoned(&self, _: Reservation, _: &Spender, units: u32) {
        self.abandoned.lock().expect("nobody panics with it").push(units);
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_paid_for_all_the_same() {
    let books = Arc::new(Books::default());
    let server = Server::start([Reply::text(200, "{\"data\": [{\"id\""), Reply::json(200, &timeline())]).await;
    let x = x_client(&server.base).metered(books.clone());
    let query = PostsQuery { max_results: 7, ..PostsQuery::default() };
    let error = x.user_posts("99", &query).await.expect_err("it is cut");
    assert!(matches!(error, XError::Decode { .. }), "{error:?}");
    x.user_posts("99", &query).await.expect("a page");
    assert_eq!(*books.settled.lock().expect("nobody panics with it"), [7, 2]);
}

#[tokio::test]
async fn a_call_that_its_caller_gives_up_is_settled_all_the_same() {
    let books = Arc::new(Books::default());
    let silent = BrokenServer::start(Fault::Silence).await;
    let x = x_client(&silent.base).metered(books.clone());
    let given_up = tokio::time::timeout(HASTY, x.user_posts("99", &PostsQuery::default())).await;
    assert!(given_up.is_err() && books.settled.lock().expect("nobody panics with it").is_empty());
    assert_eq!(*books.abandoned.lock().expect("nobody panics with it"), [0]);
}

#[tokio::test]
async fn posts_become_perchs_own_with_author_and_pictures() {
    let server = Server::start([Reply::json(200, &timeline())]).await;

    let page = x_client(&server.base).user_posts("2244994945", &PostsQuery::default()).await.expect("a page");

    assert_eq!(page.next_token.as_deref(), Some("7140dibdnow9c7btw"));
    assert_eq!(page.newest_id, Some(post_id("1849")));
    assert!(page.data[1].is_repost() && !page.data[0].is_repost());
    let posts = page.to_posts().expect("whole posts");
    assert_eq!(posts[0].text, "Lakers -3.5 & over 220");
    assert_eq!(posts[0].author, "capper");
    let pictures: Vec<&str> = posts[0].media.iter().map(|media| media.url.as_str()).collect();
    assert_eq!(pictures, ["https://example.com/slip.png", "https://example.com/still.png"]);
    assert_eq!(posts[0].media[0].alt_text.as_deref(), Some("The slip"));
    assert_eq!(server.request().header("authorization"), format!("Bearer {BEARER}"));
}

#[tokio::test]
async fn an_account_without_posts_gives_an_empty_page() {
    let server = Server::start([Reply::json(200, &json!({ "meta": { "result_count": 0 } }))]).await;
    let page = x_client(&server.base).user_posts("99", &PostsQuery::default()).await.expect("a page");
    assert!(page.data.is_empty() && page.next_token.is_none());
}

#[tokio::test]
async fn a_user_that_does_not_exist_is_not_found_although_the_status_is_200() {
    let problem = json!({ "errors": [{
        "type": "https://api.x.com/2/problems/resource-not-found", "title": "Not Found Error",
        "detail": "Could not find user with username: [nobody].", "resource_type": "user", "value": "nobody" }] });
    let server = Server::start([Reply::json(200, &problem)]).await;
    let error = x_client(&server.base).user_by_username("nobody").await.expect_err("no such user");
    assert!(matches!(error, XError::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("nobody"), "{error}");
}

#[tokio::test]
async fn the_posts_of_a_protected_account_are_hidden_although_the_status_is_200() {
    let problem = json!({ "errors": [{
        "type": "https://api.x.com/2/problems/not-authorized-for-resource", "title": "Authorization Error",
        "detail": "Sorry, you are not authorized to see the user with id: [99].", "resource_type": "user",
        "resource_id": "99", "parameter": "id", "value": "99" }] });
    let server = Server::start([Reply::json(200, &problem), Reply::json(200, &problem)]).await;
    let x = x_client(&server.base);
    for error in [
        x.user_posts("99", &PostsQuery::default()).await.expect_err("protected"),
        x.mentions(&main_account(), "99", &PostsQuery::default()).await.expect_err("protected"),
    ] {
        assert!(matches!(error, XError::Hidden { .. }), "{error:?}");
        assert_eq!(error.disposition(), Disposition::Never);
        assert!(error.to_string().contains("its account is protected"), "{error}");
    }
}

#[tokio::test]
async fn a_suspended_account_is_not_found_and_the_reason_is_told() {
    let problem = json!({ "errors": [{
        "type": "https://api.x.com/2/problems/resource-not-found", "title": "Forbidden",
        "detail": "User has been suspended: [gone].", "resource_type": "user", "value": "gone" }] });
    let server = Server::start([Reply::json(200, &problem)]).await;
    let error = x_client(&server.base).user_by_username("gone").await.expect_err("suspended");
    assert!(matches!(error, XError::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("User has been suspended: [gone]."), "{error}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_sent() {
    let server = Server::start([]).await;
    let x = x_client(&server.base);
    for handle in ["", "a/../b", "sixteen_letters_", "héros"] {
        assert!(matches!(x.user_by_username(handle).await, Err(XError::Invalid { .. })), "{handle}");
    }
    assert!(matches!(x.user_posts("me", &PostsQuery::default()).await, Err(XError::Invalid { .. })));
    assert!(matches!(
        x.mentions(&main_account(), "@capper", &PostsQuery::default()).await,
        Err(XError::Invalid { .. })
    ));
    assert_eq!(x.posts(&[]).await.expect("nothing").data, []);
    assert_eq!(x.posts_in_full(&[]).await.expect("nothing").data, []);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn more_than_a_hundred_posts_are_asked_for_in_several_requests() {
    let part = |id: &str| {
        Reply::json(200, &json!({ "data": [], "includes": { "users": [{ "id": id, "name": "n", "username": "u" }] } }))
    };
    let server = Server::start([part("1"), part("2"), part("3"), part("4")]).await;
    let x = x_client(&server.base);
    let ids: Vec<_> = (1..=130).map(|n| post_id(&n.to_string())).collect();
    x.posts(&ids).await.expect("an answer");
    let found = x.posts_in_full(&ids).await.expect("an answer");
    let asked: Vec<usize> =
        server.requests().iter().map(|r| r.parameter("ids").expect("ids").split(',').count()).collect();
    assert_eq!(asked, [100, 30, 100, 30]);
    assert!(found.includes.user("3").is_some() && found.includes.user("4").is_some());
}

#[tokio::test]
async fn a_recent_post_is_looked_for_on_every_page_until_it_is_found() {
    let page = |id: &str, text: &str, next: Option<&str>| {
        Reply::json(
            200,
            &json!({
                "data": [{ "id": id, "text": text, "created_at": "2026-08-20T18:00:05.000Z" }],
                "meta": { "next_token": next },
            }),
        )
    };
    let since = Utc.with_ymd_and_hms(2026, 8, 20, 18, 0, 0).single().expect("a time");
    let server = Server::start([
        page("3", "Other", Some("two")),
        page("2", "A &lt; B", Some("three")),
        page("1", "Other", None),
    ])
    .await;

    let found =
        x_client(&server.base).find_recent_post(&main_account(), "99", "A < B", None, since).await.expect("an answer");

    assert_eq!((found.found, found.looked_at, found.complete), (Some(post_id("2")), 2, true));
    let tokens: Vec<_> = server.requests().iter().map(|r| r.parameter("pagination_token")).collect();
    assert_eq!(tokens, [None, Some("two".into())]);
    assert_eq!(server.requests()[0].parameter("start_time").as_deref(), Some("2026-08-20T17:58:00Z"));
}

#[tokio::test]
async fn the_same_text_under_another_post_or_from_before_is_not_taken_for_the_post() {
    let since = Utc.with_ymd_and_hms(2026, 8, 20, 18, 0, 0).single().expect("a time");
    let reply = json!({ "data": [
        { "id": "3", "text": "Tailing", "created_at": "2026-08-20T18:00:05.000Z",
          "referenced_posts": [{ "type": "replied_to", "id": "7" }] },
        { "id": "2", "text": "Tailing", "created_at": "2026-08-20T17:00:00.000Z" },
    ], "meta": { "next_token": "more" } });
    let server = Server::start([Reply::json(200, &reply)]).await;
    let found = x_client(&server.base)
        .find_recent_post(&main_account(), "99", "Tailing", None, since)
        .await
        .expect("an answer");
    assert_eq!((found.found, found.looked_at, found.complete), (None, 1, true));
    assert_eq!(server.requests().len(), 1, "posts from before the time end the search");
}

#[tokio::test]
async fn a_repeat_is_known_by_the_post_it_repeats_and_not_by_its_text() {
    let since = Utc.with_ymd_and_hms(2026, 8, 20, 18, 0, 0).single().expect("a time");
    let page = json!({ "data": [
        { "id": "5", "text": "RT @capper: Suns ML", "created_at": "2026-08-20T18:00:07.000Z",
          "referenced_tweets": [{ "type": "quoted", "id": "1849" }] },
        { "id": "4", "text": "RT @capper: Suns ML", "created_at": "2026-08-20T18:00:06.000Z",
          "referenced_tweets": [{ "type": "retweeted", "id": "1700" }] },
        { "id": "3", "text": "RT @capper: Suns…", "created_at": "2026-08-20T18:00:05.000Z",
          "referenced_tweets": [{ "type": "retweeted", "id": "1849" }] },
    ] });
    let server = Server::start([Reply::json(200, &page), Reply::json(200, &page)]).await;
    let x = x_client(&server.base);
    let found = x.find_recent_repost(&main_account(), "99", &post_id("1849"), since).await.expect("an answer");
    assert_eq!((found.found, found.looked_at), (Some(post_id("3")), 3));
    let none = x.find_recent_repost(&main_account(), "99", &post_id("1"), since).await.expect("an answer");
    assert_eq!((none.found, none.looked_at, none.complete), (None, 3, true));
}

#[tokio::test]
async fn an_account_with_more_posts_than_x_shows_is_not_said_to_be_searched_whole() {
    let since = Utc.with_ymd_and_hms(2026, 8, 20, 18, 0, 0).single().expect("a time");
    let page = json!({
        "data": [{ "id": "5", "text": "Other", "created_at": "2026-08-20T18:00:07.000Z" }],
        "meta": { "next_token": "more" },
    });
    let server = Server::start((0..40).map(|_| Reply::json(200, &page))).await;
    let found =
        x_client(&server.base).find_recent_post(&main_account(), "99", "Mine", None, since).await.expect("an answer");
    assert_eq!((found.found, found.looked_at, found.complete), (None, 32, false));
}

#[tokio::test]
async fn a_page_is_paid_for_by_its_posts_whether_they_can_be_read_or_not() {
    let books = Arc::new(Books::default());
    let pages = [
        Reply::text(200, include_str!("../faults/07-x-page-one-odd-post.json")),
        Reply::json(200, &json!({ "data": [{ "id": "3", "text": 7 }, { "id": "2", "text": "hi" }], "meta": "odd" })),
    ];
    let server = Server::start(pages).await;
    let x = x_client(&server.base).metered(books.clone());
    let page = x.user_posts("42", &PostsQuery::default()).await.expect("a page");
    assert_eq!((page.data.len(), page.odd.len()), (2, 0), "what is null is not said");
    assert_eq!(page.data[1].public_metrics.map(|counts| (counts.like_count, counts.reposts())), Some((Some(2), None)));
    x.user_posts("42", &PostsQuery::default()).await.expect_err("where the next page is cannot be read");
    assert_eq!(*books.settled.lock().expect("nobody panics with it"), [2, 2]);
}

#[tokio::test]
async fn the_newest_post_of_a_page_is_known_though_it_cannot_be_read() {
    let page = json!({ "data": [{ "id": 30, "text": { "of": "another shape" } }, { "id": "29", "text": "hi" }] });
    let server = Server::start([Reply::json(200, &page)]).await;
    let page = x_client(&server.base).user_posts("42", &PostsQuery::default()).await.expect("a page");
    assert_eq!(page.odd[0].id, Some(post_id("30")));
    assert_eq!((page.newest(), page.data.len()), (Some(&post_id("30")), 1));
}

#[tokio::test]
async fn a_post_that_cannot_be_read_may_be_the_one_that_is_looked_for() {
    let since = Utc.with_ymd_and_hms(2026, 8, 20, 18, 0, 0).single().expect("a time");
    let page = json!({ "data": [
        { "id": "3", "text": { "of": "another shape" }, "created_at": "2026-08-20T18:00:05.000Z" },
        { "id": "2", "text": "Other", "created_at": "2026-08-20T18:00:04.000Z" },
    ] });
    let server = Server::start([Reply::json(200, &page)]).await;
    let found = x_client(&server.base).find_recent_post(&main_account(), "99", "Mine", None, since).await;
    let found = found.expect("an answer");
    assert_eq!((found.found, found.looked_at, found.complete), (None, 1, false));
}

/// A meter in memory: what each call was charged as.
#[derive(Default)]
struct Charges(Mutex<Vec<(Charge, u32)>>);

impl Meter for Charges {
    fn reserve(&self, charge: Charge, most: u32) -> BoxFuture<'_, Result<Reservation, OverBudget>> {
        self.0.lock().expect("nobody panics with it").push((charge, most));
        Box::pin(ready(Ok(Reservation { charge, most, at: Utc::now() })))
    }

    fn settle<'a>(&'a self, _: Reservation, _: &'a Spender, _: u32) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }

    fn abandoned(&self, _: Reservation, _: &Spender, _: u32) {}
}

#[tokio::test]
async fn what_is_an_accounts_own_it_reads_itself_at_the_price_of_own_reads() {
    let charges = Arc::new(Charges::default());
    let server = Server::start((0..3).map(|_| Reply::json(200, &timeline()))).await;
    let x = x_client(&server.base).metered(charges.clone());
    let (main, since) = (main_account(), Utc::now());
    x.mentions(&main, "99", &PostsQuery::default()).await.expect("a page");
    x.find_recent_repost(&main, "99", &post_id("7"), since).await.expect("an answer");
    let own = x.own_posts(&main, "99", &[post_id("1849")]).await.expect("an answer");
    assert_eq!(own.data.iter().map(|post| post.id.as_str()).collect::<Vec<_>>(), ["1849"]);
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.header("authorization").starts_with("OAuth ")), "{requests:?}");
    let bounds = (requests[2].parameter("since_id"), requests[2].parameter("until_id"));
    assert_eq!(bounds, (Some("1848".into()), Some("1850".into())), "no other post is read");
    let prices = charges.0.lock().expect("nobody panics with it").clone();
    assert_eq!(prices, [(Charge::OwnRead, 10), (Charge::OwnRead, 100), (Charge::OwnRead, 5)]);
}

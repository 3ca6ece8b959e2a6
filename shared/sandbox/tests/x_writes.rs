//! Writing to X: posts, replies, deletions, reposts, and who may.

mod common;

use common::TestWorld;
use perch_sandbox::{Endpoint, NewPost, Plan, SandboxOptions};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_signed_post_is_made_and_read_back() {
    let world = TestWorld::start().await;
    let answer = world.post("perch_bot", &json!({ "text": "Lakers -3.5 it is" })).send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    assert!(answer.headers().contains_key("x-rate-limit-remaining"));
    let made: Value = answer.json().await.expect("JSON");
    let id = made["data"]["id"].as_str().expect("an id").to_owned();
    let read = world.json(&format!("/2/tweets?ids={id}&tweet.fields=author_id")).await;
    assert_eq!(read["data"][0]["text"], "Lakers -3.5 it is");
    assert_eq!(read["data"][0]["author_id"], world.state.add_account("perch_bot").as_str());
}

#[tokio::test]
async fn a_reply_shows_what_it_replies_to_and_counts_as_a_reply() {
    let world = TestWorld::start().await;
    let post = world.state.publish("capper", "Suns +4.5");
    let body = json!({ "text": "Noted", "reply": { "in_reply_to_tweet_id": post } });
    assert_eq!(world.post("perch_bot", &body).send().await.expect("an answer").status(), 201);
    let reply = world.state.made().pop().expect("one was made");
    assert_eq!((reply.account.as_str(), reply.reply_to.as_deref()), ("perch_bot", Some(post.as_str())));
    let fields = "tweet.fields=public_metrics,referenced_tweets,conversation_id";
    let read = world.json(&format!("/2/tweets?ids={post},{}&{fields}", reply.id)).await;
    assert_eq!(read["data"][0]["public_metrics"]["reply_count"], 1);
    assert_eq!(read["data"][1]["referenced_tweets"], json!([{ "type": "replied_to", "id": post }]));
    assert_eq!(read["data"][1]["conversation_id"], post.as_str());
}

#[tokio::test]
async fn the_same_text_twice_is_refused_as_duplicate_content() {
    let world = TestWorld::start().await;
    let body = json!({ "text": "Once" });
    assert_eq!(world.post("perch_bot", &body).send().await.expect("an answer").status(), 201);
    let second = world.post("perch_bot", &body).send().await.expect("an answer");
    assert_eq!(second.status(), 403);
    let problem: Value = second.json().await.expect("JSON");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("duplicate content")));
    assert_eq!(problem["type"], "about:blank", "the detail alone says why");
    let elsewhere = world.post("other_bot", &json!({ "text": "ONCE!" })).send().await.expect("an answer");
    assert_eq!(elsewhere.status(), 403, "the same content on several accounts of one operator is forbidden");
    let problem: Value = elsewhere.json().await.expect("JSON");
    assert!(problem["detail"].as_str().is_some_and(|d| !d.contains("duplicate content")), "it is not there: {problem}");
    assert_eq!(world.state.made().len(), 1);
}

#[tokio::test]
async fn a_long_post_is_made_by_an_account_that_may_write_them_and_by_no_other() {
    let world = TestWorld::start().await;
    world.state.allow_long_posts("perch_bot");
    let long = "Lakers by four. ".repeat(60);
    let status = async |account: &str, text: &str| {
        world.post(account, &json!({ "text": text })).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!((status("perch_bot", &long).await, status("other_bot", &long).await), (201, 400));
    assert_eq!(status("perch_bot", &"x".repeat(25_001)).await, 400);
    assert_eq!(world.state.made()[0].text, long);
}

async fn self_serve() -> TestWorld {
    TestWorld::with(SandboxOptions {
        bot_accounts: vec!["perch_bot".into()],
        plan: Plan::SelfServe,
        ..SandboxOptions::default()
    })
    .await
}

#[tokio::test]
async fn on_a_self_serve_plan_a_reply_needs_a_summons_and_a_quote_is_not_to_be_had() {
    let world = self_serve().await;
    let pick = world.state.publish("capper", "Suns +4.5");
    let asked = NewPost { reply_to: Some(pick.clone()), ..NewPost::from("@perch_bot thoughts?") };
    let asked = world.state.publish("fan", asked);
    let answer = async |body: Value| world.post("perch_bot", &body).send().await.expect("an answer");
    let reply = |text: &str, to: &str| json!({ "text": text, "reply": { "in_reply_to_tweet_id": to } });

    let refused = answer(reply("Noted", &pick)).await;
    assert_eq!(refused.status(), 403);
    let problem: Value = refused.json().await.expect("JSON");
    assert_eq!((&problem["type"], &problem["status"]), (&json!("about:blank"), &json!(403)));
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("have not been mentioned")), "{problem}");
    assert_eq!(answer(json!({ "text": "This one", "quote_tweet_id": pick })).await.status(), 403);
    assert_eq!(answer(reply("I like it", &asked)).await.status(), 201);
    assert_eq!(answer(json!({ "text": "Suns +4.5 by @capper" })).await.status(), 201);
    assert_eq!(world.state.made().len(), 2);
}

#[tokio::test]
async fn an_enterprise_plan_answers_and_quotes_everybody() {
    let world = TestWorld::start().await;
    let pick = world.state.publish("capper", "Suns +4.5");
    for body in [
        json!({ "text": "Noted", "reply": { "in_reply_to_tweet_id": pick } }),
        json!({ "text": "This one", "quote_tweet_id": pick }),
    ] {
        assert_eq!(world.post("perch_bot", &body).send().await.expect("an answer").status(), 201, "{body}");
    }
}

#[tokio::test]
async fn texts_that_x_would_not_take_are_invalid_requests() {
    let world = TestWorld::start().await;
    for body in [
        json!({ "text": "  " }),
        json!({ "text": "x".repeat(281) }),
        json!({ "text": "日".repeat(141) }),
        json!({ "text": "fine", "status": "an old name" }),
        json!({ "text": "fine", "reply": { "in_reply_to_tweet_id": "abc" } }),
    ] {
        let answer = world.post("perch_bot", &body).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{body}");
    }
    assert!(world.state.made().is_empty());
}

#[tokio::test]
async fn a_write_needs_a_signature_that_fits_the_account() {
    let world = TestWorld::start().await;
    let body = json!({ "text": "hello" });
    let unsigned = world.client.post(world.url("/2/tweets")).json(&body);
    let wrong_secret = world.signed_with(Method::POST, "/2/tweets", "sandbox-perch_bot-token", "guess").json(&body);
    let stranger = world.signed(Method::POST, "/2/tweets", "stranger").json(&body);
    let watched = world.signed(Method::POST, "/2/tweets", "capper").json(&body);
    for (request, name) in
        [(unsigned, "unsigned"), (wrong_secret, "wrong secret"), (stranger, "stranger"), (watched, "no bot")]
    {
        assert_eq!(request.send().await.expect("an answer").status(), 401, "{name}");
    }
    let application = world.client.post(world.url("/2/tweets")).bearer_auth("sandbox-bearer").json(&body);
    assert_eq!(application.send().await.expect("an answer").status(), 403);
    assert!(world.state.made().is_empty());
    assert_eq!(world.state.calls_that_ended(Endpoint::CreatePost, "401"), 4);
}

#[tokio::test]
async fn the_account_of_a_signature_is_told_who_it_is() {
    let world = TestWorld::start().await;
    let path = "/2/users/me?user.fields=created_at";
    let answer = world.signed(Method::GET, path, "other_bot").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.expect("JSON")["data"]["username"], "other_bot");
}

#[tokio::test]
async fn a_deleted_post_is_gone_and_only_its_author_can_delete_it() {
    let world = TestWorld::start().await;
    world.post("perch_bot", &json!({ "text": "oops" })).send().await.expect("an answer");
    let id = world.state.made().pop().expect("one was made").id;
    let path = format!("/2/tweets/{id}");
    let delete = async |user: &str| world.signed(Method::DELETE, &path, user).send().await.expect("an answer").status();
    assert_eq!(delete("other_bot").await, 403);
    assert_eq!(delete("perch_bot").await, 200);
    assert_eq!(delete("perch_bot").await, 404);
    let read = world.json(&format!("/2/tweets?ids={id}")).await;
    assert_eq!(read["errors"][0]["resource_id"], id.as_str());
}

#[tokio::test]
async fn a_repost_is_made_once_and_counts() {
    let world = TestWorld::start().await;
    let post = world.state.publish("capper", "Suns +4.5");
    let bot = world.state.add_account("perch_bot");
    let path = format!("/2/users/{bot}/retweets");
    let repost = || world.signed(Method::POST, &path, "perch_bot").json(&json!({ "tweet_id": post }));
    let first = repost().send().await.expect("an answer");
    assert_eq!(first.json::<Value>().await.expect("JSON")["data"], json!({ "retweeted": true, "rest_id": post }));
    assert_eq!(repost().send().await.expect("an answer").status(), 400);
    assert_eq!(world.state.made().len(), 1);
    let read = world.json(&format!("/2/tweets?ids={post}&tweet.fields=public_metrics")).await;
    assert_eq!(read["data"][0]["public_metrics"]["retweet_count"], 1);
}

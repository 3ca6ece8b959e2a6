//! Reading from X: users, timelines, mentions, posts.

mod common;

use chrono::{TimeDelta, Utc};
use common::TestWorld;
use perch_sandbox::{AccountStanding, Endpoint, NewPost, SandboxOptions};
use serde_json::Value;

fn ids(answer: &Value) -> Vec<String> {
    answer["data"]
        .as_array()
        .map(|posts| posts.iter().map(|p| p["id"].as_str().unwrap_or_default().to_owned()).collect())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_user_is_found_by_name_and_an_unknown_one_is_an_error_beside_no_data() {
    let world = TestWorld::start().await;
    let found = world.json("/2/users/by/username/CAPPER?user.fields=created_at,public_metrics").await;
    assert_eq!(found["data"]["username"], "capper");
    assert!(found["data"]["public_metrics"]["followers_count"].is_u64());
    let missing = world.json("/2/users/by/username/nobody").await;
    assert_eq!(missing["errors"][0]["type"], "https://api.x.com/2/problems/resource-not-found");
    assert!(missing.get("data").is_none());
}

#[tokio::test]
async fn a_timeline_is_read_page_by_page_without_gap_or_repeat() {
    let world = TestWorld::start().await;
    let user = world.state.add_account("writer");
    let written: Vec<String> = (0..12).map(|n| world.state.publish("writer", format!("post {n}").as_str())).collect();
    let mut read = Vec::new();
    let mut token = String::new();
    loop {
        let page = world.json(&format!("/2/users/{user}/tweets?max_results=5{token}")).await;
        assert_eq!(page["meta"]["result_count"], page["data"].as_array().map_or(0, Vec::len));
        assert_eq!(page["meta"]["newest_id"], page["data"][0]["id"]);
        read.extend(ids(&page));
        match page["meta"]["next_token"].as_str() {
            Some(next) => token = format!("&pagination_token={next}"),
            None => break,
        }
    }
    read.reverse();
    assert_eq!(read, written);
}

#[tokio::test]
async fn since_id_start_time_and_exclude_narrow_a_timeline() {
    let world = TestWorld::start().await;
    let user = world.state.add_account("writer");
    let old = Utc::now() - TimeDelta::hours(30);
    let pinned = world.state.publish("writer", NewPost { created_at: Some(old), ..NewPost::from("pinned") });
    let first = world.state.publish("writer", "first");
    let reply = NewPost { reply_to: Some(first.clone()), ..NewPost::from("a reply to myself") };
    let reply = world.state.publish("writer", reply);
    let path = format!("/2/users/{user}/tweets");
    assert_eq!(ids(&world.json(&path).await), [reply.clone(), first.clone(), pinned]);
    assert_eq!(ids(&world.json(&format!("{path}?since_id={first}")).await), [reply]);
    let day_ago = (Utc::now() - TimeDelta::hours(24)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    assert_eq!(ids(&world.json(&format!("{path}?start_time={day_ago}&exclude=replies,retweets")).await), [first]);
    let nothing = world.json(&format!("{path}?since_id=9000000000000000000")).await;
    assert_eq!(nothing, serde_json::json!({ "meta": { "result_count": 0 } }));
}

#[tokio::test]
async fn fields_come_when_asked_for_and_expansions_bring_authors_and_pictures() {
    let world = TestWorld::start().await;
    let user = world.state.add_account("writer");
    let image = Some("https://example.com/slip.png".to_owned());
    world.state.publish("writer", NewPost { image, ..NewPost::from("see the slip") });
    let bare = world.json(&format!("/2/users/{user}/tweets")).await;
    assert!(bare["data"][0].get("created_at").is_none());
    let query = "tweet.fields=created_at,public_metrics&expansions=author_id,attachments.media_keys&media.fields=url";
    let full = world.json(&format!("/2/users/{user}/tweets?{query}")).await;
    assert_eq!(full["data"][0]["author_id"], user.as_str());
    assert!(full["data"][0]["public_metrics"]["retweet_count"].is_u64());
    assert_eq!(full["includes"]["users"][0]["username"], "writer");
    assert_eq!(full["includes"]["media"][0]["media_key"], full["data"][0]["attachments"]["media_keys"][0]);
    assert_eq!(full["includes"]["media"][0]["url"], "https://example.com/slip.png");
}

#[tokio::test]
async fn a_page_can_be_turned_back() {
    let world = TestWorld::start().await;
    let user = world.state.add_account("writer");
    let mut written: Vec<String> =
        (0..8).map(|n| world.state.publish("writer", format!("post {n}").as_str())).collect();
    written.reverse();
    let path = format!("/2/users/{user}/tweets?max_results=5");
    let first = world.json(&path).await;
    assert!(first["meta"].get("previous_token").is_none(), "{first}");
    let next = first["meta"]["next_token"].as_str().expect("there is more");
    let second = world.json(&format!("{path}&pagination_token={next}")).await;
    assert_eq!(ids(&second), written[5..]);
    assert!(second["meta"].get("next_token").is_none(), "{second}");
    let previous = second["meta"]["previous_token"].as_str().expect("there was one before");
    let again = world.json(&format!("{path}&pagination_token={previous}")).await;
    assert_eq!(ids(&again), written[..5]);
}

#[tokio::test]
async fn references_bring_the_other_post_and_an_error_for_one_that_is_gone() {
    let world = TestWorld::start().await;
    let fan = world.state.add_account("fan");
    let capper = world.state.add_account("capper");
    let pick = world.state.publish("capper", "Suns +4.5 & over");
    let gone = world.state.publish("capper", "Lakers ML");
    world.state.publish("fan", NewPost { reply_to: Some(pick.clone()), ..NewPost::from("like it") });
    world.state.publish("fan", NewPost { quote_of: Some(pick.clone()), ..NewPost::from("this one") });
    world.state.publish("fan", NewPost { retweet_of: Some(pick.clone()), ..NewPost::default() });
    world.state.publish("fan", NewPost { reply_to: Some(gone.clone()), ..NewPost::from("not that") });
    assert!(world.state.delete(&gone) && !world.state.delete(&gone));

    let query = "post.fields=conversation_id&expansions=author_id,in_reply_to_user_id,referenced_posts";
    let page = world.json(&format!("/2/users/{fan}/tweets?{query}")).await;

    let references: Vec<&Value> =
        page["data"].as_array().expect("posts").iter().map(|p| &p["referenced_posts"][0]).collect();
    let kinds: Vec<&str> = references.iter().filter_map(|r| r["type"].as_str()).collect();
    assert_eq!(kinds, ["replied_to", "retweeted", "quoted", "replied_to"]);
    assert_eq!(page["data"][1]["text"], "RT @capper: Suns +4.5 &amp; over");
    assert_eq!(page["data"][3]["conversation_id"], pick.as_str());
    assert_eq!(page["data"][3]["in_reply_to_user_id"], capper.as_str());
    assert_eq!(page["includes"]["posts"].as_array().map(Vec::len), Some(1), "each once, and none that is gone");
    assert_eq!(page["includes"]["posts"][0]["id"], pick.as_str());
    let users: Vec<&str> =
        page["includes"]["users"].as_array().expect("users").iter().filter_map(|u| u["username"].as_str()).collect();
    assert!(users.contains(&"fan") && users.contains(&"capper") && users.len() == 2, "{users:?}");
    assert_eq!(page["errors"][0]["resource_id"], gone.as_str());
    assert_eq!(page["errors"][0]["parameter"], "referenced_posts");
    let counts = world.json(&format!("/2/tweets?ids={pick}&post.fields=public_metrics")).await;
    let counts = &counts["data"][0]["public_metrics"];
    assert_eq!(
        (&counts["reply_count"], &counts["repost_count"], &counts["quote_count"]),
        (&1.into(), &1.into(), &1.into())
    );
}

#[tokio::test]
async fn a_picture_of_the_sandbox_is_served_and_measured() {
    let world = TestWorld::start().await;
    let user = world.state.add_account("writer");
    let picture = Some("Lakers -3.5 (-110) 2u".to_owned());
    world.state.publish("writer", NewPost { picture, alt_text: Some("My slip".into()), ..NewPost::from("Tonight") });
    let query = "expansions=attachments.media_keys&media.fields=url,width,height,alt_text,type";
    let page = world.json(&format!("/2/users/{user}/tweets?{query}")).await;
    let media = &page["includes"]["media"][0];
    assert_eq!((&media["type"], &media["alt_text"]), (&"photo".into(), &"My slip".into()));
    let url = media["url"].as_str().expect("an address");
    let answer = world.client.get(url).send().await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"image/png".parse().expect("text"))
    );
    let png = answer.bytes().await.expect("a picture");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((media["width"].as_u64(), media["height"].as_u64()), (Some(number(16).into()), Some(number(20).into())));
    let missing = world.client.get(world.url("/sandbox/media/7.png")).send().await.expect("an answer");
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn protected_and_suspended_accounts_are_closed_in_the_way_of_x() {
    let world = TestWorld::start().await;
    let user = world.state.add_account("writer");
    let bot = world.state.add_account("perch_bot");
    let post = world.state.publish("writer", "@perch_bot hello");
    let timeline = format!("/2/users/{user}/tweets");
    let lookup = format!("/2/tweets?ids={post}");
    let by_name = "/2/users/by/username/writer?user.fields=protected";

    world.state.set_standing("writer", AccountStanding::Protected);
    for (path, kind) in [(timeline.as_str(), "user"), (&lookup, "tweet")] {
        let answer = world.json(path).await;
        assert_eq!(answer["errors"][0]["type"], "https://api.x.com/2/problems/not-authorized-for-resource", "{path}");
        assert_eq!(answer["errors"][0]["resource_type"], kind);
        assert!(answer.get("data").is_none());
    }
    assert_eq!(world.json(by_name).await["data"]["protected"], true);
    assert_eq!(world.json(&format!("/2/users/{bot}/mentions")).await["meta"]["result_count"], 0);
    let body = serde_json::json!({ "text": "hi", "reply": { "in_reply_to_tweet_id": post } });
    assert_eq!(world.post("perch_bot", &body).send().await.expect("an answer").status(), 403);

    world.state.set_standing("writer", AccountStanding::Suspended);
    for path in [timeline.as_str(), &lookup, by_name] {
        let answer = world.json(path).await;
        assert_eq!(answer["errors"][0]["type"], "https://api.x.com/2/problems/resource-not-found", "{path}");
        assert!(answer.get("data").is_none());
    }
    assert_eq!(world.json(by_name).await["errors"][0]["detail"], "User has been suspended: [writer].");

    world.state.set_standing("writer", AccountStanding::Open);
    assert_eq!(ids(&world.json(&lookup).await), [post]);
}

#[tokio::test]
async fn posts_by_id_answer_what_is_there_and_name_what_is_not() {
    let world = TestWorld::start().await;
    let post = world.state.publish("capper", "here");
    let answer = world.json(&format!("/2/tweets?ids={post},123&post.fields=public_metrics")).await;
    assert_eq!(ids(&answer), [post]);
    assert_eq!(answer["errors"][0]["resource_id"], "123");
    assert_eq!(answer["errors"][0]["type"], "https://api.x.com/2/problems/resource-not-found");
}

#[tokio::test]
async fn mentions_are_the_posts_of_others_that_name_the_account() {
    let world = TestWorld::start().await;
    let bot = world.state.add_account("perch_bot");
    let mention = world.state.publish("fan", "@perch_bot who do you like tonight?");
    world.state.publish("fan", "nothing to see");
    assert_eq!(ids(&world.json(&format!("/2/users/{bot}/mentions")).await), [mention]);
}

#[tokio::test]
async fn an_answer_to_a_post_of_the_account_is_a_mention_too_and_says_where_it_belongs() {
    let world = TestWorld::start().await;
    let bot = world.state.add_account("perch_bot");
    world.post("perch_bot", &serde_json::json!({ "text": "Suns +4.5 it is" })).send().await.expect("an answer");
    let own = world.state.made().pop().expect("one was made").id;
    let answer = world.state.publish("fan", NewPost { reply_to: Some(own.clone()), ..NewPost::from("why though?") });
    world.state.publish("fan", NewPost { quote_of: Some(own.clone()), ..NewPost::from("look at this") });
    let query = "post.fields=conversation_id,entities&expansions=author_id,in_reply_to_user_id,referenced_posts";
    let page = world.json(&format!("/2/users/{bot}/mentions?{query}")).await;
    assert_eq!(ids(&page), [answer], "a quote is no mention");
    assert_eq!(page["data"][0]["conversation_id"], own.as_str());
    assert_eq!(page["data"][0]["in_reply_to_user_id"], bot.as_str());
    assert_eq!(page["includes"]["posts"][0]["text"], "Suns +4.5 it is");
}

#[tokio::test]
async fn what_breaks_the_contract_is_a_problem_that_names_the_parameter() {
    let world = TestWorld::start().await;
    let user = world.state.add_account("capper");
    for (path, parameter) in [
        (format!("/2/users/{user}/tweets?max_results=3"), "max_results"),
        (format!("/2/users/{user}/tweets?count=5"), "count"),
        (format!("/2/users/{user}/tweets?pagination_token=7140dibdnow9"), "pagination_token"),
        (format!("/2/users/{user}/tweets?since_id=9&until_id=9"), "since_id"),
        (format!("/2/users/{user}/mentions?exclude=replies"), "exclude"),
        ("/2/users/abc/tweets".to_owned(), "id"),
        ("/2/tweets".to_owned(), "ids"),
        ("/2/users/by/username/not-a-name".to_owned(), "username"),
    ] {
        let answer = world.read(&path).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{path}");
        assert!(answer.headers()["content-type"].to_str().is_ok_and(|t| t.starts_with("application/problem+json")));
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["type"], "https://api.x.com/2/problems/invalid-request");
        assert_eq!(problem["parameter"], parameter);
    }
}

#[tokio::test]
async fn a_read_without_a_good_token_is_refused() {
    let world = TestWorld::start().await;
    let path = "/2/users/by/username/capper";
    assert_eq!(world.client.get(world.url(path)).send().await.expect("an answer").status(), 401);
    let bad = world.client.get(world.url(path)).bearer_auth("bad").send().await.expect("an answer");
    assert_eq!(bad.status(), 401);
    assert_eq!(bad.json::<Value>().await.expect("JSON")["status"], 401);
}

#[tokio::test]
async fn the_limit_headers_count_down_to_a_429() {
    let world = TestWorld::start().await;
    world.state.set_limit(Endpoint::Posts, 2);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = world.read("/2/tweets?ids=1").send().await.expect("an answer");
        let header = |name: &str| answer.headers()[name].to_str().expect("text").parse::<i64>().expect("a number");
        assert_eq!(header("x-rate-limit-limit"), 2);
        let ahead = header("x-rate-limit-reset") - Utc::now().timestamp();
        assert!((890..=901).contains(&ahead), "the window ends in {ahead} s");
        seen.push((answer.status().as_u16(), header("x-rate-limit-remaining")));
    }
    assert_eq!(seen, [(200, 1), (200, 0), (429, 0)]);
}

#[tokio::test]
async fn without_limits_every_call_is_answered() {
    let world = TestWorld::with(SandboxOptions { rate_limits: false, ..SandboxOptions::default() }).await;
    world.state.set_limit(Endpoint::Posts, 1);
    for _ in 0..3 {
        assert_eq!(world.read("/2/tweets?ids=1").send().await.expect("an answer").status(), 200);
    }
}

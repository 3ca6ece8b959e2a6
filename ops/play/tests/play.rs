//! A scripted day, carried out at once.

use std::{collections::BTreeMap, time::Duration};

use perch_bot_picks::rules::read;
use perch_jobs::ExtractedBets;
use perch_play::{DayOptions, ExpectedReply, Noise, Player, Script, ScriptError};
use perch_sandbox::{Sandbox, SandboxOptions, SandboxState};
use serde_json::Value;

const BOT: &str = "perch_bot";

/// A sandbox in which nothing happens but what is played.
struct TestWorld {
    sandbox: Sandbox,
    state: SandboxState,
    client: reqwest::Client,
}

impl TestWorld {
    async fn start() -> Self {
        perch_base::tls::install();
        let options = SandboxOptions { bot_accounts: vec![BOT.into()], ..SandboxOptions::default() };
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
        let client = reqwest::Client::builder().no_proxy().build().expect("a plain client");
        Self { state: sandbox.state(), sandbox, client }
    }

    async fn json(&self, path: &str) -> Value {
        let read = self.client.get(format!("{}{path}", self.sandbox.base_url())).bearer_auth("sandbox-bearer");
        read.send().await.expect("an answer").json().await.expect("JSON")
    }
}

fn day(seed: u64) -> Script {
    let options = DayOptions { bot: BOT.into(), seed, ..DayOptions::default() };
    Script::write(&options).expect("a day")
}

/// Every post there is under these ids, as X gives it.
async fn posts(world: &TestWorld, ids: &[&str]) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for ids in ids.chunks(100) {
        let query =
            "post.fields=conversation_id,created_at&expansions=author_id,attachments.media_keys,referenced_posts";
        let answer = world.json(&format!("/2/tweets?ids={}&{query}&media.fields=url", ids.join(","))).await;
        for post in answer["data"].as_array().into_iter().flatten() {
            found.insert(post["id"].as_str().expect("an id").to_owned(), post.clone());
        }
    }
    found
}

#[tokio::test]
async fn a_day_holds_what_it_says_of_itself() {
    let world = TestWorld::start().await;
    let script = day(1);
    let mut player = Player::new(&script);
    player.play(&world.state);
    let expected = player.expectation();

    assert_eq!((expected.accounts.len(), expected.mentions.len()), (20, 300));
    assert!(expected.picks.len() > 30, "{} bets", expected.picks.len());
    assert!(expected.picks.iter().any(|pick| pick.accounts.len() > 1), "some have the same bet");
    assert!(expected.picks.iter().any(|pick| pick.legs > 1), "there are parlays");
    for result in ["won", "lost"] {
        assert!(expected.picks.iter().any(|pick| pick.result == result), "{result:?}");
    }
    let ids: Vec<&str> = expected.posts.iter().map(|post| post.id.as_str()).collect();
    let there = posts(&world, &ids).await;
    for post in &expected.posts {
        let shown = there.get(&post.id);
        let closed = matches!(post.noise, Some(Noise::Deleted | Noise::Protected | Noise::Suspended));
        assert_eq!(shown.is_none(), closed, "{post:?}");
        let (Some(shown), Some(answer)) = (shown, &post.answer) else { continue };
        let found = read(shown["text"].as_str().expect("a text")).likely;
        if post.pictured {
            assert_eq!(found, ExtractedBets::Nothing(()), "{shown}");
            assert!(shown["attachments"]["media_keys"][0].is_string(), "{shown}");
        } else {
            assert_eq!(found, *answer, "{shown}");
        }
    }
}

#[tokio::test]
async fn the_mentions_of_a_day_are_in_the_timeline_of_the_bot_with_their_conversations() {
    let world = TestWorld::start().await;
    let bot = world.state.add_account(BOT);
    let script = day(2);
    let mut player = Player::new(&script);
    player.play(&world.state);
    let expected = player.expectation().mentions;

    let mut seen = BTreeMap::new();
    let mut token = String::new();
    loop {
        let query = "max_results=100&post.fields=conversation_id&expansions=author_id";
        let page = world.json(&format!("/2/users/{bot}/mentions?{query}{token}")).await;
        for post in page["data"].as_array().into_iter().flatten() {
            seen.insert(post["id"].as_str().expect("an id").to_owned(), post["conversation_id"].clone());
        }
        match page["meta"]["next_token"].as_str() {
            Some(next) => token = format!("&pagination_token={next}"),
            None => break,
        }
    }
    for mention in &expected {
        let found = seen.remove(&mention.id);
        if mention.deserves == ExpectedReply::Nothing {
            assert_eq!(found, None, "{mention:?}");
        } else {
            assert_eq!(found, Some(Value::from(mention.conversation_id.as_str())), "{mention:?}");
        }
    }
    assert!(seen.is_empty(), "nobody else mentions the bot: {seen:?}");
    assert!(expected.iter().any(|mention| mention.nth_of_author > 5));
    assert!(expected.iter().any(|mention| mention.nth_of_conversation > 3));
}

#[tokio::test]
async fn the_same_seed_writes_the_same_day_and_another_one_another() {
    let told = |seed| async move {
        let world = TestWorld::start().await;
        let script = day(seed);
        let mut player = Player::new(&script);
        player.play(&world.state);
        let told = player.expectation();
        let picks: Vec<(String, &str)> = told.picks.into_iter().map(|pick| (pick.name, pick.result)).collect();
        let mentions: Vec<_> = told.mentions.into_iter().map(|m| (m.author, m.kind, m.deserves)).collect();
        (picks, mentions)
    };
    assert_eq!(told(1).await, told(1).await);
    assert_ne!(told(1).await, told(2).await);
}

#[tokio::test]
async fn a_day_can_be_played_in_parts_and_ends_with_its_results() {
    let world = TestWorld::start().await;
    let script = day(3);
    let mut player = Player::new(&script);
    player.play_until(&world.state, Duration::from_hours(12));
    let morning = player.expectation();
    assert_eq!(world.json("/sandbox/results").await.as_array().map(Vec::len), Some(0));
    player.play(&world.state);
    assert_eq!(player.due(), None);
    let whole = player.expectation();
    assert!(morning.posts.len() < whole.posts.len() && morning.mentions.len() < whole.mentions.len());
    let results = world.json("/sandbox/results").await;
    let lakers = &results[0];
    assert_eq!((&lakers["event"], &lakers["sport"]), (&"Los Angeles Lakers vs Boston Celtics".into(), &"nba".into()));
    assert!(lakers["scores"][0].is_u64() && lakers["finished_at"].is_string(), "{lakers}");
}

#[test]
fn a_day_that_cannot_be_written_says_why() {
    let write = |options| Script::write(&options).err();
    let usual = DayOptions::default;
    assert_eq!(write(DayOptions { size: 2, ..usual() }), Some(ScriptError::Accounts(2)));
    assert_eq!(write(DayOptions { mentions: 10_001, ..usual() }), Some(ScriptError::Mentions(10_001)));
    for wrong in ["@capper", "perch_bot", ""] {
        let options = DayOptions { accounts: vec![wrong.into()], ..usual() };
        assert_eq!(write(options), Some(ScriptError::Handle(wrong.into())));
    }
    let own = DayOptions { accounts: vec!["capper".into(), "sharp".into()], size: 5, mentions: 10, ..usual() };
    assert_eq!(Script::write(&own).expect("a day").accounts()[..2], ["capper", "sharp"]);
}

//! The guarantees of the tables of mentions and reviews.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use perch_base::{Environment, Paging};
use perch_bot::Bots;
use perch_bot_mentions::{
    Decision, MentionControl, MentionFilter, MentionState, MentionStore as _, MentionsBot, ReplyPlace, ReviewFilter,
    ReviewOutcome, SeenMention, WrittenReply,
};
use perch_jobs::{AccountId, JobId, Mention, PostId};
use perch_store::Store;
use perch_testkit::{TestDatabase, TestRedis};
use serde_json::json;

async fn database() -> TestDatabase {
    TestDatabase::of(|store| Bots::default().with(MentionsBot).store(store)).await
}

fn main() -> AccountId {
    AccountId::from_static("main")
}

fn id(n: u64) -> PostId {
    n.to_string().parse().unwrap()
}

fn mention(n: u64, conversation: u64, author: &str) -> Mention {
    Mention {
        id: id(n),
        text: "hello\0there".into(),
        author_id: author.into(),
        conversation_id: id(conversation),
        created_at: Utc::now(),
        processed_at: Utc::now(),
        referenced_tweet_id: None,
    }
}

fn seen(n: u64) -> SeenMention {
    SeenMention { mention: mention(n, n, "12"), author: Some("Fan".into()), left_out: None }
}

fn written(text: &str) -> WrittenReply {
    WrittenReply { text: Some(text.into()), ..WrittenReply::default() }
}

async fn begun(store: &Store, n: u64) {
    let record = store.mentions().begin(&main(), &seen(n), JobId::at(Utc::now())).await.unwrap();
    assert_eq!((record.state, record.author.as_deref()), (MentionState::Queued, Some("Fan")));
}

#[tokio::test]
async fn the_first_decision_about_a_mention_stays() {
    let database = database().await;
    let store = database.store(Environment::Staging);
    begun(&store, 1).await;
    let (one, other) = (written("first"), written("second"));
    let mentions = store.mentions();
    let (account, post) = (main(), id(1));
    let (a, b) = tokio::join!(mentions.decide(&account, &post, &one), mentions.decide(&account, &post, &other));
    let (a, b) = (a.unwrap().unwrap(), b.unwrap().unwrap());
    assert_eq!((a.state, a.reply.is_some()), (MentionState::Decided, true));
    let last = mentions.get(&main(), &id(1)).await.unwrap().unwrap();
    assert!([a.reply, b.reply].contains(&last.reply));
    mentions.drop(&main(), &id(1), MentionState::Rejected, "too late", &WrittenReply::default()).await.unwrap();
    let opened = store.reviews().open(&main(), &id(1), &other, &json!([]), Duration::from_secs(60)).await.unwrap();
    assert_eq!(opened, None, "nothing is left to ask a person about");
    assert_eq!(mentions.get(&main(), &id(1)).await.unwrap().unwrap().state, MentionState::Decided);
}

#[tokio::test]
async fn of_two_people_who_decide_at_once_one_does() {
    let database = database().await;
    let store = database.store(Environment::Staging);
    begun(&store, 1).await;
    let proposed = written("proposed");
    let opened = store.reviews().open(&main(), &id(1), &proposed, &json!([]), Duration::from_secs(60)).await;
    let review = opened.unwrap().unwrap();
    let reviews = store.reviews();
    let (yes, no) = tokio::join!(reviews.approve(review, "yes", "ann"), reviews.reject(review, None, "bob"));
    let done = [yes.unwrap(), no.unwrap()].iter().filter(|outcome| matches!(outcome, ReviewOutcome::Done(_))).count();
    assert_eq!(done, 1);
    let record = store.mentions().get(&main(), &id(1)).await.unwrap().unwrap();
    assert!([MentionState::Decided, MentionState::Rejected].contains(&record.state), "{record:?}");
    assert_eq!(record.mention.text, "hello\u{fffd}there");
}

#[tokio::test]
async fn staging_and_production_know_nothing_of_each_other() {
    let database = database().await;
    let (staging, production) = (database.store(Environment::Staging), database.store(Environment::Production));
    begun(&staging, 1).await;
    staging.mentions().block(&main(), "Troll", None, "ann").await.unwrap();
    staging.mentions().move_cursor(&main(), &id(7)).await.unwrap();
    let opened = staging.reviews().open(&main(), &id(1), &written("x"), &json!([]), Duration::from_secs(60)).await;
    let review = opened.unwrap().unwrap();
    assert_eq!(production.mentions().get(&main(), &id(1)).await.unwrap(), None);
    assert_eq!(production.mentions().cursor(&main()).await.unwrap(), None);
    assert!(production.mentions().blocked(&main()).await.unwrap().is_empty());
    assert!(production.reviews().get(review).await.unwrap().is_none());
    let reviews = production.reviews().list(&ReviewFilter::default(), &Paging::default()).await.unwrap();
    assert!(reviews.items.is_empty());
}

#[tokio::test]
async fn the_place_up_to_which_mentions_were_read_never_moves_back() {
    let (database, redis) = (database().await, TestRedis::claim().await);
    let store = database.store(Environment::Staging);
    let control = MentionControl::new(redis.door(), store.clone());
    for n in [999, 1_000, 7] {
        store.mentions().move_cursor(&main(), &id(n)).await.unwrap();
        control.set_since_id(&main(), &id(n)).await.unwrap();
    }
    assert_eq!(store.mentions().cursor(&main()).await.unwrap(), Some(id(1_000)));
    assert_eq!(control.since_id(&main()).await.unwrap(), Some(id(1_000)));
}

#[tokio::test]
async fn places_for_replies_are_given_out_once_each_and_no_more_than_there_are() {
    let (database, redis) = (database().await, TestRedis::claim().await);
    let control = MentionControl::new(redis.door(), database.store(Environment::Staging));
    let take = async |mention: &Mention| control.take_place(&main(), mention, 2, 3).await.unwrap();
    let first = mention(1, 1, "12");
    assert_eq!(take(&first).await, ReplyPlace::Unknown);
    control.restore_places(&main(), &first, &["90".to_owned()], &[]).await.unwrap();
    assert_eq!((take(&first).await, take(&first).await), (ReplyPlace::Taken, ReplyPlace::Taken));
    assert_eq!(
        take(&mention(2, 1, "12")).await,
        ReplyPlace::ConversationFull,
        "one of its two places was taken before"
    );
    for n in [3, 4] {
        let other = mention(n, n, "12");
        control.restore_places(&main(), &other, &[], &[]).await.unwrap();
        assert_eq!(take(&other).await, ReplyPlace::Taken);
    }
    let fourth = mention(5, 5, "12");
    control.restore_places(&main(), &fourth, &[], &[]).await.unwrap();
    assert_eq!(take(&fourth).await, ReplyPlace::UserFull);
    let tomorrow = Mention { created_at: Utc::now() + TimeDelta::days(1), ..fourth };
    control.restore_places(&main(), &tomorrow, &[], &[]).await.unwrap();
    assert_eq!(take(&tomorrow).await, ReplyPlace::Taken);
}

#[tokio::test]
async fn a_bot_that_was_told_to_be_silent_stays_so_when_redis_is_lost() {
    let (database, redis) = (database().await, TestRedis::claim().await);
    let control = MentionControl::new(redis.door(), database.store(Environment::Staging));
    assert_eq!(control.switches(&main()).await.unwrap(), perch_bot_mentions::MentionSwitches::default());
    assert!(!control.set_polling(&main(), true, "ann").await.unwrap(), "it ran already");
    assert!(control.set_polling(&main(), false, "ann").await.unwrap());
    assert!(control.set_replying(&main(), false, "bob").await.unwrap());
    control.set_interval(&main(), Duration::from_secs(90), "bob").await.unwrap();
    redis.wipe().await;
    let switches = control.switches(&main()).await.unwrap();
    assert_eq!((switches.stopped, switches.paused), (true, true));
    assert_eq!((switches.interval, switches.by.as_deref()), (Some(Duration::from_secs(90)), Some("bob")));
    let elsewhere = MentionControl::new(redis.door(), database.store(Environment::Production));
    assert!(!elsewhere.switches(&main()).await.unwrap().stopped);
}

#[tokio::test]
async fn of_two_replies_that_say_the_same_at_once_one_is_decided_on() {
    let database = database().await;
    let store = database.store(Environment::Staging);
    begun(&store, 1).await;
    begun(&store, 2).await;
    let (account, first, second, same) = (main(), id(1), id(2), written("Good luck!"));
    let lately = (Utc::now() - TimeDelta::days(1), 100);
    let mentions = store.mentions();
    let decide =
        async |post| mentions.decide_anew(&account, post, &same, lately, |others| !others.is_empty()).await.unwrap();
    let decided = [decide(&first), decide(&second)];
    let decided: Vec<Decision> = futures::future::join_all(decided).await;
    assert_eq!(decided.iter().filter(|decision| **decision == Decision::Repeated).count(), 1, "{decided:?}");
    let kept = if decided[0] == Decision::Repeated { &second } else { &first };
    let again = decide(kept).await;
    assert!(
        matches!(&again, Decision::Kept(Some(record)) if record.reply.is_some()),
        "its own reply is no other one's"
    );
}

#[tokio::test]
async fn a_page_of_mentions_goes_on_after_the_last_one_also_within_a_second() {
    let database = database().await;
    let store = database.store(Environment::Staging);
    let at = Utc::now();
    let together: Vec<SeenMention> = (1..=5)
        .map(|n| {
            let seen = seen(n);
            SeenMention { mention: Mention { created_at: at, ..seen.mention }, ..seen }
        })
        .collect();
    store.mentions().note(&main(), &together).await.unwrap();
    let filter = MentionFilter { account: Some(main()), ..MentionFilter::default() };
    let (mut paging, mut read) = (Paging::first(2), Vec::new());
    loop {
        let page = store.mentions().list(&filter, &paging).await.unwrap();
        read.extend(page.items.into_iter().map(|record| record.mention.id));
        let Some(next) = page.next else { break };
        paging.cursor = Some(next);
    }
    assert_eq!(read, [5, 4, 3, 2, 1].map(id));
}

#[tokio::test]
async fn a_user_blocked_by_handle_stays_blocked_under_another_one() {
    let database = database().await;
    let store = database.store(Environment::Staging);
    begun(&store, 1).await;
    let mentions = store.mentions();
    mentions.block(&main(), "Fan", None, "ann").await.unwrap();
    mentions.block(&main(), "stranger", None, "ann").await.unwrap();
    let ids = async || {
        let blocked = mentions.blocked(&main()).await.unwrap();
        blocked.into_iter().map(|user| (user.who, user.author_id)).collect::<Vec<_>>()
    };
    let (fan, stranger) = (("fan".to_owned(), Some("12".to_owned())), "stranger".to_owned());
    assert_eq!(ids().await, [(stranger.clone(), None), fan.clone()]);
    mentions.learn_blocked(&main(), &[("Stranger", "13"), ("fan", "99")]).await.unwrap();
    assert_eq!(ids().await, [(stranger, Some("13".to_owned())), fan], "what is known stays");
    assert!(mentions.unblock(&main(), "12").await.unwrap());
    assert_eq!(ids().await.len(), 1);
    assert_eq!(mentions.handle_of(&main(), "12").await.unwrap().as_deref(), Some("Fan"));
}

//! Mentions that were in danger of being passed over: by a page that X refuses, a Redis that is lost, others before them.

use chrono::{TimeDelta, Utc};
use perch_bot_mentions::{MentionState, MentionStore as _, SeenMention, WrittenReply};
use perch_jobs::{PostId, PublishPost, QueueName, ReplyToMention};
use perch_queue::EnqueueOptions;
use perch_sandbox::NewPost;
use perch_store::AttemptOutcome;
use serde_json::json;

use crate::{
    mentions::{FAN, comes_to, control, fetched, handed, record, told},
    together::Together,
    world::{BOT, SALLY, World, eventually, main_account, publication},
};

const A_MINUTE_AGO: &str = "update mentions.mentions set processed_at = processed_at - interval '2 minutes'";

async fn aged(world: &World) {
    sqlx::query(A_MINUTE_AGO).execute(&world.database().raw()).await.expect("Postgres answers");
}

/// A mention that was handed on and waits, as replying is paused.
async fn waiting(world: &World) -> String {
    control(world).set_replying(&main_account(), false, "ann").await.expect("Postgres answers");
    let mention = world.x.publish(FAN, "@perch_bot hello");
    assert_eq!(fetched(world).await, json!({ "read": 1, "taken": 1 }));
    eventually("its job is put off", || async {
        let job = record(world, &mention).await.job_id?;
        (world.outcomes(job).await == [AttemptOutcome::Snoozed]).then_some(())
    })
    .await;
    mention
}

#[tokio::test]
async fn a_page_that_x_refuses_passes_over_no_mention() {
    let vars = [
        ("PERCH__MENTIONS__PAGE", "5"),
        ("PERCH__MENTIONS__PAGES", "1"),
        ("PERCH__MENTIONS__REPLIES_PER_USER_PER_DAY", "100"),
    ];
    let together = Together::saying(&[]).await;
    let world = told(&together, &vars).await;
    let (control, account) = (control(&world), main_account());
    let mentions: Vec<String> = (0..12).map(|n| world.x.publish(FAN, format!("@perch_bot {n}").as_str())).collect();
    assert_eq!(fetched(&world).await, json!({ "read": 5, "taken": 5, "more": true }));
    let (newest, _) = control.backlog(&account).await.expect("Redis answers").expect("there is more");
    control.set_backlog(&account, Some((&newest, "bogus"))).await.expect("Redis answers");

    assert_eq!(fetched(&world).await, json!({ "read": 0, "taken": 0, "more": true }));
    assert_eq!(control.since_id(&account).await.expect("Redis answers"), None);
    assert_eq!(world.store.mentions().cursor(&account).await.expect("Postgres answers"), None);
    let again = json!({ "read": 5, "taken": 0, "left_out": { "processed": 5 }, "more": true });
    assert_eq!(fetched(&world).await, again, "it begins where it had begun");
    assert_eq!(fetched(&world).await, json!({ "read": 5, "taken": 5, "more": true }));
    assert_eq!(fetched(&world).await, json!({ "read": 2, "taken": 2 }));
    assert_eq!(control.since_id(&account).await.expect("Redis answers"), Some(newest));
    for mention in &mentions {
        comes_to(&world, mention, MentionState::Answered).await;
    }
    assert_eq!(world.x.made().len(), 12);
}

#[tokio::test]
async fn a_mention_whose_job_was_lost_with_redis_is_answered_all_the_same() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[]).await;
    let mention = waiting(&world).await;
    let job = record(&world, &mention).await.job_id;
    world.redis().wipe().await;
    control(&world).set_replying(&main_account(), true, "ann").await.expect("Postgres answers");
    fetched(&world).await;
    assert_eq!(record(&world, &mention).await.state, MentionState::Queued, "a moment ago it was there");
    aged(&world).await;
    fetched(&world).await;
    let answered = comes_to(&world, &mention, MentionState::Answered).await;
    assert_eq!(answered.job_id, job);
    fetched(&world).await;
    assert_eq!((world.x.made().len(), together.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_mention_whose_job_was_cancelled_is_not_enqueued_again() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[]).await;
    let mention = waiting(&world).await;
    let job = record(&world, &mention).await.job_id.expect("it has a job");
    let queue = world.client.queues().get(&QueueName::from_static("generation")).expect("it is configured").clone();
    aged(&world).await;
    queue.cancel(job, "ann", "not this one").await.expect("Redis answers");
    control(&world).set_replying(&main_account(), true, "ann").await.expect("Postgres answers");
    fetched(&world).await;
    assert_eq!(record(&world, &mention).await.state, MentionState::Failed);
    assert!(queue.job(job).await.expect("Redis answers").is_none() && world.x.made().is_empty());
}

#[tokio::test]
async fn mentions_that_end_without_a_reply_take_nobodys_place() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[("PERCH__MENTIONS__REPLIES_PER_CONVERSATION", "1")]).await;
    let root = world.x.publish(SALLY, "Lakers -3.5 tonight");
    let answer = |text: &str| NewPost { text: text.into(), reply_to: Some(root.clone()), ..NewPost::default() };
    let rude = world.x.publish("fan_two", answer("@perch_bot you f@gg0t"));
    fetched(&world).await;
    comes_to(&world, &rude, MentionState::Rejected).await;
    let polite = world.x.publish("fan_three", answer("@perch_bot who tonight?"));
    assert_eq!(fetched(&world).await, json!({ "read": 1, "taken": 1 }));
    comes_to(&world, &polite, MentionState::Answered).await;

    world.redis().wipe().await;
    world.x.publish("fan_four", answer("@perch_bot and to me?"));
    assert_eq!(fetched(&world).await, json!({ "read": 1, "taken": 0, "left_out": { "conversation_full": 1 } }));
}

#[tokio::test]
async fn what_other_services_hand_over_is_held_against_the_own_account_and_blocked_users_too() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[]).await;
    let of = |id: &str, author: &str| {
        let mut job = handed(id, "@perch_bot hello");
        job.mention.author_id = world.x.add_account(author);
        job
    };
    let outcome = async |job: ReplyToMention| world.done(&job).await.result.expect("a result");
    let because = |rule: &str| json!({ "outcome": "not_answered", "because": rule });
    assert_eq!(outcome(of("1849", BOT)).await, because("own"));

    world.store.mentions().block(&main_account(), "troll_one", None, "ann").await.expect("Postgres answers");
    world.x.publish("troll_one", "@perch_bot hi");
    assert_eq!(fetched(&world).await, json!({ "read": 1, "taken": 0, "left_out": { "blocked": 1 } }));
    assert_eq!(outcome(of("1850", "troll_one")).await, because("blocked"));
    let blocked = world.store.mentions().blocked(&main_account()).await.expect("Postgres answers");
    assert_eq!(blocked[0].author_id, Some(world.x.add_account("troll_one")), "whatever handle comes next");
    assert!(together.asked().is_empty());
}

/// A mention whose reply was decided on `ago`; it is as old as that and a day.
async fn decided(world: &World, text: &str, ago: TimeDelta) -> PostId {
    let mut job = handed(&world.x.publish(FAN, text), text);
    job.mention.created_at = Utc::now() - ago - TimeDelta::days(1);
    let (account, id) = (main_account(), job.mention.id.clone());
    let seen = SeenMention { mention: job.mention, author: None, left_out: None };
    world.store.mentions().begin(&account, &seen, perch_jobs::JobId::at(Utc::now())).await.expect("Postgres answers");
    let written = WrittenReply { text: Some("Decided long ago.".into()), ..WrittenReply::default() };
    world.store.mentions().decide(&account, &id, &written).await.expect("Postgres answers");
    sqlx::query("update mentions.mentions set decided_at = decided_at - make_interval(secs => $1) where id = $2")
        .bind(f64::from(i32::try_from(ago.num_seconds()).expect("a few hours")))
        .bind(id.as_str())
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    id
}

#[tokio::test]
async fn a_reply_that_was_held_up_for_too_long_does_not_go_out_and_says_so() {
    let world = World::without_workers(&[]).await;
    let left_behind = decided(&world, "hello there", TimeDelta::hours(2)).await;
    let held = decided(&world, "hello again", TimeDelta::zero()).await;
    let key = ReplyToMention::effect_key(&main_account(), &held);
    let job = PublishPost { reply_to: Some(held.clone()), ..publication("Decided long ago.", None, Some(&key)) };
    let deadline = Utc::now() + TimeDelta::milliseconds(50);
    let id = world.enqueue_with(&job, EnqueueOptions { deadline: Some(deadline), ..EnqueueOptions::default() }).await;
    world.store.mentions().handed_over(&main_account(), &held, id).await.expect("Postgres answers");
    eventually("its time is over", || async { (Utc::now() > deadline).then_some(()) }).await;

    let world = world.work();
    world.ended(id).await;
    fetched(&world).await;
    for mention in [left_behind, held] {
        let expired = comes_to(&world, mention.as_str(), MentionState::Expired).await;
        assert_eq!(expired.reason.as_deref(), Some("it could not be published in time"));
    }
    assert!(world.x.made().is_empty());
}

#[tokio::test]
async fn a_reply_may_go_out_for_as_long_as_its_mention_may_be_old_and_a_little_longer() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[("PERCH__MENTIONS__MAX_AGE", "6h")]).await;
    let job = handed(&world.x.publish(FAN, "@perch_bot hello"), "@perch_bot hello");
    world.done(&job).await;
    let answered = comes_to(&world, job.mention.id.as_str(), MentionState::Answered).await;
    let published = world.ended(answered.publish_job_id.expect("it has a job")).await;
    let deadline = published.envelope.expect("the history is full")["deadline"].as_i64();
    assert_eq!(deadline, Some((job.mention.created_at + TimeDelta::hours(7)).timestamp_millis()));
}

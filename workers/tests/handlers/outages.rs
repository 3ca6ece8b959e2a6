//! Posts that are extracted while models, or the hosts of pictures, are away.

use std::{net::TcpListener, time::Duration};

use perch_base::Paging;
use perch_bot_picks::store::PicksStore as _;
use perch_jobs::{ExtractPost, Media, QueueName, RetryPolicy};
use perch_queue::EnqueueOptions;
use perch_sandbox::{Endpoint, Fault, FaultKind, NewPost};
use perch_store::{JobState, SpendSum};
use serde_json::json;

use crate::world::{CHATTER, LAKERS, SALLY, World, eventually};

const TONIGHT: &str = "Tonight's card is up";

/// A post with a bet on a picture that the sandbox draws.
fn pictured(world: &World, bet: &str) -> ExtractPost {
    let drawn = world.x.publish(SALLY, NewPost { picture: Some(bet.to_owned()), ..NewPost::from(TONIGHT) });
    let url = format!("{}/sandbox/media/{drawn}.png", world.vars["PERCH__X__BASE_URL"]);
    with_picture(world.written(SALLY, TONIGHT), url)
}

fn with_picture(mut job: ExtractPost, url: String) -> ExtractPost {
    job.post.media = vec![Media { url, alt_text: None }];
    job
}

fn attempts(most: u32) -> EnqueueOptions {
    let retry = RetryPolicy::new(most, Duration::from_millis(1), Duration::from_millis(20));
    EnqueueOptions { retry: Some(retry), ..EnqueueOptions::default() }
}

async fn pictures_missing(world: &World, job: &ExtractPost) -> i64 {
    world.sync().await;
    sqlx::query_scalar("select pictures_missing from picks.extractions where post_id = $1")
        .bind(job.post.id.as_str())
        .fetch_one(&world.database().raw())
        .await
        .expect("it is recorded")
}

async fn spent_on_models(world: &World) -> Vec<SpendSum> {
    world.sync().await;
    let today = perch_store::day(chrono::Utc::now());
    let sums = world
        .store
        .spend()
        .sums(today, today + chrono::TimeDelta::days(2), &Paging::default())
        .await
        .expect("Postgres answers")
        .2
        .items;
    sums.into_iter().filter(|sum| sum.kind == "model").collect()
}

/// The address of a provider that takes every call and answers none, as long as the listener is there.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("http://{}/v1", listener.local_addr().expect("it has one"));
    (listener, url)
}

#[tokio::test]
async fn a_post_whose_bet_is_on_its_picture_waits_for_a_model_that_sees_through_a_short_outage() {
    let world = World::with(&[("PERCH__PICKS__RULES_AFTER", "1")]).await;
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::Unavailable).times(3));
    let id = world.enqueue_with(&pictured(&world, LAKERS), attempts(10)).await;
    let ended = world.ended(id).await;
    assert_eq!((ended.state, ended.attempts), (JobState::Done, 4), "{:?}", ended.last_error);
    let result = ended.result.expect("a result");
    let model = &world.settings.models.providers["grok"].model;
    assert_eq!((&result["new"], &result["model"]), (&json!(1), &json!(model)));
}

#[tokio::test]
async fn a_post_whose_bet_is_on_its_picture_ends_in_the_dead_letters_when_no_model_comes_back() {
    let world = World::with(&[("PERCH__PICKS__RULES_AFTER", "1")]).await;
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::Unavailable));
    let ended = world.ended(world.enqueue_with(&pictured(&world, LAKERS), attempts(3)).await).await;
    assert_eq!((ended.state, ended.attempts), (JobState::Dead, 3));
    let error = ended.last_error.expect("a reason");
    assert!(error.contains("503") && error.contains("the post has a picture"), "{error}");
}

#[tokio::test]
async fn where_every_provider_refuses_for_good_the_rules_read_at_once() {
    let world = World::with(&[("GROK_API_KEY", "bad"), ("PERCH__PICKS__PREFILTER_SAMPLE", "1.0")]).await;
    let ended = world.done(&world.written(SALLY, LAKERS)).await;
    let result = ended.result.expect("a result");
    assert_eq!((ended.attempts, &result["model"], &result["unconfirmed"]), (1, &json!("rules"), &json!(1)));
    world.done(&world.written(SALLY, CHATTER)).await;
    world.sync().await;
    let hour_ago = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let quality = world.store.extractions().prefilter(hour_ago).await.expect("Postgres answers");
    assert_eq!((quality.posts, quality.sampled), (2, 0), "what the rules read says nothing of what they miss");
    let by_day: i64 = sqlx::query_scalar("select sampled from picks.prefilter_quality")
        .fetch_one(&world.database().raw())
        .await
        .expect("Postgres answers");
    assert_eq!(by_day, 0);
}

#[tokio::test]
async fn a_provider_that_hangs_leaves_the_next_one_its_time_and_costs_what_was_asked() {
    let (_listener, hanging) = silent();
    let world = World::with(&[
        ("OPENAI_API_KEY", "sandbox"),
        ("PERCH__MODELS__PROVIDERS__OPENAI__BASE_URL", &hanging),
        ("PERCH__PICKS__PROVIDERS", "openai, grok"),
    ])
    .await;
    let job = world.written(SALLY, LAKERS);
    let timeout = EnqueueOptions { timeout: Some(Duration::from_secs(6)), ..EnqueueOptions::default() };
    let ended = world.ended(world.enqueue_with(&job, timeout).await).await;
    assert_eq!((ended.attempts, &ended.result.expect("a result")["new"]), (1, &json!(1)));
    let spent = spent_on_models(&world).await;
    let openai = spent.iter().find(|sum| sum.provider == "openai").expect("it may have done the work");
    assert!(openai.tokens > 100 && openai.tokens < 2_000, "no answer is in it: {openai:?}");
}

#[tokio::test]
async fn a_call_whose_job_is_stopped_amid_it_is_settled_all_the_same() {
    let (_listener, hanging) = silent();
    let world = World::without_workers(&[("PERCH__MODELS__PROVIDERS__GROK__BASE_URL", &hanging)]).await.work();
    let id = world.enqueue(&world.written(SALLY, LAKERS)).await;
    let mut conn = world.redis().raw().await;
    let key = format!("stg:{{spend:grok}}:{}", chrono::Utc::now().format("%Y-%m-%d"));
    let mut aside: i64 = 0;
    while aside == 0 {
        let sum: Option<i64> = redis::cmd("GET").arg(&key).query_async(&mut conn).await.expect("Redis answers");
        aside = sum.unwrap_or(0);
        tokio::task::yield_now().await;
    }
    let queue = world.client.queues().get(&QueueName::from_static("extraction")).expect("it is configured");
    queue.cancel(id, "ann", "not wanted").await.expect("Redis answers");
    let spent = eventually("it is written down", || async { spent_on_models(&world).await.pop() }).await;
    assert!(spent.micros > 0 && spent.micros < aside / 5, "{spent:?} of {aside}");
    let sum: i64 = redis::cmd("GET").arg(&key).query_async(&mut conn).await.expect("Redis answers");
    assert_eq!(sum, spent.micros, "what was set aside for the answer is free again");
}

#[tokio::test]
async fn a_post_is_read_without_a_picture_that_is_away_and_that_is_recorded() {
    // Nobody serves pictures there.
    let vars = [("PERCH__PICKS__PICTURES__HOSTS", r#"["localhost"]"#), ("PERCH__PICKS__RULES_AFTER", "2")];
    let world = World::with(&vars).await;
    let job = with_picture(world.written(SALLY, LAKERS), "https://localhost/slip.png".into());
    let ended = world.ended(world.enqueue_with(&job, attempts(5)).await).await;
    assert_eq!((ended.attempts, &ended.result.expect("a result")["new"]), (2, &json!(1)));
    assert_eq!(pictures_missing(&world, &job).await, 1);
}

#[tokio::test]
async fn where_nothing_is_found_without_a_picture_it_is_waited_for_until_the_last_attempt() {
    let vars = [("PERCH__PICKS__PICTURES__HOSTS", r#"["localhost"]"#), ("PERCH__PICKS__RULES_AFTER", "2")];
    let world = World::with(&vars).await;
    let job = with_picture(world.written(SALLY, TONIGHT), "https://localhost/slip.png".into());
    let ended = world.ended(world.enqueue_with(&job, attempts(4)).await).await;
    assert_eq!((ended.state, ended.attempts), (JobState::Done, 4), "{:?}", ended.last_error);
    assert_eq!((pictures_missing(&world, &job).await, world.x.calls(Endpoint::Chat)), (1, 2));
}

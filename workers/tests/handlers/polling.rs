use chrono::{TimeDelta, Utc};
use perch_jobs::{PollAccount, PollAccounts};
use perch_sandbox::{Endpoint, Fault, FaultKind, NewPost};
use serde_json::json;

use crate::world::{CELTICS, CHATTER, LAKERS, PETE, SALLY, World};

fn poll(username: &str) -> PollAccount {
    PollAccount { username: username.into() }
}

#[tokio::test]
async fn a_poll_takes_up_where_the_last_one_ended() {
    let world = World::start().await;
    world.x.publish(SALLY, CHATTER);
    world.x.publish(SALLY, LAKERS);
    let first = world.done(&poll(SALLY)).await;
    assert_eq!(first.result, Some(json!({ "read": 2, "taken": 2 })));
    let empty = world.done(&poll(SALLY)).await;
    assert_eq!(empty.result, Some(json!({ "read": 0, "taken": 0 })));
    world.x.publish(SALLY, CELTICS);
    let third = world.done(&poll("Sharp_Sally")).await;
    assert_eq!(third.result, Some(json!({ "read": 1, "taken": 1 })));
    assert_eq!(world.x.calls(Endpoint::User), 1, "the id of the account is kept");
}

#[tokio::test]
async fn old_posts_and_replies_are_not_handed_on() {
    let world = World::start().await;
    let old =
        NewPost { text: LAKERS.into(), created_at: Some(Utc::now() - TimeDelta::hours(30)), ..NewPost::default() };
    let old = world.x.publish(SALLY, old);
    world.x.publish(SALLY, NewPost { text: CELTICS.into(), reply_to: Some(old), ..NewPost::default() });
    let polled = world.done(&poll(SALLY)).await;
    assert_eq!(polled.result.map(|result| result["taken"].clone()), Some(json!(0)));
    assert!(world.jobs_of("extract_post").await.is_empty());
}

#[tokio::test]
async fn every_watched_account_is_polled_and_none_twice_at_once() {
    let world = World::start().await;
    let started = world.done(&PollAccounts {}).await;
    assert_eq!(started.result, Some(json!({ "enqueued": 2, "unfinished": 0 })));
    let polls = world.jobs_of("poll_account").await;
    assert_eq!(polls.len(), 2);
    assert!(polls.iter().all(|poll| poll.parent == Some(started.id)));
    for account in [SALLY, PETE] {
        assert!(polls.iter().any(|poll| poll.payload == Some(json!({ "username": account }))), "{account}");
    }
}

#[tokio::test]
async fn a_poll_waits_for_the_rate_limit_without_spending_an_attempt() {
    let world = World::start().await;
    world.x.publish(SALLY, CHATTER);
    world.x.add_fault(Fault::new(Endpoint::UserPosts, FaultKind::RateLimited).times(1).delay_ms(1_000));
    let polled = world.done(&poll(SALLY)).await;
    assert_eq!(polled.attempts, 1);
    assert_eq!(world.x.calls(Endpoint::UserPosts), 2);
}
